"""What no runtime here can run, or would run otherwise each time."""

from __future__ import annotations

import onnxruntime
from onnx import ModelProto

from folding.equivalence.jobs import Engine
from folding.errors import BadCall
from folding.protos import RANDOM, graphs, is_default_domain, opset

_KERNELS_SINCE = 7
_KNOWN_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")


def cannot_run(model: ModelProto, engine: Engine) -> str:
    """Why no runtime here can run a model, or nothing."""
    if opset(model.opset_import) < _KERNELS_SINCE:
        return "onnxruntime has no kernels for operator sets below 7"
    local = {(function.domain, function.name) for function in model.functions}
    for graph in graphs(model):
        for node in graph.node:
            if node.op_type in RANDOM and is_default_domain(node):
                return f"{node.op_type} is random"
            known = node.domain in _KNOWN_DOMAINS or engine.custom_ops is not None
            if not known and (node.domain, node.op_type) not in local:
                return f"{node.op_type} is an operator of the domain {node.domain!r}"
    return ""


def check_engine(engine: Engine) -> None:
    """Raise BadCall for a provider that this onnxruntime does not have."""
    known = onnxruntime.get_available_providers()
    if engine.provider not in known:
        text = f"onnxruntime has no provider {engine.provider!r} here"
        raise BadCall(text, hint=f"It has {', '.join(known)}.")
