"""What TensorFlow gets of a graph to load, and what it would evaluate of it for nobody."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conversion.test_effects import converted, function, saved_module
from conversion.tf1.saving import dense, input_x, saved_graph, saved_meta

from folding.conversion.job import Job, Kind
from folding.errors import BadCall

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]


def test_only_the_checkpoint_beside_a_graph_is_restored(tmp_path: Path) -> None:
    """What restores one of another name needs trust."""
    from tensorflow.core.protobuf import meta_graph_pb2  # noqa: PLC0415

    source = saved_meta(tmp_path, lambda tf: tf.add(dense(tf, input_x(tf)), 1.0, name="out"))
    meta = meta_graph_pb2.MetaGraphDef.FromString(source.read_bytes())
    (restore,) = (node for node in meta.graph_def.node if node.op == "RestoreV2")
    other = meta.graph_def.node.add(name="other", op="Const")
    other.CopyFrom(next(n for n in meta.graph_def.node if n.name == restore.input[1]))
    other.name = restore.input[0] = "other"
    source.write_bytes(meta.SerializeToString())

    with pytest.raises(BadCall, match="is RestoreV2"):
        converted(source, Kind.META_GRAPH, tmp_path / "refused")


def test_a_graph_that_does_not_say_how_it_is_restored(tmp_path: Path) -> None:
    """Its variables are those of the checkpoint all the same."""
    from tensorflow.core.protobuf import meta_graph_pb2  # noqa: PLC0415

    source = saved_meta(tmp_path, lambda tf: tf.add(dense(tf, input_x(tf)), 1.0, name="out"))
    meta = meta_graph_pb2.MetaGraphDef.FromString(source.read_bytes())
    meta.ClearField("saver_def")
    meta.collection_def.clear()
    source.write_bytes(meta.SerializeToString())

    assert converted(source, Kind.META_GRAPH, tmp_path / "made").references


def constant_text(graph: Any, name: str, text: str) -> None:
    """A node that is a text."""
    from tensorflow import make_tensor_proto  # noqa: PLC0415

    made = graph.node.add(name=name, op="Const")
    made.attr["value"].tensor.CopyFrom(make_tensor_proto(text))
    made.attr["dtype"].type = made.attr["value"].tensor.dtype


def other_port(meta: Any, restore: Any, elsewhere: str) -> None:
    """Restore what the second output of a node names whose first is the name of the file."""
    constant_text(meta.graph_def, "given", "a")
    constant_text(meta.graph_def, "hidden", elsewhere)
    both = meta.graph_def.node.add(name="both", op="IdentityN", input=["given", "hidden"])
    both.attr["T"].list.type.extend([7, 7])
    restore.input[0], meta.saver_def.filename_tensor_name = "both:1", "both:0"


def other_scope(meta: Any, restore: Any, elsewhere: str) -> None:
    """Restore in a function, where the name is that of another node."""
    inner = meta.graph_def.library.function.add()
    inner.signature.name = "restoring"
    constant_text(meta.graph_def, "hidden", elsewhere)
    inner.node_def.add().CopyFrom(meta.graph_def.node[-1])
    inner.node_def.add().CopyFrom(restore)
    inner.node_def[1].input[0] = "hidden"
    restore.Clear()
    restore.name, restore.op = "save/RestoreV2", "StatefulPartitionedCall"
    restore.attr["f"].func.name = "restoring"
    meta.saver_def.filename_tensor_name = "hidden:0"


@pytest.mark.parametrize("hide", [other_port, other_scope])
def test_what_only_looks_like_the_name_of_the_checkpoint(
    tmp_path: Path, hide: Callable[[Any, Any, str], None]
) -> None:
    """Tensors are told apart with their ports, and nodes by the graph that they are in."""
    from tensorflow.core.protobuf import meta_graph_pb2  # noqa: PLC0415

    source = saved_meta(tmp_path, lambda tf: tf.add(dense(tf, input_x(tf)), 1.0, name="out"))
    meta = meta_graph_pb2.MetaGraphDef.FromString(source.read_bytes())
    (restore,) = (node for node in meta.graph_def.node if node.op == "RestoreV2")
    hide(meta, restore, str(tmp_path / "elsewhere"))
    source.write_bytes(meta.SerializeToString())

    with pytest.raises(BadCall, match="is RestoreV2"):
        converted(source, Kind.META_GRAPH, tmp_path / "refused")


def test_a_folder_called_like_a_checkpoint_leads_nowhere(tmp_path: Path) -> None:
    """TensorFlow would take the checkpoint that a file in it names."""
    from folding.conversion.tf1.loading import loaded  # noqa: PLC0415

    (tmp_path / "other").mkdir()
    saved_meta(tmp_path / "other", lambda tf: tf.compat.v1.get_variable("v", initializer=2.0))
    source = saved_meta(tmp_path, lambda tf: tf.compat.v1.get_variable("v", initializer=1.0))
    (tmp_path / "model.ckpt").mkdir()
    state = f'model_checkpoint_path: "{tmp_path / "other" / "model.ckpt"}"'
    (tmp_path / "model.ckpt" / "checkpoint").write_text(state)

    found = loaded(Job(source, Kind.META_GRAPH, tmp_path, ()))

    assert found.checkpoint is not None
    assert found.checkpoint.get_tensor("v") == 1


def watching(graph_def: Any, target: Path) -> None:
    """Add a node that writes to a folder whenever it is run, and one whose shape it tells."""
    from tensorflow import make_tensor_proto  # noqa: PLC0415

    shape = graph_def.node.add(name="shape", op="Const")
    shape.attr["value"].tensor.CopyFrom(make_tensor_proto([-1, 2]))
    shape.attr["dtype"].type = shape.attr["value"].tensor.dtype
    watch = graph_def.node.add(name="watch", op="DebugIdentity", input=["shape"])
    watch.attr["T"].type = shape.attr["dtype"].type
    watch.attr["tensor_name"].s = b"shape:0"
    watch.attr["device_name"].s = b"/job:localhost/replica:0/task:0/device:CPU:0"
    watch.attr["debug_urls"].list.s.append(f"file://{target}".encode())
    shaped = graph_def.node.add(name="aside", op="Reshape", input=["out", "watch"])
    shaped.attr["T"].type, shaped.attr["Tshape"].type = 1, watch.attr["T"].type


def test_what_no_output_needs_is_not_even_evaluated(tmp_path: Path) -> None:
    """TensorFlow would run it to infer the shape of something that nobody asks for."""
    from tensorflow.core.framework import graph_pb2  # noqa: PLC0415
    from tensorflow.core.protobuf import meta_graph_pb2  # noqa: PLC0415

    target = tmp_path / "written"

    def build(tf: Any) -> None:
        tf.add(dense(tf, input_x(tf), units=4), 1.0, name="out")

    source = saved_meta(tmp_path, build)
    meta = meta_graph_pb2.MetaGraphDef.FromString(source.read_bytes())
    watching(meta.graph_def, target)
    source.write_bytes(meta.SerializeToString())
    assert converted(source, Kind.META_GRAPH, tmp_path / "meta").references

    source = saved_graph(tmp_path, lambda tf: tf.add(input_x(tf), 1.0, name="out"))
    graph = graph_pb2.GraphDef.FromString(source.read_bytes())
    watching(graph, target)
    source.write_bytes(graph.SerializeToString())
    assert converted(source, Kind.FROZEN_GRAPH, tmp_path / "frozen").references

    assert not target.exists()


def altered(source: Path, alter: Callable[[Any], object]) -> Path:
    """A SavedModel with another graph."""
    from tensorflow.core.protobuf import saved_model_pb2  # noqa: PLC0415

    path = source / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    alter(saved.meta_graphs[0])
    path.write_bytes(saved.SerializeToString())
    return source


@pytest.mark.parametrize("op", ["ReadFile", "PartitionedCall"])
def test_what_nothing_calls_may_only_compute_if_it_is_loaded(tmp_path: Path, op: str) -> None:
    """All functions of a SavedModel are; what saves its variables keeps a state, and is not run."""

    def alter(meta: Any) -> None:
        inner = function(meta.graph_def.library, "aside", op)
        inner.attr["f"].func.name = "evil"
        function(meta.graph_def.library, "evil", "WriteFile")

    source = altered(saved_module(tmp_path / "saved", lambda _, x: x + 1.0), alter)

    with pytest.raises(BadCall, match="is ReadFile" if op == "ReadFile" else "is WriteFile"):
        converted(source, Kind.SAVED_MODEL, tmp_path / "refused")


@pytest.mark.parametrize("kind", ["function", "bare_concrete_function"])
def test_what_makes_the_objects_of_a_saved_model_is_looked_into(tmp_path: Path, kind: str) -> None:
    """Whatever kind of object names it: loading may run it."""

    def alter(meta: Any) -> None:
        function(meta.graph_def.library, "evil", "WriteFile")
        node = meta.object_graph_def.nodes.add()
        if kind == "function":
            node.function.concrete_functions.append("evil")
        else:
            node.bare_concrete_function.concrete_function_name = "evil"

    source = altered(saved_module(tmp_path / "saved", lambda _, x: x + 1.0), alter)

    with pytest.raises(BadCall, match="is WriteFile"):
        converted(source, Kind.SAVED_MODEL, tmp_path / "refused")
