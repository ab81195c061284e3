"""How much of everything the server takes, unless its operator says otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from folding.equivalence.limits import memory_there

_MIB = 1 << 20
_GIB = 1 << 30
#: The part of the machine's memory that is left to the server and the system.
_SPARED = 10
_UNKNOWN_MEMORY = 4 * _GIB


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What one server takes, and how long it waits.

    Attributes:
        chunk_bytes: of a request's chunk. Replies' chunks have as many.
        max_model_bytes: of all files of a call together.
        max_files: of a call.
        usual_seconds: that a job may run if its client does not say.
        max_seconds: that a client may ask for.
        job_memory: bytes of resident memory of a job's processes together; None for nine tenths of
            what the machine has, shared by the jobs.
        jobs: that run at once.
        queue: jobs that may wait.
        uploads: calls that may be sending at once.
        idle_seconds: that a message may take until a call is given up; no chunk has more bytes than
            a slow link carries in that time.
        spool_bytes: of models and results kept on disk for later calls; None for 20 GiB, or half
            of the disk if that is less.
        kept_seconds: that a model or a result nobody asks for is kept.
        grace_seconds: that jobs have to end when the server is to stop.
        max_nesting: the most that clients may ask for.
        max_expanded_nodes: the most that clients may ask for.
    """

    chunk_bytes: int = _MIB
    max_model_bytes: int = 16 * _GIB
    max_files: int = 1024
    usual_seconds: float = 600.0
    max_seconds: float = 3600.0
    job_memory: int | None = None
    jobs: int = 2
    queue: int = 1000
    uploads: int = 1500
    idle_seconds: float = 60.0
    spool_bytes: int | None = None
    kept_seconds: float = 24 * 3600.0
    grace_seconds: float = 30.0
    max_nesting: int = 1000
    max_expanded_nodes: int = 1_000_000_000

    @property
    def memory_of_job(self) -> int:
        """The bytes that a job may have, said or not."""
        if self.job_memory is not None:
            return self.job_memory
        there = memory_there() or _UNKNOWN_MEMORY
        return (there - there // _SPARED) // self.jobs
