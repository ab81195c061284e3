"""What the operating system refuses, as an error that a client may see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from folding.errors import StorageFailed
from folding_server.errors import ServiceError
from folding_server.jobs.outcome import NO_ROOM

#: What clients are told then.
FULL = "STORAGE_FULL"
#: What they are told of a file that is no longer what they sent, or were to get.
DAMAGED = "FILE_DAMAGED"
#: Seconds after which jobs that run now may have made room.
_RETRY = 60.0


def full() -> ServiceError:
    """There is no room left."""
    return ServiceError(
        FULL,
        "the server has no room for the files",
        hint="Try again later, or tell its operator.",
        retry_after=_RETRY,
    )


def damaged() -> ServiceError:
    """A file that was kept has changed; it is kept no longer."""
    text = "a file that the server kept has other bytes than it had"
    return ServiceError(DAMAGED, text, hint="Call again: the server has forgotten the file.")


@contextmanager
def storage(task: str) -> Iterator[None]:
    """Say what the server cannot do, and never where.

    Raises:
        ServiceError: STORAGE_FULL.
        StorageFailed: anything else.
    """
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise full() from error
        text = f"the server cannot {task}: {error.strerror or 'input/output error'}"
        raise StorageFailed(text, hint="Tell the server's operator.") from error
