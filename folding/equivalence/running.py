"""How two models are run for a verification, as callers ask for it, and the process for it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from onnx import ModelProto

from folding.equivalence.feeds import Array, Feed, Inputs
from folding.equivalence.given import load
from folding.equivalence.jobs import CPU, Engine
from folding.equivalence.limits import RUN_LIMITS, RunLimits
from folding.equivalence.worker import Worker
from folding.errors import BadCall


@dataclass(frozen=True, slots=True)
class Wish:
    """What a caller says of how models are to be run.

    Attributes:
        inputs: the user's, else some are made up.
        shapes: of inputs that are made up, by name.
        tolerance: the user's, relative to the size of an output.
        provider: the execution provider that runs the candidate.
        custom_ops: a library of custom operators.
        run_limits: what it may cost.

    Raises:
        BadCall: the tolerance is no number that can be one.
    """

    inputs: Inputs | None = None
    shapes: Mapping[str, Sequence[int]] | None = None
    tolerance: float | None = None
    provider: str = CPU.provider
    custom_ops: str | os.PathLike[str] | None = None
    run_limits: RunLimits = RUN_LIMITS

    def __post_init__(self) -> None:
        if self.tolerance is not None and not 0 <= self.tolerance < inf:
            text = f"the tolerance is {self.tolerance}"
            raise BadCall(text, hint="Give a number that is not negative.")


AS_USUAL = Wish()


@dataclass(frozen=True, slots=True)
class Running:
    """The same, looked at: the process runs, and the inputs are there.

    ``nesting`` is how many graphs may be in one another. ``frozen`` has the inputs that are frozen,
    if it is a prepared model that is the reference, and not the file itself.
    """

    worker: Worker
    nesting: int
    feeds: Sequence[Feed] | None = None
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    tolerance: float | None = None
    engine: Engine = CPU
    frozen: Mapping[str, Array] | None = None


@contextmanager
def running(wish: Wish, model: ModelProto, nesting: int) -> Iterator[Running]:
    """Begin to run models that have the inputs of this one; the process ends with the block.

    Raises:
        BadCall: the inputs or shapes do not fit the model.
        StorageFailed: the inputs cannot be read.
    """
    feeds = None if wish.inputs is None else load(wish.inputs, model)
    custom_ops = None if wish.custom_ops is None else os.fspath(wish.custom_ops)
    if custom_ops is not None and not Path(custom_ops).is_file():
        raise BadCall(f"there is no library {custom_ops!r}", hint="Check the path.")
    engine = Engine(wish.provider, custom_ops)
    with Worker(wish.run_limits) as worker:
        yield Running(worker, nesting, feeds, dict(wish.shapes or {}), wish.tolerance, engine)
