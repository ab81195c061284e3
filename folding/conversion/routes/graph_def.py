"""Graphs of TensorFlow 1: a frozen .pb, or a .meta beside its checkpoint.

The graph is made ready for inference first (see ``tf1``), then tf2onnx has only what it can do.
What TensorFlow computes with the graph as it was saved is the reference.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from folding.conversion.effects import is_restoring, require_contained, run_alone
from folding.conversion.job import MODEL, Job, Port, Product
from folding.conversion.tf1.correcting import with_corrected
from folding.conversion.tf1.inference import Inference, inference
from folding.conversion.tf1.loading import Loaded, loaded
from folding.conversion.tf1.nodes import Tensor, first_line, parsed, plain
from folding.conversion.tf1.outputs import chosen_outputs
from folding.conversion.tf1.randomness import is_random
from folding.conversion.tf1.references import write_references
from folding.conversion.tf1.reporting import declares_normalisation, write_all
from folding.conversion.tf2onnx_ import convert_graph
from folding.errors import BadModel
from folding.plan import Warned


def run(job: Job) -> Product:
    """Convert a graph.

    Raises:
        BadCall: an output or a flag is not there, or there is no telling which is the output.
        BadModel: the file or its checkpoint is damaged.
        Unconvertible: ONNX, or tf2onnx, has nothing for a part of the graph.
    """
    import tensorflow as tf
    import tf2onnx

    source = loaded(job)
    outputs = chosen_outputs(source.graph, job.outputs, source.signed)
    source = _contained(job, source, outputs)
    found = inference(source, outputs, job.freeze)
    statistics, warnings = (
        write_all(job, source, found),
        list(_warnings(found, {parsed(name).node for name in job.freeze})),
    )
    if job.correct_averages:
        found, statistics, corrected = with_corrected(job, found, statistics)
        warnings += corrected
    ready = _graph_def(source, found)
    names = {tensor: plain(tensor) for tensor in found.outputs}
    _write(job, ready, found, names)
    references, unchecked = _references(job, source, found, ready)
    return Product(
        f"TensorFlow {tf.__version__}",
        f"tf2onnx {tf2onnx.__version__}",
        [Port(name, name) for name in found.inputs],
        [Port(name, name) for name in names.values()],
        references,
        unchecked,
        statistics,
        bool(statistics) or declares_normalisation(source.graph),
        warnings,
        tuple(_exposed(job, found)),
    )


def _contained(job: Job, source: Loaded, outputs: Sequence[Tensor]) -> Loaded:
    """What of a graph is run: for its outputs, and to restore its variables.

    TensorFlow never gets the rest, of which it would evaluate some as it infers shapes.

    Raises:
        BadCall: some of it reaches beyond the graph.
    """
    name, graph_def = str(job.source), source.graph_def
    starts = [tensor.node for tensor in outputs]
    require_contained(name, graph_def, starts, trust=job.trust)
    if source.meta is None:
        return replace(source, graph_def=run_alone(graph_def, starts))
    saver = source.meta.saver_def
    allows = partial(is_restoring, file_name=saver.filename_tensor_name)
    restoring = [saver.restore_op_name, saver.filename_tensor_name]
    require_contained(name, graph_def, restoring, trust=job.trust, allows=allows)
    alone = type(source.meta)(
        meta_info_def=source.meta.meta_info_def,
        graph_def=run_alone(graph_def, [*starts, *restoring]),
        saver_def=saver,
        signature_def=source.meta.signature_def,
    )
    return replace(source, graph_def=alone.graph_def, meta=alone)


def _graph_def(source: Loaded, found: Inference) -> Any:
    """The graph for inference, once TensorFlow takes it."""
    import tensorflow as tf
    from tensorflow.core.framework import graph_pb2

    ready = graph_pb2.GraphDef(
        node=found.graph.nodes.values(),
        versions=source.graph_def.versions,
        library=source.graph_def.library if found.has_calls else None,
    )
    try:
        with tf.Graph().as_default():
            tf.import_graph_def(ready, name="")
    except (ValueError, tf.errors.OpError) as error:
        text = f"TensorFlow {tf.__version__} does not take the graph: {first_line(error)}"
        raise BadModel(text, hint="Save it again with a newer TensorFlow.") from error
    return ready


def _write(job: Job, ready: Any, found: Inference, names: Mapping[Tensor, str]) -> None:
    inputs = [f"{name}:0" for name in found.inputs]
    outputs = {found.outputs[tensor].name: name for tensor, name in names.items()}
    renamed = dict(zip(inputs, found.inputs, strict=True)) | outputs
    model = convert_graph(ready, inputs, list(outputs), opset=job.opset, renamed=renamed)
    (job.folder / MODEL).write_bytes(model.SerializeToString())


def _warnings(found: Inference, asked: Collection[str]) -> Iterator[Warned]:
    for values, what in ((found.flags, "is set to"), (found.defaults, "is its default,")):
        for name, value in values.items():
            remedy = "" if name in asked else f"; --freeze {name}=VALUE sets it otherwise"
            yield Warned("INPUT_FROZEN", name, f"{name!r} {what} {_shown(value)}{remedy}")


def _exposed(job: Job, found: Inference) -> Iterator[Warned]:
    """The lints of flags that callers of the graph have to set, unless the user has frozen them."""
    frozen = {parsed(name).node for name in job.freeze}
    for name, value in found.flags.items():
        if name in frozen:
            continue
        cause = f"it decides what is computed, and at inference it is {_shown(value)}"
        yield Warned("TRAINING_FLAG", name, cause)


def _shown(value: Any) -> str:
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, bytes):
        return repr(plain.decode(errors="replace"))
    return str(plain).lower() if isinstance(plain, bool) else str(plain)


def _references(job: Job, source: Loaded, found: Inference, ready: Any) -> tuple[list[str], str]:
    """What TensorFlow computes, or why nobody knows; with the averages that were corrected.

    It does not run every graph that it has frozen: then it runs what is left of that.
    """
    import tensorflow as tf

    if is_random(found.graph):
        return [], "it computes with random numbers, so no two runs agree"
    bare = Inference(found.graph, found.inputs, found.outputs, {}, {})
    why = ""
    candidates = [(source, found), (Loaded(ready, found.graph), bare)]
    for candidate, settled in candidates[1 if job.correct_averages else 0 :]:
        try:
            return write_references(job, candidate, settled), ""
        except (ValueError, tf.errors.OpError) as error:
            why = why or f"TensorFlow cannot run it: {first_line(error)}"
    return [], why
