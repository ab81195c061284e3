"""How a job's process tells its result: one JSON file, of which the server believes nothing.

    {"facts": {...}, "files": [{"path": ..., "size": ..., "sha256": ...}, ...]}
    {"error": class of folding.errors, "message": ..., "hint": ...}

What keeps a process from writing even that is told by its exit code.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from stat import S_ISREG
from typing import Any

from folding_server.jobs.runner import DIGEST, FileSpec

#: Exit codes: it told its result, lacked memory, or a place to write to, or was given other files
#: than were sent.
TOLD, NO_MEMORY, NO_SPACE, DAMAGED = 0, 3, 4, 5

#: What the system says when there is no room, or no more for this user.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})

#: What it writes to standard error.
STDERR = "stderr"

_FILE = "outcome.json"
_MOST_SAID = 1 << 13
_MOST_BYTES = 8 << 20
_LONGEST = 4096
#: What clients get of a report besides its JSON: so many records, names in one, bytes of a text.
MOST_DECISIONS, MOST_WARNINGS, MOST_NAMES, LONGEST_FACT = 1000, 100, 16, 1024


class NoOutcome(Exception):
    """What a process left is no result."""


def write_outcome(outcome: Mapping[str, Any]) -> None:
    """Leave it in the working folder, whole or not at all."""
    waiting = Path(f"{_FILE}.part")
    waiting.write_text(json.dumps(outcome), encoding="ascii")
    waiting.replace(_FILE)


def read_outcome(folder: Path) -> Mapping[str, Any]:
    """What a process left in its folder: a JSON object of a decent size.

    Raises:
        NoOutcome: it left none.
    """
    try:
        found = json.loads(_read(folder / _FILE))
    except (OSError, ValueError, RecursionError) as error:
        raise NoOutcome from error
    if not isinstance(found, dict):
        raise NoOutcome
    return found


def last_words(folder: Path) -> str:
    """The end of what a process wrote to standard error."""
    try:
        return _read(folder / STDERR)[-_MOST_SAID:].decode(errors="replace")
    except OSError:
        return ""


def _read(path: Path) -> bytes:
    """A file that a process left, of a decent size, if it is one.

    Raises:
        OSError: it is none.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
            raise OSError(errno.EFBIG, "too large")
        return file.read(_MOST_BYTES)


def checked_files(found: Any, folder: Path) -> tuple[FileSpec, ...]:
    """The files that a process says to have left, in this folder of its.

    Raises:
        NoOutcome: one is not there, or not what it is said to be.
    """
    if not isinstance(found, list) or folder.is_symlink():
        raise NoOutcome
    return tuple(_checked(file, folder) for file in found)


def _checked(found: Any, folder: Path) -> FileSpec:
    match found:
        case {"path": str(path), "size": int(size), "sha256": str(sha256)}:
            pass
        case _:
            raise NoOutcome
    parts = PurePosixPath(path).parts
    # A folder in between could be a link.
    if len(parts) != 1 or parts[0] == ".." or not DIGEST.fullmatch(sha256):
        raise NoOutcome
    try:
        status = (folder / path).lstat()
    except (OSError, ValueError) as error:
        raise NoOutcome from error
    if not S_ISREG(status.st_mode) or status.st_size != size:
        raise NoOutcome
    return FileSpec(path, size, sha256)


def facts_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """What every client gets of a report, short enough for one message and more."""
    verification, told = report["verification"], report.get("decisions", [])
    decisions = _cut_all(told[:MOST_DECISIONS])
    warnings = _cut_all(report["warnings"][:MOST_WARNINGS])
    return {
        "verdict": verification["verdict"],
        "rests_on": shortened(verification["rests_on"], LONGEST_FACT),
        "counts": report.get("counts"),
        "decisions": decisions,
        "warnings": warnings,
        "cut": len(decisions) < len(told) or len(warnings) < len(report["warnings"]),
    }


def _cut_all(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As many as there is room for, beginning with the first."""
    found, left = [], _MOST_BYTES // 3
    for record in map(_short, records):
        left -= len(json.dumps(record))
        if left < 0:
            break
        found.append(record)
    return found


def _short(value: Any) -> Any:
    if isinstance(value, str):
        return shortened(value, LONGEST_FACT)
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_short(item) for item in value[:MOST_NAMES]]
    return value


def shortened(text: str, longest: int = _LONGEST) -> str:
    """A text of bounded length."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
