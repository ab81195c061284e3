"""Flags and switches: what is set, what is taken, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conversion.tf1.conftest import Convert, Converted
from conversion.tf1.saving import dense, flag, input_x, saved_graph, saved_meta

from folding.conversion.job import Kind
from folding.errors import BadCall, BadModel, Unconvertible

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]

ROWS = np.arange(8, dtype=np.float32).reshape(2, 4) - 3
STYLES = pytest.mark.parametrize("functional", [False, True], ids=["switch", "if"])


def outcome(converted: Converted) -> Any:
    return next(iter(converted.outputs({"X": ROWS}).values()))


def one_cond(tf: Any) -> None:
    x = input_x(tf)
    tf.identity(tf.cond(flag(tf), lambda: x + 1.0, lambda: x * 2.0), name="out")


def nested(tf: Any) -> None:
    x, outer, inner = input_x(tf), flag(tf, "outer"), flag(tf, "inner")
    first = tf.cond(
        outer,
        lambda: tf.cond(inner, lambda: x + 1.0, lambda: x + 2.0),
        lambda: tf.cond(inner, lambda: x + 3.0, lambda: x + 4.0),
    )
    tf.identity(first, name="out")


@STYLES
def test_a_flag_is_false_unless_said_otherwise(
    *, functional: bool, tmp_path: Path, convert: Convert
) -> None:
    """False takes the second side, --freeze the side that the user wants."""
    source = saved_graph(tmp_path, one_cond, functional=functional)
    usual = convert(source, Kind.FROZEN_GRAPH)
    np.testing.assert_array_equal(outcome(usual), ROWS * 2)
    assert [warned.text for warned in usual.product.warnings] == [
        "'training' is set to false; --freeze training=VALUE sets it otherwise"
    ]
    for value in (True, "true", 1):
        frozen = convert(source, Kind.FROZEN_GRAPH, freeze={"training:0": value})
        np.testing.assert_array_equal(outcome(frozen), ROWS + 1)
    assert [warned.text for warned in frozen.product.warnings] == ["'training' is set to true"]


@STYLES
@pytest.mark.parametrize(("outer", "inner", "more"), [(1, 1, 1), (1, 0, 2), (0, 1, 3), (0, 0, 4)])
def test_conditions_within_each_other_are_resolved(
    *, functional: bool, outer: int, inner: int, more: int, tmp_path: Path, convert: Convert
) -> None:
    """Each of the four ways through two conditions is the one that the flags say."""
    source = saved_graph(tmp_path, nested, functional=functional)
    freeze = {"outer": bool(outer), "inner": bool(inner)}
    found = convert(source, Kind.FROZEN_GRAPH, freeze=freeze)
    np.testing.assert_array_equal(outcome(found), ROWS + more)
    assert set(found.operators) == {"Add"}


@STYLES
def test_constants_of_a_side_stay_on_their_side(
    *, functional: bool, tmp_path: Path, convert: Convert
) -> None:
    """A constant only waits for its side to be taken, and is dead with that."""

    def build(tf: Any) -> None:
        factor = tf.cond(flag(tf), lambda: tf.constant(5.0), lambda: tf.constant(7.0))
        tf.multiply(input_x(tf), factor, name="out")

    found = convert(saved_graph(tmp_path, build, functional=functional), Kind.FROZEN_GRAPH)
    np.testing.assert_array_equal(outcome(found), ROWS * 7)


@STYLES
@pytest.mark.parametrize(("evaluating", "more"), [(False, 1), (True, 2)])
def test_logic_on_flags_is_worked_out(
    *, functional: bool, evaluating: bool, more: int, tmp_path: Path, convert: Convert
) -> None:
    """A condition may be made of several flags and constants by and, or and not."""

    def build(tf: Any) -> None:
        x, one, other = input_x(tf), flag(tf, "is_training"), flag(tf, "evaluating", default=True)
        chosen = tf.logical_or(one, tf.logical_and(tf.logical_not(other), tf.constant(True)))
        tf.identity(tf.cond(chosen, lambda: x + 1.0, lambda: x + 2.0), name="out")

    source = saved_graph(tmp_path, build, functional=functional)
    found = convert(source, Kind.FROZEN_GRAPH, freeze={"evaluating": evaluating})
    np.testing.assert_array_equal(outcome(found), ROWS + more)


def test_the_number_of_the_side_taken_is_known(tmp_path: Path, convert: Convert) -> None:
    """A Merge says which of its inputs arrived; resolved, that is a constant."""

    def build(tf: Any) -> None:
        x = input_x(tf)
        no, yes = tf.raw_ops.Switch(data=x, pred=flag(tf))
        merged, place = tf.raw_ops.Merge(inputs=[no + 1.0, yes + 2.0])
        tf.add(merged, tf.cast(place, tf.float32) * 100.0, name="out")

    source = saved_graph(tmp_path, build)
    np.testing.assert_array_equal(outcome(convert(source, Kind.FROZEN_GRAPH)), ROWS + 1)
    training = convert(source, Kind.FROZEN_GRAPH, freeze={"training": True})
    np.testing.assert_array_equal(outcome(training), ROWS + 102)


def test_an_output_may_be_a_side_or_what_both_meet_in(tmp_path: Path, convert: Convert) -> None:
    """Outputs that are Switch, Merge or If keep their names when these are resolved."""

    def build(tf: Any) -> None:
        x = input_x(tf)
        no, yes = tf.raw_ops.Switch(data=x, pred=flag(tf), name="parted")
        tf.raw_ops.Merge(inputs=[no + 1.0, yes + 2.0], name="met")

    source = saved_graph(tmp_path, build)
    found = convert(source, Kind.FROZEN_GRAPH, outputs=["met", "parted:0"])
    assert [port.graph for port in found.product.outputs] == ["met", "parted"]
    outputs = found.outputs({"X": ROWS})
    np.testing.assert_array_equal(outputs["met"], ROWS + 1)
    np.testing.assert_array_equal(outputs["parted"], ROWS)
    taken = convert(source, Kind.FROZEN_GRAPH, outputs=["parted:1"], freeze={"training": True})
    np.testing.assert_array_equal(taken.outputs({"X": ROWS})["parted:1"], ROWS)
    with pytest.raises(BadCall, match=r"'parted:1' is not computed at inference") as raised:
        convert(source, Kind.FROZEN_GRAPH, outputs=["parted:1"])
    assert "--freeze" in raised.value.hint


def test_functions_are_put_in_the_place_of_their_calls(tmp_path: Path, convert: Convert) -> None:
    """Calls within calls, each more than once, with a flag as an argument."""

    def build(tf: Any) -> None:
        def inner(x: Any, training: Any) -> Any:
            return tf.cond(training, lambda: x * 0.0, lambda: x + 1.0)

        def outer(x: Any, training: Any) -> Any:
            return called(called(x, training), training) * 2.0

        called, calling, training = tf.function(inner), tf.function(outer), flag(tf)
        tf.identity(calling(calling(input_x(tf), training), training), name="out")

    found = convert(saved_graph(tmp_path, build, functional=True), Kind.FROZEN_GRAPH)
    np.testing.assert_array_equal(outcome(found), ((ROWS + 2) * 2 + 2) * 2)
    assert "If" not in found.operators


@STYLES
def test_a_condition_on_data_stays(*, functional: bool, tmp_path: Path, convert: Convert) -> None:
    """What only the data can decide is no training flag: both sides are in the file."""

    def build(tf: Any) -> None:
        x, kernel = input_x(tf), tf.compat.v1.get_variable("kernel", initializer=3.0)
        is_large = tf.reduce_sum(x) > 0.0
        tf.identity(tf.cond(is_large, lambda: x * kernel, lambda: x - 1.0), name="out")

    source = saved_meta(tmp_path, build, functional=functional)
    if functional:
        with pytest.raises(Unconvertible, match="does more to the variable 'kernel' than read it"):
            convert(source)
        return
    found = convert(source)
    for rows in (ROWS, -ROWS):
        expected = rows * 3 if rows.sum() > 0 else rows - 1
        np.testing.assert_array_equal(found.outputs({"X": rows})["out"], expected)


def test_a_scalar_with_a_default_is_that_default(tmp_path: Path, convert: Convert) -> None:
    """A keep_prob of 1 that nobody has to give is 1, and the user is told; --freeze sets it."""

    def build(tf: Any) -> None:
        keep = tf.compat.v1.placeholder_with_default(1.0, (), "keep_prob")
        tf.divide(dense(tf, input_x(tf)), keep, name="out")

    source = saved_meta(tmp_path, build)
    found = convert(source)
    assert [port.graph for port in found.product.inputs] == ["X"]
    assert [warned.at for warned in found.product.warnings] == ["keep_prob"]
    half = convert(source, freeze={"keep_prob": 0.5})
    np.testing.assert_allclose(outcome(half), outcome(found) * 2, rtol=1e-6)


def test_an_array_with_a_default_is_an_input(tmp_path: Path, convert: Convert) -> None:
    """What feeds the model by default is no constant of it."""

    def build(tf: Any) -> None:
        rows = tf.ones((2, 4))
        x = tf.compat.v1.placeholder_with_default(rows, (None, 4), "X")
        tf.add(x, 1.0, name="out")

    found = convert(saved_graph(tmp_path, build), Kind.FROZEN_GRAPH)
    np.testing.assert_array_equal(outcome(found), ROWS + 1)


def test_a_constant_that_decides_can_be_set(tmp_path: Path, convert: Convert) -> None:
    """A flag that was written as a constant is one to freeze, another constant is not."""

    def build(tf: Any) -> None:
        x, training = input_x(tf), tf.constant(True, name="training")
        added = tf.constant(1.0, name="added")
        tf.identity(tf.cond(training, lambda: x + added, lambda: x), name="out")

    source = saved_graph(tmp_path, build)
    np.testing.assert_array_equal(outcome(convert(source, Kind.FROZEN_GRAPH)), ROWS + 1)
    found = convert(source, Kind.FROZEN_GRAPH, freeze={"training": False}, outputs=["out"])
    np.testing.assert_array_equal(outcome(found), ROWS)
    with pytest.raises(BadCall, match="no input 'added'"):
        convert(source, Kind.FROZEN_GRAPH, freeze={"added": 2.0})


def test_a_flag_that_is_not_there_is_refused(tmp_path: Path, convert: Convert) -> None:
    """The message names those that are there."""
    source = saved_graph(tmp_path, one_cond)
    with pytest.raises(BadCall, match="no input 'tarining' to freeze") as raised:
        convert(source, Kind.FROZEN_GRAPH, freeze={"tarining": False})
    assert raised.value.hint == "Its inputs: X, training."
    with pytest.raises(BadCall, match="'training' is bool, which 3 is not"):
        convert(source, Kind.FROZEN_GRAPH, freeze={"training": 3})


def test_functions_without_end_are_refused(tmp_path: Path, convert: Convert) -> None:
    """A function that calls itself would be put in its own place for ever."""
    from tensorflow.core.framework import graph_pb2  # noqa: PLC0415

    def build(tf: Any) -> None:
        called = tf.function(lambda x: tf.identity(x + 1.0))
        tf.identity(called(input_x(tf)), name="out")

    source = saved_graph(tmp_path, build)
    graph = graph_pb2.GraphDef.FromString(source.read_bytes())
    (function,) = graph.library.function
    call = next(node for node in graph.node if node.op.endswith("PartitionedCall"))
    again = function.node_def.add()
    again.CopyFrom(call)
    again.name, again.input[:] = "again", [function.signature.input_arg[0].name]
    source.write_bytes(graph.SerializeToString())
    with pytest.raises(BadModel, match="call each other without end"):
        convert(source, Kind.FROZEN_GRAPH)
