"""Whose turn it is: one job of each owner after the other, and of each in the order they came."""

from __future__ import annotations

from collections import deque
from contextlib import suppress

from folding_server.jobs.job import LocalJob


class Turns:
    """Jobs that wait. The next owner is at the front; who has had a turn goes to the end."""

    def __init__(self) -> None:
        self._jobs: dict[str, deque[LocalJob]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._jobs.values()))

    def add(self, job: LocalJob) -> None:
        """Let it wait."""
        self._jobs.setdefault(job.spec.owner, deque()).append(job)

    def take(self) -> LocalJob:
        """The one whose turn it is. There has to be one."""
        owner = next(iter(self._jobs))
        jobs = self._jobs.pop(owner)
        job = jobs.popleft()
        if jobs:
            self._jobs[owner] = jobs
        return job

    def discard(self, job: LocalJob) -> None:
        """Let it wait no more, if it does."""
        owner = job.spec.owner
        with suppress(KeyError, ValueError):
            self._jobs[owner].remove(job)
            if not self._jobs[owner]:
                del self._jobs[owner]

    def displaced_by(self, owner: str) -> LocalJob | None:
        """The last job of whoever has most, if this owner will have fewer; it waits no more."""
        most = max(self._jobs.values(), key=len, default=None)
        if most is None or len(most) <= len(self._jobs.get(owner, ())) + 1:
            return None
        job = most[-1]
        self.discard(job)
        return job
