"""From a live Keras model to a product, on whichever backend it lives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from folding.convert.job import Job, Port, Product
from folding.convert.keras.flat import Flat, flattened
from folding.convert.keras.statistics import all_layers, statistics
from folding.convert.samples import Array, Feed, Spec, sample_inputs, write_reference
from folding.errors import Unconvertible
from folding.plan import Warned

#: Parts of the names of layers that draw random numbers.
_RANDOM = ("Dropout", "Noise", "Random")


class Backend(Protocol):
    """What a model runs on, and what converts it there."""

    flat: Flat

    @property
    def versions(self) -> tuple[str, str]:
        """Of the framework, and of the converter."""

    def convert(self, job: Job) -> Mapping[str, Spec]:
        """Write the ONNX model, and say what it takes."""

    def run(self, feed: Feed) -> list[Array]:
        """What the model computes at inference."""


def converted(library: Any, model: Any, backend: type[Any], job: Job) -> Product:
    """The product of a model of ``library``, which is left as it was.

    Raises:
        Unconvertible: no sound ONNX model can be made of it.
        BadCall: it has no such output.
    """
    flat = flattened(library, model, job.outputs)
    found = statistics(library, model, job)
    at: Backend = backend(flat)
    with _unchanged(model):
        _require_repeatable(model, at, job)
        taken = at.convert(job)
        references = [
            write_reference(job, number, feed, dict(zip(flat.outputs, at.run(feed), strict=True)))
            for number, feed in enumerate(sample_inputs(job, taken))
        ]
    framework, converter = at.versions
    return Product(
        f"Keras {library.__version__} on {framework}",
        converter,
        [Port(name, name) for name in flat.inputs],
        [Port(name, name) for name in flat.outputs],
        references,
        statistics=found,
        declares_normalisation=bool(found),
        warnings=_fixed(flat.inputs, taken),
    )


@contextmanager
def _unchanged(model: Any) -> Iterator[None]:
    """Put back what a layer called with ``training=True`` changes when it is run."""
    before = [(each, each.numpy()) for each in model.non_trainable_variables]
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)


def _require_repeatable(model: Any, at: Backend, job: Job) -> None:
    """Refuse a model that draws random numbers at inference: no two runs of it agree."""
    feed = next(sample_inputs(job, at.flat.inputs))
    for first, second in zip(at.run(feed), at.run(feed), strict=True):
        if not np.array_equal(first, second, equal_nan=first.dtype.kind == "f"):
            names = [layer.name for layer in all_layers(model) if _is_random(layer)]
            raise Unconvertible(
                f"the model draws random numbers at inference, in one of {', '.join(names)}"
                if names
                else "the model draws random numbers at inference",
                hint="Call its dropout and noise layers without training=True, and save it again.",
            )


def _is_random(layer: Any) -> bool:
    return any(part in type(layer).__name__ for part in _RANDOM)


def _fixed(asked: Mapping[str, Spec], taken: Mapping[str, Spec]) -> Sequence[Warned]:
    return [
        Warned(
            "FIXED_SIZES",
            name,
            f"the input {name!r} takes arrays of {'x'.join(map(str, taken[name].shape))} only:"
            " the exporter could not leave its other sizes open",
        )
        for name in asked
        if tuple(asked[name].shape) != tuple(taken[name].shape)
    ]
