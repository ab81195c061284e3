"""Reports as files: refused early where they cannot go, and written all or none."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from onnx import ModelProto

from folding.errors import BadCall, FoldError
from folding.modelfile import Model, locations
from folding.target import check_apart, check_target
from folding.writing import noted

_ELSEWHERE = "Choose another path for the report."


def check_notes(paths: Sequence[Path], models: Sequence[Model]) -> None:
    """Refuse places for reports that belong to a model, to each other, or cannot be files.

    Raises:
        BadCall: with the reason.
        StorageFailed: the operating system cannot say what is there.
    """
    for place, path in enumerate(paths):
        if any(_is_one_of(path, model) for model in models):
            raise BadCall(f"{str(path)!r} belongs to a model", hint=_ELSEWHERE)
        check_target(path, models[0])
        for other in paths[:place]:
            try:
                check_apart(path, other, "another report")
            except BadCall as error:
                text = f"{str(path)!r} cannot hold two reports"
                raise BadCall(text, hint=_ELSEWHERE) from error


def _is_one_of(path: Path, model: Model) -> bool:
    with suppress(OSError, ValueError):
        return any(file.path.samefile(path) for file in model.files)
    return False


def check_apart_from(path: Path, files: Sequence[Path]) -> None:
    """Refuse a place for a report that belongs to models which are not open yet.

    Raises:
        BadCall: with the reason.
        StorageFailed: the operating system cannot say what is there.
    """
    check_target(path, Model(ModelProto()))
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
    with ExitStack() as stack:
        waiting = [stack.enter_context(noted(text, path)) for path, text in texts]
        for note in waiting:
            note.replace()
