"""SavedModels of TensorFlow 2 that take a training flag."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from folding.conversion.job import MODEL, Job, Kind, Product
from folding.errors import Unconvertible

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]


def converted(source: Path, folder: Path, **freeze: Any) -> Product:
    from folding.conversion.routes import saved_model  # noqa: PLC0415

    folder.mkdir()
    return saved_model.run(Job(source, Kind.SAVED_MODEL, folder, freeze=freeze))


def saved(folder: Path, *, learns: bool) -> Path:
    """A dense layer and a batch normalisation, which may learn where its flag is set."""
    import tensorflow as tf  # noqa: PLC0415

    rng = np.random.default_rng(0)
    module = tf.Module()
    module.weight = tf.Variable(rng.normal(size=(4, 5)).astype(np.float32))
    module.mean = tf.Variable(rng.normal(size=5).astype(np.float32))
    module.variance = tf.Variable(rng.uniform(0.3, 2, 5).astype(np.float32))
    shift = tf.constant(rng.normal(size=5).astype(np.float32))

    def normed(hidden: Any, mean: Any, variance: Any) -> Any:
        return tf.nn.batch_normalization(hidden, mean, variance, shift, None, 1e-3)

    def trained(hidden: Any) -> Any:
        mean, variance = tf.nn.moments(hidden, [0])
        if learns:
            module.mean.assign(0.9 * module.mean + 0.1 * mean)
        return normed(hidden, mean, variance)

    def served(x: Any, training: Any) -> Any:
        hidden = x @ module.weight
        taken = lambda: normed(hidden, module.mean, module.variance)  # noqa: E731
        return {"out": tf.cond(training, lambda: trained(hidden), taken)}

    specs = [tf.TensorSpec((None, 4), tf.float32, "x"), tf.TensorSpec((), tf.bool, "training")]
    signature = tf.function(served, input_signature=specs)
    tf.saved_model.save(module, str(folder), signatures=signature)
    return folder


@pytest.mark.parametrize("learns", [False, True])
def test_the_side_of_a_frozen_flag_is_taken(*, learns: bool, tmp_path: Path) -> None:
    """Whatever the other side does, even to variables, and nothing is left to decide."""
    product = converted(saved(tmp_path / "saved", learns=learns), tmp_path / "made", training=False)
    assert [port.graph for port in product.inputs] == ["x"]
    assert [port.graph for port in product.outputs] == ["out"]
    model = tmp_path / "made" / MODEL
    assert "If" not in {node.op_type for node in onnx.load(model).graph.node}
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    for name in product.references:
        with np.load(tmp_path / "made" / name) as file:
            (found,) = session.run(["out"], {"x": file["in_x"]})
            np.testing.assert_allclose(found, file["out_out"], rtol=1e-4, atol=1e-5)


def test_a_flag_that_has_to_be_frozen_is_named(tmp_path: Path) -> None:
    """TensorFlow freezes no variable that a side assigns to."""
    with pytest.raises(Unconvertible, match="cannot freeze the model") as raised:
        converted(saved(tmp_path / "saved", learns=True), tmp_path / "made")
    assert raised.value.hint == "If 'training' is a training flag, give --freeze training=false."
