"""How long things are kept: what a call uses stays, then what was used last, up to a limit."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR
from threading import Event, Lock, Thread

from folding_server.limits import ServerLimits

_LOG = logging.getLogger(__name__)
#: What the smallest file takes of a disk, with its name.
_BLOCK = 4096
#: More than this are not kept, however small: each costs memory while all are looked at.
_MOST = 20_000
#: What is left of a limit that was passed, so that not every call has to look at everything.
_LOW = 0.9
#: So often in the time that things are kept it is looked whether that of some is over,
_LOOKS = 24
#: but no sooner and no later than after so many seconds.
_SOONEST, _LATEST = 1.0, 3600.0


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A blob or a result: when it was used last, the bytes it takes, where it is."""

    used: float
    room: int
    path: Path


def room_of(size: int) -> int:
    """What a file of so many bytes takes of a disk."""
    return (size // _BLOCK + 1) * _BLOCK


class Keeper:
    """Knows what is in use, and removes what nobody used for longest."""

    def __init__(
        self, blobs: Path, results: Path, uploads: Path, limits: ServerLimits, pool: Executor
    ) -> None:
        self._blobs, self._results, self.uploads = blobs, results, uploads
        self._limits = limits
        self.pool = pool
        self._pins: Counter[Path] = Counter()
        self._lock, self._sweeping = Lock(), Lock()
        self._room, self._count, self._due = 0, 0, False
        self._closed = Event()
        self._tidier = Thread(target=self._tidy, name="store-tidier", daemon=True)

    @property
    def room(self) -> int:
        """The bytes of disk that all that is kept takes, as far as is known."""
        return self._room

    def start(self) -> None:
        """Look now and from time to time, even if nobody calls."""
        self._tidier.start()

    def _tidy(self) -> None:
        pause = min(max(self._limits.kept_seconds / _LOOKS, _SOONEST), _LATEST)
        self.sweep()
        while not self._closed.wait(pause):
            self.sweep()

    def close(self) -> None:
        """Look no more."""
        self._closed.set()
        self._tidier.join()

    @contextmanager
    def pinned(self, paths: Iterable[Path]) -> Iterator[None]:
        """Keep what is at these paths, or comes there, for the time of the block."""
        taken = list(paths)
        with self._lock:
            self._pins.update(taken)
        try:
            yield
        finally:
            with self._lock:
                self._pins.subtract(taken)
                for path in taken:
                    if not self._pins[path]:
                        del self._pins[path]

    def fresh_name(self) -> Path:
        """A path for what is on its way in or out; what is there does not outlive the server."""
        return self.uploads / secrets.token_hex(16)

    def added(self, room: int) -> None:
        """Something came that takes so much; look soon whether it is too much."""
        with self._lock:
            self._room += room
            self._count += 1
            over = self._room > self._limits.spool_bytes or self._count > _MOST
            if self._due or not over:
                return
            self._due = True
        self.pool.submit(self.sweep)

    def sweep(self, need: int = 0) -> None:
        """Remove what is over the limits, and if that makes room for so many bytes, more of it."""
        with self._sweeping:
            with self._lock:
                self._due = False
            try:
                self._sweep(need)
            except OSError as error:
                _LOG.warning("the spool cannot be tidied: %s", error)

    def _sweep(self, need: int) -> None:
        entries = sorted(self._entries())
        room, count = sum(entry.room for entry in entries), len(entries)
        goal, most = self._goal(room, self._limits.spool_bytes), self._goal(count, _MOST)
        oldest = time.time() - self._limits.kept_seconds
        floor = room - need if need <= self._removable(entries) else room
        for entry in entries:
            if entry.used >= oldest and room <= min(goal, floor) and count <= most:
                break
            if self.remove(entry.path):
                room, count = room - entry.room, count - 1
        with self._lock:
            self._room, self._count = room, count

    def _removable(self, entries: Iterable[Entry]) -> int:
        with self._lock:
            return sum(entry.room for entry in entries if entry.path not in self._pins)

    @staticmethod
    def _goal(now: int, limit: int) -> int:
        return int(limit * _LOW) if now > limit else limit

    def remove(self, path: Path, *, in_use: bool = False) -> bool:
        """Remove what is not in use, or even then; whether it was. It is out of sight at once."""
        gone = self.fresh_name()
        with self._lock:
            if path in self._pins and not in_use:
                return False
            with suppress(FileNotFoundError):
                path.rename(gone)
        discard(gone)
        return True

    def _entries(self) -> Iterator[Entry]:
        for folder in (*self._blobs.iterdir(), self._results):
            with os.scandir(folder) as found:
                for entry in found:
                    with suppress(FileNotFoundError):
                        path = Path(entry.path)
                        yield Entry(_last_used(entry), room_in(path), path)


def _last_used(entry: os.DirEntry[str]) -> float:
    """When it was asked for: looking into a folder changes when that was read."""
    status = entry.stat(follow_symlinks=False)
    return status.st_mtime if entry.is_dir(follow_symlinks=False) else status.st_atime


def room_in(path: Path) -> int:
    """What a file, or a folder with all that is in it, takes of a disk."""
    status = path.lstat()
    if not S_ISDIR(status.st_mode):
        return room_of(status.st_size)
    return room_of(0) + sum(map(room_in, path.iterdir()))


def free_bytes(folder: Path) -> int:
    """What may still be written beside this."""
    return shutil.disk_usage(folder).free


def discard(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
