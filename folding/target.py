"""The files a fold leaves: all there, or not there at all.

Everything is written to files with other names beside the target and renamed when it is complete
and wanted. External data gets a name with a piece of its digest in it, so that an old model never
finds the data of a new one, nor the other way round; whatever moment a run dies at, the
target is the old pair or the new pair. (One that dies between two renames can leave the data of the
pair that is not there, which no model names.)

    out.onnx               renamed into its place last
    weights-<digest>.data  renamed into its place before; what it supersedes is removed after
    .out.onnx.<key>.part   waits, locked; what a dead run left behind is removed by the next
"""

from __future__ import annotations

import filecmp
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from folding.errors import BadCall, StorageFailed
from folding.interrupts import held_back
from folding.plan import Warned
from folding.source import SourceFile
from folding.superseded import OWN_DATA, Neighbours
from folding.waiting import A_MOMENT, PATIENCE, Waiting, alone_in, sync_folder


class HasFiles(Protocol):
    """A source, as far as its files."""

    @property
    def files(self) -> Sequence[SourceFile]: ...


@dataclass(slots=True)
class Target:
    """A complete model that waits beside its target, and its data if that is kept apart.

    ``data`` is where the data waits and ``data_path`` what the model calls it. Until ``keep`` both
    have names that nobody else knows, so that runs to one target never meet. ``protected`` are the
    identities of the source's files, which stay whatever they are called.
    """

    path: Path
    protected: frozenset[tuple[int, int]] = frozenset()
    model: Waiting | None = None
    data: Waiting | None = None
    data_path: Path | None = None
    bytes: int = 0
    sha256: str | None = None
    warnings: list[Warned] = field(default_factory=list)

    @property
    def waiting(self) -> Path:
        """Where the complete model is."""
        assert self.model is not None
        return self.model.path

    @property
    def data_names(self) -> dict[str, Path]:
        """Where the data is now, by the name that the model has for it."""
        return {self.data_path.name: self.data.path} if self.data and self.data_path else {}

    def keep(self) -> None:
        """Put the model in its place: its data first, then the model, in one step each.

        Two runs never leave a model without its data. What is removed is removed under the
        folder's lock, and data is put or found in its place under the same lock as the model
        that names it: what one run relies on, the next one sees named. A run that does not get
        the lock therefore keeps no data apart; where there are no locks, nothing is removed.
        Whatever takes long is done before and remembered, so the lock is held for a moment only,
        in which signals wait. Without any data, no more than that moment of others is waited for.

        Raises:
            StorageFailed: the operating system refused, or another program has locked the folder;
                what was there before still is.
        """
        neighbours = Neighbours(self.path.parent)
        with storage(self.path):
            has_data = self._look(neighbours) or self.data is not None
            with alone_in(self.path.parent, PATIENCE if has_data else A_MOMENT) as alone:
                if alone is False and self.data is not None:
                    raise StorageFailed(
                        f"cannot write {str(self.path)!r}: another program has locked its folder",
                        hint="Try again when that is done, or choose another folder with -o.",
                    )
                old = neighbours.own_data(self.path) if alone else set()
                self._rename(alone=bool(alone))
                self._remove(neighbours.unneeded(old))

    def replace(self) -> None:
        """Put a file that has nothing to do with data in its place.

        Raises:
            StorageFailed: the operating system refused; what was there before still is.
        """
        with storage(self.path), held_back():
            self._rename(alone=False)

    def _look(self, neighbours: Neighbours) -> bool:
        """Do what takes long: ``neighbours`` and ``filecmp`` remember what they found.

        Others may rename meanwhile. What counts is what is found under the lock.

        Returns:
            Whether the old model has data that may have to go.
        """
        with suppress(OSError, StorageFailed):
            self._is_data_there()
        if old := neighbours.own_data(self.path):
            neighbours.unneeded(old)
            neighbours.own_data(self.waiting)
        return bool(old)

    def _is_data_there(self) -> bool:
        """Whether the same data stands in its place; it may be another model's too, and stays.

        Raises:
            StorageFailed: other data does.
        """
        if self.data is None or self.data_path is None or not self.data_path.exists():
            return False
        if not filecmp.cmp(self.data.path, self.data_path, shallow=False):
            raise StorageFailed(
                f"cannot write {str(self.path)!r}: something else has the name of its data, "
                f"{self.data_path.name!r}",
                hint="Choose another folder with -o, or remove that file if no model needs it.",
            )
        return True

    def _rename(self, *, alone: bool) -> None:
        assert self.model is not None
        is_there = self._is_data_there()
        try:
            self._keep_data(is_there=is_there)
            self.model.replace(self.path)
        except BaseException:
            if alone and self.data_path and not is_there and self.waiting.exists():
                self.data_path.unlink(missing_ok=True)
            raise
        sync_folder(self.path.parent)

    def _keep_data(self, *, is_there: bool) -> None:
        if self.data is None or self.data_path is None:
            return
        if is_there:
            self.data.remove()
        else:
            self.data.replace(self.data_path)
        sync_folder(self.path.parent)

    def _remove(self, names: set[str]) -> None:
        with suppress(OSError):
            for name in names:
                if identity(self.path.with_name(name)) not in self.protected:
                    self.path.with_name(name).unlink()

    def discard(self) -> None:
        """Leave nothing behind but what was kept."""
        for file in (self.model, self.data):
            if file is not None:
                file.remove()


