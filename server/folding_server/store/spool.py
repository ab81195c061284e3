"""The folder of one server: its lock, what is in it, and what a killed server left there."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR
from types import TracebackType
from typing import Self

from folding.errors import BadCall, FoldError, StorageFailed
from folding_server import threads
from folding_server.jobs.runner import FileSpec
from folding_server.limits import ServerLimits
from folding_server.store.blobs import Blobs
from folding_server.store.keeping import Keeper, discard
from folding_server.store.results import Results
from folding_server.store.uploads import Upload

_PREFIX = "fold-model-serve-"
_LOCK = "lock"
_FOLDERS = ("uploads", "blobs", "jobs", "results")
_THREADS = 4
#: Tells one run of the machine from the next, where there is such a thing.
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_ANOTHER = "Give another folder with --spool."


class Spool:
    """What the server keeps, from ``open`` to ``close``. Without a folder it makes a private one.

    Attributes:
        folder: where all of it is.
        jobs: where jobs have their folders.
        blobs: the files of clients.
        results: answers to be given again.
    """

    folder: Path
    jobs: Path
    blobs: Blobs
    results: Results

    def __init__(self, folder: Path | None, limits: ServerLimits) -> None:
        self._given, self._limits = folder, limits
        self._lock = -1
        self._pool = threads.pool(_THREADS, "store")

    def open(self) -> Self:
        """Make it ready, and remove what a killed server left.

        Raises:
            BadCall: another server uses the folder, or somebody else owns a part of it.
            StorageFailed: it cannot be made or written to.
        """
        try:
            self._open()
        except FoldError:
            self._unlock()
            raise
        except OSError as error:
            self._unlock()
            text = f"cannot use the spool {str(self._given or tempfile.gettempdir())!r}"
            raise StorageFailed(f"{text}: {error.strerror or error}", hint=_ANOTHER) from error
        return self

    def _open(self) -> None:
        if self._given:
            self._given.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder = self._given
        else:
            _forget_killed(Path(tempfile.gettempdir()))
            self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._take_lock()
        uploads, blobs, self.jobs, results = map(self._own, _FOLDERS)
        for folder in (uploads, self.jobs):
            _empty(folder)
        self._forget_doubtful(blobs, results)
        self._keeper = Keeper(blobs, results, uploads, self._limits, self._pool)
        self.blobs, self.results = Blobs(blobs, self._keeper), Results(results, self._keeper)
        self._keeper.start()

    def _take_lock(self) -> None:
        others = [name for name in _FOLDERS if (self.folder / name).exists()]
        if others and not (self.folder / _LOCK).exists():
            text = f"{str(self.folder)!r} is no spool: it has a {others[0]!r} that no server made"
            raise BadCall(text, hint=_ANOTHER)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._lock = os.open(self.folder / _LOCK, flags, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            text = f"another server uses the spool {str(self.folder)!r}"
            raise BadCall(text, hint=_ANOTHER) from error
        if not self._is_there:
            text = f"the spool {str(self.folder)!r} was removed as the server began to use it"
            raise StorageFailed(text, hint="Start the server again.")

    @property
    def _is_there(self) -> bool:
        """Whether the folder is still the one that was locked, and not another server's."""
        try:
            return os.path.samestat(os.fstat(self._lock), (self.folder / _LOCK).lstat())
        except FileNotFoundError:
            return False

    def _unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
        self._lock = -1

    def _own(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if not S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            text = f"{name!r} in the spool {str(self.folder)!r} is no folder of this user"
            raise BadCall(text, hint=_ANOTHER)
        folder.chmod(0o700)
        return folder

    def _forget_doubtful(self, *folders: Path) -> None:
        """Remove what an earlier run of the machine left: nothing is flushed, it may lack bytes."""
        boot = _BOOT.read_bytes() if _BOOT.exists() else b""
        if os.pread(self._lock, len(boot) + 1, 0) != boot:
            for folder in folders:
                _empty(folder)
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, boot, 0)

    @property
    def room(self) -> int:
        """The bytes of disk that models and results take which are kept for later calls."""
        return self._keeper.room

    def upload(self, owner: str, files: Sequence[FileSpec], wanted: Sequence[int]) -> Upload:
        """Where the wanted ones of these files are to be written.

        Raises:
            StorageFailed: the folder is no longer this server's.
        """
        if not self._is_there:
            raise StorageFailed("the server has lost its spool", hint="Tell its operator.")
        return Upload(self._keeper, self.blobs, owner, files, wanted)

    def close(self) -> None:
        """Remove what is of no use to the next server, and let it in. All calls have ended."""
        self._keeper.close()
        self._pool.shutdown()
        if self._is_there:
            _empty(self._keeper.uploads)
            _empty(self.jobs)
            if not self._given:
                discard(self.folder)
        self._unlock()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()


def _empty(folder: Path) -> None:
    """As far as possible: what does not go hinders nobody, its name is never used again."""
    with suppress(OSError):
        for found in folder.iterdir():
            with suppress(OSError):
                discard(found)


def _forget_killed(parent: Path) -> None:
    """Remove the private spools of killed servers: nobody holds the locks that they wrote to."""
    for folder in parent.glob(_PREFIX + "*"):
        with suppress(OSError):
            if folder.is_symlink() or folder.lstat().st_uid != os.geteuid():
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(lock).st_size:
                    discard(folder)
            finally:
                os.close(lock)
