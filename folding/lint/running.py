"""The lints that run a model, in a process of its own within limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from folding.equivalence.feeds import Inputs
from folding.equivalence.given import load
from folding.equivalence.jobs import CPU, ModelPlace
from folding.equivalence.limits import RunLimits
from folding.equivalence.runnable import cannot_run
from folding.equivalence.shapes import check_shapes
from folding.equivalence.worker import Worker, WorkerFailed
from folding.lint.finding import Code, Finding
from folding.lint.runs import Trial
from folding.preparing import Prepared

_TRIED = "folding.lint.runs:tried"


def ran(
    prepared: Prepared,
    nesting: int,
    limits: RunLimits,
    inputs: Inputs | None,
    shapes: Mapping[str, Sequence[int]] | None,
) -> tuple[list[Finding], str]:
    """What running a model shows, and why it was not run if it was not.

    Raises:
        BadCall: the inputs or shapes do not fit the model.
        StorageFailed: the inputs cannot be read.
    """
    proto, source = prepared.model.proto, prepared.source
    feeds = None if inputs is None else load(inputs, proto)
    sizes = {name: list(s) for name, s in check_shapes(proto, dict(shapes or {})).items()}
    why = "" if source.path else "it is not in a file"
    why = why or cannot_run(proto, CPU)
    if why or source.path is None:
        return [], why
    place = ModelPlace(source.path, source.data)
    trial = Trial(place, nesting, feeds, sizes, dict(prepared.frozen))
    try:
        with Worker(limits, warm=("folding.lint.runs",)) as worker:
            found = worker.call(_TRIED, trial)
    except WorkerFailed as failure:
        return [], failure.reason
    return [*map(_random, found["random"]), *map(_dependent, found["dependent"])], found["unrun"]


def _random(output: str) -> Finding:
    return Finding(
        Code.RANDOM_AT_INFERENCE, output, "two runs on the same input gave different numbers"
    )


def _dependent(output: str) -> Finding:
    cause = "the numbers of one example change with the other examples of its batch"
    return Finding(Code.BATCH_DEPENDENT, output, cause)
