"""How two models are run for a verification, as callers ask for it, and the process for it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType

from onnx import ModelProto

from folding.equivalence import input_paths
from folding.equivalence.feeds import Array, Feed, Inputs
from folding.equivalence.given import load
from folding.equivalence.jobs import CPU, Engine
from folding.equivalence.limits import RUN_LIMITS, RunLimits, check_provider, check_tolerance
from folding.equivalence.shapes import check_shapes
from folding.equivalence.worker import Worker, WorkerFailed
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
        BadCall: one of these is something else than that.
    """

    inputs: Inputs | None = None
    shapes: Mapping[str, Sequence[int]] | None = None
    tolerance: float | None = None
    provider: str = CPU.provider
    custom_ops: str | os.PathLike[str] | None = None
    run_limits: RunLimits = RUN_LIMITS

    def __post_init__(self) -> None:
        check_provider(self.provider)
        if not isinstance(self.custom_ops, (str, os.PathLike, NoneType)):
            text = f"the library of custom operators is a {type(self.custom_ops).__name__}"
            raise BadCall(text, hint="Give its path.")
        if not isinstance(self.run_limits, RunLimits):
            text = f"the limits of runs are a {type(self.run_limits).__name__}"
            raise BadCall(text, hint="Give RunLimits.")
        check_tolerance(self.tolerance)

    @property
    def files(self) -> list[Path]:
        """The files that it names, which are read."""
        found = [] if self.custom_ops is None else [Path(self.custom_ops)]
        if isinstance(self.inputs, (str, os.PathLike)):
            found += input_paths.files(Path(self.inputs))
        return found


AS_USUAL = Wish()
_CHECK_ENGINE = "folding.equivalence.runnable:check_engine"


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
        BadCall: the inputs or shapes do not fit the model, or there is no such provider.
        StorageFailed: the inputs cannot be read.
    """
    feeds = None if wish.inputs is None else load(wish.inputs, model)
    custom_ops = None if wish.custom_ops is None else os.fspath(wish.custom_ops)
    if custom_ops is not None and not Path(custom_ops).is_file():
        raise BadCall(f"there is no library {custom_ops!r}", hint="Check the path.")
    shapes = check_shapes(model, {} if wish.shapes is None else wish.shapes)
    engine = Engine(wish.provider, custom_ops)
    with Worker(wish.run_limits) as worker:
        if engine.provider != CPU.provider:
            # Nothing may have to be run later; a process that fails says so when something does.
            with suppress(WorkerFailed):
                worker.call(_CHECK_ENGINE, engine)
        yield Running(worker, nesting, feeds, shapes, wish.tolerance, engine)
