"""Graphs of TensorFlow that would use files or foreign code are refused before they are run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conversion.tf1.saving import input_x, saved_graph, saved_meta

from folding.conversion.effects import require_contained
from folding.conversion.job import Job, Kind, Product
from folding.errors import BadCall

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]


def converted(source: Path, kind: Kind, folder: Path, *, trust: bool = False) -> Product:
    from folding.conversion.routes import graph_def, saved_model  # noqa: PLC0415

    route = saved_model if kind is Kind.SAVED_MODEL else graph_def
    folder.mkdir()
    made: Product = route.run(Job(source, kind, folder, ("out",), trust=trust))
    return made


def writer(target: Path) -> Callable[[Any], None]:
    """A graph that writes a file while it computes its output."""

    def build(tf: Any) -> None:
        x = input_x(tf)
        with tf.control_dependencies([tf.io.write_file(str(target), "x")]):
            tf.add(x, 1.0, name="out")

    return build


def saved_module(folder: Path, function: Callable[[Any, Any], Any]) -> Path:
    """A SavedModel of TensorFlow 2 that serves a function of rows."""
    import tensorflow as tf  # noqa: PLC0415

    module = tf.Module()
    spec = tf.TensorSpec((None, 4), tf.float32, "x")
    called = tf.function(lambda x: {"out": function(tf, x)}, input_signature=[spec])
    tf.saved_model.save(module, str(folder), signatures=called)
    return folder


def test_a_graph_that_writes_a_file_needs_trust(tmp_path: Path) -> None:
    """Frozen or beside its checkpoint: nothing is written unless the user says so."""
    target = tmp_path / "written"
    for kind, save in ((Kind.FROZEN_GRAPH, saved_graph), (Kind.META_GRAPH, saved_meta)):
        source = save(tmp_path, writer(target))
        with pytest.raises(BadCall, match="files, the network or foreign code") as raised:
            converted(source, kind, tmp_path / f"{kind.name}-refused")
        assert "WriteFile" in str(raised.value)
        assert "--trust" in raised.value.hint
        assert not target.exists()
        assert converted(source, kind, tmp_path / kind.name, trust=True).references
        assert target.read_text() == "x"
        target.unlink()


def test_functions_that_functions_call_are_looked_into(tmp_path: Path) -> None:
    """In a SavedModel all that is served lies in functions, here on one side of a condition."""
    target = tmp_path / "written"

    def write(tf: Any, x: Any) -> Any:
        with tf.control_dependencies([tf.io.write_file(str(target), "x")]):
            return x + 1.0

    def served(tf: Any, x: Any) -> Any:
        inner = tf.function(lambda rows: write(tf, rows))
        return tf.cond(tf.reduce_sum(x) > -1e9, lambda: inner(x), lambda: x)

    source = saved_module(tmp_path / "saved", served)
    with pytest.raises(BadCall, match="is WriteFile"):
        converted(source, Kind.SAVED_MODEL, tmp_path / "refused")
    assert not target.exists()


def test_python_in_a_graph_needs_trust(tmp_path: Path) -> None:
    """What runs outside of the graph is nothing that the graph shows."""

    def called(tf: Any, x: Any) -> Any:
        return tf.ensure_shape(tf.py_function(lambda rows: rows, [x], tf.float32), (None, 4))

    source = saved_module(tmp_path / "saved", called)
    with pytest.raises(BadCall, match="is EagerPyFunc"):
        converted(source, Kind.SAVED_MODEL, tmp_path / "refused")


def hidden_graph(tf: Any, target: Path) -> bytes:
    """A data set that writes a file first, as a message of its own."""
    with tf.Graph().as_default() as graph:
        write = tf.raw_ops.WriteFile(filename=str(target), contents="x")
        with graph.control_dependencies([write]):
            rows = tf.raw_ops.TensorDataset(components=[tf.constant([1.0])], output_shapes=[[1]])
        tf.identity(rows, name="rows")
    graph_def = graph.as_graph_def()
    end = graph_def.node.add(name="dataset_out", op="_Retval", input=["rows"])
    end.attr["T"].type = tf.variant.as_datatype_enum
    message: bytes = graph_def.SerializeToString()
    return message


def test_a_graph_in_a_text_is_never_run(tmp_path: Path) -> None:
    """A data set can be made of a message, in which nobody sees what it does."""
    target = tmp_path / "written"

    def called(tf: Any, x: Any) -> Any:
        made = tf.raw_ops.DatasetFromGraph(graph_def=hidden_graph(tf, target))
        more = {"output_types": [tf.float32], "output_shapes": [[1]]}
        return x + tf.raw_ops.DatasetToSingleElement(dataset=made, **more)[0]

    source = saved_module(tmp_path / "saved", called)
    with pytest.raises(BadCall, match=r"is Dataset(FromGraph|ToSingleElement)"):
        converted(source, Kind.SAVED_MODEL, tmp_path / "refused")
    assert not target.exists()


def test_each_branch_is_looked_into(tmp_path: Path) -> None:
    """One of several, as of a Case, is a function like any other."""
    target = tmp_path / "written"

    def called(tf: Any, x: Any) -> Any:
        def write() -> Any:
            with tf.control_dependencies([tf.io.write_file(str(target), "x")]):
                return x + 1.0

        return tf.switch_case(tf.cast(x[0, 0] > 1e9, tf.int32), [lambda: x, write])

    source = saved_module(tmp_path / "saved", called)
    with pytest.raises(BadCall, match="is WriteFile"):
        converted(source, Kind.SAVED_MODEL, tmp_path / "refused")
    assert not target.exists()


def test_a_function_that_stands_for_another_is_looked_into(tmp_path: Path) -> None:
    """TensorFlow takes one of those that say to implement the same, whichever is called."""
    from tensorflow.core.framework import graph_pb2  # noqa: PLC0415

    graph = graph_pb2.GraphDef()
    for name, op in (("shown", "NoOp"), ("hidden", "ReadFile")):
        function = graph.library.function.add()
        function.signature.name = name
        function.attr["api_implements"].s = b"same"
        function.node_def.add(name="inner", op=op)
    graph.node.add(name="out", op="StatefulPartitionedCall").attr["f"].func.name = "shown"
    with pytest.raises(BadCall, match="'inner' is ReadFile"):
        require_contained("it", graph, ["out"], trust=False)
    graph.library.function[1].attr["api_implements"].s = b"another"
    require_contained("it", graph, ["out"], trust=False)


def test_a_module_with_variables_needs_no_trust(tmp_path: Path) -> None:
    """Saving and restoring is in every SavedModel, and no part of what it serves."""
    import tensorflow as tf  # noqa: PLC0415

    weight = tf.Variable(tf.ones((4, 2)))
    module = tf.Module()
    module.weight = weight
    spec = tf.TensorSpec((None, 4), tf.float32, "x")
    called = tf.function(lambda x: {"out": x @ weight}, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=called)
    assert converted(tmp_path / "saved", Kind.SAVED_MODEL, tmp_path / "made").references


def test_a_checkpoint_is_restored_by_reading_only(tmp_path: Path) -> None:
    """A .meta names the node that restores it: that one may read a checkpoint, not write."""
    from tensorflow.core.protobuf import meta_graph_pb2  # noqa: PLC0415

    target = tmp_path / "written"

    def build(tf: Any) -> None:
        tf.add(input_x(tf), 1.0, name="out")
        hostile = tf.io.write_file(str(target), "x", name="hostile")
        with tf.control_dependencies([hostile]):
            tf.constant(1.0, name="after")

    source = saved_meta(tmp_path, build)
    meta = meta_graph_pb2.MetaGraphDef.FromString(source.read_bytes())
    for number, name in enumerate(("hostile", "hostile:0", "after:0")):
        meta.saver_def.restore_op_name = name
        source.write_bytes(meta.SerializeToString())
        with pytest.raises(BadCall, match="'hostile' is WriteFile"):
            converted(source, Kind.META_GRAPH, tmp_path / f"refused{number}")
    assert not target.exists()


def function(library: Any, name: str, op: str, **attributes: str) -> Any:
    """A function of one node with attributes that are texts."""
    made = library.function.add()
    made.signature.name = name
    node = made.node_def.add(name="inner", op=op)
    for key, text in attributes.items():
        node.attr[key].s = text.encode()
    return node


@pytest.mark.parametrize("way", ["gradient", "handed on", "list", "placeholder"])
def test_functions_are_found_however_they_are_named(way: str) -> None:
    """As gradients of others, as what a function is to call in turn, and what it is to write to."""
    from tensorflow.core.framework import graph_pb2  # noqa: PLC0415

    graph = graph_pb2.GraphDef()
    call = graph.node.add(name="out", op="PartitionedCall").attr["f"].func
    call.name = "outer"
    inner = function(graph.library, "outer", "PartitionedCall")
    if way == "gradient":
        function(graph.library, "evil", "WriteFile")
        graph.library.gradient.add(function_name="outer", gradient_func="evil")
    elif way == "placeholder":
        inner.op = "PrintV2"
        inner.attr["output_stream"].placeholder = "where"
        call.attr["where"].s = b"file:///etc/x"
    else:
        function(graph.library, "evil", "WriteFile")
        inner.attr["f"].placeholder = "g"
        given = call.attr["g"]
        (given.func if way == "handed on" else given.list.func.add()).name = "evil"

    with pytest.raises(BadCall, match="is PrintV2" if way == "placeholder" else "is WriteFile"):
        require_contained("net.pb", graph, ["out"], trust=False)


@pytest.mark.parametrize(
    ("op", "attribute", "value"),
    [
        ("ReadFile", "", ""),
        ("MatchingFiles", "", ""),
        ("SaveV2", "", ""),
        ("RestoreV2", "", ""),
        ("PyFunc", "", ""),
        ("PyFuncStateless", "", ""),
        ("TextLineReaderV2", "", ""),
        ("InitializeTableFromTextFileV2", "", ""),
        ("TFRecordDataset", "", ""),
        ("DebugIdentity", "", ""),
        ("FixedLengthRecordDatasetV2", "", ""),
        ("Skipgram", "filename", "/etc/x"),
        ("CalibrationStatisticsSaver", "output_file_path", "/etc/x"),
        ("ListSnapshotChunksDataset", "", ""),
        ("DTensorRestoreV2", "", ""),
        ("RegisterDataset", "", ""),
        ("DatasetFromGraph", "", ""),
        ("ImmutableConst", "memory_region_name", "/etc/x"),
        ("GenerateVocabRemapping", "", ""),
        ("IteratorV2", "", ""),
        ("OneShotIterator", "", ""),
        ("MakeIterator", "", ""),
        ("XlaCustomCallV2", "", ""),
        ("PrintV2", "output_stream", "file:///etc/x"),
        ("DecodeProtoV2", "descriptor_source", "/etc/x"),
        ("EncodeProto", "descriptor_source", "beside"),
        ("FixedUnigramCandidateSampler", "vocab_file", "beside"),
    ],
)
def test_operators_that_reach_out(op: str, attribute: str, value: str) -> None:
    """Each is refused where something needs it, even if it only waits for it."""
    from tensorflow.core.framework import graph_pb2  # noqa: PLC0415

    graph = graph_pb2.GraphDef()
    node = graph.node.add(name="reaching", op=op)
    if attribute:
        node.attr[attribute].s = value.encode()
    graph.node.add(name="out", op="Identity", input=["^reaching"])
    with pytest.raises(BadCall, match=f"'reaching' is {op}$"):
        require_contained("it", graph, ["out"], trust=False)
    require_contained("it", graph, ["out"], trust=True)
    require_contained("it", graph, ["another"], trust=False)


@pytest.mark.parametrize(
    "op",
    [
        *("Snapshot", "ShardedFilename", "Print", "PrintV2", "DecodeProtoV2"),
        *("Conv2D", "StringJoin", "VarHandleOp", "HashTableV2", "If", "StatelessRandomUniformV2"),
        *("StatefulUniform", "TensorListStack", "FixedUnigramCandidateSampler", "IteratorGetNext"),
        *("RngReadAndSkip", "Unheard"),
    ],
)
def test_operators_that_stay_within(op: str) -> None:
    """Names that only sound like it, and those that print to where all programs do."""
    from tensorflow.core.framework import graph_pb2  # noqa: PLC0415

    graph = graph_pb2.GraphDef()
    node = graph.node.add(name="out", op=op)
    node.attr["output_stream"].s = b"stderr"
    node.attr["descriptor_source"].s = b"local://"
    require_contained("it", graph, ["out"], trust=False)
