"""A source as it lies on the disk: what it is, its files, and whether they stay what they were."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from folding.conversion import extras
from folding.conversion.job import Kind
from folding.conversion.kinds import SAVED_GRAPH, kind_of
from folding.errors import BadCall, StorageFailed
from folding.source import SourceFile

#: Kinds that no framework can read without running what they hold.
_PROGRAMS = frozenset({Kind.EXPORTED_PROGRAM, Kind.TORCHSCRIPT})


@dataclass(frozen=True, slots=True)
class Source:
    """What is to be converted; ``name`` is what the user calls it, ``path`` where it begins."""

    name: str
    kind: Kind
    path: Path
    files: tuple[SourceFile, ...]

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(file.size for file in self.files)

    @property
    def default_stem(self) -> Path:
        """The path that a target's begins with if the user names none."""
        stem = self.path.name if self.kind is Kind.SAVED_MODEL else self.path.stem
        given = Path(self.name)
        return given.with_name(stem) if given.name else self.path.with_name(stem)

    def check_unchanged(self) -> None:
        """Raise StorageFailed if a file was written to while it was converted."""
        for file in self.files:
            file.check_unchanged()

    def check_outside(self, place: Path) -> None:
        """Refuse a place to write to that is in the source's folder.

        Raises:
            BadCall: it is.
        """
        folder = Path(os.path.realpath(self.path))
        if folder.is_dir() and Path(os.path.realpath(place)).is_relative_to(folder):
            text = f"{str(place)!r} lies in the source, which is never changed"
            raise BadCall(text, hint="Choose another folder.")


def opened_source(name: str, *, trust: bool) -> Source:
    """The source at a path, after everything is refused that no route should see.

    Raises:
        BadCall: it is nothing that can be converted, needs trust, or a package that is missing.
        BadModel: it is a part of something, or damaged.
        StorageFailed: it cannot be read.
    """
    if name == "-":
        text = "a source to convert cannot come from standard input"
        raise BadCall(text, hint="Name the file or folder.")
    kind, path = kind_of(Path(name).absolute())
    if kind is Kind.SAVED_MODEL and not trust:
        _require_inside(path)
    files = tuple(SourceFile(file, stays_open=False) for file in _files(kind, path))
    if kind in _PROGRAMS and not trust:
        text = f"{name!r} is a {kind.value}, and reading one runs code and pickles that it holds"
        raise BadCall(text, hint="Use --trust if you know who made it.")
    extras.require(kind)
    return Source(name, kind, path, files)


def _require_inside(folder: Path) -> None:
    """Refuse a SavedModel with a link that leaves it, or is not where its graph itself is.

    Raises:
        BadCall: it has one.
    """
    roots = (os.path.realpath(folder), Path(os.path.realpath(folder / SAVED_GRAPH)).parent)
    for within, folders, names in os.walk(folder, onerror=_refuse):
        for each in (Path(within, name) for name in (*folders, *names)):
            place = Path(os.path.realpath(each))
            if not any(place.is_relative_to(root) for root in roots):
                text = f"{str(each)!r} is a link that leaves the folder of the SavedModel"
                hint = "Put what it leads to in its place, or use --trust if you know who made it."
                raise BadCall(text, hint=hint)


def _files(kind: Kind, path: Path) -> Iterator[Path]:
    if kind is Kind.SAVED_MODEL:
        for folder, _, names in os.walk(path, onerror=_refuse):
            yield from (Path(folder, name) for name in sorted(names))
        return
    yield path
    if kind is Kind.META_GRAPH:
        prefix = path.with_suffix("").name
        for beside in sorted(path.parent.iterdir()):
            if beside.name.startswith((f"{prefix}.index", f"{prefix}.data-")):
                yield beside


def _refuse(error: OSError) -> None:
    raise StorageFailed(f"cannot read {error.filename!r}: {error.strerror}") from error
