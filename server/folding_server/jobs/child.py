"""The process of one job, from its first step to its end.

The server names ``run`` to the fork server, so importing this module must not import onnx.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from errno import EFBIG, ENOMEM
from multiprocessing.connection import Connection
from pathlib import Path

from folding import errors
from folding.errors import FoldError
from folding_server.jobs.confinement import Bounds, confine
from folding_server.jobs.outcome import (
    DAMAGED,
    NO_MEMORY,
    NO_ROOM,
    NO_SPACE,
    TOLD,
    shortened,
    write_outcome,
)
from folding_server.jobs.places import Places
from folding_server.jobs.runner import JobSpec

_FULL = NO_ROOM | {EFBIG}


def run(spec: JobSpec, folder: Path, stages: Connection, bounds: Bounds) -> None:
    """Do the job in its folder, and end this process.

    What nobody expected goes to standard error with its trace, and the process ends with 1.
    """
    confine(folder, bounds, stages.fileno())
    os._exit(_code(spec, Places(spec, folder), stages, bounds))


def _code(spec: JobSpec, places: Places, stages: Connection, bounds: Bounds) -> int:
    try:
        if not _are_as_sent(places):
            return DAMAGED
        _tell_outcome(spec, places, stages, bounds)
    except MemoryError:
        return NO_MEMORY
    except (FoldError, OSError) as error:
        if code := lack(error):
            return code
        if not isinstance(error, FoldError):
            raise
        write_outcome(_refusal(error, places))
    return TOLD


def _are_as_sent(places: Places) -> bool:
    """Whether the files that were kept are still those that the client sent."""
    for path, file in places.files():
        if file.sha256 not in places.spec.kept:
            continue
        with Path(path).open("rb") as content:
            if hashlib.file_digest(content, "sha256").hexdigest() != file.sha256:
                return False
    return True


def _tell_outcome(spec: JobSpec, places: Places, stages: Connection, bounds: Bounds) -> None:
    from folding_server.jobs.work import perform  # noqa: PLC0415 - see above

    os.set_blocking(stages.fileno(), False)

    def tell(stage: str) -> None:
        with suppress(OSError):  # Nobody may be listening, or listen too slowly.
            os.write(stages.fileno(), f"{stage}\n".encode())

    write_outcome(perform(spec, places, bounds.memory, tell))


def lack(error: BaseException) -> int:
    """The exit code, if an error comes of what the system lacks; else ``TOLD``."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return NO_SPACE
        if isinstance(cause, MemoryError) or getattr(cause, "errno", None) == ENOMEM:
            return NO_MEMORY
        cause = cause.__cause__ or cause.__context__
    return TOLD


def _refusal(error: FoldError, places: Places) -> dict[str, str]:
    kinds = (kind.__name__ for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
    message, hint = places.shown([str(error), error.hint])
    return {"error": next(kinds), "message": shortened(message), "hint": shortened(hint)}
