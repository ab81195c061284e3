"""The front's memory: the same for a model of any size, and back after a crowd of them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from attacks.clients import Caller
from attacks.halves import Halves
from attacks.scene import MOST_MEMORY, Scene, attacked

_MIB = 1 << 20
_PATIENCE = 60
#: More than the front keeps for calls that do not go on.
_TOO_MUCH = 420 * _MIB


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A server of its own: what it ever had counts."""
    with attacked(tmp_path) as scene:
        yield scene


def peak(scene: Scene) -> int:
    """The most bytes that the front ever had."""
    status = Path(f"/proc/{scene.server.process.pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


def test_a_large_model_takes_no_more_memory_than_a_small_one(scene: Scene) -> None:
    """Not even for a moment; what comes is on disk before much more comes."""
    with scene.server.stub() as stub:
        for size in (_MIB, 128 * _MIB):
            caller = Caller(stub, bytes(size))
            caller.send()
            assert caller.refusal().reason == "MALFORMED_MODEL"
            assert peak(scene) < MOST_MEMORY
    scene.check()


def test_what_many_uploads_took_is_given_back(scene: Scene) -> None:
    """Thirty at once are asked for smaller chunks than one alone, and leave nothing behind."""
    with scene.server.stub() as stub:
        callers = [Caller(stub, bytes([number]) * (4 * _MIB)) for number in range(30)]
        sizes = [caller.until_accepted().chunk_bytes for caller in callers]
        assert max(sizes) == _MIB
        assert min(sizes) <= _MIB // 2
        for caller in callers:
            caller.send()
        for caller in callers:
            assert caller.refusal().reason == "MALFORMED_MODEL"
    scene.check()


def test_messages_that_never_end_are_not_kept_for_long(scene: Scene) -> None:
    """Six hundred of a megabyte are too many to be waited for; half of them go, and so on."""
    port = int(scene.server.target.rpartition(":")[2])
    with ExitStack() as stack:
        attackers = [stack.enter_context(closing(Halves(port, 60, _MIB))) for _ in range(10)]
        end = time.monotonic() + _PATIENCE
        while not any(attacker.ended for attacker in attackers) or scene.memory() > _TOO_MUCH:
            assert time.monotonic() < end
            for attacker in attackers:
                attacker.go_on(0.1)
        scene.check_health()
    scene.check()
