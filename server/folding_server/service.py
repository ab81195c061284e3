"""What the service does with a call: receive, run, answer, in one coroutine for its three streams.

Any end of a call, by its client, its deadline or an error, ends its job and leaves nothing of it.
"""

# ruff: noqa: ARG002, N802 - gRPC says what methods are called and given
from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import grpc

from folding._version import __version__
from folding.errors import FoldError
from folding.v1 import folding_pb2 as pb
from folding.v1.folding_pb2_grpc import FoldingServiceServicer
from folding_server.calls import CALL
from folding_server.errors import ServiceError
from folding_server.gate import Gates
from folding_server.headers import JOBS, Terms
from folding_server.jobs.runner import JobResult, JobRunner, JobSpec, Kind
from folding_server.limits import ServerLimits
from folding_server.logs import LOG
from folding_server.messages import HEADER_BYTES
from folding_server.metrics import Metrics
from folding_server.readiness import Readiness
from folding_server.reports import Answer, answer_of
from folding_server.store import Spool
from folding_server.store.faults import DAMAGED
from folding_server.talk import Talk

#: Bytes for the chunks of all who send at once; each costs about twice its size.
_ROOM = 16 << 20
#: The same for all who take, where each costs about four times its size.
_TAKING_ROOM = 4 << 20
#: Kept answers that are read at once, each of which may have 8 MiB of JSON.
_READERS = 2
_DEATHS = frozenset({"WORKER_CRASHED", "JOB_MEMORY_LIMIT", "JOB_TIME_LIMIT"})

Context = grpc.aio.ServicerContext[Any, Any]


