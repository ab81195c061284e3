"""Networks as people write them with TensorFlow 1: each from the module, an input and a flag."""

from __future__ import annotations

from typing import Any

import numpy as np

_CLASSES = 10


def _net(tf: Any, hidden: Any) -> Any:
    flat = tf.compat.v1.layers.flatten(hidden) if len(hidden.shape) > 2 else hidden
    return tf.compat.v1.layers.dense(flat, _CLASSES, name="logits")


def dnn(tf: Any, x: Any, training: Any, *, momentum: float = 0.99, normalise: bool = True) -> Any:
    he_init = tf.compat.v1.variance_scaling_initializer()
    hidden = tf.compat.v1.layers.dense(x, 100, kernel_initializer=he_init, name="hidden1")
    if normalise:
        hidden = tf.compat.v1.layers.batch_normalization(
            hidden, momentum=momentum, training=training
        )
    return _net(tf, tf.nn.elu(hidden, name="hidden1_out"))


def batch_norm(tf: Any, inputs: Any, training: Any, momentum: float, epsilon: float) -> Any:
    """Moments, moving averages of them, and a tf.cond between both."""
    channels = inputs.get_shape()[-1]
    beta = tf.compat.v1.Variable(tf.zeros([channels]), name="beta")
    gamma = tf.compat.v1.Variable(tf.ones([channels]), name="gamma")
    batch_mean, batch_var = tf.compat.v1.nn.moments(inputs, [0, 1, 2], keepdims=False)
    ema = tf.train.ExponentialMovingAverage(momentum)

    def ema_apply() -> Any:
        with tf.control_dependencies([ema.apply([batch_mean, batch_var])]):
            return tf.identity(batch_mean), tf.identity(batch_var)

    mean, var = tf.cond(
        training, ema_apply, lambda: (ema.average(batch_mean), ema.average(batch_var))
    )
    return tf.nn.batch_normalization(inputs, mean, var, beta, gamma, epsilon)


def conv_layer(tf: Any, x: Any, training: Any, *, momentum: float = 0.9) -> Any:
    conv = tf.compat.v1.layers.conv2d(x, 8, 3, padding="same")
    return _net(tf, tf.nn.relu(batch_norm(tf, conv, training, momentum, 1e-5)))


def layer(tf: Any, x: Any, training: Any, *, bias: bool = True, **arguments: Any) -> Any:
    conv = tf.compat.v1.layers.conv2d(x, 8, 3, use_bias=bias)
    norm = tf.compat.v1.layers.batch_normalization(conv, training=training, **arguments)
    return _net(tf, tf.nn.relu(norm))


def two_layers(tf: Any, x: Any, training: Any) -> Any:
    for number, filters in enumerate((6, 8)):
        with tf.compat.v1.variable_scope(f"block{number}"):
            x = tf.compat.v1.layers.conv2d(x, filters, 3, padding="same", use_bias=False)
            x = tf.compat.v1.layers.batch_normalization(x, training=training)
            x = tf.nn.relu(x)
            x = tf.compat.v1.layers.dropout(x, 0.2, training=training)
    return _net(tf, x)


def pooled(tf: Any, x: Any, training: Any, *, pool: str) -> Any:
    conv = tf.compat.v1.layers.conv2d(x, 8, 3, padding="same")
    down = getattr(tf.compat.v1.layers, f"{pool}_pooling2d")(conv, 2, 2)
    norm = tf.compat.v1.layers.batch_normalization(down, training=training)
    return _net(tf, tf.nn.relu(norm))


def dropped(tf: Any, x: Any, training: Any, *, live: bool = False) -> Any:
    hidden = tf.compat.v1.layers.dense(x, 40)
    norm = tf.nn.elu(tf.compat.v1.layers.batch_normalization(hidden, training=training))
    return _net(tf, tf.compat.v1.layers.dropout(norm, 0.3, training=live or training))


def _parameters(tf: Any, channels: int) -> list[Any]:
    """Gamma, beta and, as if they had been measured, mean and variance."""
    get = tf.compat.v1.get_variable
    draws = np.random.default_rng(3).uniform(0.4, 1.6, (4, channels)).astype(np.float32)
    with tf.compat.v1.variable_scope("norm"):
        return [
            get(name, initializer=draw, trainable=name in {"gamma", "beta"})
            for name, draw in zip(("gamma", "beta", "mean", "variance"), draws, strict=True)
        ]


def _formula(tf: Any, x: Any, kind: str) -> Any:
    gamma, beta, mean, variance = _parameters(tf, int(x.shape[-1]))
    if kind == "batch_normalization":
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)
    if kind == "fused":
        fused = tf.compat.v1.nn.fused_batch_norm
        return fused(x, gamma, beta, mean, variance, 1e-2, is_training=False)[0]
    if kind == "global":
        normalise = tf.compat.v1.nn.batch_norm_with_global_normalization
        return normalise(x, mean, variance, beta, gamma, 1e-3, scale_after_normalization=True)
    if kind == "unscaled":
        return tf.nn.batch_normalization(x, mean, variance, beta, None, 1e-4)
    centred = x - mean
    if kind == "hand":
        return gamma * centred / tf.sqrt(variance + 1e-5) + beta
    if kind == "squared":
        return gamma * (centred / tf.sqrt(variance**2 + 1e-5)) + beta
    return gamma * centred / (tf.sqrt(variance) + 1e-3) + beta


def formula(tf: Any, x: Any, training: Any, *, kind: str, dense: bool = False) -> Any:
    layers = tf.compat.v1.layers
    linear = layers.dense(x, 20) if dense else layers.conv2d(x, 8, 3)
    return _net(tf, tf.nn.relu(_formula(tf, linear, kind)))
