"""Whole processes: how long they take, and how much memory is theirs alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: After so many seconds a process has failed.
LIMIT = 1800

# With it Python would compile anew, in each process, what runs from a checkout.
_ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
_PAUSE = 0.01  # Seconds between two looks at the memory of a process.
_BLOCK = 1 << 24


class Failed(Exception):
    """A process ended badly; the last line that it printed."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds on the wall, and of all processors (0 where the system does not tell)."""

    wall: float
    cpu: float


def spent(words: Sequence[str], sources: Sequence[Path]) -> Spent:
    """What a process takes when its sources are in memory and the disk has nothing else to do.

    Raises:
        Failed: it printed this and gave up.
    """
    _warm(sources)
    if hasattr(os, "sync"):
        os.sync()
    start, before = time.perf_counter(), _children_cpu()
    run(words)
    return Spent(time.perf_counter() - start, _children_cpu() - before)


def _children_cpu() -> float:
    times = os.times()
    return times.children_user + times.children_system


def run(words: Sequence[str]) -> None:
    """Wait for a process.

    Raises:
        Failed: it printed this and gave up.
    """
    try:
        done = subprocess.run(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=LIMIT,
            env=_ENVIRONMENT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"not done after {LIMIT} s") from error
    if done.returncode:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        ended = f"killed by signal {-done.returncode}" if done.returncode < 0 else "no message"
        raise Failed((lines or [ended])[-1].replace("|", "/"))


def limited(words: Sequence[str], kilobytes: int) -> list[str]:
    """The same command with so much memory for its data, as ``ulimit -d`` sets it."""
    return ["sh", "-c", 'ulimit -d "$0" && exec "$@"', str(kilobytes), *words]


def peak(words: Sequence[str]) -> int | None:
    """The most memory that a process ever had, in bytes: see ``peak_name``.

    Raises:
        Failed: it gave up.
    """
    if sys.platform == "win32":
        run(words)
        return None
    nowhere = subprocess.DEVNULL
    with subprocess.Popen(words, stdout=nowhere, stderr=nowhere, env=_ENVIRONMENT) as process:
        most = _sampled(process) if _has_rollup() else _resident(process)
    if process.returncode:
        raise Failed(f"ended with {process.returncode} when its memory was measured")
    return most


def peak_name() -> str:
    """What ``peak`` measures here: pages that nobody shares, or all that are resident."""
    return "peak private MB" if _has_rollup() else "peak resident MB"


def _has_rollup() -> bool:
    return Path("/proc/self/smaps_rollup").exists()


def _sampled(process: subprocess.Popen[bytes]) -> int:
    most = 0
    while process.poll() is None:
        most = max(most, _private(process.pid))
        time.sleep(_PAUSE)
    return most


def _resident(process: subprocess.Popen[bytes]) -> int:
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _private(pid: int) -> int:
    """Bytes in pages that a process and its children share with nobody; 0 if it has ended."""
    folder = Path(f"/proc/{pid}")
    try:
        lines = (folder / "smaps_rollup").read_text().splitlines()
        children = [file.read_text().split() for file in folder.glob("task/*/children")]
    except OSError:
        return 0
    pages = (line.split()[1] for line in lines if line.startswith("Private_"))
    return sum(map(int, pages)) * 1024 + sum(_private(int(c)) for ids in children for c in ids)


def _warm(sources: Sequence[Path]) -> None:
    for path in sources:
        with path.open("rb", buffering=0) as file:
            while file.read(_BLOCK):
                pass
