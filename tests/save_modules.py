"""Save modules of TensorFlow 2, and a graph of TensorFlow 1: ``python save_modules.py FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import tensorflow as tf

X = tf.TensorSpec((None, 4), tf.float32, name="x")
FLAG = tf.TensorSpec((), tf.bool, name="scaled")


class Normalised(tf.Module):  # type: ignore[misc]
    """A dense layer and its batch norm, written by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = tf.Variable(tf.random.normal((4, 3), seed=1), name="weight")
        self.mean = tf.Variable([0.1, 0.2, 0.3], name="norm/moving_mean")
        self.variance = tf.Variable([0.5, 1.5, 2.5], name="norm/moving_variance")

    def call(self, x: Any) -> Any:
        """Inference."""
        return (x @ self.weight - self.mean) / tf.sqrt(self.variance + 1e-3)

    def flagged(self, x: Any, scaled: Any) -> Any:
        """Inference that may be asked to leave the statistics out."""
        return tf.where(scaled, self.call(x), x @ self.weight)


def _simple(folder: Path) -> None:
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, (None, 4), name="X")
        training = v1.placeholder_with_default(False, (), name="training")
        weight = v1.get_variable("w", (4, 3))
        mean = v1.get_variable("norm/moving_mean", (3,))
        variance = v1.get_variable("norm/moving_variance", (3,), initializer=v1.ones_initializer())
        dense = x @ weight
        live = v1.cond(
            training,
            lambda: tf.nn.moments(dense, [0]),
            lambda: (tf.identity(mean), tf.identity(variance)),
        )
        y = tf.identity(tf.nn.batch_normalization(dense, *live, None, None, 1e-3), name="Y")
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(folder), {"X": x}, {"Y": y})


def main(folder: Path) -> None:
    """Save one of each."""
    module = Normalised()
    served = tf.function(module.call, [X])
    signatures: dict[str, Any] = {
        "served": served,
        "other": {"predict": served},
        "flagged": tf.function(module.flagged, [X, FLAG]),
        "many": {"first": served, "second": served},
        "silent": None,
    }
    for name, chosen in signatures.items():
        tf.saved_model.save(module, str(folder / name), signatures=chosen)
    _simple(folder / "simple")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
