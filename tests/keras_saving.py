"""Train the programs of ``keras_programs`` on the digits for a moment, and save them.

Run as ``python keras_saving.py keras FOLDER``, or with ``tf_keras`` for Keras 2: one process trains
all. A program becomes ``<name>.keras``, ``<name>.h5``, the SavedModel ``<name>`` and, of Keras 3,
``<name>.tflite``.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_programs import IMAGE, PROGRAMS, PROGRAMS_2, norm

STEPS, BATCH = 24, 48


def _train(library: Any, model: Any, images: Any, digits: Any) -> None:
    """A few steps. TensorFlow's own kernels want the channels last, and no groups."""
    loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
    shape = model.input_shape[1:]
    jit = shape[0] == 1 or any(getattr(layer, "groups", 1) > 1 for layer in model.layers)
    model.compile(library.optimizers.Adam(0.01), loss, jit_compile=jit)
    count = STEPS * BATCH
    model.fit(images[:count].reshape(-1, *shape), digits[:count], batch_size=BATCH, verbose=0)


def _save(model: Any, folder: Path, name: str, *, legacy: bool) -> None:
    for suffix in (".keras", ".h5"):
        model.save(folder / f"{name}{suffix}")
    if legacy:
        model.save(folder / name, save_format="tf")
        return
    model.export(folder / name, verbose=False)
    model.export(folder / f"{name}.tflite", format="litert", verbose=False)


def main(library_name: str, folder: Path) -> None:
    """Train and save all programs, and what cannot be converted or not like that."""
    from sklearn.datasets import load_digits

    library, legacy = importlib.import_module(library_name), library_name == "tf_keras"
    library.utils.set_random_seed(7)
    images, digits = load_digits(return_X_y=True)
    images = (images / 16).astype("float32")
    for name, program in (PROGRAMS_2 if legacy else PROGRAMS).items():
        model = library.Sequential(program(library))
        _train(library, model, images, digits)
        _save(model, folder, name, legacy=legacy)
    for name, outputs in _odd(library).items():
        image = library.Input(IMAGE, name="image")
        model = library.Model(image, outputs(image))
        for suffix in (".keras", ".h5"):
            model.save(folder / f"{name}{suffix}")
        if legacy and name == "norm_on":
            model.save(folder / f"{name}.model", save_format="tf")
    layers = library.layers
    turned = layers.Bidirectional(layers.SimpleRNN(4), name="turned")
    for layer in (layers.LSTM(4, name="recurrent"), layers.Conv1D(4, 3, name="open"), turned):
        words = library.Input((None, 3), name="words")
        last = layers.Dense(2)(norm(library)(layer(words)))
        library.Model(words, last).save(folder / f"{layer.name}.keras")


def _odd(library: Any) -> dict[str, Callable[[Any], Any]]:
    """What has no ONNX that is sound, or needs the user's word."""
    layers = library.layers

    class Odd(layers.Layer):  # type: ignore[misc, name-defined]
        """A layer that nobody else has."""

        def call(self, tensor: Any) -> Any:
            return tensor + 1

    return {
        "dropout_on": lambda image: layers.Dropout(0.5, name="on")(image, training=True),
        "noise_on": lambda image: layers.GaussianNoise(0.5, name="loud")(image, training=True),
        "norm_on": lambda image: norm(library)(layers.Conv2D(4, 3)(image), training=True),
        "lambda": layers.Lambda(lambda tensor: tensor * 2, name="twice"),
        "odd": Odd(),
        "two": lambda image: {
            "wide": layers.Dense(3, name="a")(image),
            "narrow": norm(library, name="b")(layers.Conv2D(4, 3)(image)),
        },
        "shared": lambda image: _shared(library, image),
        **({} if library.__name__ == "tf_keras" else _of_keras_3(library)),
    }


def _shared(library: Any, image: Any) -> list[Any]:
    """Three outputs of one layer, and one of a layer that is called like the second."""
    layers = library.layers
    one, other = norm(library, name="n"), norm(library, name="n_1")
    shared = [one(layers.Conv2D(4, 3)(image)) for _ in range(3)]
    return [*shared[:2], other(layers.Conv2D(4, 3)(image)), shared[2]]


def _of_keras_3(library: Any) -> dict[str, Callable[[Any], Any]]:
    """Operators, and a name, that Keras 2 has not."""
    layers = library.layers

    def attention(image: Any) -> list[Any]:
        words = layers.Reshape((8, 8))(image)
        words = layers.LayerNormalization()(layers.MultiHeadAttention(2, 4)(words, words))
        words = norm(library)(layers.Dense(6)(layers.Dense(16, activation="gelu")(words)))
        return [words, library.ops.argmax(words, axis=-1)]

    spaced = layers.Dense(3, name="a b")
    return {"attention": attention, "left_over": library.ops.erfinv, "spaced": spaced}


if __name__ == "__main__":
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    os.environ |= (
        {"KERAS_BACKEND": "tensorflow", "TF_USE_LEGACY_KERAS": "1"}
        if (sys.argv[1] == "tf_keras")
        else {"KERAS_BACKEND": "tensorflow"}
    )
    main(sys.argv[1], Path(sys.argv[2]))
