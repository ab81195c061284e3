"""Files that are damaged, incomplete, or of what ONNX has nothing for: one sentence each."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conversion.tf1.conftest import Convert
from conversion.tf1.saving import dense, input_x, saved_graph, saved_meta

from folding.conversion.job import Kind
from folding.errors import BadCall, BadModel, FoldError, StorageFailed, Unconvertible

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]

ROWS = np.arange(8, dtype=np.float32).reshape(2, 4) - 3


def layer(tf: Any) -> None:
    tf.nn.relu(dense(tf, input_x(tf)), name="out")


def long(tf: Any) -> None:
    tf.identity(tf.matmul(input_x(tf), np.ones((4, 99), "f")), name="out")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return saved_meta(tmp_path, layer)


def one_sentence(error: FoldError) -> bool:
    text = str(error)
    return "\n" not in text and "Traceback" not in text and bool(error.hint)


def test_a_checkpoint_that_is_not_there_is_named(source: Path, convert: Convert) -> None:
    """A .meta without the variables beside it."""
    source.with_suffix(".index").unlink()
    with pytest.raises(
        BadModel, match=r"checkpoint of 'model\.ckpt\.meta' is not beside"
    ) as raised:
        convert(source)
    assert one_sentence(raised.value)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", [Kind.META_GRAPH, Kind.FROZEN_GRAPH])
def test_a_truncated_graph_is_refused(
    kind: Kind, kept: float, source: Path, tmp_path: Path, convert: Convert
) -> None:
    """Wherever it ends."""
    path = source
    if kind is Kind.FROZEN_GRAPH:
        path = saved_graph(tmp_path, long)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises((BadModel, BadCall)) as raised:
        convert(path, kind)
    assert one_sentence(raised.value)


def test_a_truncated_checkpoint_is_refused(source: Path, convert: Convert) -> None:
    """The index alone does not make a checkpoint."""
    index = source.with_suffix(".index")
    index.write_bytes(index.read_bytes()[:40])
    with pytest.raises(BadModel, match="is not beside it, or damaged") as raised:
        convert(source)
    assert one_sentence(raised.value)


def test_truncated_variables_are_refused(source: Path, convert: Convert) -> None:
    """The numbers of a variable have to be there."""
    values = source.with_suffix(".data-00000-of-00001")
    values.write_bytes(values.read_bytes()[:8])
    for _ in range(2):
        with pytest.raises(BadModel, match=r"is damaged at the variable '.*': ") as raised:
            convert(source)
        assert one_sentence(raised.value)
        values.unlink(missing_ok=True)


def test_a_file_of_something_else_is_refused(tmp_path: Path, convert: Convert) -> None:
    """Junk, and an empty graph."""
    for content in (b"\xff" * 99, b""):
        path = tmp_path / "junk.pb"
        path.write_bytes(content)
        with pytest.raises(BadModel, match=r"no whole GraphDef|holds no graph") as raised:
            convert(path, Kind.FROZEN_GRAPH)
        assert one_sentence(raised.value)
    with pytest.raises(StorageFailed, match="No such file"):
        convert(tmp_path / "none.pb", Kind.FROZEN_GRAPH)


def test_a_graph_that_is_not_frozen_says_so(tmp_path: Path, convert: Convert) -> None:
    """A GraphDef with variables, whose values are elsewhere."""
    path = saved_graph(tmp_path, layer)
    with pytest.raises(
        BadModel, match=r"not frozen: it has no value for the variable '(kernel|bias)0'"
    ):
        convert(path, Kind.FROZEN_GRAPH)


def test_a_variable_that_the_checkpoint_lacks_is_named(
    source: Path, tmp_path: Path, convert: Convert
) -> None:
    """Graph and checkpoint of different models."""
    (tmp_path / "other").mkdir()
    other = saved_meta(tmp_path / "other", lambda tf: dense(tf, input_x(tf), seed=5))
    shutil.copy(source, other)
    with pytest.raises(BadModel, match=r"the checkpoint has no variable '(kernel|bias)0'"):
        convert(other)


@pytest.mark.parametrize("functional", [False, True])
def test_a_loop_is_refused(*, functional: bool, tmp_path: Path, convert: Convert) -> None:
    """While loops of both kinds, by the name of a node."""

    def build(tf: Any) -> None:
        def body(step: Any, x: Any) -> Any:
            return step + 1, x * 2.0

        looped = tf.while_loop(lambda step, _: step < 3, body, [tf.constant(0), input_x(tf)])
        tf.identity(looped[1], name="out")

    path = saved_graph(tmp_path, build, functional=functional)
    with pytest.raises(Unconvertible, match="the graph has a loop: 'while") as raised:
        convert(path, Kind.FROZEN_GRAPH, outputs=["out"])
    assert one_sentence(raised.value)


def test_an_operator_without_a_conversion_is_named(tmp_path: Path, convert: Convert) -> None:
    """tf2onnx would log it, and write an invalid file."""

    def build(tf: Any) -> None:
        x = input_x(tf)
        tf.identity(tf.raw_ops.Betainc(a=x, b=x, x=x), name="out")

    with pytest.raises(Unconvertible, match="tf2onnx has no conversion for the Betainc") as raised:
        convert(saved_graph(tmp_path, build), Kind.FROZEN_GRAPH)
    assert one_sentence(raised.value)


def test_an_operator_that_tensorflow_does_not_know_is_named(
    tmp_path: Path, convert: Convert
) -> None:
    """Of a library that is not loaded, or of a TensorFlow that is gone."""
    path = saved_graph(tmp_path, lambda tf: tf.nn.relu(input_x(tf), name="out"))
    path.write_bytes(path.read_bytes().replace(b"Relu", b"Gone"))
    with pytest.raises(BadModel, match=r"does not take the graph: .*Gone") as raised:
        convert(path, Kind.FROZEN_GRAPH)
    assert one_sentence(raised.value)


def test_state_that_changes_at_inference_is_refused(tmp_path: Path, convert: Convert) -> None:
    """A counter in the output has no place in ONNX."""

    def build(tf: Any) -> None:
        count = tf.compat.v1.get_variable("count", initializer=0.0)
        tf.add(input_x(tf), tf.compat.v1.assign_add(count, 1.0), name="out")

    with pytest.raises(Unconvertible, match="'AssignAdd' does more to the variable 'count'"):
        convert(saved_meta(tmp_path, build), outputs=["out"])


def test_an_input_of_any_rank_is_refused(tmp_path: Path, convert: Convert) -> None:
    """A placeholder without a shape says nothing of what it takes."""

    def build(tf: Any) -> None:
        tf.nn.relu(tf.compat.v1.placeholder(tf.float32, name="X"), name="out")

    with pytest.raises(BadCall, match="'X' does not say how many axes it has"):
        convert(saved_graph(tmp_path, build), Kind.FROZEN_GRAPH)


def test_what_does_not_run_on_made_up_samples_is_told(tmp_path: Path, convert: Convert) -> None:
    """An open size may have to be another: the file is made, and why it is unchecked is said."""

    def build(tf: Any) -> None:
        x = input_x(tf, None, None)
        kernel = tf.compat.v1.get_variable("kernel", initializer=np.ones((5, 3), "f"))
        tf.matmul(x, kernel, name="out")

    product = convert(saved_meta(tmp_path, build)).product
    assert not product.references
    assert product.unchecked.startswith("TensorFlow cannot run it: ")


@pytest.mark.parametrize("place", ["prefix", "folder"])
def test_a_checkpoint_can_be_named_in_other_ways(
    place: str, source: Path, convert: Convert
) -> None:
    """By its prefix, or by the folder whose file ``checkpoint`` names the latest."""
    path = source.with_suffix("") if place == "prefix" else source.parent
    found = convert(path)
    expected = convert(source).outputs({"X": ROWS})["out"]
    np.testing.assert_array_equal(found.outputs({"X": ROWS})["out"], expected)


@pytest.mark.parametrize("content", [None, "nonsense {", 'model_checkpoint_path: "/gone/no.ckpt"'])
def test_a_folder_without_a_checkpoint_is_refused(
    content: str | None, source: Path, convert: Convert
) -> None:
    """The file is missing, damaged, or names what is not there."""
    state = source.with_name("checkpoint")
    state.unlink() if content is None else state.write_text(content)
    with pytest.raises((BadModel, StorageFailed)) as raised:
        convert(source.parent)
    assert one_sentence(raised.value)


def moved_folder(folder: Path) -> Path:
    return folder.rename(folder.with_name("moved"))


def test_a_folder_that_was_moved_is_still_one(tmp_path: Path, convert: Convert) -> None:
    """The file ``checkpoint`` may name the folder where the model was trained."""
    (tmp_path / "here").mkdir()
    source = saved_meta(tmp_path / "here", layer)
    source.with_name("checkpoint").write_text(f'model_checkpoint_path: "{source.with_suffix("")}"')
    assert convert(moved_folder(source.parent)).operators == ["MatMul", "Add", "Relu"]


def test_variables_may_have_other_names_in_the_checkpoint(tmp_path: Path, convert: Convert) -> None:
    """A Saver may be told what to call them; the graph says how it would restore them."""
    import tensorflow as tf  # noqa: PLC0415

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        layer(tf)
        names = {
            variable.op.name: f"other/{variable.op.name}" for variable in v1.global_variables()
        }
        saver = v1.train.Saver({names[v.op.name]: v for v in v1.global_variables()})
        session.run(v1.global_variables_initializer())
        saver.save(session, str(tmp_path / "model.ckpt"))
        expected = session.run("out:0", {"X:0": ROWS})
    found = convert(tmp_path / "model.ckpt.meta").outputs({"X": ROWS})["out"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
