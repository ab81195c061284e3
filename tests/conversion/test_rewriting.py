"""Operators that tf2onnx has no conversion for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from folding.conversion.tf2onnx_ import convert_function
from folding.errors import Unconvertible

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]

INFINITY = np.inf
NUMBERS = np.array([[-INFINITY, -3, -1e-30, -0.0, 0.0, 1e-30, 0.5, 6, INFINITY]], np.float32)


def _converted(
    function: Callable[[Any], Any], numbers: Any = NUMBERS
) -> tuple[onnx.ModelProto, Any, Any]:
    """The model of a function of numbers, what it computes, and what TensorFlow does."""
    import tensorflow as tf  # noqa: PLC0415

    wanted = tf.TensorSpec((None, numbers.shape[1]), numbers.dtype, name="x")
    traced = tf.function(function, input_signature=[wanted]).get_concrete_function()
    model = convert_function(traced)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (ours,) = session.run(None, {"x:0": numbers})
    return model, ours, function(tf.constant(numbers)).numpy()


def _sign_bit(tf: Any, x: Any) -> Any:
    """As Keras writes it."""
    bits = tf.bitwise.bitwise_and(tf.bitcast(x, tf.int32), tf.constant(tf.int32.min))
    return tf.less(bits, 0)


@pytest.mark.parametrize("half_last", [False, True])
def test_the_complement_of_erf_in_gelu_is_computed(*, half_last: bool) -> None:
    """As 1 - Erf, wherever the half is."""
    import tensorflow as tf  # noqa: PLC0415

    def gelu(x: Any) -> Any:
        complement = tf.math.erfc(-x / tf.sqrt(tf.constant(2.0)))
        return x * (0.5 * complement) if half_last else 0.5 * x * complement

    for function in (gelu, lambda x: tf.nn.gelu(x, approximate=False)):
        model, ours, theirs = _converted(function, NUMBERS[:, 1:-1])
        operators = {node.op_type for node in model.graph.node}
        assert {"Erf", "Sub"} <= operators
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


def test_another_complement_of_erf_is_refused() -> None:
    """The tail that a difference loses is all that its logarithm is of."""
    import tensorflow as tf  # noqa: PLC0415

    for function in (
        lambda x: tf.math.log(tf.math.erfc(x)),
        tf.math.erfc,
        lambda x: tf.math.erfc(x) * tf.exp(x),
    ):
        with pytest.raises(Unconvertible, match="Erfc"):
            _converted(function)


def test_the_sign_bit_is_found_without_bits() -> None:
    """Of zeros and infinities too, and what is below zero has it and nothing else."""
    import tensorflow as tf  # noqa: PLC0415

    _, ours, theirs = _converted(lambda x: _sign_bit(tf, x))
    np.testing.assert_array_equal(ours, np.signbit(NUMBERS))
    np.testing.assert_array_equal(theirs, np.signbit(NUMBERS))


def test_both_are_found_in_a_branch() -> None:
    """Bodies of control flow are graphs of their own."""
    import tensorflow as tf  # noqa: PLC0415

    def branching(x: Any) -> Any:
        def negative() -> Any:
            return tf.where(_sign_bit(tf, x), tf.nn.gelu(x, approximate=False), x)

        return tf.cond(tf.reduce_all(x > 0), lambda: x, negative)

    model, ours, theirs = _converted(branching, NUMBERS[:, 1:-1])
    assert "If" in {node.op_type for node in model.graph.node}
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


def test_what_is_not_selected_does_not_count() -> None:
    """An infinity that is masked leaves no NaN."""
    import tensorflow as tf  # noqa: PLC0415

    model, ours, theirs = _converted(lambda x: tf.where(x < 0, tf.nn.relu(x), x * 2 + 1))
    assert "Where" in {node.op_type for node in model.graph.node}
    np.testing.assert_array_equal(ours, theirs)


def test_other_bits_are_left() -> None:
    """What is no sign bit, or compared with another number, is none that its inverse tells."""
    import tensorflow as tf  # noqa: PLC0415

    def lowest(x: Any) -> Any:
        return tf.less(tf.bitwise.bitwise_and(tf.bitcast(x, tf.int32), tf.constant(1)), 0)

    def up_to_one(x: Any) -> Any:
        masked = tf.bitwise.bitwise_and(tf.bitcast(x, tf.int32), tf.constant(tf.int32.min))
        return tf.less(masked, 1)

    for function in (lowest, up_to_one):
        with pytest.raises(Unconvertible, match="Bitcast"):
            _converted(function)


@pytest.mark.parametrize("kind", ["int32", "int64", "float32"])
@pytest.mark.parametrize("divisor", [3, -3])
def test_whole_numbers_are_divided_down(kind: str, divisor: int) -> None:
    """Not towards zero, and what is left has the sign of the divisor."""
    numbers = np.array([[-300, -7, -3, -1, 0, 1, 3, 8, 300]], kind)
    for function in (lambda x: x // divisor, lambda x: x % divisor):
        _, ours, theirs = _converted(function, numbers)
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", ["int32", "int64"])
def test_an_index_below_zero_is_none(kind: str) -> None:
    """It is not counted from the end, and one too large is none either."""
    import tensorflow as tf  # noqa: PLC0415

    numbers = np.array([[-5, -1, 0, 4, 5, 100]]).astype(kind)
    for one_hot in (
        lambda x: tf.one_hot(x, 5, 2.0, 1.0),
        lambda x: tf.one_hot(x, 5, 2.0, 1.0, axis=1),
    ):
        _, ours, theirs = _converted(one_hot, numbers)
        np.testing.assert_array_equal(ours, theirs)
