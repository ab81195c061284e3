"""The paths that clients give their files: what they have to be like, so that none leads away."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from operator import itemgetter

from folding_server.errors import ServiceError

_LONGEST = 1024
#: What file systems take.
LONGEST_NAME = 255


def check_path(path: str, field: str) -> None:
    """Refuse what is not a plain path below the folder of its model.

    Raises:
        ServiceError: BAD_REQUEST.
    """
    if not path or path.startswith("/") or "\0" in path:
        why = "is empty, absolute, or has a zero byte in it"
    elif not {"", ".", ".."}.isdisjoint(path.split("/")):
        why = "has an empty name, . or .. in it"
    else:
        _check_lengths(path, field)
        return
    hint = "Give a path relative to its model, with / between its names."
    raise ServiceError("BAD_REQUEST", f"{field} {why}", hint=hint, field=field)


def _check_lengths(path: str, field: str) -> None:
    if len(path.encode()) > _LONGEST:
        why = f"has more than {_LONGEST} bytes"
    elif any(len(name.encode()) > LONGEST_NAME for name in path.split("/")):
        why = f"has a name of more than {LONGEST_NAME} bytes in it"
    else:
        return
    hint = "Save the model with its data under a shorter path."
    raise ServiceError("BAD_REQUEST", f"{field} {why}", hint=hint, field=field)


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
