"""Where a model may keep data: beside itself, and nowhere else."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from folding.errors import BadCall, ExternalDataPath, StorageFailed


@dataclass(frozen=True, slots=True)
class Places:
    """Where a model's data may be.

    ``folders`` are the model's as the caller named it, and those that links led to. ``names`` says
    where data is that does not stand under its own name yet.
    """

    folders: Sequence[Path]
    names: Mapping[str, Path]
    follow_links: bool = False


def place_of(path: Path) -> tuple[Path, list[Path]]:
    """The resolved path of a model's file, and the folders that its data may be in.

    Raises:
        StorageFailed: it is not there.
        BadCall: it is no regular file.
    """
    try:
        mode = path.stat().st_mode
        folders = list(_folders(path))
        resolved = path.resolve()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StorageFailed(f"cannot read {str(path)!r}: {reason}") from error
    if stat.S_ISDIR(mode):
        raise BadCall(f"{str(path)!r} is a directory", hint="Name the .onnx file in it.")
    if not stat.S_ISREG(mode):
        raise BadCall(f"{str(path)!r} is no regular file", hint="Save the model to a file first.")
    return resolved, [*folders, resolved.parent]


def _folders(path: Path) -> Iterator[Path]:
    """The folder of a file that is there, and of each that it is a link to."""
    yield path.parent
    while path.is_symlink():
        path = path.parent / path.readlink()
        yield path.parent


def data_path(places: Places, location: str, name: str) -> Path:
    """The file of an external tensor: beside the model as it was given, or where a link led.

    Raises:
        ExternalDataPath: it is not there, or may not be.
        StorageFailed: nobody may know.
    """
    path = find_data(places, location, name)
    if path is None:
        raise ExternalDataPath(
            f"tensor {name!r} is kept in {location!r}, which is not beside the model",
            hint="Put the data file back where the model was saved.",
        )
    return path


def find_data(places: Places, location: str, name: str) -> Path | None:
    """The same, or None if it is not there; raises as ``data_path`` but for that."""
    parts = PurePosixPath(location).parts
    unsafe = not parts or ".." in parts or "\0" in location
    if unsafe or PurePosixPath(location).is_absolute() or PureWindowsPath(location).drive:
        raise ExternalDataPath(
            f"tensor {name!r} is kept in {location!r}, which is no path inside the model's folder",
            hint="Save the model with its data beside it.",
        )
    folders = [os.path.realpath(folder) for folder in places.folders]
    refused: PermissionError | None = None
    for folder in places.folders:
        path = Path(os.path.realpath(folder / location))
        try:
            is_file = _is_file(path)
        except PermissionError as error:
            is_file, refused = False, error
        if is_file:
            inside = any(path.is_relative_to(folder) for folder in folders)
            if inside or places.follow_links:
                return path
            raise ExternalDataPath(
                f"tensor {name!r} is kept in {location!r}, a link that leaves the model's folder",
                hint="Copy the data file beside the model, or allow it with --follow-links.",
            )
    if refused is not None:
        raise StorageFailed(
            f"cannot read {location!r}, where tensor {name!r} is kept: {refused.strerror}"
        )
    return None


def _is_file(path: Path) -> bool:
    """Whether it is a file.

    Raises:
        PermissionError: nobody may know.
    """
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except PermissionError:
        raise
    except OSError:  # There is nothing, or the name is longer than any file's.
        return False
