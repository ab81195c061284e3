"""What Keras 2 finds is judged, whichever names a description has for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from folding.conversion.keras.found import judging

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def keras() -> Any:
    return pytest.importorskip("tf_keras")


def finds(found: Any, class_name: str) -> Any:
    """What comes of a part of a description for which Keras finds something."""
    retrieve = judging(lambda *_, **__: found)
    return retrieve("name", None, "module", full_config={"class_name": class_name})


@pytest.mark.parametrize(
    ("find", "class_name"),
    [
        (lambda keras: keras.layers.Dense, "Dense"),
        (lambda keras: keras.layers.BatchNormalization, "Custom>BatchNormalization"),
        (lambda keras: keras.layers.Lambda, "Lambda"),
        (lambda keras: keras.activations.relu, "function"),
    ],
)
def test_classes_and_functions_of_keras_are_taken(
    keras: Any, find: Callable[[Any], Any], class_name: str
) -> None:
    """A Lambda by its own name was seen before."""
    assert finds(find(keras), class_name) is find(keras)


@pytest.mark.parametrize(
    ("find", "class_name"),
    [
        (lambda keras: keras.layers.Lambda, "__typespec__"),
        (lambda keras: keras.layers.Lambda, "Dense"),
        (lambda keras: keras.models.model_from_json, "model_from_json"),
        (lambda keras: keras.models.load_model, "function"),
        (lambda keras: keras.activations.get, "function"),
        (lambda keras: keras.activations.relu, "relu"),
        (lambda keras: keras.utils.get_file, "function"),
        (lambda _: exec, "function"),
        (lambda _: os.system, "function"),
        (lambda _: os._Environ, "_Environ"),
        (lambda _: os, "function"),
    ],
)
def test_whatever_else_is_found_is_not(
    keras: Any, find: Callable[[Any], Any], class_name: str
) -> None:
    """A function that stands for a class, code by another name, and what is none of Keras'."""
    with pytest.raises(ValueError, match="unsafe deserialization"):
        finds(find(keras), class_name)


def test_types_of_tensors_are_taken(keras: Any) -> None:
    """They only describe them."""
    import tensorflow as tf  # noqa: PLC0415

    assert finds(tf.TensorSpec, "__typespec__") is tf.TensorSpec
