"""TensorFlow graphs to ONNX by tf2onnx, with its normalisations left for us to fold.

tf2onnx folds a BatchNormalization, and a Mul by a constant, into the Conv before it, and so does
TensorFlow's own optimizer that it begins with. None of them proves it, so all three are off here.
And tf2onnx reports success on an operator that it has no conversion for: it logs an error and
writes an invalid file. Those lines are read, and become ``Unconvertible``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx

from folding.conversion.opsets import TF2ONNX, require_by
from folding.conversion.rewriting import REWRITINGS
from folding.conversion.tf1.functions import settled
from folding.errors import Unconvertible

#: What keeps a function in one piece.
_WHOLE = ("_XlaMustCompile", "_noinline")
#: The rule of tf2onnx's optimizer that folds, as it is registered there.
_FOLDING_RULE = ("Conv", "BatchNormalization")
#: How the log lines begin that stand for an operator which was left as it is, name and type last.
_LEFT_OVER = "Tensorflow op [%s: %s] is not supported"
#: The first version of the format whose weights need not be inputs.
_WEIGHTS_APART = 4
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
    require_by(TF2ONNX, opset)
    return _convert(_inlined(graph_def, inputs, outputs), inputs, outputs, opset, renamed or {})


def convert_function(
    function: Any,
    *,
    opset: int | None = None,
    renamed: Mapping[str, str] | None = None,
    has_flags: bool = False,
) -> onnx.ModelProto:
    """The ONNX model of a concrete function, whose variables become constants.

    ``has_flags`` is whether some of what it decides by is constant, so that sides of it go.
    """
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
    from tf2onnx import tf_loader

    captured = {tensor.name for tensor in function.graph.internal_captures}
    inputs = [tensor.name for tensor in function.inputs if tensor.name not in captured]
    outputs = [tensor.name for tensor in function.outputs]
    left = settled(function) if has_flags else None
    if left is not None:
        moved = zip(outputs, left.outputs, strict=True)
        names = {**(renamed or {}), **{new: (renamed or {}).get(old, old) for old, new in moved}}
        return convert_graph(left.graph_def, inputs, left.outputs, opset=opset, renamed=names)
    frozen = convert_variables_to_constants_v2(
        function, lower_control_flow=False, aggressive_inlining=True
    )
    graph_def = tf_loader.fix_freezing_errors_part2(frozen.graph.as_graph_def(add_shapes=True))
    return convert_graph(graph_def, inputs, outputs, opset=opset, renamed=renamed)


def _inlined(graph_def: Any, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """The graph with its function calls replaced by what they do, and nothing folded."""
    from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, rewriter_config_pb2
    from tensorflow.python.grappler import tf_optimizer

    config = config_pb2.ConfigProto()
    config.graph_options.infer_shapes = True
    rewriting = config.graph_options.rewrite_options
    rewriting.optimizers[:] = ["function", "dependency"]
    rewriting.function_optimization = rewriter_config_pb2.RewriterConfig.AGGRESSIVE
    meta_graph = meta_graph_pb2.MetaGraphDef(graph_def=graph_def)
    _let_inline(meta_graph.graph_def)
    kept = meta_graph.collection_def["train_op"].node_list.value
    kept.extend([*inputs, *outputs])
    return tf_optimizer.OptimizeGraph(config, meta_graph)


def _let_inline(graph_def: Any) -> None:
    """Let calls be inlined that are to be compiled as a whole, as Keras' grouped convolutions."""
    functions = graph_def.library.function
    for holder in (*graph_def.node, *functions, *(n for f in functions for n in f.node_def)):
        for mark in _WHOLE:
            holder.attr.pop(mark, None)


def convert_lite(
    path: Path,
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    opset: int | None = None,
    renamed: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    """The ONNX model of a TensorFlow Lite file, between tensors of it."""
    require_by(TF2ONNX, opset)
    return _convert(None, inputs, outputs, opset, renamed or {}, tflite_path=str(path))


def _convert(
    graph_def: Any,
    inputs: Sequence[str],
    outputs: Sequence[str],
    opset: int | None,
    renamed: Mapping[str, str],
    **more: Any,
) -> onnx.ModelProto:
    import tensorflow as tf
    from tf2onnx import optimizer, tfonnx

    with _complaints() as complaints, tf.device("/cpu:0"), tf.Graph().as_default() as graph:
        if graph_def is not None:
            tf.import_graph_def(graph_def, name="")
        converted = tfonnx.process_tf_graph(
            graph,
            continue_on_error=True,
            opset=opset,
            input_names=list(inputs),
            output_names=list(outputs),
            tensors_to_rename=dict(renamed),
            custom_rewriter=list(REWRITINGS),
            **more,
        )
    if complaints:
        raise Unconvertible(f"tf2onnx has no conversion for {', '.join(complaints)}")
    with _without_folding() as optimizers:
        optimized = optimizer.optimize_graph(converted, optimizers=optimizers)
    model: onnx.ModelProto = optimized.make_model("")
    _hide_weights(model)
    return model


def _hide_weights(model: onnx.ModelProto) -> None:
    """Take the weights from the inputs: old operator sets let callers override them there."""
    stored = {tensor.name for tensor in model.graph.initializer}
    kept = [value for value in model.graph.input if value.name not in stored]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.ir_version = max(model.ir_version, _WEIGHTS_APART)


@contextmanager
def _without_folding() -> Iterator[dict[str, Any]]:
    """tf2onnx's optimizers, of which none changes the weights of a Conv."""
    from tf2onnx import optimizer
    from tf2onnx.optimizer import back_to_back_optimizer

    rules = back_to_back_optimizer._func_map  # noqa: SLF001 - there is no other way to say so
    rule = rules.pop(_FOLDING_RULE)
    try:
        yield {**optimizer._get_optimizers(), "optimize_transpose": _mild_transposing()}  # noqa: SLF001
    finally:
        rules[_FOLDING_RULE] = rule


def _mild_transposing() -> Any:
    """tf2onnx's optimizer of Transposes, without what it does to a Mul behind a Conv."""
    from tf2onnx.optimizer import TransposeOptimizer

    class MildTransposing(TransposeOptimizer):  # type: ignore[misc]
        def _mul_handler(self, trans: Any, node: Any) -> Any:
            # It multiplies into the weights only what is the second factor.
            if node.inputs[1].is_const():
                self._g.replace_inputs(node, list(reversed(node.input)))
            return super()._mul_handler(trans, node)

    return MildTransposing


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
