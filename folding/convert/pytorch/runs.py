"""What the framework computes, for the graph to be compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from folding.convert.job import Job
from folding.convert.pytorch.calls import Call, as_array
from folding.convert.samples import Array, Feed, write_reference
from folding.errors import BadCall

_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
_INTERPRETER = "The following operation failed in the TorchScript interpreter"
_RANDOM = "its outputs for the same inputs differ from run to run"


@dataclass(frozen=True, slots=True)
class Run:
    """Inputs and outputs by the source's names."""

    inputs: Feed
    outputs: dict[str, Array]


@dataclass(frozen=True, slots=True)
class Runs:
    """Several of them, and why the graph cannot be held against them, if that is so."""

    all: Sequence[Run]
    unchecked: str = ""

    @property
    def outputs(self) -> list[str]:
        return list(self.all[0].outputs)


def record(title: str, module: Any, call: Call, feeds: Iterable[Feed]) -> Runs:
    """Run a module on each feed.

    A batch size that it does not take is left out.

    Raises:
        BadCall: it cannot be run on any.
    """
    done: list[Run] = []
    failure: Exception | None = None
    last: Feed = {}
    for last in feeds:
        try:
            done.append(_run(module, call, last))
        except failures() as error:
            failure = error
    if not done:
        text = f"{title} cannot be run on its sample inputs: {first_line(failure)}"
        raise BadCall(text, hint="Give others with --sample-inputs.") from failure
    again = _run(module, call, done[-1].inputs)
    return Runs(done, "" if _same(done[-1].outputs, again.outputs) else _RANDOM)


def failures() -> tuple[type[Exception], ...]:
    """What PyTorch raises for something that it cannot do."""
    import torch

    return (*_FAILURES, torch.jit.Error)


def _run(module: Any, call: Call, feed: Feed) -> Run:
    outputs = call.run(module, feed)
    return Run(feed, {name: as_array(tensor) for name, tensor in outputs.items()})


def _same(one: Mapping[str, Array], other: Mapping[str, Array]) -> bool:
    return all(
        np.array_equal(array, other[name], equal_nan=array.dtype.kind in "fc")
        for name, array in one.items()
    )


def first_line(error: BaseException | None) -> str:
    """What an error says, in short: the interpreter of TorchScript says it at the end."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and lines[0].startswith(_INTERPRETER):
        lines.reverse()
    return (lines or [type(error).__name__])[0].rstrip(".")


def chosen(job: Job, runs: Runs) -> list[str]:
    """The outputs that are wanted, in the source's order if they are not named.

    Raises:
        BadCall: one is not there.
    """
    for name in job.outputs:
        if name not in runs.outputs:
            hint = f"Its outputs: {', '.join(runs.outputs) or 'none'}."
            raise BadCall(f"the source has no output {name!r}", hint=hint)
    return list(job.outputs) or runs.outputs


def write_runs(
    job: Job, runs: Runs, inputs: Mapping[str, str], outputs: Mapping[str, str]
) -> tuple[str, ...]:
    """Keep the runs by the graph's names, unless nothing can be held against them."""
    if runs.unchecked:
        return ()
    return tuple(
        write_reference(
            job,
            number,
            {graph: run.inputs[name] for name, graph in inputs.items()},
            {graph: run.outputs[name] for name, graph in outputs.items()},
        )
        for number, run in enumerate(runs.all)
    )
