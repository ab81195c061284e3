"""All processes of a job: what they take, and their end."""

from __future__ import annotations

import mmap
from contextlib import suppress
from pathlib import Path

import psutil

#: Rounds in which processes are looked for that others start while they are being stopped.
_ROUNDS = 10
_PAGE = mmap.PAGESIZE


def root(pid: int) -> psutil.Process | None:
    """The process with this id, if there is one; nobody gets its id in what follows."""
    with suppress(psutil.Error):
        return psutil.Process(pid)
    return None


def has_ended(leader: psutil.Process | None) -> bool:
    """Whether a process is gone, or would be if its parent asked what became of it."""
    with suppress(psutil.Error):
        return leader is None or leader.status() == psutil.STATUS_ZOMBIE
    return True


def memory(leader: psutil.Process | None) -> int:
    """The resident bytes of a process and all that it has started; 0 if it is gone."""
    pids = [leader.pid] if leader is not None and leader.is_running() else []
    total = 0
    for pid in pids:
        with suppress(OSError):  # It may have ended since.
            pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
            total += int(pages) * _PAGE
            pids += _started_by(pid)
    return total


def _started_by(pid: int) -> list[int]:
    """The children of a process, as far as they are seen without a look at all that runs."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    texts = ((thread / "children").read_text(encoding="ascii") for thread in threads)
    return [int(child) for text in texts for child in text.split()]


def kill(leader: psutil.Process | None) -> None:
    """Kill a process and all that it has started, stopped or not, at once."""
    stopped: set[psutil.Process] = set()
    for _ in range(_ROUNDS):  # What is stopped starts nothing new.
        found = set(_members(leader)) - stopped
        for process in found:
            with suppress(psutil.Error):
                process.suspend()
        if not found:
            break
        stopped |= found
    for process in stopped:
        with suppress(psutil.Error):
            process.kill()


def _members(leader: psutil.Process | None) -> list[psutil.Process]:
    with suppress(psutil.Error):
        if leader is not None and leader.is_running():
            return [leader, *leader.children(recursive=True)]
    return []