def check_target(path: Path, model: HasFiles) -> None:
    """Refuse a target (or another file to write) that is the source's, or cannot be a file.

    Nor may it have a name that its data could need.

    Raises:
        BadCall: with the reason.
    """
    try:
        is_place = path.parent.is_dir()
        state = path.stat()
    except FileNotFoundError:
        state = None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StorageFailed(f"cannot write {str(path)!r}: {reason}") from error
    if state and stat.S_ISDIR(state.st_mode):
        raise BadCall(f"{str(path)!r} is a directory", hint="Name a file in it.")
    if OWN_DATA.fullmatch(path.name):
        raise BadCall(f"{str(path)!r} is a name for external data", hint="Choose another name.")
    if not is_place:
        raise BadCall(f"the folder of {str(path)!r} does not exist", hint="Make it first.")
    if state and (not stat.S_ISREG(state.st_mode) or _stands_for_a_stream(path)):
        raise BadCall(
            f"{str(path)!r} is no regular file",
            hint="Choose another target; - is standard output.",
        )
    if state and any(file.identity == (state.st_dev, state.st_ino) for file in model.files):
        raise BadCall(
            f"{str(path)!r} is the source under another name; the source is never changed",
            hint="Choose another target.",
        )


def _stands_for_a_stream(path: Path) -> bool:
    """Whether it is a link like /dev/stdout, which would be replaced by the new file."""
    return path.is_symlink() and path.readlink().is_relative_to("/proc")


def check_apart(path: Path, other: Path, what: str) -> None:
    """Refuse a file to write that is another file of the call.

    Raises:
        BadCall: naming it.
    """
    same = os.path.realpath(path) == os.path.realpath(other)
    if same or (path.exists() and other.exists() and path.samefile(other)):
        raise BadCall(f"{str(path)!r} is {what} too", hint="Choose another path for it.")


@contextmanager
def storage(path: Path) -> Iterator[None]:
    """Say of an error of the operating system which target it concerns."""
    try:
        yield
    except OSError as error:
        raise StorageFailed(
            f"cannot write {str(path)!r}: {error.strerror or error}",
            hint="Free some space or choose another folder with -o.",
        ) from error


def identity(path: Path) -> tuple[int, int]:
    """What a file is, whatever it is called."""
    state = path.stat()
    return state.st_dev, state.st_ino
