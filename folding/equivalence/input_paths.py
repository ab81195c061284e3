"""Which files the user's inputs are in."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from folding.errors import BadCall

_INPUT = re.compile(r"input_(\d{1,9})\.pb")
_HINT = "Name an .npz file, or a folder with input_0.pb and so on."


def files(path: Path) -> list[Path]:
    """The files that ``input_files.read`` reads, as far as they can be listed."""
    with suppress(OSError, ValueError):
        if path.is_dir():
            folders = [path, *(place for place in path.iterdir() if place.is_dir())]
            return [file for folder in folders for file in numbered(folder).values()]
    return [path]


def check_kind(path: Path) -> None:
    """Refuse what would keep a reader waiting, like a pipe, or never end."""
    if path.exists() and not (path.is_dir() or path.is_file()):
        raise BadCall(f"{str(path)!r} is neither a regular file nor a folder", hint=_HINT)


def input_folders(path: Path) -> list[Path]:
    """The folders with sets of inputs: this one, or those in it, in the order of counting.

    Raises:
        BadCall: there is none.
    """
    folders = [path] if numbered(path) else [f for f in _sorted(path) if numbered(f)]
    if not folders:
        raise BadCall(f"the folder {str(path)!r} holds no input_*.pb", hint=_HINT)
    return folders


def _sorted(folder: Path) -> list[Path]:
    """The folders within, numbers in their names in the order of counting."""
    found = [place for place in folder.iterdir() if place.is_dir()]
    return sorted(found, key=lambda f: [t.zfill(9) for t in re.split(r"(\d+)", f.name)])


def numbered(folder: Path) -> dict[int, Path]:
    """The input_*.pb in a folder, by their numbers."""
    matches = ((_INPUT.fullmatch(place.name), place) for place in folder.iterdir())
    return {int(match[1]): place for match, place in matches if match}
