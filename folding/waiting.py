"""Files that wait beside their target until they are complete and wanted.

Each is locked for as long as its run lives, so that a later run can tell what a dead one left
behind. Where the system or the file system has no locks, nothing of others is ever removed.
"""

from __future__ import annotations

import glob
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl


class Waiting:
    """A new file beside a target, with a name that nobody else knows.

    It has the mode of the file that it will replace, if there is one.
    """

    def __init__(self, target: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        while True:
            self.path = target.with_name(f".{target.name}.{os.urandom(6).hex()}.part")
            self.descriptor = os.open(self.path, flags, 0o666)
            if _lock(self.descriptor) is not False and os.fstat(self.descriptor).st_nlink:
                break
            os.close(self.descriptor)  # Another run was quicker to remove it than we to lock it.
        with suppress(OSError):
            self.path.chmod(stat.S_IMODE(target.stat().st_mode))

    def replace(self, target: Path) -> None:
        """Give it its name."""
        if sys.platform == "win32":
            self.close()  # No open file can be renamed there.
        self.path.replace(target)

    def remove(self) -> None:
        """Close it, and remove it if it still waits."""
        self.close()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def remove_stale(target: Path) -> None:
    """Remove what runs to a target left behind that were killed."""
    with suppress(OSError):
        for path in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
            descriptor = os.open(path, os.O_RDONLY)
            if _lock(descriptor):
                path.unlink()
            os.close(descriptor)


@contextmanager
def alone_in(folder: Path) -> Iterator[bool]:
    """Keep other runs from renaming in a folder; False where that cannot be had."""
    descriptor = -1
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor >= 0 and bool(_lock(descriptor, wait=True))
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make a rename survive a crash; not every system can open a folder."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _lock(descriptor: int, *, wait: bool = False) -> bool | None:
    """Lock an open file until it is closed, even by its process's end; None without locks."""
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
