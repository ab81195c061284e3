"""Data that nobody needs once a model is overwritten: what the files of a folder name."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from folding.errors import FoldError, Malformed
from folding.locations import locations
from folding.waiting import WAITING

#: The names that our targets give to their data.
OWN_DATA = re.compile(r"weights-[0-9a-f]{16}\.data", re.IGNORECASE)


class Neighbours:
    """The data that the files of a folder name: data is kept beside its model.

    A file is read once, unless it changes: whoever looks before and after the folder is locked
    reads nothing while it is.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._named: dict[tuple[int, ...], set[str]] = {}

    def own_data(self, model: Path) -> set[str]:
        """The data that a model of ours has beside it, by names; none if it is no model."""
        with suppress(OSError, FoldError):
            if any(self._folder.glob("weights-*.data")):
                return {name for name in self.named_in(model) if OWN_DATA.fullmatch(name)}
        return set()

    def unneeded(self, names: set[str]) -> set[str]:
        """Those among the names of files that no other file names; in doubt none."""
        with suppress(OSError, FoldError, MemoryError):
            for file in self._folder.iterdir() if names else ():
                if not (file.name in names or file.suffix == WAITING) and file.is_file():
                    names = names - self.named_in(file)
            return names
        return set()

    def named_in(self, file: Path) -> set[str]:
        """The data that a file refers to, if it is a model; models may have names of any kind.

        Raises:
            Malformed: it calls itself a model and cannot be read.
        """
        state = file.stat()
        marks = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)
        if marks not in self._named:
            self._named[marks] = _named_in(file)
        return self._named[marks]


def _named_in(file: Path) -> set[str]:
    try:
        return locations(file)
    except Malformed:
        if file.suffix == ".onnx":
            raise
        return set()
