"""Programs that people write with Keras, each trained on the digits for a moment, and saved.

Run as ``python keras_programs.py keras FOLDER``, or with ``tf_keras`` for Keras 2: one process
trains all. A program becomes ``<name>.keras``, ``<name>.h5``, the SavedModel ``<name>`` and, of
Keras 3, ``<name>.tflite``.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: A library to the layers of a sequential model, the input the first.
Program = Callable[[Any], list[Any]]

IMAGE = (8, 8, 1)
STEPS, BATCH = 24, 48
#: A file of this cannot be loaded again, by a fault of Keras 2; a SavedModel can.
VIRTUAL = "virtual_batch_size"


def _adjusted(shape: Any) -> tuple[Any, Any]:
    """A random scale and shift in training, as in the documentation of Keras 2."""
    import tensorflow as tf

    ones = [shape[0], *[1] * (shape.shape[0] - 2), shape[-1]]
    return tf.random.uniform(ones, 0.93, 1.07), tf.random.uniform(ones, -0.1, 0.1)


#: Arguments of batch normalisation, by what they show.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "momentum_epsilon": {"momentum": 0.5, "epsilon": 0.1},
    "no_center": {"center": False},
    "no_scale": {"scale": False},
    "neither": {"center": False, "scale": False},
    "initializers": {
        "beta_initializer": "random_normal",
        "gamma_initializer": "random_uniform",
        "moving_mean_initializer": "random_normal",
        "moving_variance_initializer": "ones",
    },
    "regularized": {
        "beta_regularizer": "l2",
        "gamma_regularizer": "l2",
        "beta_constraint": "unit_norm",
        "gamma_constraint": "non_neg",
    },
    "synchronized": {"synchronized": True},
    "renorm": {"renorm": True, "renorm_clipping": {"rmax": 3.0, "rmin": 0.3, "dmax": 5.0}},
    "renorm_momentum": {"renorm": True, "renorm_momentum": 0.9},
}
#: Those that only Keras 2 has.
ARGUMENTS_2: dict[str, dict[str, Any]] = {
    "not_fused": {"fused": False},
    "fused": {"fused": True},
    "adjustment": {"fused": False, "adjustment": _adjusted},
    VIRTUAL: {VIRTUAL: 8},
}


def _norm(library: Any, **own: Any) -> Any:
    """A batch normalisation that starts from other than 1 and 0, and learns fast."""
    near = library.initializers.RandomUniform
    chosen = {
        "momentum": 0.8,
        "gamma_initializer": near(0.6, 1.4, seed=1),
        "beta_initializer": near(-0.4, 0.4, seed=2),
    }
    return library.layers.BatchNormalization(**{**chosen, **own})


def dense_elu(library: Any) -> list[Any]:
    """Dense, batch norm with a momentum, ELU, twice."""
    layers = library.layers
    hidden = [
        layer
        for _ in range(2)
        for layer in (layers.Dense(100), _norm(library, momentum=0.9), layers.Activation("elu"))
    ]
    return [library.Input((64,), name="image"), *hidden, layers.Dense(10)]


def _network(library: Any, order: str, **own: Any) -> list[Any]:
    layers, ordered = library.layers, {"data_format": order}
    shape = IMAGE if order == "channels_last" else (1, 8, 8)
    axis = -1 if order == "channels_last" else 1
    return [
        library.Input(shape, name="image"),
        layers.Conv2D(8, 3, bias_initializer="random_normal", **ordered),
        _norm(library, axis=axis, **own),
        layers.Activation("relu"),
        layers.Conv2D(6, 3, padding="same", use_bias=False, **ordered),
        _norm(library, axis=axis, **own),
        layers.Activation("relu"),
        layers.Dropout(0.3),
        layers.Flatten(**ordered),
        layers.Dense(10),
    ]


def channels_last(library: Any) -> list[Any]:
    """Conv2D, batch norm, Dropout, Flatten."""
    return _network(library, "channels_last")


def channels_first(library: Any) -> list[Any]:
    """The same along axis 1: Flatten has to change the order."""
    return _network(library, "channels_first")


def _pooled(library: Any, pool: Any) -> list[Any]:
    layers = library.layers
    return [
        library.Input(IMAGE, name="image"),
        layers.Conv2D(8, 3, bias_initializer="random_normal"),
        pool,
        _norm(library),
        layers.Activation("relu"),
        layers.Flatten(),
        layers.Dense(10),
    ]


def average_pooling(library: Any) -> list[Any]:
    """Conv2D, pooling, batch norm on (batch, height, width, channels)."""
    return _pooled(library, library.layers.AveragePooling2D(2))


def max_pooling(library: Any) -> list[Any]:
    """The same with a maximum, which lets scales pass that are not negative."""
    return _pooled(library, library.layers.MaxPooling2D(2))


def one_axis_for_another(library: Any) -> list[Any]:
    """Batch norm along the height of what has its channels last."""
    layers = library.layers
    return [
        library.Input(IMAGE, name="image"),
        layers.Conv2D(8, 3),
        _norm(library, axis=1),
        layers.Flatten(),
        layers.Dense(10),
    ]


def separable(library: Any) -> list[Any]:
    """Depthwise, separable and transposed convolutions, each before its batch norm."""
    layers = library.layers
    return [
        library.Input(IMAGE, name="image"),
        layers.Conv2D(4, 3),
        layers.DepthwiseConv2D(3, padding="same", use_bias=False),
        _norm(library),
        layers.Activation("relu"),
        layers.SeparableConv2D(6, 3, padding="same"),
        _norm(library),
        layers.Activation("relu"),
        layers.Conv2DTranspose(5, 2, strides=2),
        _norm(library),
        layers.GlobalAveragePooling2D(),
        layers.Dense(10),
    ]


def grouped(library: Any) -> list[Any]:
    """A convolution in groups, which Keras has compiled as a whole."""
    layers = library.layers
    return [
        library.Input(IMAGE, name="image"),
        layers.Conv2D(4, 3),
        layers.Conv2D(6, 3, groups=2, bias_initializer="random_normal"),
        _norm(library),
        layers.Flatten(),
        layers.Dense(10),
    ]


def _with(arguments: dict[str, Any]) -> Program:
    return lambda library: _network(library, "channels_last", **arguments)


PROGRAMS: dict[str, Program] = {
    **{p.__name__: p for p in (dense_elu, channels_last, channels_first, average_pooling)},
    **{p.__name__: p for p in (max_pooling, one_axis_for_another, separable, grouped)},
    **{name: _with(own) for name, own in ARGUMENTS.items()},
}
PROGRAMS_2: dict[str, Program] = {
    **PROGRAMS,
    **{name: _with(own) for name, own in ARGUMENTS_2.items()},
}


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
    for layer in (layers.LSTM(4, name="recurrent"), layers.Conv1D(4, 3, name="open")):
        words = library.Input((None, 3), name="words")
        last = layers.Dense(2)(_norm(library)(layer(words)))
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
        "norm_on": lambda image: _norm(library)(layers.Conv2D(4, 3)(image), training=True),
        "lambda": layers.Lambda(lambda tensor: tensor * 2, name="twice"),
        "odd": Odd(),
        "two": lambda image: {
            "wide": layers.Dense(3, name="a")(image),
            "narrow": _norm(library, name="b")(layers.Conv2D(4, 3)(image)),
        },
        "shared": lambda image: _shared(library, image),
        **({} if library.__name__ == "tf_keras" else _of_keras_3(library)),
    }


def _shared(library: Any, image: Any) -> list[Any]:
    """Three outputs of one layer, and one of a layer that is called like the second."""
    layers = library.layers
    norm, other = _norm(library, name="n"), _norm(library, name="n_1")
    shared = [norm(layers.Conv2D(4, 3)(image)) for _ in range(3)]
    return [*shared[:2], other(layers.Conv2D(4, 3)(image)), shared[2]]


def _of_keras_3(library: Any) -> dict[str, Callable[[Any], Any]]:
    """Operators, and a name, that Keras 2 has not."""
    layers = library.layers

    def attention(image: Any) -> list[Any]:
        words = layers.Reshape((8, 8))(image)
        words = layers.LayerNormalization()(layers.MultiHeadAttention(2, 4)(words, words))
        words = _norm(library)(layers.Dense(6)(layers.Dense(16, activation="gelu")(words)))
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
