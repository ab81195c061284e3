"""The classic programs of TensorFlow 1, each trained for a second on handwritten digits.

``python -m conversion.tf1.programs FOLDER`` writes for each a folder of its name with a checkpoint
and its .meta, a frozen graph, and what the program computes at inference, all by TensorFlow alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from conversion.tf1.networks import conv_layer, dnn, dropped, formula, layer, pooled, two_layers

# The layers of TensorFlow 1 live in tf_keras only, and the first import settles that.
os.environ |= {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}

_STEPS, _BATCH = 40, 100
#: What a training flag is.
DEFAULT, PLAIN, FIXED, LEFT_ON, CONSTANT = "default", "plain", "fixed", "left_on", "constant"

Build = Callable[[Any, Any, Any], Any]


@dataclass(frozen=True)
class Program:
    """A network from images or rows, and how it is trained and saved."""

    build: Build
    flag: str = DEFAULT
    updates: bool = True
    functional: bool = False
    flat: bool = False


PROGRAMS = {
    "dnn": Program(dnn, flat=True),
    "dnn_v2": Program(dnn, flat=True, functional=True),
    "dnn_plain": Program(dnn, PLAIN, flat=True),
    "dnn_plain_v2": Program(dnn, PLAIN, flat=True, functional=True),
    "dnn_fixed": Program(dnn, FIXED, flat=True),
    "dnn_noupdate": Program(dnn, updates=False, flat=True),
    "dnn_momentum": Program(partial(dnn, momentum=0.9), flat=True),
    "dnn_left_on": Program(dnn, LEFT_ON, flat=True),
    "dnn_literal": Program(partial(dnn, normalise=False), flat=True),
    "cond": Program(conv_layer),
    "cond_v2": Program(conv_layer, functional=True),
    "cond_plain": Program(conv_layer, PLAIN),
    "cond_plain_v2": Program(conv_layer, PLAIN, functional=True),
    "cond_constant": Program(conv_layer, CONSTANT),
    "cond_constant_v2": Program(conv_layer, CONSTANT, functional=True),
    "layer": Program(layer),
    "layer_v2": Program(layer, functional=True),
    "layer_nobias": Program(partial(layer, bias=False)),
    "layer_axis3": Program(partial(layer, axis=3)),
    "layer_axis1": Program(partial(layer, axis=1)),
    "layer_epsilon": Program(partial(layer, epsilon=0.1)),
    "layer_nocenter": Program(partial(layer, center=False)),
    "layer_noscale": Program(partial(layer, scale=False)),
    "layer_neither": Program(partial(layer, center=False, scale=False)),
    "layer_renorm": Program(partial(layer, renorm=True)),
    "layer_renorm_v2": Program(partial(layer, renorm=True), functional=True),
    "layer_unfused": Program(partial(layer, fused=False)),
    "layer_unfused_nobias": Program(partial(layer, fused=False, bias=False)),
    "layer_virtual": Program(partial(layer, virtual_batch_size=10)),
    "layer_virtual_fixed": Program(partial(layer, virtual_batch_size=10), FIXED),
    "layer_adjustment": Program(
        partial(layer, adjustment=lambda _: (np.float32(1.01), np.float32(0.01)))
    ),
    "two_layers": Program(two_layers),
    "two_layers_v2": Program(two_layers, functional=True),
    "maxpool": Program(partial(pooled, pool="max")),
    "avgpool": Program(partial(pooled, pool="average")),
    "dropout": Program(dropped, flat=True),
    "dropout_plain_v2": Program(dropped, PLAIN, flat=True, functional=True),
    "dropout_live": Program(partial(dropped, live=True), flat=True),
    "nn_batch_normalization": Program(partial(formula, kind="batch_normalization"), FIXED),
    "nn_unscaled": Program(partial(formula, kind="unscaled"), FIXED),
    "nn_fused": Program(partial(formula, kind="fused"), FIXED),
    "nn_global": Program(partial(formula, kind="global"), FIXED),
    "nn_dense": Program(partial(formula, kind="batch_normalization", dense=True), FIXED, flat=True),
    "hand": Program(partial(formula, kind="hand"), FIXED),
    "hand_squared": Program(partial(formula, kind="squared"), FIXED),
    "hand_outside": Program(partial(formula, kind="outside"), FIXED),
}


class _Graph:
    """A program's graph with the names that everybody gives: X, Y, training, y_proba, loss."""

    def __init__(self, tf: Any, program: Program, training: Any) -> None:
        v1 = tf.compat.v1
        self.x = v1.placeholder(tf.float32, (None, 64) if program.flat else (None, 8, 8, 1), "X")
        self.y = v1.placeholder(tf.int32, (None,), "Y")
        self.training = training
        logits = program.build(tf, self.x, training)
        self.proba = tf.nn.softmax(logits, name="y_proba")
        error = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=self.y, logits=logits)
        self.loss = tf.reduce_mean(error, name="loss")
        updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS) if program.updates else []
        with tf.control_dependencies(updates):
            self.step = v1.train.AdamOptimizer(0.01).minimize(
                self.loss, v1.train.get_or_create_global_step()
            )
        correct = tf.equal(tf.argmax(self.proba, 1, output_type=tf.int32), self.y)
        self.accuracy = tf.reduce_mean(tf.cast(correct, tf.float32), name="accuracy")


