"""What TensorFlow itself computes with a graph as it was saved, its flags set as at inference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from folding.conversion.job import Job
from folding.conversion.samples import (
    Feed,
    Spec,
    further_inputs,
    has_numbers_alone,
    sample_inputs,
    write_reference,
)
from folding.conversion.tf1.flags import shape_of
from folding.conversion.tf1.inference import Inference
from folding.conversion.tf1.loading import Loaded
from folding.conversion.tf1.nodes import Graph, Tensor, plain
from folding.errors import BadCall


def specs(graph: Graph, inputs: Sequence[str]) -> dict[str, Spec]:
    """What the inputs of a graph take.

    Raises:
        BadCall: one takes arrays of any number of axes.
    """
    import tensorflow as tf

    found: dict[str, Spec] = {}
    for name in inputs:
        shape = shape_of(graph.nodes[name])
        if shape is None:
            text = f"the input {name!r} does not say how many axes it has"
            raise BadCall(text, hint="Give its placeholder a shape, such as (None, 28, 28, 1).")
        kind = tf.dtypes.as_dtype(graph.nodes[name].attr["dtype"].type)
        found[name] = Spec(shape, kind.as_numpy_dtype)
    return found


def write_references(job: Job, loaded: Loaded, found: Inference) -> list[str]:
    """Run the graph on the samples of a job, and keep both by the names of the ONNX graph.

    Raises:
        ValueError: TensorFlow does not take the graph as it is.
        tensorflow.errors.OpError: it does not run it.
    """
    wanted = {plain(tensor): _there(loaded, found, tensor) for tensor in found.outputs}
    values = {**found.flags, **found.defaults}
    settled = {f"{n}:0": value for n, value in values.items() if n not in loaded.switched}

    def run(session: Any, feed: Feed) -> dict[str, Any]:
        given = {f"{name}:0": array for name, array in feed.items()} | settled
        done: dict[str, Any] = session.run(wanted, given)
        return done

    files: list[str] = []
    with _running(loaded) as session:
        _assign(session, {name: values[name] for name in values.keys() & loaded.switched})
        for feed in _feeds(job, found):
            files.append(write_reference(job, len(files), feed, run(session, feed)))
        further = further_inputs(job, specs(found.graph, found.inputs))
        done = None if further is None else _tried(partial(run, session, further))
        if further is not None and done is not None:
            files.append(write_reference(job, len(files), further, done))
    return files


def _tried(run: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """What a run gives, if it is not refused and gives numbers alone."""
    import tensorflow as tf

    try:
        found = run()
    except (ValueError, tf.errors.OpError):
        return None
    return found if all(map(has_numbers_alone, found.values())) else None


def _assign(session: Any, values: Mapping[str, Any]) -> None:
    """Set variables: no value can be fed for one everywhere it is read."""
    import tensorflow as tf

    for name, value in values.items():
        variable = session.graph.get_tensor_by_name(f"{name}:0")
        is_handle = variable.dtype == tf.resource
        assign = tf.raw_ops.AssignVariableOp if is_handle else tf.raw_ops.Assign
        given = {"resource" if is_handle else "ref": variable}
        session.run(assign(**given, value=tf.constant(value)))


def _there(loaded: Loaded, found: Inference, tensor: Tensor) -> str:
    """Where an output is in a graph that is run: in its own place, unless it was moved."""
    return (tensor if tensor.node in loaded.graph.nodes else found.outputs[tensor]).name


def _feeds(job: Job, found: Inference) -> Iterator[Feed]:
    return sample_inputs(job, specs(found.graph, found.inputs))


@contextmanager
def _running(loaded: Loaded) -> Iterator[Any]:
    """A session of the graph, with its variables restored by its own means."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        if loaded.meta is None:
            tf.import_graph_def(loaded.graph_def, name="")
        else:
            saver = v1.train.import_meta_graph(loaded.meta, clear_devices=True)
            if saver is None:
                raise ValueError("it has no saver_def, which says how variables are restored")
            saver.restore(session, loaded.prefix)
        yield session
