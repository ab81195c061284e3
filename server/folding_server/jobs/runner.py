"""The seam between the service and whatever runs its jobs: digests and options, never bytes.

An engine that spreads jobs over machines stands behind ``JobRunner`` as well as the local one does.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

#: What a SHA-256 looks like.
DIGEST = re.compile("[0-9a-f]{64}")


class Kind(StrEnum):
    """What a job does."""

    FOLD = "fold"
    VERIFY = "verify"
    EXPLAIN = "explain"
    INFO = "info"  # Of no client: versions and what the runtime can do; also proves that jobs run.


@dataclass(frozen=True, slots=True)
class FileSpec:
    """A file of a job. ``path`` is relative to its folder, with / in it."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model: its file, what its external data lies in, and what its client calls it."""

    name: str
    file: FileSpec
    external_data: tuple[FileSpec, ...] = ()

    @property
    def files(self) -> tuple[FileSpec, ...]:
        return (self.file, *self.external_data)

    @property
    def folded_name(self) -> str:
        """What the folded model is called if nobody says it."""
        return f"{PurePosixPath(self.name).stem}.folded.onnx"


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One job, as plain data that any process can be told.

    Attributes:
        kind: what to do.
        owner: the client that sent the files.
        models: one, or for VERIFY the reference and the candidate.
        inputs: what to run the models on, if not on made-up inputs.
        options: keyword arguments, as plain JSON: ``freeze`` (name: text), ``keep``,
            ``allow_growth``, ``verify``, ``layout`` (the name of a ``folding.Layout``), ``shapes``,
            ``tolerance``, ``provider``, ``run_seconds``, ``run_memory``, ``max_nesting``,
            ``max_expanded_nodes``, ``target`` (the name of the folded model's file).
        seconds: that it may run.
        kept: the digests of files that an earlier call has sent: they are looked at again.
    """

    kind: Kind
    owner: str = ""
    models: tuple[ModelSpec, ...] = ()
    inputs: tuple[FileSpec, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 600.0
    kept: frozenset[str] = frozenset()

    @property
    def files(self) -> tuple[FileSpec, ...]:
        """All of them, in the order of the request's header."""
        return (*(file for model in self.models for file in model.files), *self.inputs)


@dataclass(frozen=True, slots=True)
class JobResult:
    """What a job found.

    ``facts`` is plain JSON: for INFO what was asked, else ``verdict``, ``rests_on``, ``counts``,
    ``decisions`` and ``warnings`` as in the report, the lists cut. ``folder`` has the ``files``,
    the first of which is report.json; whoever asked removes it or keeps it.
    """

    facts: Mapping[str, Any]
    folder: Path
    files: tuple[FileSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class JobProgress:
    """The stage that has begun, and how much is done, from 0 to 1."""

    stage: str
    fraction: float


class JobHandle(Protocol):
    """A job that was taken."""

    def progress(self) -> AsyncIterator[JobProgress]:
        """The stages as they begin; ends when the job does."""
        ...

    async def result(self) -> JobResult:
        """What it found, when it is done.

        Raises:
            FoldError: the model, the call or the job itself is bad; a ServiceError with
                JOB_TIME_LIMIT, JOB_MEMORY_LIMIT, WORKER_CRASHED, FILE_DAMAGED, STORAGE_FULL or
                DRAINING for what became of its process.
        """
        ...

    async def cancel(self) -> None:
        """End it, with all its processes, and leave nothing of it. Does nothing if it is done."""
        ...


class JobRunner(Protocol):
    """What runs jobs."""

    def submit(self, spec: JobSpec) -> JobHandle:
        """Take a job.

        Raises:
            ServiceError: QUEUE_FULL, or DRAINING.
        """
        ...

    async def close(self) -> None:
        """End all jobs, and take no more."""
        ...
