"""The caller's side of a conversion: a process that is killed whole.

A framework may loop, crash, print without end, exhaust the memory or lie about its success. All of
that happens to a process of its own (``folding.equivalence.worker``), and nothing that it leaves is
unpickled.
"""

from __future__ import annotations

from dataclasses import replace

from folding.conversion.job import Job, Product
from folding.conversion.products import Junk, read_product
from folding.conversion.said import last_words
from folding.conversion.work import SAID
from folding.equivalence.limits import RUN_LIMITS, RunLimits
from folding.equivalence.process import SILENT
from folding.equivalence.worker import Worker, WorkerFailed
from folding.errors import StorageFailed, Unconvertible

_WORK = "folding.conversion.work:run"
_HINTS = {
    "crash": None,
    "memory": "Raise --memory-limit, or convert it on a larger machine.",
    "time": "Raise --time-limit if it only needs longer.",
}


def converted(job: Job, route: str, name: str, limits: RunLimits = RUN_LIMITS) -> Product:
    """What came of a job that another process did.

    Args:
        job: its folder is the ``job`` of a ``private_folder``.
        route: the function that does it, as ``module:function``.
        name: what the user calls the source.
        limits: what it may cost.

    Raises:
        Unconvertible: the process failed, or answered with something else.
        FoldError: the route has raised it.
    """
    scratch = job.folder.with_name("scratch")
    with Worker(limits, warm=(), deed="converted it") as worker:
        try:
            found = worker.call(_WORK, replace(job, freeze=dict(job.freeze)), route, str(scratch))
        except WorkerFailed as failure:
            raise _failed(name, failure, last_words(scratch / SAID)) from failure
    try:
        return read_product(found, job.folder, for_lints=job.for_lints)
    except Junk as junk:
        text = f"{name!r} cannot be converted: the process that converted it answered {junk}"
        raise Unconvertible(text) from junk


def _failed(name: str, failure: WorkerFailed, words: str) -> Unconvertible | StorageFailed:
    # Where its time or its memory ran out nothing that it said is the reason.
    said = f"; the last that it said was {words!r}" if words and failure.kind == "crash" else ""
    reason = failure.reason.removesuffix(f" ({SILENT})")
    text = f"{name!r} cannot be converted: {reason}{said}"
    if failure.kind == "start":
        return StorageFailed(text, hint="Let the system start more processes.")
    return Unconvertible(text, hint=_HINTS[failure.kind])
