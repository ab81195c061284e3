"""Whole files of clients by their digests. A digest is no permission: each owner has its own."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from stat import S_ISREG

from folding_server.errors import ServiceError
from folding_server.jobs.runner import DIGEST, FileSpec
from folding_server.store.faults import storage
from folding_server.store.keeping import Keeper, room_of

#: Only for reading: a job has them in its folder by hard link.
_MODE = 0o400


def folder_of(owner: str) -> str:
    """What stands for an owner in names of files."""
    return hashlib.sha256(owner.encode()).hexdigest()[:16]


class Blobs:
    """The files that were sent, whole and with the digests that were promised."""

    def __init__(self, folder: Path, keeper: Keeper) -> None:
        self._folder = folder
        self._keeper = keeper

    def path(self, owner: str, sha256: str) -> Path:
        """Where a file is, or would be."""
        if not DIGEST.fullmatch(sha256):
            raise ServiceError("BAD_REQUEST", f"{sha256!r} is no SHA-256", field="sha256")
        return self._folder / folder_of(owner) / sha256

    def make_room(self, most: int) -> bool:
        """Remove of what nobody uses as much as this, or all; whether there was any."""
        return self._keeper.make_room(most)

    def has(self, owner: str, file: FileSpec) -> bool:
        """Whether this owner sent the file before. If so, it counts as used now."""
        path = self.path(owner, file.sha256)
        with storage("look for a file"):
            try:
                status = path.lstat()
                if not S_ISREG(status.st_mode) or status.st_size != file.size:
                    return False
                # Jobs that run may have the same file, and notice it if it seems to be rewritten.
                os.utime(path, ns=(time.time_ns(), status.st_mtime_ns))
            except FileNotFoundError:
                return False
        return True

    def missing(self, owner: str, files: Sequence[FileSpec]) -> list[int]:
        """The numbers of the files to be sent, one for each digest. Pin them before you ask."""
        first: dict[tuple[str, int], int] = {}
        for number, file in enumerate(files):
            first.setdefault((file.sha256, file.size), number)
        return [number for number in first.values() if not self.has(owner, files[number])]

    def pin(self, owner: str, files: Iterable[FileSpec]) -> AbstractContextManager[None]:
        """Keep these files, there or still to come, for the time of the block."""
        return self._keeper.pinned({self.path(owner, file.sha256) for file in files})

    def forget(self, owner: str, files: Iterable[FileSpec]) -> None:
        """Have these files no longer, whoever uses them: they are wanted again."""
        for file in files:
            self._keeper.remove(self.path(owner, file.sha256), in_use=True)

    def take(self, owner: str, file: FileSpec, source: Path) -> None:
        """Move a file here whose size and digest are as promised."""
        target = self.path(owner, file.sha256)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        source.chmod(_MODE)
        source.rename(target)
        self._keeper.added(room_of(file.size))
