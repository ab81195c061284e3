"""The source as it was, run beside what was prepared of it.

A candidate may be a fold of a prepared model (``preparing``): flags are frozen, functions inlined.
Sites are found in that one, and the candidate's outputs are compared with those of the source as
it was, to which the flags are fed.
"""

# ruff: noqa: PLC0415 - most runs need nothing of the planner
from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from folding.equivalence.activations import First
from folding.equivalence.feeds import Array, Feed
from folding.equivalence.jobs import Job
from folding.equivalence.sessions import Sessions


class Original:
    """The source of a prepared model; ``frozen`` is what is fed to it."""

    def __init__(self, sessions: Sessions, frozen: Mapping[str, Array]) -> None:
        self._sessions, self._frozen = sessions, dict(frozen)

    def instead(self, feed: Feed, found: First) -> First:
        """What a run of the prepared model gave, with the source's outputs in place of its own.

        Raises:
            RuntimeRefused: the source does not run on these inputs.
        """
        with self._sessions.of("plain") as session:
            outputs = session.run_named({**feed, **self._frozen})
        return First({**found.values, **outputs}, found.shapes)


def as_planned(job: Job, source: Sessions, stack: ExitStack) -> tuple[Sessions, Original | None]:
    """The sessions of the model that was planned on; and its source, if that is another one."""
    if job.frozen is None:
        return source, None
    from folding.preparing import prepare

    prepared = prepare(source.model, job.frozen)
    sessions = stack.enter_context(source.over(prepared.model))
    return sessions, Original(source, job.frozen)
