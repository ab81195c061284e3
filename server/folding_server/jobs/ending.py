"""What a job's process came to: its result, or the error that its client is told."""

from __future__ import annotations

import logging
import signal
from pathlib import Path

from folding import errors
from folding.equivalence.limits import NO_MEMORY as SAYS_NO_MEMORY
from folding.errors import FoldError
from folding.interrupts import name_of
from folding_server.errors import OF_CLASSES, ServiceError
from folding_server.jobs.outcome import (
    DAMAGED,
    NO_MEMORY,
    NO_SPACE,
    TOLD,
    NoOutcome,
    checked_files,
    last_words,
    read_outcome,
    shortened,
)
from folding_server.jobs.places import Places
from folding_server.jobs.runner import JobResult
from folding_server.store.faults import damaged, full

#: The exit code of processes whose end nobody was told.
_LOST = 255

_LOG = logging.getLogger(__name__)
_OURS = {kind.__name__: kind for kind in OF_CLASSES if kind.__module__ == errors.__name__}


def result_of(places: Places, code: int) -> JobResult:
    """The result of a process that ended with this exit code, out of reach of the job's folder.

    Raises:
        FoldError: there is none, and why.
    """
    if code != TOLD:
        raise _failure(places.folder, code)
    try:
        return _told(places)
    except NoOutcome as error:
        raise internal(places.folder, "it left no result") from error


def _told(places: Places) -> JobResult:
    match read_outcome(places.folder):
        case {"error": str(name), "message": str(text), "hint": str(hint)} if name in _OURS:
            raise _OURS[name](shortened(text), hint=shortened(hint))
        case {"facts": dict(facts), "files": found}:
            out = places.folder / places.out
            files = checked_files(found, out) if found else ()
            kept = places.folder.with_name(places.out)
            if files:
                out.rename(kept)
            return JobResult(facts, kept, files)
    raise NoOutcome


def _failure(folder: Path, code: int) -> FoldError:
    if code == NO_MEMORY or (code and any(text in last_words(folder) for text in SAYS_NO_MEMORY)):
        return memory_limit()
    if code == NO_SPACE:
        return full()
    if code == DAMAGED:
        return damaged()
    if code == -getattr(signal, "SIGXCPU", 0):
        return ServiceError("JOB_TIME_LIMIT", "the job took more time of the processor than it had")
    if code == _LOST:
        return lost()
    if code < 0:
        return _crashed(f"with {name_of(-code)}")
    return internal(folder, f"it ended with exit code {code}")


def memory_limit() -> ServiceError:
    """The job wanted more memory than it may have."""
    return ServiceError(
        "JOB_MEMORY_LIMIT",
        "the job needed more memory than the server gives one",
        hint="Fold it where there is more, or ask for smaller input shapes.",
    )


def time_limit(seconds: float) -> ServiceError:
    """The job took longer than it may."""
    return ServiceError(
        "JOB_TIME_LIMIT",
        f"the job took longer than {seconds:g} s",
        hint="Ask for more time, or for less to run.",
    )


def lost() -> ServiceError:
    """What it was forked from has ended, and it with that."""
    return _crashed("with the process that all jobs are forked from")


def _crashed(how: str) -> ServiceError:
    return ServiceError(
        "WORKER_CRASHED",
        f"the process of the job ended {how}",
        hint="Please report it with the model; the server and other jobs are not affected.",
    )


def internal(folder: Path, what: str) -> ServiceError:
    """A fault of the server's: the operator learns all of it, the client only that there is one."""
    _LOG.error("a job failed: %s; it said: %s", what, last_words(folder))
    return ServiceError(
        "INTERNAL",
        "the job failed for a reason that only the server's log has",
        hint="Tell the server's operator.",
    )
