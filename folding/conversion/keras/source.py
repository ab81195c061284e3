"""A live Keras model, and all that there is to know of it."""

from __future__ import annotations

from typing import Any

from folding.conversion.function import Source
from folding.conversion.job import Job
from folding.conversion.keras.flat import flattened
from folding.conversion.keras.layers import all_layers, is_told, states
from folding.conversion.keras.statistics import statistics

#: Parts of the names of layers that draw random numbers.
_RANDOM = ("Dropout", "Noise", "Random")


def source(library: Any, model: Any, job: Job) -> Source:
    """What is to be converted of a model of a library.

    Raises:
        BadCall: it was never called, or has no such output.
    """
    return Source(
        flattened(library, model, job.outputs),
        f"Keras {library.__version__}",
        statistics(library, model, job),
        [*model.non_trainable_variables, *states(model)],
        _random(model),
    )


def _random(model: Any) -> list[str]:
    """The layers that may draw: of several those that were told to train."""
    layers = [layer for layer in all_layers(model) if _is_random(layer)]
    told = [layer for layer in layers if is_told(layer)]
    return [str(layer.name) for layer in told or layers]


def _is_random(layer: Any) -> bool:
    return any(part in type(layer).__name__ for part in _RANDOM)
