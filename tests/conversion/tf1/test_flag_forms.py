"""Training flags of all forms that people give them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conversion.tf1.conftest import Convert
from conversion.tf1.networks import batch_norm
from conversion.tf1.saving import input_x, saved_graph, saved_meta
from conversion.tf1.test_flags import ROWS, STYLES

from folding.conversion.job import Kind
from folding.errors import BadCall

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]


def network(flag: Callable[[Any], Any]) -> Callable[[Any], None]:
    """A batch normalisation that looks at a flag."""

    def build(tf: Any) -> None:
        tf.identity(batch_norm(tf, input_x(tf, None, 4, 4, 3), flag(tf), 0.9, 1e-5), name="out")

    return build


def unshaped(tf: Any) -> Any:
    return tf.compat.v1.placeholder(tf.bool, None, "training")


def of_one(tf: Any) -> Any:
    return tf.reshape(tf.compat.v1.placeholder(tf.bool, (1,), "training"), ())


def number(tf: Any) -> Any:
    return tf.cast(tf.compat.v1.placeholder(tf.float32, (), "training"), tf.bool)


@STYLES
@pytest.mark.parametrize(
    ("form", "freeze"),
    [
        (unshaped, {}),
        (unshaped, {"training": False}),
        (of_one, {}),
        (of_one, {"training": "false"}),
        (number, {"training": 0}),
    ],
)
def test_a_flag_has_any_form(
    *, form: Any, freeze: Any, functional: bool, tmp_path: Path, convert: Convert
) -> None:
    """A placeholder without a shape or of one element, or a number made a truth value."""
    found = convert(saved_meta(tmp_path, network(form), functional=functional), freeze=freeze)
    assert [port.source for port in found.product.inputs] == ["X"]
    value = "0.0" if form is number else "false"
    assert [warned.text.partition(";")[0] for warned in found.product.warnings] == [
        f"'training' is set to {value}"
    ]
    assert found.product.references
    for given, expected in found.references():
        np.testing.assert_allclose(found.outputs(given)["out"], expected["out"], rtol=1e-4)


def test_a_number_without_a_default_is_asked_for(tmp_path: Path, convert: Convert) -> None:
    """It is no input of the model."""
    with pytest.raises(BadCall, match="depends on 'training'"):
        convert(saved_meta(tmp_path, network(number)))


def test_a_frozen_graph_has_an_unshaped_flag(tmp_path: Path, convert: Convert) -> None:
    """TensorFlow squeezes what it knows no shape of before it decides."""

    def build(tf: Any) -> None:
        x = input_x(tf)
        tf.identity(tf.cond(unshaped(tf), lambda: x + 1.0, lambda: x * 2.0), name="out")

    source = saved_graph(tmp_path, build, functional=True)
    for value, expected in ((False, ROWS * 2), (True, ROWS + 1)):
        found = convert(source, Kind.FROZEN_GRAPH, freeze={"training": value})
        np.testing.assert_array_equal(found.outputs({"X": ROWS})["out"], expected)


@STYLES
@pytest.mark.parametrize(
    ("default", "compared", "expected"),
    [(1, 1, "0"), (0, 0, "1"), (0, 1, "0"), ("train", "train", "inference")],
)
def test_a_mode_whose_default_trains_is_another(
    *,
    default: Any,
    compared: Any,
    expected: str,
    functional: bool,
    tmp_path: Path,
    convert: Convert,
) -> None:
    """A default that measures the batch is not that of inference, whatever its type."""

    def mode(tf: Any) -> Any:
        given = tf.compat.v1.placeholder_with_default(default, (), "mode")
        return tf.equal(given, compared)

    found = convert(saved_meta(tmp_path, network(mode), functional=functional))
    (warned,) = found.product.warnings
    assert warned.text.partition(";")[0].replace("'", "") == f"mode is set to {expected}"
    for given, reference in found.references():
        np.testing.assert_allclose(found.outputs(given)["out"], reference["out"], rtol=1e-4)


def test_a_mode_of_several_kinds_of_inference_is_asked_for(
    tmp_path: Path, convert: Convert
) -> None:
    """Where the modes besides training differ, nothing tells which one is meant."""

    def build(tf: Any) -> None:
        mode = tf.compat.v1.placeholder_with_default(0, (), "mode")
        hidden = batch_norm(tf, input_x(tf, None, 4, 4, 3), tf.equal(mode, 0), 0.9, 1e-5)
        last = tf.cond(tf.equal(mode, 2), lambda: tf.nn.softmax(hidden), lambda: hidden)
        tf.identity(last, name="out")

    source = saved_meta(tmp_path, build)
    with pytest.raises(BadCall, match="depends on 'mode'") as raised:
        convert(source)
    assert raised.value.hint == "Give it with --freeze mode=VALUE."
    assert convert(source, freeze={"mode": 2}).product.references
