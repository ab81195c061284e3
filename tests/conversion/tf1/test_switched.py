"""Training flags that are variables: their values are the checkpoint's, or the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conversion.tf1.conftest import Convert
from conversion.tf1.networks import batch_norm
from conversion.tf1.saving import dense, input_x, saved_meta
from conversion.tf1.test_flags import ROWS, STYLES, outcome

from folding.errors import BadCall

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]


def chosen(tf: Any, flag: Any) -> None:
    """Data that is changed one way or another, as the flag says."""
    x = input_x(tf)
    tf.identity(tf.cond(flag, lambda: x + 1.0, lambda: x * 2.0), name="out")


def variable(tf: Any, name: str, value: Any, **more: Any) -> Any:
    return tf.compat.v1.Variable(value, trainable=False, name=name, **more)


@STYLES
@pytest.mark.parametrize("value", [False, True])
def test_a_variable_that_decides_is_what_the_checkpoint_holds(
    *, functional: bool, value: bool, tmp_path: Path, convert: Convert
) -> None:
    """Where nothing else tells its value, that is the one; --freeze sets it otherwise."""
    source = saved_meta(
        tmp_path, lambda tf: chosen(tf, variable(tf, "big", value)), functional=functional
    )
    sides = {True: ROWS + 1, False: ROWS * 2}
    found = convert(source)
    np.testing.assert_array_equal(outcome(found), sides[value])
    assert [port.source for port in found.product.inputs] == ["X"]
    assert [warned.text for warned in found.product.warnings] == [
        f"'big' is set to {str(value).lower()}; --freeze big=VALUE sets it otherwise"
    ]
    other = convert(source, freeze={"big": not value})
    np.testing.assert_array_equal(outcome(other), sides[not value])
    for one in (found, other):
        for given, expected in one.references():
            np.testing.assert_array_equal(one.outputs(given)["out"], expected["out"])


@STYLES
def test_a_variable_left_at_training_is_that_of_inference(
    *, functional: bool, tmp_path: Path, convert: Convert
) -> None:
    """One side measures the batch, so it is the other that is kept, and TensorFlow agrees."""

    def build(tf: Any) -> None:
        training = variable(tf, "mode", value=True)
        x = tf.compat.v1.placeholder(tf.float32, (None, 4, 4, 3), "X")
        tf.identity(batch_norm(tf, x, training, 0.9, 1e-5), name="out")

    found = convert(saved_meta(tmp_path, build, functional=functional))
    assert [warned.text.partition(";")[0] for warned in found.product.warnings] == [
        "'mode' is set to false"
    ]
    for given, expected in found.references():
        np.testing.assert_allclose(found.outputs(given)["out"], expected["out"], rtol=1e-5)


@STYLES
def test_a_variable_may_be_read_in_a_function_and_as_a_number(
    *, functional: bool, tmp_path: Path, convert: Convert
) -> None:
    """What decides within another condition is settled too, and what it is added to keeps it."""

    def build(tf: Any) -> None:
        x, outer, inner = input_x(tf), variable(tf, "outer", True), variable(tf, "inner", True)
        nested = tf.cond(
            outer, lambda: tf.cond(inner, lambda: x + 1.0, lambda: x + 2.0), lambda: x + 3.0
        )
        tf.add(nested, 100.0 * tf.cast(inner, tf.float32), name="out")

    source = saved_meta(tmp_path, build, functional=functional)
    np.testing.assert_array_equal(outcome(convert(source)), ROWS + 101)
    frozen = convert(source, freeze={"inner": False})
    np.testing.assert_array_equal(outcome(frozen), ROWS + 2)
    assert "If" not in frozen.operators


def test_a_whole_number_that_decides_is_one_too(tmp_path: Path, convert: Convert) -> None:
    """A mode is compared with a constant."""

    def build(tf: Any) -> None:
        chosen(tf, tf.equal(variable(tf, "mode", 2), 1))

    source = saved_meta(tmp_path, build)
    np.testing.assert_array_equal(outcome(convert(source)), ROWS * 2)
    np.testing.assert_array_equal(outcome(convert(source, freeze={"mode": 1})), ROWS + 1)


def test_one_that_no_checkpoint_holds_is_asked_for(tmp_path: Path, convert: Convert) -> None:
    """A local variable is not saved; where nothing tells its value the user has to."""

    def build(tf: Any) -> None:
        local = variable(
            tf, "big", value=False, collections=[tf.compat.v1.GraphKeys.LOCAL_VARIABLES]
        )
        dense(tf, input_x(tf))
        chosen_of = tf.compat.v1.get_default_graph().get_tensor_by_name("X:0")
        tf.identity(tf.cond(local, lambda: chosen_of + 1.0, lambda: chosen_of * 2.0), name="out")

    source = saved_meta(tmp_path, build)
    with pytest.raises(BadCall, match="depends on 'big', and its value at inference") as raised:
        convert(source, outputs=["out"])
    assert raised.value.hint == "Give it with --freeze big=VALUE."
    found = convert(source, outputs=["out"], freeze={"big": True})
    np.testing.assert_array_equal(outcome(found), ROWS + 1)
    assert found.product.references
