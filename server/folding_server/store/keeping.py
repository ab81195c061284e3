"""How long things are kept: what a call uses stays, then what was used last, up to a limit."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace
from itertools import chain
from pathlib import Path
from stat import S_ISDIR
from threading import Event, Lock, Thread

from folding_server import threads
from folding_server.limits import ServerLimits

_LOG = logging.getLogger(__name__)
#: What the smallest file takes of a disk, with its name.
_BLOCK = 4096
#: What is kept if the operator says nothing, and the disk has twice as much.
_USUAL_BYTES = 20 << 30
#: More than this are not kept, however small: each costs memory while all are looked at.
_MOST = 20_000
#: What is left of a limit that was passed, so that not every call has to look at everything.
_LOW = 0.9
#: Bytes for which room is made at a time.
_STEP = 64 << 20
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

    @property
    def owner(self) -> str:
        """Whose it is: the folder of blobs, or the beginning of a result's key."""
        return self.path.name.partition("-")[0] if "-" in self.path.name else self.path.parent.name


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
        half = shutil.disk_usage(blobs).total // 2
        self._most_bytes = limits.spool_bytes or min(_USUAL_BYTES, half)
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
        threads.start(self._tidier)

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
            over = self._room > self._most_bytes or self._count > _MOST
            if self._due or not over:
                return
            self._due = True
        self.pool.submit(self.sweep)

    def sweep(self) -> None:
        """Remove what is over the limits."""
        with self._sweeping:
            with self._lock:
                self._due = False
            try:
                self._sweep(0)
            except OSError as error:
                _LOG.warning("the spool cannot be tidied: %s", error)

    def removable(self) -> int:
        """The bytes that may go."""
        entries = list(self._entries())
        with self._lock:
            return sum(entry.room for entry in entries if entry.path not in self._pins)

    def make_way(self, size: int, rest: int) -> None:
        """See to it that ``size`` bytes can be written, of ``rest`` that are still to come.

        What is kept goes as bytes arrive, not for those that are only announced.
        """
        if free_bytes(self.uploads) < size:
            self.make_room(min(rest, max(size, _STEP)))

    def make_room(self, most: int) -> bool:
        """Remove what makes room for so many bytes, or as much as may go; whether any did."""
        with self._sweeping:
            try:
                return self._sweep(min(most, self.removable())) > 0
            except OSError as error:
                _LOG.warning("the spool cannot be tidied: %s", error)
                return False

    def _sweep(self, need: int) -> int:
        """Remove what is over the limits, and so much at least; how many bytes have gone."""
        entries = sorted(self._entries())
        room, count = sum(entry.room for entry in entries), len(entries)
        most = min(self._goal(room, self._most_bytes), room - need)
        oldest = time.time() - self._limits.kept_seconds
        stale = [entry for entry in entries if entry.used < oldest]
        kept = entries[len(stale) :]
        gone = [entry for entry in stale if self.remove(entry.path)]
        kept, more = self._thinned(kept, len(kept) - self._goal(count, _MOST), lambda _: 1)
        gone += more
        over = room - sum(entry.room for entry in gone) - most
        gone += self._thinned(kept, over, lambda entry: entry.room)[1]
        freed = sum(entry.room for entry in gone)
        with self._lock:
            self._room, self._count = room - freed, count - len(gone)
        return freed

    def _thinned(
        self, entries: Sequence[Entry], over: int, weight: Callable[[Entry], int]
    ) -> tuple[list[Entry], list[Entry]]:
        """What is left when so much has gone, from whoever has most; and that."""
        shares: dict[str, deque[Entry]] = {}
        for entry in entries:
            shares.setdefault(entry.owner, deque()).append(entry)
        heap = [(-sum(map(weight, share)), owner) for owner, share in shares.items()]
        heapify(heap)
        left, gone = list[Entry](), list[Entry]()
        while heap and over > 0:
            size, owner = heap[0]
            entry = shares[owner].popleft()
            if self.remove(entry.path):
                over -= weight(entry)
                gone.append(entry)
            else:
                left.append(entry)
            heapreplace(heap, (size + weight(entry), owner)) if shares[owner] else heappop(heap)
        return sorted([*left, *chain.from_iterable(shares.values())]), gone

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
