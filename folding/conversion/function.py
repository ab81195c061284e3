"""A model as a function of a list of arrays, and the product that is made of it.

A route has the function, and what it runs on: ``OnTensorFlow``, ``OnTorch``, ``OnJax``. Everything
else is the same for all: it is frozen as asked, converted, and run on the same inputs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from folding.conversion.frozen import frozen
from folding.conversion.job import Job, Port, Product, Statistics
from folding.conversion.left_on import draws, normalises_by_batch
from folding.conversion.samples import (
    Array,
    Feed,
    Spec,
    further_inputs,
    has_numbers_alone,
    sample_inputs,
    write_reference,
)
from folding.errors import LeftInTraining, Unconvertible
from folding.plan import Warned

_LEFT_ON = "Call the layers in question with training=False, and save the model again."
_KEEPS_STATE = (
    "Call a layer that learns with training=False, leave out one that keeps a state, such as a"
    " stateful recurrent one, and save the model again."
)
#: What generators of random numbers call their variables, those of Keras and of TensorFlow.
_SEED = re.compile(r"seed_generator|\bStateVar\b")


class Function(Protocol):
    """What takes tensors of a framework one by one, and gives a list of them.

    ``holder`` is the object that has its weights, if the framework has to know of it.
    """

    @property
    def inputs(self) -> Mapping[str, Spec]:
        """What it takes, by the source's names, in order."""

    @property
    def outputs(self) -> Sequence[str]:
        """What it gives, by the source's names, in order."""

    @property
    def holder(self) -> Any:
        """See the class."""

    def __call__(self, *tensors: Any) -> list[Any]:
        """What it computes at inference."""


class Backend(Protocol):
    """What a function runs on, and what converts it there."""

    @property
    def versions(self) -> tuple[str, str]:
        """Of the framework, and of the converter."""

    def convert(self, job: Job) -> Mapping[str, Spec]:
        """Write the ONNX model, and say what it takes. It calls things as the source does."""

    def run(self, feed: Feed) -> list[Array]:
        """What the function computes."""

    def tried(self, feed: Feed) -> list[Array] | None:
        """The same for what it may refuse; None if it does, or if it is not known to."""


@dataclass(frozen=True, slots=True)
class Source:
    """A function and what is known of where it is from.

    ``library`` has a name and version, and precedes the framework's. ``variables`` are those that
    running it may change, with ``numpy`` and ``assign``; ``random`` are the layers that may draw
    random numbers.
    """

    function: Function
    library: str = ""
    statistics: Sequence[Statistics] = ()
    variables: Sequence[Any] = ()
    random: Sequence[str] = ()


def product(source: Source, backend: Callable[[Function], Backend], job: Job) -> Product:
    """Convert a function, which is left as it was.

    Raises:
        Unconvertible: no sound ONNX model can be made of it.
        BadCall: an input that is to be frozen is none of its.
    """
    function = frozen(source.function, job.freeze)
    at = backend(function)
    with _unchanged(source.variables):
        _require_inference(source, function, at, job)
        taken = at.convert(job)
        references = [
            write_reference(job, number, feed, dict(zip(function.outputs, found, strict=True)))
            for number, (feed, found) in enumerate(_runs(at, job, taken))
        ]
    framework, converter = at.versions
    return Product(
        f"{source.library} on {framework}" if source.library else framework,
        converter,
        [Port(name, name) for name in function.inputs],
        [Port(name, name) for name in function.outputs],
        references,
        statistics=source.statistics,
        declares_normalisation=bool(source.statistics),
        warnings=_fixed(function.inputs, taken),
    )


def _runs(
    at: Backend, job: Job, taken: Mapping[str, Spec]
) -> Iterator[tuple[Feed, Sequence[Array]]]:
    """What the function computes of the samples, and of whatever else it gives numbers for."""
    for feed in sample_inputs(job, taken):
        yield feed, at.run(feed)
    further = further_inputs(job, taken)
    if further is None:
        return
    first, second = at.tried(further), at.tried(further)
    if first is None or second is None or not all(map(_equal, first, second)):
        return
    if all(map(has_numbers_alone, first)):
        yield further, first


@contextmanager
def _unchanged(variables: Sequence[Any]) -> Iterator[None]:
    """Put back what running a model may change."""
    before = [np.array(variable.numpy()) for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)


def _require_inference(source: Source, function: Function, at: Backend, job: Job) -> None:
    """Refuse a model that is not what it is at inference: it draws random numbers, or learns."""
    feed = next(sample_inputs(job, function.inputs))
    before = [np.array(variable.numpy()) for variable in source.variables]
    first = at.run(feed)
    changed = []
    for variable, value in zip(source.variables, before, strict=True):
        name = str(getattr(variable, "path", variable.name))
        if not _SEED.search(name) and not _equal(variable.numpy(), value):
            changed.append(name)
            variable.assign(value)  # Or what it computes next may differ for that alone.
    is_random = not all(map(_equal, first, at.run(feed)))
    drawing = (source.random or [""]) if is_random else []
    lints = [*_live_norms(source, changed), *map(draws, drawing)]
    if changed:
        text = f"the model changes {changed[0]!r} at inference"
        if not lints:
            raise Unconvertible(text, hint=_KEEPS_STATE)
        raise LeftInTraining(text, lints, hint=_KEEPS_STATE)
    if is_random:
        where = f": see {', '.join(source.random)}" if source.random else ""
        text = f"the model draws random numbers at inference{where}"
        raise LeftInTraining(text, lints, hint=_LEFT_ON)


def _live_norms(source: Source, changed: Iterable[str]) -> Iterator[Warned]:
    """The normalisations that own variables which a run has changed."""
    parts = {part for name in changed for part in name.split("/")}
    names = (norm.name for norm in source.statistics)
    return (normalises_by_batch(name) for name in names if name.rpartition("/")[2] in parts)


def _equal(first: Array, second: Array) -> bool:
    return np.array_equal(first, second, equal_nan=first.dtype.kind == "f")


def _fixed(asked: Mapping[str, Spec], taken: Mapping[str, Spec]) -> Sequence[Warned]:
    return [
        Warned(
            "FIXED_SIZES",
            name,
            f"the input {name!r} takes arrays of {_shown(taken[name])} only: the exporter could"
            " not leave its other sizes open",
        )
        for name in asked
        if tuple(asked[name].sizes) != tuple(taken[name].sizes)
    ]


def _shown(spec: Spec) -> str:
    """Its sizes; a question mark is any."""
    return "x".join("?" if size is None else str(size) for size in spec.sizes)
