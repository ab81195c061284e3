"""What a server is told of a call: the caller's options as headers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from folding.equivalence.limits import (
    CPU_PROVIDER,
    RUN_LIMITS,
    RunLimits,
    check_provider,
    check_tolerance,
)
from folding.errors import BadCall
from folding.layout import Layout
from folding.model_limits import Limits
from folding.v1 import folding_pb2 as v1
from folding_server.client.sources import LocalInputs, LocalModel, Outgoing, sendable_target
from folding_server.client.wording import sendable, stand_ins, value_text

#: Seconds that a job may take besides its runs.
_BESIDES = 600.0
#: The greatest numbers that can be sent; they are above all limits of servers.
_MOST_NESTING, _MOST = (1 << 32) - 1, (1 << 64) - 1
_LAYOUTS = {
    Layout.AS_SOURCE: v1.LAYOUT_UNSPECIFIED,
    Layout.SINGLE_FILE: v1.LAYOUT_SINGLE_FILE,
    Layout.EXTERNAL_DATA: v1.LAYOUT_EXTERNAL_DATA,
}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What may be folded, as ``folding.fold`` takes it."""

    freeze: Mapping[str, Any] | None
    keep: Sequence[str]
    allow_growth: bool

    def message(self) -> v1.FoldOptions:
        """The same for a header."""
        return v1.FoldOptions(
            freeze={
                sendable(name): value_text(value) for name, value in (self.freeze or {}).items()
            },
            keep=map(sendable, self.keep or ()),
            allow_growth=self.allow_growth,
        )

    @property
    def stand_ins(self) -> dict[str, str]:
        """For names that cannot be sent, once the message is made."""
        return stand_ins([*(self.freeze or ()), *(self.keep or ())])


@dataclass(frozen=True, slots=True)
class Runs:
    """How models are to be run, as ``folding.verify`` takes it.

    Raises:
        BadCall: the tolerance or the provider is none.
    """

    shapes: Mapping[str, Sequence[int]] | None
    tolerance: float | None
    provider: str
    limits: RunLimits

    def __post_init__(self) -> None:
        check_provider(self.provider)
        check_tolerance(self.tolerance)

    def message(self, inputs: Sequence[Outgoing]) -> v1.RunOptions:
        """The same for a header."""
        shapes, seconds = (self.shapes or {}).items(), self.limits.seconds
        return v1.RunOptions(
            inputs=[each.file for each in inputs],
            shapes=[v1.InputShape(name=sendable(name), dims=dims) for name, dims in shapes],
            tolerance=self.tolerance,
            provider="" if self.provider == CPU_PROVIDER else sendable(self.provider),
            time_limit_seconds=0.0 if seconds == RUN_LIMITS.seconds else seconds,
            memory_limit_bytes=min(self.limits.memory or 0, _MOST),
        )

    @property
    def stand_ins(self) -> dict[str, str]:
        """For names that cannot be sent, once the message is made."""
        return stand_ins(self.shapes or ())


@dataclass(frozen=True, slots=True)
class Materials:
    """What a call is about: models, what they are run on, and how far they may go."""

    models: Sequence[LocalModel]
    inputs: LocalInputs
    limits: Limits

    @property
    def files(self) -> list[Outgoing]:
        """All files, in the order of the header."""
        return [*(each for model in self.models for each in model.outgoing), *self.inputs.outgoing]

    def job(self, runs: Runs | None = None) -> v1.JobOptions:
        """The limits of the job, which has time for all its runs."""
        return v1.JobOptions(
            time_limit_seconds=runs.limits.seconds + _BESIDES if runs else 0.0,
            max_nesting=_sent(self.limits.nesting, _MOST_NESTING),
            max_expanded_nodes=_sent(self.limits.expanded_nodes, _MOST),
        )


def _sent(limit: int, most: int) -> int:
    """A limit for a header, where 0 would be the usual one; raises as ``made``."""
    if limit < 1:
        raise BadCall(f"a server takes no limit of {limit}", hint="Give limits from 1 on.")
    return min(limit, most)


def fold_header(
    materials: Materials, wishes: Wishes, runs: Runs | None, target: str, layout: Layout
) -> v1.FoldHeader:
    """The header of a fold, which is proved if it is said how; raises as ``made``."""
    return made(
        lambda: v1.FoldHeader(
            model=materials.models[0].message,
            target=sendable_target(target),
            options=wishes.message(),
            skip_verification=runs is None,
            run=None if runs is None else runs.message(materials.inputs.outgoing),
            layout=_LAYOUTS[layout],
            job=materials.job(runs),
        )
    )


def verify_header(materials: Materials, runs: Runs) -> v1.VerifyHeader:
    """The header of a verification; raises as ``made``."""
    reference, candidate = materials.models
    return made(
        lambda: v1.VerifyHeader(
            reference=reference.message,
            candidate=candidate.message,
            run=runs.message(materials.inputs.outgoing),
            job=materials.job(runs),
        )
    )


def explain_header(materials: Materials, wishes: Wishes) -> v1.ExplainHeader:
    """The header of an explanation; raises as ``made``."""
    return made(
        lambda: v1.ExplainHeader(
            model=materials.models[0].message, options=wishes.message(), job=materials.job()
        )
    )


def made(header: Callable[[], T]) -> T:
    """A header, if all that goes into it can be said.

    Raises:
        BadCall: it cannot.
    """
    try:
        return header()
    except (AttributeError, TypeError, ValueError) as error:
        why = " ".join(str(error).split())
        hint = "Give names as text, shapes as numbers of 64 bits, and values as JSON has them."
        raise BadCall(f"an option of the call cannot be sent: {why}", hint=hint) from error
