"""Which value of a flag is taken by itself, which has to be given, and dropout of nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conversion.tf1.conftest import Convert, Converted
from conversion.tf1.saving import dense, flag, input_x, saved_graph, saved_meta

from folding.conversion.job import Kind
from folding.errors import BadCall
from folding.lint.sources import in_source

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]

ROWS = np.arange(8, dtype=np.float32).reshape(2, 4) - 3
STYLES = pytest.mark.parametrize("functional", [False, True], ids=["switch", "if"])
MODES = pytest.mark.parametrize(
    ("kind", "training", "other"), [("int32", 1, 0), ("int64", 7, 1), ("string", "train", "Test")]
)


def normalised(tf: Any, hidden: Any, measuring: Any) -> Any:
    """A layer's output by its batch if that is asked for, else by variables."""
    get = tf.compat.v1.get_variable
    mean = get("mean", initializer=np.arange(3, dtype=np.float32), trainable=False)
    variance = get("variance", initializer=np.full(3, 4, np.float32), trainable=False)
    found = tf.cond(
        measuring,
        lambda: tuple(tf.nn.moments(hidden, [0])),
        lambda: (tf.identity(mean), tf.identity(variance)),
    )
    return tf.nn.batch_normalization(hidden, *found, None, None, 1e-3)


def expected(converted: Converted) -> None:
    """What TensorFlow computed, and for one row the same as for this row among others."""
    for given, outputs in converted.references():
        found = converted.outputs(given)["out"]
        np.testing.assert_allclose(found, outputs["out"], rtol=1e-5, atol=1e-5)
    whole, alone = converted.outputs({"X": ROWS})["out"], converted.outputs({"X": ROWS[:1]})["out"]
    np.testing.assert_allclose(alone, whole[:1], rtol=1e-5, atol=1e-5)


@STYLES
@pytest.mark.parametrize("name", ["is_inference", "a", "training"])
@pytest.mark.parametrize("inverse", [False, True])
def test_batch_statistics_are_turned_off_whatever_the_flag_is_called(
    *, functional: bool, name: str, inverse: bool, tmp_path: Path, convert: Convert
) -> None:
    """The side that measures the batch is the one of training."""

    def build(tf: Any) -> None:
        given = flag(tf, name)
        measuring = tf.logical_not(given) if inverse else given
        tf.identity(normalised(tf, dense(tf, input_x(tf)), measuring), name="out")

    found = convert(saved_meta(tmp_path, build, functional=functional))
    (warned,) = found.product.warnings
    assert warned.text.startswith(f"{name!r} is set to {str(inverse).lower()};")
    expected(found)
    assert found.folded().plan.counts["folded"] == 1


@STYLES
@pytest.mark.parametrize(
    ("name", "value"),
    [("phase_train", False), ("isTraining", False), ("is_test", True), ("evalMode", True)],
)
def test_a_name_tells_where_the_sides_do_not(
    *, functional: bool, name: str, value: bool, tmp_path: Path, convert: Convert
) -> None:
    """Neither side measures, draws or updates anything."""

    def build(tf: Any) -> None:
        x = input_x(tf)
        tf.identity(tf.cond(flag(tf, name), lambda: x + 1.0, lambda: x + 2.0), name="out")

    found = convert(saved_graph(tmp_path, build, functional=functional), Kind.FROZEN_GRAPH)
    np.testing.assert_array_equal(found.outputs({"X": ROWS})["out"], ROWS + (1 if value else 2))


def choosing(tf: Any, chosen: Any) -> None:
    hidden = dense(tf, input_x(tf))
    tf.identity(tf.cond(chosen, lambda: tf.nn.relu(hidden), lambda: hidden), name="out")


@STYLES
@pytest.mark.parametrize("name", ["use_relu", "not_training", "train_or_test", "latest"])
def test_a_choice_that_is_none_of_training_has_to_be_made(
    *, functional: bool, name: str, tmp_path: Path, convert: Convert
) -> None:
    """Nobody but the user knows what a flag is whose sides are both for inference."""
    source = saved_meta(tmp_path, lambda tf: choosing(tf, flag(tf, name)), functional=functional)
    with pytest.raises(BadCall, match=f"depends on '{name}', and its value") as raised:
        convert(source)
    assert raised.value.hint == f"Give it with --freeze {name}=VALUE."
    rectified, plain = (convert(source, freeze={name: value}) for value in (True, False))
    outputs = plain.outputs({"X": ROWS})["out"]
    np.testing.assert_array_equal(rectified.outputs({"X": ROWS})["out"], outputs.clip(0))
    assert (outputs < 0).any()


def test_a_choice_with_a_default_is_the_default(tmp_path: Path, convert: Convert) -> None:
    """Whoever made the graph has said what it is."""
    build = lambda tf: choosing(tf, flag(tf, "use_relu", default=True))  # noqa: E731
    found = convert(saved_meta(tmp_path, build))
    assert (found.outputs({"X": ROWS})["out"] >= 0).all()
    assert [warned.at for warned in found.product.warnings] == ["use_relu"]


@STYLES
def test_a_layer_is_not_turned_off_with_its_statistics(
    *, functional: bool, tmp_path: Path, convert: Convert
) -> None:
    """A flag that takes a normalisation away is no training flag, though no batch is measured."""

    def build(tf: Any) -> None:
        hidden = dense(tf, input_x(tf))
        normed = normalised(tf, hidden, flag(tf, "a"))
        tf.identity(tf.cond(flag(tf, "b"), lambda: normed, lambda: hidden), name="out")

    with pytest.raises(BadCall, match="depends on 'b'"):
        convert(saved_meta(tmp_path, build, functional=functional))


