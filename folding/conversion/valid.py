"""Is what a converter made a model? Converters report success on files that no runtime takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from onnx import ModelProto, NodeProto, checker, defs, shape_inference

from folding.errors import Unconvertible
from folding.modelfile import Model
from folding.protos import bodies, is_default_domain, opset, title

_KNOWN_DOMAINS = ("ai.onnx.ml", "com.microsoft")
_MOST_NAMED = 3


def check_valid(
    model: Model, path: Path, converter: str, inputs: Sequence[str], outputs: Sequence[str]
) -> None:
    """Refuse what is no valid model, or not the one that was announced.

    Args:
        model: the skeleton.
        path: the file.
        converter: what made it.
        inputs: those that it should require.
        outputs: those that it should have.

    Raises:
        Unconvertible: with what the converter left, or what is wrong.
    """
    left = list(dict.fromkeys(f"{n.op_type} {title(n)!r}" for n in _unknown(model.proto)))
    if left:
        more = f" and {len(left) - _MOST_NAMED} more" if len(left) > _MOST_NAMED else ""
        named = ", ".join(left[:_MOST_NAMED])
        raise Unconvertible(
            f"{converter} left {named}{more} unconverted; ONNX has no such operator"
        )
    _check_names(model.proto, converter, inputs, outputs)
    try:
        checker.check_model(str(path), full_check=True)
    except (checker.ValidationError, shape_inference.InferenceError, ValueError) as error:
        reason = " ".join(str(error).split()).removesuffix(".")
        raise Unconvertible(f"what {converter} made is invalid: {reason}") from error


def _unknown(proto: ModelProto) -> Iterator[NodeProto]:
    """The nodes of operators that there are not."""
    version = opset(proto.opset_import)
    local = {(function.domain, function.name) for function in proto.functions}
    for graph in (proto.graph, *bodies(proto.graph)):
        for node in graph.node:
            if (node.domain, node.op_type) in local or node.domain in _KNOWN_DOMAINS:
                continue
            if not (is_default_domain(node) and defs.has(node.op_type, version)):
                yield node


def _check_names(
    proto: ModelProto, converter: str, inputs: Sequence[str], outputs: Sequence[str]
) -> None:
    given = {tensor.name for tensor in proto.graph.initializer}
    for what, names, there in (
        ("input", inputs, [v.name for v in proto.graph.input if v.name not in given]),
        ("output", outputs, [v.name for v in proto.graph.output]),
    ):
        for name in sorted({*names} ^ {*there}):
            lack = "does not have" if name in names else "has, unannounced,"
            raise Unconvertible(f"what {converter} made {lack} the {what} {name!r}")
