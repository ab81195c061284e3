"""How long clients are waited for: as long as is said, or less where memory is short."""

from __future__ import annotations

import asyncio

import pytest

from folding_server import gate as module
from folding_server.errors import ServiceError
from folding_server.gate import Gate


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


def test_what_is_shared_is_shared_by_all_who_are_in() -> None:
    """One alone has it all."""
    gate = Gate(3, 2)
    assert gate.share(10) == 10
    with gate.entered("a"), gate.entered("b"):
        assert gate.share(10) == 5
