"""Files that wait beside their target until they are complete and wanted.

Each is locked for as long as its run lives, so that a later run can tell what a dead one left
behind. Where the system or the file system has no locks, nothing of others is ever removed.
"""

from __future__ import annotations

import glob
import os
import stat
import sys
import time
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from folding.interrupts import held_back

if sys.platform != "win32":
    import fcntl

#: How the name of a file ends that waits.
WAITING = ".part"
#: Seconds to wait for another run that renames, which takes a moment; whoever holds a folder
#: longer is none of ours, or is stopped.
PATIENCE = 60.0
#: And if the next one only would have to clear up.
A_MOMENT = 1.0
_KEY_BYTES = 6
#: No file name may be longer than 255 bytes, and a character has up to 4.
_LONGEST = 50


class Waiting:
    """A new file beside a target, with a name that nobody else knows.

    It has the mode of the file that it will replace, if there is one.
    """

    def __init__(self, target: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        while True:
            key = os.urandom(_KEY_BYTES).hex()
            self.path = target.with_name(f".{target.name[:_LONGEST]}.{key}{WAITING}")
            self.descriptor = os.open(self.path, flags, 0o666)
            if lock(self.descriptor) is not False and os.fstat(self.descriptor).st_nlink:
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


def remove_stale(target: Path, protected: Container[tuple[int, int]]) -> None:
    """Remove what runs to a target left behind that were killed.

    A file may only look like it: those of the identities ``protected`` stay.
    """
    key = "[0-9a-f]" * (2 * _KEY_BYTES)
    with suppress(OSError):
        for path in target.parent.glob(f".{glob.escape(target.name[:_LONGEST])}.{key}{WAITING}"):
            if not path.is_symlink() and path.is_file():
                _remove_if_dead(path, protected)


def _remove_if_dead(path: Path, protected: Container[tuple[int, int]]) -> None:
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            state = os.fstat(descriptor)
            if (state.st_dev, state.st_ino) not in protected and lock(descriptor):
                path.unlink()
        finally:
            os.close(descriptor)


@contextmanager
def alone_in(folder: Path, seconds: float) -> Iterator[bool | None]:
    """Keep other runs from renaming in a folder, and signals from interrupting this one.

    Yields:
        False if somebody holds the folder for longer, as ``flock FOLDER fold-model ...`` does;
        None where no run can be kept out.
    """
    descriptor = -1
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        alone = lock(descriptor, seconds) if descriptor >= 0 else None
        with held_back():
            yield alone
            if descriptor >= 0:
                os.close(descriptor)
                descriptor = -1
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


def lock(descriptor: int, seconds: float = 0.0) -> bool | None:
    """Lock an open file until it is closed, even by its process's end; None without locks."""
    if sys.platform == "win32":
        return None
    end = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(0.01)
        except OSError:
            return None
        else:
            return True
