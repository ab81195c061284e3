"""What the framework computes, for the graph to be compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from folding.conversion.job import Job
from folding.conversion.pytorch.calls import Call, as_array
from folding.conversion.samples import Array, Feed, has_numbers_alone, write_reference
from folding.errors import BadCall
from folding.plan import Warned

#: What a module raises on inputs that it does not take, be it PyTorch or the module's own code.
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
    """Several of them, why the graph cannot be held against them if that is so, and warnings."""

    all: Sequence[Run]
    unchecked: str = ""
    warnings: Sequence[Warned] = ()

    @property
    def outputs(self) -> list[str]:
        return list(self.all[0].outputs)


def record(
    title: str, module: Any, call: Call, feeds: Iterable[Feed], further: Feed | None = None
) -> Runs:
    """Run a module on each feed.

    A batch size that it does not take is left out, with a warning; what it may refuse ``further``
    is, without.

    Raises:
        BadCall: it cannot be run on any.
    """
    done: list[Run] = []
    refused: list[tuple[Feed, Exception]] = []
    for feed in feeds:
        try:
            done.append(_run(module, call, feed))
        except failures() as error:
            refused.append((feed, error))
    if not done:
        text = f"{title} cannot be run on its sample inputs: {first_line(refused[-1][1])}"
        raise BadCall(text, hint="Give others with --sample-inputs.") from refused[-1][1]
    again = _run(module, call, done[-1].inputs)
    more = [] if further is None else _tried(module, call, further)
    unchecked = "" if _same(done[-1].outputs, again.outputs) else _RANDOM
    return Runs([*more, *done], unchecked, [_refusal(feed, error) for feed, error in refused])


def _tried(module: Any, call: Call, feed: Feed) -> list[Run]:
    """A run on what a module may refuse, if it gives numbers, and the same twice."""
    try:
        first, second = _run(module, call, feed), _run(module, call, feed)
    except failures():
        return []
    is_sound = all(map(has_numbers_alone, first.outputs.values()))
    return [first] if is_sound and _same(first.outputs, second.outputs) else []


def _refusal(feed: Feed, error: Exception) -> Warned:
    """That a batch size is not taken."""
    sizes = {name: len(array) for name, array in feed.items() if array.ndim}
    name, size = next(iter(sizes.items()), ("", 0))
    text = f"the source cannot be run on a batch of {size}: {first_line(error)}"
    return Warned("BATCH_REFUSED", name, text)


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
