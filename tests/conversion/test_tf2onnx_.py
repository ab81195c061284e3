"""tf2onnx as it is used here: it folds nothing, and is heard when it gives up."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from folding.conversion.tf2onnx_ import convert_function
from folding.errors import BadCall, Unconvertible

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(2, 8, 8, 3)).astype(np.float32)


def constant(*shape: int) -> Any:
    return RNG.uniform(0.5, 1.5, shape).astype(np.float32)


KERNEL, GAMMA, BETA, MEAN, VARIANCE = constant(3, 3, 3, 4), *(constant(4) for _ in range(4))


def traced(function: Any) -> Any:
    """A concrete function of images, whose constants are variables."""
    import tensorflow as tf  # noqa: PLC0415

    wanted = tf.TensorSpec((None, 8, 8, 3), tf.float32, name="x")
    return tf.function(function, input_signature=[wanted]).get_concrete_function()


def fused(tf: Any, hidden: Any) -> Any:
    return tf.compat.v1.nn.fused_batch_norm(
        hidden, GAMMA, BETA, MEAN, VARIANCE, 1e-3, is_training=False
    )[0]


def written_out(tf: Any, hidden: Any) -> Any:
    return tf.nn.batch_normalization(hidden, MEAN, VARIANCE, BETA, GAMMA, 1e-3)


@pytest.mark.parametrize("has_bias", ["bias", ""])
@pytest.mark.parametrize(
    ("normalise", "operators"), [(fused, ["BatchNormalization"]), (written_out, ["Mul", "Add"])]
)
def test_a_normalisation_behind_a_convolution_stays(
    normalise: Any, operators: list[str], has_bias: str
) -> None:
    """Neither tf2onnx nor TensorFlow's own optimizer folds it, and the weights stay as they are."""
    import tensorflow as tf  # noqa: PLC0415

    kernel = tf.Variable(KERNEL)

    def network(x: Any) -> Any:
        hidden = tf.nn.conv2d(x, kernel, 1, "SAME")
        return normalise(tf, tf.nn.bias_add(hidden, BETA) if has_bias else hidden)

    model = convert_function(traced(network))
    found = [node.op_type for node in model.graph.node]
    assert found == ["Transpose", "Conv", *operators, "Transpose"]
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == conv.input[1])
    kept = onnx.numpy_helper.to_array(weight)
    np.testing.assert_array_equal(kept, KERNEL.transpose(3, 2, 0, 1))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (computed,) = session.run(None, {"x:0": IMAGES})
    np.testing.assert_allclose(computed, network(IMAGES), rtol=1e-4, atol=1e-5)


def test_the_rules_of_tf2onnx_are_only_lent() -> None:
    """Whoever uses tf2onnx in the same process besides finds it as it was."""
    import tensorflow as tf  # noqa: PLC0415
    from tf2onnx.optimizer import back_to_back_optimizer  # noqa: PLC0415

    rules = dict(back_to_back_optimizer._func_map)
    assert ("Conv", "BatchNormalization") in rules
    convert_function(traced(tf.nn.relu))
    assert back_to_back_optimizer._func_map == rules


def test_what_has_no_conversion_is_named() -> None:
    """Each operator once, with the name of its node."""
    import tensorflow as tf  # noqa: PLC0415

    def network(x: Any) -> Any:
        return tf.raw_ops.Betainc(a=x, b=x, x=tf.raw_ops.Igamma(a=x, x=x))

    with pytest.raises(Unconvertible) as raised:
        convert_function(traced(network))
    assert str(raised.value) == (
        "tf2onnx has no conversion for the Igamma 'Igamma', the Betainc 'Betainc'"
    )


@pytest.mark.parametrize("opset", [13, 18])
def test_the_opset_is_the_one_asked_for(opset: int) -> None:
    """One that tf2onnx writes."""
    import tensorflow as tf  # noqa: PLC0415

    model = convert_function(traced(tf.nn.relu), opset=opset)
    assert [entry.version for entry in model.opset_import if not entry.domain] == [opset]


@pytest.mark.parametrize("opset", [7, 8])
def test_weights_are_no_inputs_in_old_opsets(opset: int) -> None:
    """A caller could override an input, and nothing would be folded into it."""
    import tensorflow as tf  # noqa: PLC0415

    model = convert_function(traced(lambda x: tf.nn.conv2d(x, KERNEL, 1, "SAME")), opset=opset)
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.input] == ["x:0"]
    assert len(model.graph.initializer) > 0
    (computed,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x:0": IMAGES})
    expected = tf.nn.conv2d(IMAGES, KERNEL, 1, "SAME")
    np.testing.assert_allclose(computed, expected, rtol=1e-4, atol=1e-5)


def test_an_opset_that_is_not_written_is_refused() -> None:
    """Before anything is converted."""
    import tensorflow as tf  # noqa: PLC0415

    with pytest.raises(BadCall, match="does not write operator set 99") as raised:
        convert_function(traced(tf.nn.relu), opset=99)
    assert raised.value.hint == "Give one of 7 to 18, or leave the choice to tf2onnx."
