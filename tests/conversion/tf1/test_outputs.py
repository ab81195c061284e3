"""Which outputs a graph has, if the user names some, none, or one that is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conversion.tf1.conftest import Convert
from conversion.tf1.saving import dense, input_x, saved_graph, saved_meta

from folding.conversion.job import Kind
from folding.errors import BadCall, BadModel

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]

ROWS = np.arange(8, dtype=np.float32).reshape(2, 4) - 3


def labels(tf: Any) -> Any:
    return tf.compat.v1.placeholder(tf.float32, (None, 3), "Y")


def step(tf: Any, loss: Any) -> None:
    """Training, with a summary of it."""
    tf.compat.v1.summary.scalar("loss", loss)
    tf.compat.v1.train.GradientDescentOptimizer(0.1).minimize(loss)


def by_hand(tf: Any) -> None:
    proba = tf.nn.softmax(dense(tf, input_x(tf)), name="proba")
    step(tf, -tf.reduce_mean(labels(tf) * tf.math.log(tf.clip_by_value(proba, 1e-9, 1.0))))


def by_logits(tf: Any) -> None:
    logits = tf.identity(dense(tf, input_x(tf)), name="proba")
    entropy = tf.compat.v1.nn.softmax_cross_entropy_with_logits_v2
    step(tf, tf.reduce_mean(entropy(labels=labels(tf), logits=logits)))


def by_squares(tf: Any) -> None:
    proba = tf.add(dense(tf, input_x(tf)), 0.5, name="proba")
    step(tf, tf.reduce_mean(tf.square(proba - labels(tf))))


def unused(tf: Any) -> None:
    hidden = dense(tf, input_x(tf))
    step(tf, tf.reduce_mean(tf.square(hidden - labels(tf))))
    tf.nn.sigmoid(hidden, name="proba")


def watched(tf: Any) -> None:
    proba = tf.nn.relu(dense(tf, input_x(tf)), name="proba")
    tf.compat.v1.summary.histogram("outputs", proba)


@pytest.mark.parametrize("build", [by_hand, by_logits, by_squares, unused, watched])
def test_the_end_of_the_network_is_the_output(build: Any, tmp_path: Path, convert: Convert) -> None:
    """Losses, summaries, gradients and updates are no outputs, nor is what prepares a loss."""
    found = convert(saved_meta(tmp_path, build))
    assert [port.source for port in found.product.outputs] == ["proba"]
    assert [port.source for port in found.product.inputs] == ["X"]


def test_several_ends_are_for_the_user_to_choose_of(tmp_path: Path, convert: Convert) -> None:
    """Two heads: the message lists both, and either can be named, or both in any order."""

    def build(tf: Any) -> None:
        hidden = tf.nn.relu(dense(tf, input_x(tf)))
        tf.nn.softmax(dense(tf, hidden, 2, seed=1), name="classes")
        tf.nn.sigmoid(dense(tf, hidden, 2, seed=2), name="boxes")

    source = saved_meta(tmp_path, build)
    with pytest.raises(BadCall, match=r"which of its ends is the output: 'classes', 'boxes'$"):
        convert(source)
    both = convert(source, outputs=["boxes", "classes:0"])
    assert [port.graph for port in both.product.outputs] == ["boxes", "classes"]
    alone = convert(source, outputs=["boxes"]).outputs({"X": ROWS})
    assert list(alone) == ["boxes"]
    np.testing.assert_array_equal(alone["boxes"], both.outputs({"X": ROWS})["boxes"])


def test_an_inner_tensor_can_be_an_output(tmp_path: Path, convert: Convert) -> None:
    """Whatever the user names: the loss too, which makes an input of the labels."""
    source = saved_meta(tmp_path, by_squares)
    found = convert(source, outputs=["Mean"])
    assert {port.graph for port in found.product.inputs} == {"X", "Y"}
    assert [len(given["Y"]) for given, _ in found.references()] == [1, 3, 8]
    for given, computed in found.references():
        np.testing.assert_allclose(found.outputs(given)["Mean"], computed["Mean"], rtol=1e-5)


def test_an_unknown_output_is_refused(tmp_path: Path, convert: Convert) -> None:
    """The message says what could have been meant."""
    source = saved_meta(tmp_path, by_squares)
    for name in ("prob", "^proba"):
        with pytest.raises(BadCall, match="the graph has no output 'prob") as raised:
            convert(source, outputs=[name])
        assert raised.value.hint == "Its ends that compute from an input: 'proba'."


@pytest.mark.parametrize("name", ["kernel0/read", "init"])
def test_an_output_without_an_input_is_refused(name: str, tmp_path: Path, convert: Convert) -> None:
    """A variable alone, or an operator that only others wait for, is no model."""
    source = saved_meta(tmp_path, by_squares)
    with pytest.raises((BadModel, BadCall), match=f"'{name}:0' (depends on no|is not computed)"):
        convert(source, outputs=[name])


def test_a_signature_of_the_file_is_believed(tmp_path: Path, convert: Convert) -> None:
    """A MetaGraph that names its outputs needs no guess, though it has several ends."""
    from tensorflow.core.protobuf import meta_graph_pb2  # noqa: PLC0415

    def build(tf: Any) -> None:
        hidden = dense(tf, input_x(tf))
        tf.nn.relu(hidden, name="first")
        tf.nn.elu(hidden, name="second")

    source = saved_meta(tmp_path, build)
    meta = meta_graph_pb2.MetaGraphDef.FromString(source.read_bytes())
    meta.signature_def["serving_default"].outputs["y"].name = "second:0"
    source.write_bytes(meta.SerializeToString())
    assert [port.graph for port in convert(source).product.outputs] == ["second"]


def test_a_frozen_graph_has_its_ends_as_outputs(tmp_path: Path, convert: Convert) -> None:
    """Without variables nothing tells labels from features, and there is nothing to leave out."""

    def build(tf: Any) -> None:
        tf.add(input_x(tf), tf.compat.v1.placeholder(tf.float32, (None, 4), "Z"), name="sum")

    found = convert(saved_graph(tmp_path, build), Kind.FROZEN_GRAPH)
    assert [port.graph for port in found.product.inputs] == ["X", "Z"]
    np.testing.assert_array_equal(found.outputs({"X": ROWS, "Z": ROWS})["sum"], ROWS * 2)
