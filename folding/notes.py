"""Reports as files: refused early where they cannot go, and written all or none."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from folding.beside import noted
from folding.errors import BadCall, FoldError, StorageFailed
from folding.locations import locations
from folding.source import SourceFile
from folding.target import HasFiles, check_apart, check_target

_ELSEWHERE = "Choose another path for the report."


class _NoModel:
    """None that is open."""

    files: Sequence[SourceFile] = ()


def check_notes(
    paths: Sequence[Path], models: Sequence[HasFiles], read: Sequence[Path] = ()
) -> None:
    """Refuse places for reports that something is read from, or that cannot be files.

    Args:
        paths: where reports are to go, no two to one place.
        models: those that are compared.
        read: other files of the call.

    Raises:
        BadCall: with the reason.
        StorageFailed: the operating system cannot say what is there.
    """
    for place, path in enumerate(paths):
        if any(_is_one_of(path, model) for model in models):
            raise BadCall(f"{str(path)!r} belongs to a model", hint=_ELSEWHERE)
        check_unread(path, read)
        _check_place(path, models[0])
        for other in paths[:place]:
            try:
                check_apart(path, other, "another report")
            except BadCall as error:
                text = f"{str(path)!r} cannot hold two reports"
                raise BadCall(text, hint=_ELSEWHERE) from error


def check_unread(path: Path, read: Sequence[Path]) -> None:
    """Refuse to write to a file that the call reads.

    Raises:
        BadCall: naming it.
    """
    for file in read:
        with suppress(OSError, ValueError):
            if path.samefile(file):
                raise BadCall(f"{str(path)!r} is a file that is read", hint="Choose another path.")


def _check_place(path: Path, model: HasFiles) -> None:
    """As for a model, but what to do is another thing for a report."""
    try:
        check_target(path, model)
    except BadCall as error:
        raise BadCall(str(error), hint=_ELSEWHERE) from error
    except StorageFailed as error:
        raise StorageFailed(str(error), hint=_ELSEWHERE) from error


def _is_one_of(path: Path, model: HasFiles) -> bool:
    with suppress(OSError, ValueError):
        return any(file.path.samefile(path) for file in model.files)
    return False


def check_apart_from(path: Path, files: Sequence[Path]) -> None:
    """Refuse a place for a report that belongs to models which are not open yet.

    Raises:
        BadCall: with the reason.
        StorageFailed: the operating system cannot say what is there.
    """
    _check_place(path, _NoModel())
    if path.exists() and any(_is_part_of(path, file) for file in files):
        raise BadCall(f"{str(path)!r} belongs to a model", hint=_ELSEWHERE)


def _is_part_of(path: Path, file: Path) -> bool:
    """Whether it is a model's file, or one of its data."""
    places = [file]
    with suppress(FoldError, OSError, ValueError):
        for folder in (file.parent, file.resolve().parent):
            places += [folder / name for name in locations(file)]
    for place in places:
        with suppress(OSError, ValueError):
            if path.samefile(place):
                return True
    return False


def write_notes(texts: Sequence[tuple[Path, str]]) -> None:
    """Put every report in its place once all of them wait beside theirs.

    Raises:
        StorageFailed: one cannot be written.
    """
    try:
        with ExitStack() as stack:
            waiting = [stack.enter_context(noted(text, path)) for path, text in texts]
            for note in waiting:
                note.replace()
    except StorageFailed as error:
        hint = "Free some space, or choose another path for the report."
        raise StorageFailed(str(error), hint=hint) from error
