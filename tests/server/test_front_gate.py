"""How long clients are waited for: as long as is said, or less where memory is short."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from typing import Any

import pytest

from folding_server import waits as module
from folding_server.errors import ServiceError
from folding_server.gate import Gate, Gates
from folding_server.jobs.runner import JobSpec, Kind
from folding_server.limits import ServerLimits
from folding_server.service import FoldingService


async def _waited(gate: Gate, seconds: float, most: float = 30.0) -> str:
    """How it ends to wait so long for a client that says nothing."""
    try:
        async with gate.patience(most):
            await asyncio.sleep(seconds)
    except ServiceError as error:
        return error.reason
    except TimeoutError:
        return "idle"
    return "heard"


async def _thinned(gate: Gate, *seconds: float) -> list[str]:
    """The same of several when memory is short; each has waited longer than the next."""
    waits = []
    for each in seconds:
        waits.append(asyncio.ensure_future(_waited(gate, each)))
        await asyncio.sleep(0.01)
    gate.thin()
    return await asyncio.gather(*waits)


def test_a_client_is_waited_for_as_long_as_is_said() -> None:
    """No longer, and no shorter."""
    assert asyncio.run(_waited(Gate(3, 2), 0.01)) == "heard"
    assert asyncio.run(_waited(Gate(3, 2), 30, most=0.01)) == "idle"


def test_where_memory_is_short_those_who_wait_longest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of them, and told to come again."""
    monkeypatch.setattr(module, "_SHORT_SECONDS", 0.0)

    found = asyncio.run(_thinned(Gate(3, 2), 30, 30, 0.05, 0.05))

    assert found == ["QUEUE_FULL", "QUEUE_FULL", "heard", "heard"]


def test_who_has_not_waited_long_stays() -> None:
    """However short memory is."""
    assert asyncio.run(_thinned(Gate(3, 2), 0.05, 0.05)) == ["heard", "heard"]


def test_where_the_server_stops_nobody_is_waited_for_any_more() -> None:
    """Neither who is, nor who would be; they are told to go elsewhere."""

    async def closed() -> list[str]:
        gate = Gate(3, 2)
        wait = asyncio.ensure_future(_waited(gate, 30))
        await asyncio.sleep(0.01)
        gate.close()
        return [await wait, await _waited(gate, 0.01)]

    assert asyncio.run(closed()) == ["DRAINING", "DRAINING"]


def test_what_is_shared_is_shared_by_all_who_are_in() -> None:
    """One alone has it all."""
    gate = Gate(3, 2)
    assert gate.share(10) == 10
    with gate.entered("a"), gate.entered("b"):
        assert gate.share(10) == 5


def test_of_several_owners_none_keeps_all_others_out() -> None:
    """Neither by what it sends nor by its jobs nor by what it does not take."""
    limits = ServerLimits(uploads=4, jobs=1, queue=7)
    for has_owners, lacks in ((True, 1), (False, 0)):
        gates = Gates.of(limits, has_owners=has_owners)
        for gate, most in ((gates.sending, 4), (gates.waiting, 8), (gates.taking, 4)):
            with ExitStack() as stack:
                for _ in range(most - lacks * most // 4):
                    stack.enter_context(gate.entered("a"))
                with pytest.raises(ServiceError), gate.entered("a"):
                    pass
                for _ in range(lacks * most // 4):
                    stack.enter_context(gate.entered("b"))


def test_a_wait_that_is_over_is_not_ended_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory may become short in the moment in which patience ends."""
    monkeypatch.setattr(module, "_SHORT_SECONDS", 0.0)

    async def both() -> str:
        gate = Gate(3, 2)
        wait = asyncio.ensure_future(_waited(gate, 30, most=0.02))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.02, gate.thin)
        time.sleep(0.05)  # noqa: ASYNC251 - so that both are due at once
        return await wait

    assert asyncio.run(both()) == "idle"


def test_who_has_too_many_jobs_gets_no_other() -> None:
    """The share counts before the queue is asked."""
    gates = Gates(Gate(1, 1), Gate(2, 1), Gate(1, 1))
    service: Any = FoldingService(ServerLimits(), *(None,) * 4, gates)  # type: ignore[arg-type]

    with gates.waiting.entered("a"), pytest.raises(ServiceError) as caught:
        asyncio.run(service._run(JobSpec(Kind.FOLD, "a"), None, None))

    assert caught.value.reason == "QUEUE_FULL"


def test_a_gate_lets_so_many_in_and_no_more() -> None:
    """Neither all together nor one alone; who leaves makes room."""
    gate = Gate(3, 2)
    with gate.entered("a"), gate.entered("a"):
        with pytest.raises(ServiceError) as caught, gate.entered("a"):
            pass
        with gate.entered("b"), pytest.raises(ServiceError), gate.entered("c"):
            pass
    assert (caught.value.reason, caught.value.retry_after) == ("QUEUE_FULL", 1.0)
    with gate.entered("a"):
        pass
