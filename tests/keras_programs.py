"""Programs that people write with Keras; ``keras_saving`` trains and saves them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: A library to the layers of a sequential model, the input the first.
Program = Callable[[Any], list[Any]]

IMAGE = (8, 8, 1)
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


def norm(library: Any, **own: Any) -> Any:
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
        for layer in (layers.Dense(100), norm(library, momentum=0.9), layers.Activation("elu"))
    ]
    return [library.Input((64,), name="image"), *hidden, layers.Dense(10)]


def _network(library: Any, order: str, **own: Any) -> list[Any]:
    layers, ordered = library.layers, {"data_format": order}
    shape = IMAGE if order == "channels_last" else (1, 8, 8)
    axis = -1 if order == "channels_last" else 1
    return [
        library.Input(shape, name="image"),
        layers.Conv2D(8, 3, bias_initializer="random_normal", **ordered),
        norm(library, axis=axis, **own),
        layers.Activation("relu"),
        layers.Conv2D(6, 3, padding="same", use_bias=False, **ordered),
        norm(library, axis=axis, **own),
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
        norm(library),
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
        norm(library, axis=1),
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
        norm(library),
        layers.Activation("relu"),
        layers.SeparableConv2D(6, 3, padding="same"),
        norm(library),
        layers.Activation("relu"),
        layers.Conv2DTranspose(5, 2, strides=2),
        norm(library),
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
        norm(library),
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
