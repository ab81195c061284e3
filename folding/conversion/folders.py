"""Private folders for conversions, and what killed runs have left of theirs.

Each is locked for as long as its run lives, which the system sees to, so that a later run can tell.
Where the system or the file system has no locks, nothing of others is ever removed.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from folding.errors import StorageFailed
from folding.interrupts import held_back
from folding.waiting import lock

#: Nothing else that is kept in a temporary folder begins with this.
_PREFIX = "fold-model-convert-"


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder that nobody else can read, gone after the block with all that is in it.

    Those of this user's runs that were killed go before.

    Raises:
        StorageFailed: there is no room for it.
    """
    made = None
    try:
        try:
            with held_back():
                _remove_stale()
                made = _Folder()
                for name in ("job", "scratch"):
                    (made.path / name).mkdir()
        except OSError as error:
            text = f"cannot keep a conversion in a temporary folder: {error.strerror or error}"
            hint = "Let TMPDIR name a folder with room."
            raise StorageFailed(text, hint=hint) from error
        yield made.path
    finally:
        with held_back():
            if made is not None:
                made.remove()


class _Folder:
    """A new folder that is locked, if it can be."""

    def __init__(self) -> None:
        while True:
            self._made = TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
            self.path, self._descriptor = Path(self._made.name), -1
            with suppress(OSError):  # Not every system can open a folder.
                self._descriptor = os.open(self.path, os.O_RDONLY)
            is_ours = self._descriptor < 0 or lock(self._descriptor) is not False
            if is_ours and self.path.is_dir():
                break
            self.remove()  # Another run took it for a dead one's before it was locked.

    def remove(self) -> None:
        """Remove it with all that is in it, and only then let go of it."""
        self._made.cleanup()
        if self._descriptor >= 0:
            os.close(self._descriptor)


def _remove_stale() -> None:
    with suppress(OSError):
        for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            _remove_if_dead(path)


def _remove_if_dead(path: Path) -> None:
    if sys.platform == "win32":
        return
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.fstat(descriptor).st_uid == os.getuid() and lock(descriptor):
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(descriptor)
