"""Small graphs of TensorFlow 1, saved as a program would save them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

#: Names tensors after adding them to the default graph, given TensorFlow 1's side of the module.
Build = Callable[[Any], None]


def saved_meta(folder: Path, build: Build, *, functional: bool = False) -> Path:
    """The .meta of a graph, beside a checkpoint of its variables as they begin."""
    import tensorflow as tf  # noqa: PLC0415

    v1 = tf.compat.v1
    with _control_flow(v1, functional=functional), tf.Graph().as_default(), v1.Session() as session:
        build(tf)
        if not v1.global_variables():
            tf.compat.v1.Variable(0.0, name="unused")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(folder / "model.ckpt"))
    return folder / "model.ckpt.meta"


def saved_graph(folder: Path, build: Build, *, functional: bool = False) -> Path:
    """The .pb of a graph without variables."""
    import tensorflow as tf  # noqa: PLC0415

    with _control_flow(tf.compat.v1, functional=functional), tf.Graph().as_default() as graph:
        build(tf)
    path = folder / "graph.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def input_x(tf: Any, *shape: int | None) -> Any:
    """The input X, of rows of four numbers unless another shape is given."""
    return tf.compat.v1.placeholder(tf.float32, shape or (None, 4), "X")


def flag(tf: Any, name: str = "training", *, default: bool | None = None) -> Any:
    """A training flag."""
    if default is None:
        return tf.compat.v1.placeholder(tf.bool, (), name)
    return tf.compat.v1.placeholder_with_default(default, (), name)


def dense(tf: Any, x: Any, units: int = 3, seed: int = 0) -> Any:
    """A layer with variables that are not trivial."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(int(x.shape[-1]), units)).astype(np.float32)
    kernel = tf.compat.v1.get_variable(f"kernel{seed}", initializer=weight)
    bias = tf.compat.v1.get_variable(f"bias{seed}", initializer=weight[0])
    return tf.matmul(x, kernel) + bias


@contextmanager
def _control_flow(v1: Any, *, functional: bool) -> Iterator[None]:
    """Make If nodes and resource variables, or Switch nodes and references."""
    was_functional, had_resources = v1.control_flow_v2_enabled(), v1.resource_variables_enabled()
    _enable(v1, functional, functional)
    try:
        yield
    finally:
        _enable(v1, was_functional, had_resources)


def _enable(v1: Any, functional: Any, resources: Any) -> None:
    (v1.enable_control_flow_v2 if functional else v1.disable_control_flow_v2)()
    (v1.enable_resource_variables if resources else v1.disable_resource_variables)()
