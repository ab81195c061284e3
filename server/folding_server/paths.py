"""The paths that clients give their files: what they have to be like, so that none leads away."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from operator import itemgetter

from folding_server.errors import ServiceError

_LONGEST = 1024
_LONGEST_NAME = 255  # What file systems take.


def check_path(path: str, field: str) -> None:
    """Refuse what is not a plain path below the folder of its model.

    Raises:
        ServiceError: BAD_REQUEST.
    """
    why = _fault(path)
    if why:
        raise ServiceError(
            "BAD_REQUEST",
            f"{field} {why}",
            hint="Give a path relative to its model, with / between its names.",
            field=field,
        )


def _fault(path: str) -> str:
    if not path:
        return "is empty"
    if len(path.encode()) > _LONGEST:
        return f"has more than {_LONGEST} bytes"
    if "\0" in path or "\\" in path:
        return "has a zero byte or a backslash in it"
    if path.startswith("/"):
        return "is absolute"
    names = path.split("/")
    if not {"", ".", ".."}.isdisjoint(names):
        return "has an empty name, . or .. in it"
    if any(len(name.encode()) > _LONGEST_NAME for name in names):
        return f"has a name of more than {_LONGEST_NAME} bytes in it"
    return ""


def check_apart(paths: Sequence[str], fields: Sequence[str]) -> None:
    """Refuse two files in one place, and a file where another one needs a folder.

    Raises:
        ServiceError: BAD_REQUEST.
    """
    # What lies in a folder comes directly after it.
    parts = [(path.split("/"), field) for path, field in zip(paths, fields, strict=True)]
    for (folder, earlier), (names, field) in pairwise(sorted(parts, key=itemgetter(0))):
        if names[: len(folder)] == folder:
            text = f"{field} is that of {earlier}, or lies in it as if it were a folder"
            raise ServiceError("BAD_REQUEST", text, field=field)
