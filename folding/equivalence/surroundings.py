"""What is around the inputs of a graph's nodes, before and after a fold."""

from __future__ import annotations

from collections.abc import Container

from onnx import GraphProto, NodeProto

from folding.draft import Draft
from folding.equivalence.sealed import rest, said_of, same_tensor, sparse
from folding.modelfile import Model
from folding.protos import attribute, bodies, names, number, subgraphs, title

_C = 2
#: The parts of a graph that no fold touches.
_FIELDS = ("name", "doc_string", "input", "metadata_props")


class Differs(Exception):
    """What differs, and where. The frame check turns it into its answer."""

    def __init__(self, why: str, at: str = "") -> None:
        super().__init__(why)
        self.why, self.at = why, at


def same_rest(reference: Model, candidate: Model) -> None:
    """Raise Differs where the models differ outside of their graphs."""
    if rest(reference) != rest(candidate):
        raise Differs("the opsets, functions or metadata of the model differ")


def same_beta(node: NodeProto, twin: NodeProto, changed: Container[str]) -> None:
    """Raise Differs where a Gemm multiplies C by another number, or a new C by any."""
    beta = attribute(node, "beta") if node.op_type == "Gemm" else None
    if beta is None:
        return
    c = node.input[_C] if len(node.input) > _C else ""
    fitting = {1.0} if c in changed else {number(twin, "beta", 1.0)}
    if beta.f not in (fitting if c else fitting | {1.0}):
        raise Differs(f"node {title(node)!r} has another beta", title(node))


def same_bodies(node: NodeProto, twin: NodeProto) -> None:
    """Raise Differs where a node makes another value than before, or a body of it, and not both."""
    for body, was in zip(subgraphs(node), subgraphs(twin), strict=False):
        given = [a.name != b.name for a, b in zip(body.output, was.output, strict=False)]
        made = [a != b for a, b in zip(node.output, twin.output, strict=False)]
        if any(given + made) and given != made:
            raise Differs(f"node {title(node)!r} has a body that gives another value", title(node))


def same_fields(draft: Draft, before: GraphProto, after: GraphProto) -> None:
    """Raise Differs where a graph says something else of itself or of its values."""
    for name in _FIELDS:
        if getattr(before, name) != getattr(after, name):
            raise Differs(f"the {name} of the graph differs")
    outputs = GraphProto(output=before.output).output
    for value in outputs:
        value.name = draft.given.get(value.name, value.name)
    if outputs != after.output:
        raise Differs("the output of the graph differs")
    known = {value.name: value for value in before.value_info}
    renamed = {new: old for old, new in draft.renamed.items()}
    for value in after.value_info:
        was = known.get(renamed.get(value.name, value.name))
        if was is None or was.type != value.type:
            raise Differs(f"what the model says of value {value.name!r} differs", value.name)
    annotations = {a.SerializeToString(deterministic=True) for a in before.quantization_annotation}
    for said in after.quantization_annotation:
        if said.SerializeToString(deterministic=True) not in annotations:
            raise Differs("a quantization annotation was not there before", said.tensor_name)


def same_tensors(
    models: tuple[Model, Model], draft: Draft, before: GraphProto, after: GraphProto
) -> None:
    """Raise Differs where a tensor that no fold claims is another one, missing or new."""
    if sparse(models[0], before) != sparse(models[1], after):
        raise Differs("the sparse_initializer of the graph differs")
    theirs = {tensor.name: tensor for tensor in after.initializer}
    needed = {name for node in after.node for name in node.input}
    needed |= {value.name for value in after.output}
    needed |= {name for body in bodies(after) for name in names(body)}
    needed -= {name for node in after.node for name in node.output}
    for tensor in before.initializer:
        twin = theirs.pop(tensor.name, None)
        if twin is None:
            if tensor.name in needed:
                raise Differs(f"tensor {tensor.name!r} is missing", tensor.name)
        elif tensor.name in draft.changed:
            if said_of(tensor) != said_of(twin):
                raise Differs(f"what is said of tensor {tensor.name!r} differs", tensor.name)
        elif not same_tensor(*models, tensor, twin):
            raise Differs(f"tensor {tensor.name!r} differs", tensor.name)
    for name in theirs.keys() - draft.changed.keys():
        raise Differs(f"tensor {name!r} was not there before", name)