@STYLES
@MODES
def test_numbers_and_texts_decide_as_given(
    *,
    functional: bool,
    kind: str,
    training: Any,
    other: Any,
    tmp_path: Path,
    convert: Convert,
) -> None:
    """A mode is compared with what it is set to; nothing tells what it is at inference."""

    def build(tf: Any) -> None:
        mode = tf.compat.v1.placeholder(kind, (), "mode")
        measuring = tf.equal(mode, tf.constant(training, kind))
        tf.identity(normalised(tf, dense(tf, input_x(tf)), measuring), name="out")

    source = saved_meta(tmp_path, build, functional=functional)
    with pytest.raises(BadCall, match="depends on 'mode'") as raised:
        convert(source)
    assert ("'mode=\"VALUE\"'" in raised.value.hint) == (kind == "string")
    found = convert(source, freeze={"mode": other})
    expected(found)
    assert [warned.at for warned in found.product.warnings] == ["mode"]
    with pytest.raises(BadCall, match=r"'mode' is .*, which "):
        convert(source, freeze={"mode": 0.5})


def dropout_of_tf(tf: Any, x: Any, keep: Any) -> Any:
    return tf.compat.v1.nn.dropout(x, keep_prob=keep)


def dropout_by_floor(tf: Any, x: Any, keep: Any) -> Any:
    return (x / keep) * tf.floor(keep + tf.random.uniform(tf.shape(x)))


def dropout_by_mask(tf: Any, x: Any, keep: Any) -> Any:
    return x / keep * tf.cast(tf.random.uniform(tf.shape(x)) >= 1.0 - keep, tf.float32)


DROPOUTS = pytest.mark.parametrize("drop", [dropout_of_tf, dropout_by_floor, dropout_by_mask])


@DROPOUTS
def test_dropout_that_keeps_everything_is_no_dropout(
    drop: Callable[..., Any], tmp_path: Path, convert: Convert
) -> None:
    """keep_prob has to be given; 1 is what the message says to give."""

    def build(tf: Any) -> None:
        keep = tf.compat.v1.placeholder(tf.float32, (), "keep_prob")
        tf.identity(drop(tf, dense(tf, input_x(tf)), keep), name="out")

    source = saved_meta(tmp_path, build)
    with pytest.raises(BadCall, match="'keep_prob' says how much is dropped") as raised:
        convert(source)
    assert raised.value.hint == "Give --freeze keep_prob=1, so that nothing is."
    found = convert(source, freeze={"keep_prob": 1})
    assert not found.product.unchecked
    assert not any("Random" in operator for operator in found.operators)
    expected(found)
    assert "random numbers" in convert(source, freeze={"keep_prob": 0.5}).product.unchecked


def test_the_rate_of_a_dropout_is_0(tmp_path: Path, convert: Convert) -> None:
    """Where an input says what is dropped, 1 would drop everything."""

    def build(tf: Any) -> None:
        rate = tf.compat.v1.placeholder(tf.float32, (), "rate")
        tf.nn.dropout(dense(tf, input_x(tf)), rate=rate, name="dropped")

    source = saved_meta(tmp_path, build)
    with pytest.raises(BadCall) as raised:
        convert(source)
    assert raised.value.hint == "Give --freeze rate=0, so that nothing is."
    assert convert(source, freeze={"rate": 0}).product.references


@pytest.mark.parametrize("default", [1.0, 0.5])
def test_a_default_that_keeps_everything_is_taken(
    default: float, tmp_path: Path, convert: Convert
) -> None:
    """Another one is not what a model does at inference, so it has to be given."""

    def build(tf: Any) -> None:
        keep = tf.compat.v1.placeholder_with_default(default, (), "keep_prob")
        tf.identity(dropout_of_tf(tf, dense(tf, input_x(tf)), keep), name="out")

    source = saved_meta(tmp_path, build)
    if default != 1:
        with pytest.raises(BadCall, match="'keep_prob' says how much is dropped"):
            convert(source)
    found = convert(source) if default == 1 else convert(source, freeze={"keep_prob": 1})
    expected(found)


@pytest.mark.parametrize("scaled", [False, True])
def test_a_normalisation_without_a_shift_is_seen(
    *, scaled: bool, tmp_path: Path, convert: Convert
) -> None:
    """tf.nn writes it with a negated mean, so no lint may say that there is none."""

    def build(tf: Any) -> None:
        get = tf.compat.v1.get_variable
        hidden = dense(tf, input_x(tf))
        mean = get("mean", initializer=np.arange(3, dtype=np.float32))
        variance = get("variance", initializer=np.full(3, 4, np.float32))
        gamma = get("gamma", initializer=np.full(3, 2, np.float32)) if scaled else None
        tf.nn.batch_normalization(hidden, mean, variance, None, gamma, 1e-3)

    found = convert(saved_meta(tmp_path, build), outputs=["batchnorm/add_1"])
    arrays = found.arrays()
    assert arrays.keys() == {"mean", "variance"} | ({"gamma"} if scaled else set())
    np.testing.assert_array_equal(arrays["mean"], [0, 1, 2])
    codes = [f.code.name for f in in_source(found.product, found.folder)]
    assert "NORM_ABSENT" not in codes
