"""The server itself: what it answers with, from its start to its end."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import grpc
import psutil
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from folding.interrupts import SIGNALS
from folding.v1.folding_pb2_grpc import add_FoldingServiceServicer_to_server
from folding_server import logs, malloc, threads
from folding_server.addresses import Address, check_privacy, check_scrapes, parse_address
from folding_server.auth import Tokens
from folding_server.binding import bind, settings
from folding_server.gate import Gates
from folding_server.interceptors import Front
from folding_server.jobs import forkserver
from folding_server.jobs.local import LocalRunner
from folding_server.jobs.runner import JobRunner
from folding_server.keys import Keys, read_keys
from folding_server.metrics import Metrics
from folding_server.readiness import SERVICE, Readiness
from folding_server.serve import Options
from folding_server.service import FoldingService
from folding_server.store import Spool
from folding_server.watchdog import end_within

#: Seconds for the answers to calls whose jobs were ended.
_LAST_WORDS = 1.0
#: Seconds that jobs and files have to go, when nobody is waited for any more.
_LAST_PATIENCE = 15.0
#: Seconds between two looks at what can be given back.
_EVERY = 1.0
#: Threads for what would make the loop wait, besides those of jobs and of the store.
_THREADS = 8
#: Bytes that more than a hundred uploads at once do not need.
_MOST_MEMORY = 400 << 20


async def run(options: Options) -> None:
    """Serve until a signal asks for the end.

    Raises:
        BadCall: an option is wrong.
        StorageFailed: the spool cannot be used, or there are too few threads.
    """
    addresses, scraped, keys = _ways_in(options)
    begin_to_log = logs.to_stderr()
    signals, metrics = _signals(), Metrics()
    tokens = Tokens(options.tokens) if options.tokens else None
    front = Front(tokens, metrics)
    with ExitStack() as stack:
        pool = stack.enter_context(threads.pool(_THREADS, "front"))
        asyncio.get_running_loop().set_default_executor(pool)
        if scraped is not None:
            stack.enter_context(metrics.served(scraped))
        spool = stack.enter_context(Spool(options.spool, options.limits))
        runner = LocalRunner(spool.blobs, spool.jobs, options.limits)
        metrics.gauge("queued_jobs", "Jobs that wait", lambda: runner.waiting)
        metrics.gauge("running_jobs", "Jobs that run", lambda: runner.running)
        metrics.gauge("spool_bytes", "Disk for kept models and results", lambda: spool.room)
        readiness = Readiness(
            runner,
            spool.jobs,
            is_busy=lambda: bool(runner.running or runner.waiting),
            check=forkserver.check,
            make_room=spool.blobs.make_room,
        )
        has_owners = tokens is not None or (keys is not None and keys.client_ca is not None)
        gates = Gates.of(options.limits, has_owners=has_owners)
        service = FoldingService(options.limits, spool, runner, readiness, metrics, gates)
        server = _server(front, service, readiness, with_reflection=options.reflection)
        bound = ", ".join(bind(server, address, keys) for address in addresses)
        async with _ended(server, runner, front, gates):
            await server.start()
            print(f"fold-model: serving on {bound}", file=sys.stderr, flush=True)  # noqa: T201
            begin_to_log()
            await _first_of(None, readiness.watch(), _give_back(front, gates), signals.get())
            await _drain(front, readiness, options.limits.grace_seconds, signals)


def _ways_in(options: Options) -> tuple[list[Address], Address | None, Keys | None]:
    """Where calls come in and where scrapes do, and the keys for TLS; raises as ``run``."""
    addresses = [parse_address(text) for text in options.listen]
    scraped = parse_address(options.metrics) if options.metrics else None
    if scraped is not None:
        check_scrapes(scraped, is_insecure=options.insecure)
    keys = read_keys(options.tls_cert, options.tls_key, options.client_ca)
    for address in addresses:
        check_privacy(address, is_encrypted=keys is not None, is_insecure=options.insecure)
    return addresses, scraped, keys


def _signals() -> asyncio.Queue[int]:
    """The signals that ask for the end, as they come."""
    queue = asyncio.Queue[int]()
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # As nohup wants it.
            asyncio.get_running_loop().add_signal_handler(number, queue.put_nowait, number)
    return queue


def _server(
    front: Front, service: FoldingService, readiness: Readiness, *, with_reflection: bool
) -> grpc.aio.Server:
    server = grpc.aio.server(interceptors=[front], options=settings())
    add_FoldingServiceServicer_to_server(service, server)
    health_pb2_grpc.add_HealthServicer_to_server(readiness.servicer, server)
    if with_reflection:
        names = (SERVICE, "grpc.health.v1.Health", reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
    return server


@asynccontextmanager
async def _ended(
    server: grpc.aio.Server, runner: JobRunner, front: Front, gates: Gates
) -> AsyncIterator[None]:
    """After the block nothing runs any more: who still waits for a job, or sends, is told so."""
    try:
        yield
    finally:
        end_within(_LAST_PATIENCE)
        gates.sending.close()
        await runner.close()
        await server.stop(_LAST_WORDS)
        await front.drain()


async def _give_back(front: Front, gates: Gates) -> None:
    """Let the system have what calls took and need no more; let there be fewer if that is much."""
    seen, process = front.trace, psutil.Process()
    while True:
        await asyncio.sleep(_EVERY)
        if seen != front.trace or front.trace[0]:
            seen = front.trace
            await asyncio.to_thread(malloc.give_back)
            if process.memory_info().rss > _MOST_MEMORY:
                gates.sending.thin()


async def _drain(
    front: Front, readiness: Readiness, seconds: float, signals: asyncio.Queue[int]
) -> None:
    """Let the calls that are in end, unless that takes long or a second signal comes."""
    await readiness.tell(is_ready=False)
    await _first_of(seconds, front.drain(), signals.get())


async def _first_of(seconds: float | None, *waits: Coroutine[Any, Any, Any]) -> None:
    """Wait for one of them, and end the others."""
    tasks = [asyncio.ensure_future(each) for each in waits]
    done, rest = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    for task in done:
        task.result()