class FoldingService(FoldingServiceServicer):
    """The calls of ``folding.v1.FoldingService``."""

    def __init__(
        self,
        limits: ServerLimits,
        spool: Spool,
        runner: JobRunner,
        readiness: Readiness,
        metrics: Metrics,
        gates: Gates,
    ) -> None:
        self._limits, self._spool, self._runner = limits, spool, runner
        self._readiness, self._metrics, self._gates = readiness, metrics, gates
        self._readers = asyncio.Semaphore(_READERS)

    async def Fold(  # type: ignore[override]
        self, request_iterator: AsyncIterator[pb.FoldRequest], context: Context
    ) -> None:
        await self._answer(Kind.FOLD, pb.FoldResponse, context)

    async def Verify(  # type: ignore[override]
        self, request_iterator: AsyncIterator[pb.VerifyRequest], context: Context
    ) -> None:
        await self._answer(Kind.VERIFY, pb.VerifyResponse, context)

    async def Explain(  # type: ignore[override]
        self, request_iterator: AsyncIterator[pb.ExplainRequest], context: Context
    ) -> None:
        await self._answer(Kind.EXPLAIN, pb.ExplainResponse, context)

    async def GetServerInfo(
        self, request: pb.GetServerInfoRequest, context: Context
    ) -> pb.GetServerInfoResponse:
        facts, limits = await self._readiness.facts(), self._limits
        return pb.GetServerInfoResponse(
            version=__version__,
            onnx_version=facts["onnx_version"],
            onnxruntime_version=facts["onnxruntime_version"],
            min_opset=facts["min_opset"],
            max_opset=facts["max_opset"],
            providers=facts["providers"],
            chunk_bytes=limits.chunk_bytes,
            max_model_bytes=limits.max_model_bytes,
            max_files=limits.max_files,
            usual_time_limit_seconds=min(limits.usual_seconds, limits.max_seconds),
            max_time_limit_seconds=limits.max_seconds,
            job_memory_bytes=limits.memory_of_job,
            jobs=limits.jobs,
            queue=limits.queue,
            upload_idle_seconds=limits.idle_seconds,
            max_header_bytes=HEADER_BYTES,
            max_nesting=limits.max_nesting,
            max_expanded_nodes=limits.max_expanded_nodes,
        )

    async def _answer(self, kind: Kind, reply: type[Any], context: Context) -> None:
        talk, access = Talk(context, reply, self._limits, self._gates.sending), CALL.get().access
        access.require(kind)
        async with AsyncExitStack() as stack:
            with self._gates.sending.entered(access.owner):
                spec = await self._wish(kind, access.owner, talk, context)
                stack.enter_context(self._spool.blobs.pin(spec.owner, spec.files))
                spec = await self._receive(spec, talk)
            key = self._spool.results.key(spec)
            stack.enter_context(self._spool.results.pin(key))
            if await self._gave_kept(key, talk, access.owner):
                return
            found = talk.unless_more(self._run(spec, talk, stack))
            await self._give(await self._kept(key, await found), talk, access.owner)

    async def _gave_kept(self, key: str, talk: Talk, owner: str) -> bool:
        """Answer once more, if that can be; what is damaged is found anew the next time."""
        with self._gates.taking.entered(owner):
            async with self._readers:
                answer = await asyncio.to_thread(self._kept_answer, key, self._room())
            if answer is None:
                return False
            self._metrics.cached.inc()
            try:
                await talk.give(answer, self._room)
            except ServiceError as error:
                if error.reason == DAMAGED:
                    await asyncio.to_thread(self._spool.results.forget, key)
                raise
        return True

    def _kept_answer(self, key: str, room: int) -> Answer | None:
        """A kept result as an answer, if there is one that can be read."""
        kept = self._spool.results.get(key)
        try:
            return None if kept is None else answer_of(kept, room, cached=True)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            LOG.warning("a kept result is damaged: %r", error)
            self._spool.results.forget(key)
            return None

    async def _give(self, result: JobResult, talk: Talk, owner: str) -> None:
        """Answer. Who is sent away comes back for a result that is kept."""
        with self._gates.taking.entered(owner):
            answer = await asyncio.to_thread(answer_of, result, self._room(), cached=False)
            del result  # It may have much more than its client is told.
            await talk.give(answer, self._room)

    def _room(self) -> int:
        """The bytes that each client may be sent at once."""
        return self._gates.taking.share(_TAKING_ROOM)

    async def _wish(self, kind: Kind, owner: str, talk: Talk, context: Context) -> JobSpec:
        header = await talk.header()
        run = getattr(header, "run", None)
        facts = await self._readiness.facts() if run is not None and run.provider else {}
        known = {"providers": facts["providers"]} if facts else {}
        terms = Terms(owner, self._limits, seconds=context.time_remaining(), **known)
        return JOBS[kind](header, terms)

    async def _receive(self, spec: JobSpec, talk: Talk) -> JobSpec:
        """Get the files that are not here yet; the job, which knows the others as kept."""
        wanted = await asyncio.to_thread(self._spool.blobs.missing, spec.owner, spec.files)
        async with self._spool.upload(spec.owner, spec.files, wanted) as upload:
            sizes = [file.size for file in spec.files]
            await talk.accept(wanted, sizes, self._gates.sending.share(_ROOM))
            await talk.pass_on(sum(sizes[number] for number in wanted), upload.write)
            await upload.finish()
        sent = {spec.files[number].sha256 for number in wanted}
        return replace(spec, kept=frozenset(file.sha256 for file in spec.files) - sent)

    async def _run(self, spec: JobSpec, talk: Talk, stack: AsyncExitStack) -> JobResult:
        """What the job finds; its folder goes with ``stack``, unless it is moved before."""
        with self._gates.waiting.entered(spec.owner):
            return await self._awaited(spec, talk, stack)

    async def _awaited(self, spec: JobSpec, talk: Talk, stack: AsyncExitStack) -> JobResult:
        started, handle = time.monotonic(), self._runner.submit(spec)
        try:
            async for progress in handle.progress():
                await talk.progress(progress)
            result = await handle.result()
        except ServiceError as error:
            if error.reason in _DEATHS:
                self._metrics.deaths.labels(error.reason).inc()
            raise
        else:
            stack.push_async_callback(asyncio.to_thread, shutil.rmtree, result.folder, True)
            return result
        finally:
            await handle.cancel()
            self._metrics.job_seconds.labels(spec.kind).observe(time.monotonic() - started)

    async def _kept(self, key: str, result: JobResult) -> JobResult:
        """The result where it stays for later calls, if it is one of those and there is room."""
        if not self._spool.results.keeps(result):
            return result
        try:
            return await asyncio.to_thread(self._spool.results.put, key, result)
        except FoldError as error:
            LOG.warning("a result was not kept: %s", error)
            return result
