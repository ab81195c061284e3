"""What running the models may cost, and where the usual limit of memory comes from."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import pytest

from folding.equivalence import limits
from folding.equivalence.limits import RunLimits, bytes_allowed, memory_there
from folding.errors import BadCall

MEMORY = 1 << 30
PHYSICAL = (
    0 if sys.platform == "win32" else os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
)


@pytest.mark.parametrize("seconds", [0, -1, math.nan])
def test_time_that_is_none_is_refused(seconds: float) -> None:
    """A run needs some time."""
    with pytest.raises(BadCall, match="time limit"):
        RunLimits(seconds)


def test_memory_that_is_none_is_refused() -> None:
    """A run needs some memory."""
    with pytest.raises(BadCall, match="memory limit"):
        RunLimits(memory=0)


def test_what_the_user_allows_is_allowed() -> None:
    """A limit of the user's is taken as it is."""
    assert bytes_allowed(RunLimits(memory=MEMORY)) == MEMORY


def test_a_tenth_of_the_machine_is_spared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine tenths of what is there are allowed."""
    monkeypatch.setattr(limits, "memory_there", lambda: 1000)

    assert bytes_allowed(RunLimits()) == 900


def test_where_nothing_says_how_much_there_is_all_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No limit is made up."""
    monkeypatch.setattr(limits, "memory_there", lambda: None)

    assert bytes_allowed(RunLimits()) is None


@pytest.mark.skipif(sys.platform == "win32", reason="has no resource limits")
def test_no_more_is_allowed_than_this_process_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hard limit of the caller's own holds for the child."""
    monkeypatch.setattr("resource.getrlimit", lambda _: (5, MEMORY // 2))

    assert bytes_allowed(RunLimits(memory=MEMORY)) == MEMORY // 2


def groups(folder: Path, membership: str, files: dict[str, str]) -> int | None:
    """What is there in a system with these control groups."""
    (folder / "cgroup").write_text(membership, encoding="utf-8")
    for name, text in files.items():
        path = folder / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    return memory_there(folder / "cgroup", folder / "fs")


@pytest.mark.parametrize(
    ("membership", "files"),
    [
        ("0::/\n", {"memory.max": "1000\n"}),
        ("0::/a/b\n", {"a/b/memory.max": "1000\n", "a/memory.max": "max\n"}),
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "1000\n"}),
        ("0::/not/visible\n", {"memory.max": "1000\n"}),
        ("0::/a\n", {"unified/a/memory.max": "1000\n"}),
        ("1:cpu:/\n7:cpu,memory:/a\n0::/\n", {"memory/a/memory.limit_in_bytes": "1000\n"}),
        ("7:memory:/a\n", {"memory/memory.limit_in_bytes": "1000\n"}),
        ("7:memory:/a:b\n", {"memory/a:b/memory.limit_in_bytes": "1000\n"}),
    ],
)
def test_a_control_group_limits_the_memory(
    tmp_path: Path, membership: str, files: dict[str, str]
) -> None:
    """The smallest limit of the group and of those it is in holds, in both versions."""
    assert groups(tmp_path, membership, files) == 1000


@pytest.mark.skipif(sys.platform == "win32", reason="has no sysconf")
@pytest.mark.parametrize(
    ("membership", "files"),
    [
        ("", {}),
        ("nonsense\n", {}),
        ("0::/\n", {"memory.max": "max\n"}),
        ("0::/../..\n", {"memory.max": "max\n"}),
        ("7:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}),
        ("3:cpu:/\n", {"memory/memory.limit_in_bytes": "1000\n"}),
    ],
)
def test_without_a_group_that_limits_it_the_physical_memory_is_there(
    tmp_path: Path, membership: str, files: dict[str, str]
) -> None:
    """No group, no limit or one that nothing reaches: the machine is the limit."""
    assert groups(tmp_path, membership, files) == PHYSICAL


@pytest.mark.skipif(sys.platform == "win32", reason="has no sysconf")
def test_a_system_that_does_not_know_its_memory_has_no_limit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Minus one is how it says so."""
    monkeypatch.setattr("os.sysconf", lambda name: -1 if name == "SC_PHYS_PAGES" else 4096)

    assert memory_there(tmp_path / "none", tmp_path) is None


@pytest.mark.skipif(sys.platform == "win32", reason="has no sysconf")
def test_without_proc_the_physical_memory_is_there(tmp_path: Path) -> None:
    """Nothing of the system need be readable."""
    assert memory_there(tmp_path / "none", tmp_path) == PHYSICAL
