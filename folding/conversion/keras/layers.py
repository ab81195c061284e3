"""The layers of a Keras model, and what they were called with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from inspect import signature
from typing import Any

from folding.conversion.keras.nested import leaves


def all_layers(model: Any) -> Iterator[Any]:
    """Every layer of a model that is none itself, once each."""
    yield from model._flatten_layers(include_self=False)  # noqa: SLF001 - wrappers list no layers.


def states(model: Any) -> list[Any]:
    """The variables in which recurrent layers keep what the next batch begins with."""
    kept = (getattr(layer, "states", None) for layer in all_layers(model) if is_stateful(layer))
    return [state for each in kept for _, state in leaves(each) if hasattr(state, "assign")]


def is_stateful(layer: Any) -> bool:
    """Whether a layer keeps something for each row of a batch."""
    return bool(getattr(layer, "stateful", False))


def is_told_to_train(model: Any) -> bool:
    """Whether a layer was called with ``training=True``, and not only does so if nobody says."""
    return any(is_told(layer) for layer in all_layers(model) if not _trains_untold(layer))


def is_told(layer: Any) -> bool:
    """Whether a layer was called with ``training=True``."""
    return any(arguments.get("training") is True for arguments in _given(layer))


def _given(layer: Any) -> Iterator[Mapping[str, Any]]:
    """What a layer was called with by name each time: Keras 3 and Keras 2 keep it elsewhere."""
    for node in getattr(layer, "_inbound_nodes", ()):
        arguments = getattr(node, "arguments", None)
        yield node.call_kwargs if arguments is None else arguments.kwargs


def _trains_untold(layer: Any) -> bool:
    """Whether a layer, as one that augments images, trains unless it is told not to."""
    training = signature(layer.call).parameters.get("training")
    return training is not None and training.default is True
