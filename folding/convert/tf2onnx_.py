"""TensorFlow graphs to ONNX by tf2onnx, with its normalisations left for us to fold.

tf2onnx folds a BatchNormalization into the Conv before it, without a proof; that one rule of its is
off here. And it reports success on an operator that it has no conversion for: it logs an error and
writes an invalid file. Those lines are read, and become ``Unconvertible``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import onnx

from folding.errors import BadCall, Unconvertible

#: The rule of tf2onnx's optimizer that folds, as it is registered there.
_FOLDING_RULE = ("Conv", "BatchNormalization")
#: How the log lines begin that stand for an operator which was left as it is, name and type last.
_LEFT_OVER = "Tensorflow op [%s: %s] is not supported"
_FAILED = "Failed to convert node %r"


def convert_graph(
    graph_def: Any,
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    opset: int | None = None,
    renamed: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    """The ONNX model of a GraphDef without variables.

    ``inputs`` and ``outputs`` are tensors of it (``X:0``), which the model calls the same unless
    ``renamed`` says otherwise.
    """
    from tf2onnx import tf_loader

    _require_known(opset)
    lean = tf_loader.tf_optimize(list(inputs), list(outputs), graph_def)
    return _convert(lean, inputs, outputs, opset, renamed or {})


def convert_function(
    function: Any, *, opset: int | None = None, renamed: Mapping[str, str] | None = None
) -> onnx.ModelProto:
    """The ONNX model of a concrete function, whose variables become constants."""
    import tensorflow as tf
    from tf2onnx import tf_loader

    _require_known(opset)
    inputs, outputs = (
        [tensor.name for tensor in tensors if tensor.dtype != tf.resource]
        for tensors in (function.inputs, function.outputs)
    )
    graph_def = tf_loader.from_function(function, inputs, outputs)
    return _convert(graph_def, inputs, outputs, opset, renamed or {})


def _require_known(opset: int | None) -> None:
    from tf2onnx import constants

    known = sorted(constants.OPSET_TO_IR_VERSION)
    if opset is not None and opset not in known:
        raise BadCall(
            f"tf2onnx does not write opset {opset}",
            hint=f"Give one of {known[0]} to {known[-1]}, or leave the choice to tf2onnx.",
        )


def _convert(
    graph_def: Any,
    inputs: Sequence[str],
    outputs: Sequence[str],
    opset: int | None,
    renamed: Mapping[str, str],
) -> onnx.ModelProto:
    import tensorflow as tf
    from tf2onnx import optimizer, tfonnx

    with _complaints() as complaints, tf.device("/cpu:0"), tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        converted = tfonnx.process_tf_graph(
            graph,
            continue_on_error=True,
            opset=opset,
            input_names=list(inputs),
            output_names=list(outputs),
            tensors_to_rename=dict(renamed),
        )
    if complaints:
        raise Unconvertible(f"tf2onnx has no conversion for {', '.join(complaints)}")
    with _without_folding():
        model: onnx.ModelProto = optimizer.optimize_graph(converted).make_model("")
    return model


@contextmanager
def _without_folding() -> Iterator[None]:
    from tf2onnx.optimizer import back_to_back_optimizer

    rules = back_to_back_optimizer._func_map  # noqa: SLF001 - there is no other way to say so
    rule = rules.pop(_FOLDING_RULE)
    try:
        yield
    finally:
        rules[_FOLDING_RULE] = rule


@contextmanager
def _complaints() -> Iterator[list[str]]:
    handler = _Listener()
    logger = logging.getLogger("tf2onnx")
    logger.addHandler(handler)
    try:
        yield handler.heard
    finally:
        logger.removeHandler(handler)


class _Listener(logging.Handler):
    """Remembers the operators that tf2onnx says it could not convert, each once."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        args = record.args if isinstance(record.args, tuple) else ()
        if record.msg.startswith(_LEFT_OVER):
            self._remember(f"the {args[1]} {args[0]!r}")
        elif record.msg.startswith(_FAILED):
            self._remember(f"the node {args[0]!r}")

    def _remember(self, what: str) -> None:
        if what not in self.heard:
            self.heard.append(what)
