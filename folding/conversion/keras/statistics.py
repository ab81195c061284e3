"""The batch normalisations of a live Keras model."""

from __future__ import annotations

from typing import Any

from folding.conversion.job import Job, Statistics
from folding.conversion.keras.layers import all_layers
from folding.conversion.keras.steps import trained_steps
from folding.conversion.samples import write_statistics

#: What Keras calls the arrays of a layer, by our names for them.
_ARRAYS = {
    "mean": "moving_mean",
    "variance": "moving_variance",
    "gamma": "gamma",
    "beta": "beta",
}


def statistics(library: Any, model: Any, job: Job) -> list[Statistics]:
    """Those of each batch normalisation, in models within the model too."""
    layers = [layer for layer in all_layers(model) if _is_norm(library, layer)]
    steps = trained_steps(model, job) if layers else None
    return [_of(layer, job, number, steps) for number, layer in enumerate(layers)]


def _is_norm(library: Any, layer: Any) -> bool:
    return isinstance(layer, library.layers.BatchNormalization)


def _of(layer: Any, job: Job, number: int, steps: int | None) -> Statistics:
    """One of them. Statistics of a layer that is not trained are not averaged either."""
    found = {ours: getattr(layer, theirs, None) for ours, theirs in _ARRAYS.items()}
    arrays = {name: array.numpy() for name, array in found.items() if array is not None}
    file = write_statistics(job, number, arrays)
    return Statistics(
        str(layer.name),
        file,
        float(layer.epsilon),
        float(layer.momentum),
        steps=steps if layer.trainable else None,
    )