def _flag(tf: Any, kind: str) -> Any:
    if kind == CONSTANT:
        return tf.constant(True, name="training")
    if kind == DEFAULT:
        return tf.compat.v1.placeholder_with_default(False, (), name="training")
    if kind == PLAIN:
        return tf.compat.v1.placeholder(tf.bool, (), name="training")
    return True


def _is_fed(training: Any) -> bool:
    return not isinstance(training, bool) and training.op.type != "Const"


def _train(session: Any, graph: _Graph, rows: Any, labels: Any) -> None:
    rng = np.random.default_rng(0)
    flags = {graph.training: True} if _is_fed(graph.training) else {}
    for _ in range(_STEPS):
        chosen = rng.integers(len(rows), size=_BATCH)
        session.run(graph.step, {graph.x: rows[chosen], graph.y: labels[chosen], **flags})


def _save(tf: Any, folder: Path, program: Program, rows: Any, labels: Any) -> None:
    v1 = tf.compat.v1
    prefix = str(folder / "model.ckpt")
    tf.random.set_seed(1)
    with tf.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(1)
        graph = _Graph(tf, program, _flag(tf, program.flag))
        session.run(v1.global_variables_initializer())
        _train(session, graph, rows, labels)
        v1.train.Saver().save(session, prefix)
        if program.flag not in {FIXED, CONSTANT}:
            _write(tf, folder, session, graph, rows)
            return
    with tf.Graph().as_default(), v1.Session() as session:
        flag = tf.constant(False, name="training") if program.flag == CONSTANT else False
        graph = _Graph(tf, program, flag)
        saver = v1.train.Saver()
        saver.restore(session, prefix)
        saver.save(session, prefix)
        _write(tf, folder, session, graph, rows)


def _write(tf: Any, folder: Path, session: Any, graph: _Graph, rows: Any) -> None:
    """The frozen graph and what it computes."""
    flags = {graph.training: False} if _is_fed(graph.training) else {}
    values = session.run(graph.proba, {graph.x: rows[:5], **flags})
    np.savez(folder / "expected.npz", x=rows[:5], y=values)
    freeze = tf.compat.v1.graph_util.convert_variables_to_constants
    frozen = freeze(session, session.graph_def, ["y_proba"])
    (folder / "frozen.pb").write_bytes(frozen.SerializeToString())


def main(target: Path) -> None:
    """Train and save every program."""
    import tensorflow as tf  # noqa: PLC0415
    from sklearn.datasets import load_digits  # noqa: PLC0415

    rows, labels = load_digits(return_X_y=True)
    flat = (rows / 16).astype(np.float32)
    for name, program in PROGRAMS.items():
        (target / name).mkdir()
        if program.functional:
            tf.compat.v1.enable_control_flow_v2()
            tf.compat.v1.enable_resource_variables()
        else:
            tf.compat.v1.disable_control_flow_v2()
            tf.compat.v1.disable_resource_variables()
        images = flat if program.flat else flat.reshape(-1, 8, 8, 1)
        _save(tf, target / name, program, images, labels)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
