"""The graph of a file, and the checkpoint beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from folding.conversion.job import Job, Kind
from folding.conversion.tf1.nodes import Graph, first_line
from folding.conversion.tf1.switched import with_inputs
from folding.conversion.tf1.variables import Checkpoint
from folding.errors import BadModel, StorageFailed

_SAVED = "saved_model.pb"
_AGAIN = "Check that the file is complete, or save it again."


@dataclass(frozen=True)
class Loaded:
    """A graph as it was saved; ``meta`` is a MetaGraphDef where there is one.

    In ``graph`` the variables of ``switched`` are inputs: they are training flags.
    """

    graph_def: Any
    graph: Graph
    meta: Any = None
    prefix: str = ""
    checkpoint: Checkpoint | None = None
    switched: frozenset[str] = frozenset()

    @property
    def signed(self) -> list[str]:
        """What the file itself calls its outputs, if it has one signature."""
        signatures = [] if self.meta is None else list(self.meta.signature_def.values())
        if len(signatures) != 1:
            return []
        return [info.name for info in signatures[0].outputs.values()]


def loaded(job: Job) -> Loaded:
    """Read the source of a job.

    Raises:
        BadModel: it is damaged, or its checkpoint is not there.
        StorageFailed: it cannot be read.
    """
    from tensorflow.core.framework import graph_pb2
    from tensorflow.core.protobuf import meta_graph_pb2

    if job.kind is Kind.FROZEN_GRAPH:
        graph_def = _message(job.source, graph_pb2.GraphDef())
        return Loaded(graph_def, Graph.of(graph_def))
    if job.kind is Kind.SAVED_MODEL:
        path, meta = _served(job.source)
        prefix = str(job.source / "variables" / "variables")
    else:
        path = _meta_path(job.source)
        meta = _message(path, meta_graph_pb2.MetaGraphDef())
        prefix = str(path.with_suffix(""))
    checkpoint = _checkpoint(path.name, prefix)
    graph, switched = with_inputs(Graph.of(meta.graph_def), checkpoint)
    return Loaded(meta.graph_def, graph, meta, prefix, checkpoint, switched)


def _served(folder: Path) -> tuple[Path, Any]:
    """The file of a SavedModel, and its graph to be served, or its only one."""
    graphs = graphs_of(folder)
    served = next((g for g in graphs if "serve" in g.meta_info_def.tags), graphs[0])
    return folder / _SAVED, served


def graphs_of(folder: Path) -> list[Any]:
    """The graphs of a SavedModel with their signatures.

    Raises:
        BadModel: it is damaged.
        StorageFailed: it cannot be read.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    path = folder / _SAVED
    graphs = list(_message(path, saved_model_pb2.SavedModel()).meta_graphs)
    if not graphs:
        raise BadModel(f"{str(path)!r} has no graph", hint=_AGAIN)
    return graphs


def is_of_first(folder: Path) -> bool:
    """Whether TensorFlow 1 wrote a SavedModel, as a graph and no more.

    Raises:
        BadModel: it is damaged.
        StorageFailed: it cannot be read.
    """
    _, graph = _served(folder)
    return not graph.HasField("object_graph_def")


def _meta_path(source: Path) -> Path:
    """The .meta that a source is, is the prefix of, or has as its latest."""
    if source.is_dir():
        return source / f"{_latest(source)}.meta"
    return source if source.suffix == ".meta" else source.with_name(f"{source.name}.meta")


def _latest(folder: Path) -> str:
    """What the file ``checkpoint`` of a folder names, wherever the folder was then."""
    from google.protobuf import text_format
    from tensorflow.python.training.checkpoint_state_pb2 import CheckpointState

    try:
        state = text_format.Parse((folder / "checkpoint").read_bytes(), CheckpointState())
    except OSError as error:
        text = f"{str(folder)!r} has no readable file 'checkpoint': {error.strerror}"
        raise BadModel(text, hint="Name one of its .meta files.") from error
    except (text_format.ParseError, UnicodeDecodeError) as error:
        text = f"the file 'checkpoint' of {str(folder)!r} names no checkpoint: {error}"
        raise BadModel(text, hint="Name one of the folder's .meta files.") from error
    return Path(state.model_checkpoint_path).name


def _message(path: Path, message: Any) -> Any:
    from google.protobuf.message import DecodeError

    try:
        message.ParseFromString(path.read_bytes())
    except OSError as error:
        raise StorageFailed(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    except DecodeError as error:
        text = f"{str(path)!r} is no whole {type(message).__name__} of TensorFlow"
        raise BadModel(text, hint=_AGAIN) from error
    return message


def checkpoint_of(prefix: str) -> Any:
    """What reads the checkpoint whose files begin with a prefix.

    ``tf.train.load_checkpoint`` would look into a folder of that name first, for whatever that
    calls the latest.
    """
    import tensorflow as tf

    return tf.compat.v1.train.NewCheckpointReader(prefix)


def _checkpoint(name: str, prefix: str) -> Any:
    import tensorflow as tf

    try:
        return checkpoint_of(prefix)
    except (ValueError, tf.errors.OpError) as error:
        text = f"the checkpoint of {name!r} is not beside it, or damaged: {first_line(error)}"
        raise BadModel(
            text, hint="Put .meta, .index and .data files of one name together."
        ) from error
