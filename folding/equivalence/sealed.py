"""Messages as bytes to compare: without what is compared elsewhere, with digests for tokens."""

from __future__ import annotations

import hashlib

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto

from folding.modelfile import Model
from folding.protos import attribute, tensors
from folding.scratch import Scratch, scratch
from folding.source import Block


def rest(model: Model) -> bytes:
    """A model without its graph, tokens replaced by digests."""
    copy = ModelProto()
    for found, value in model.proto.ListFields():
        if found.name != "graph":
            _put(copy, found.name, value)
    for tensor in tensors(copy):
        _seal(model, tensor)
    return copy.SerializeToString(deterministic=True)


def sparse(model: Model, graph: GraphProto) -> list[bytes]:
    """The sparse initializers of a graph, tokens replaced by digests."""
    found = []
    for tensor in graph.sparse_initializer:
        copy = SparseTensorProto()
        copy.CopyFrom(tensor)
        for part in (copy.values, copy.indices):
            _seal(model, part)
        found.append(copy.SerializeToString(deterministic=True))
    return found


def _put(copy: ModelProto, name: str, value: object) -> None:
    target = getattr(copy, name)
    if hasattr(target, "MergeFrom"):
        target.MergeFrom(value)
    else:
        setattr(copy, name, value)


def bare(model: Model, node: NodeProto) -> bytes:
    """A node without the bodies in it, which are compared for themselves.

    A tensor that is not in the skeleton counts with a digest of its bytes.
    """
    if not len(node.attribute):
        return node.SerializeToString(deterministic=True)
    copy = NodeProto()
    copy.CopyFrom(node)
    for found in copy.attribute:
        found.ClearField("g")
        found.ClearField("graphs")
        for tensor in (found.t, *found.tensors) if found.HasField("t") else found.tensors:
            _seal(model, tensor)
    return copy.SerializeToString(deterministic=True)


def _seal(model: Model, tensor: TensorProto) -> None:
    """Put a digest into a tensor that is not in the skeleton."""
    content = model.content(tensor)
    if content is not None:
        digest = hashlib.sha256()
        for block in content.blocks():
            digest.update(block)
        del tensor.external_data[:]
        tensor.raw_data = digest.digest()


def essence(model: Model, node: NodeProto) -> bytes:
    """What of a node no fold may change; the axis of a DequantizeLinear is regarded elsewhere."""
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.ClearField("input")
    copy.ClearField("output")
    if node.op_type == "Gemm" and (beta := attribute(copy, "beta")) is not None:
        beta.f = 1.0
    if node.op_type == "DequantizeLinear" and (axis := attribute(copy, "axis")) is not None:
        copy.attribute.remove(axis)
    return bare(model, copy)


def same_tensor(reference: Model, candidate: Model, ours: TensorProto, theirs: TensorProto) -> bool:
    """Whether two tensors have the same header and bytes."""
    one, other = reference.content(ours), candidate.content(theirs)
    if one is None or other is None:
        return one is other and ours == theirs
    if header(ours) != header(theirs) or one.size != other.size:
        return False
    with scratch(1) as (work,):
        pairs = zip(one.blocks(), other.blocks(), strict=True)
        return all(_same_bytes(a, b, work) for a, b in pairs)


def _same_bytes(one: Block, other: Block, work: Scratch) -> bool:
    # Two memoryviews are compared byte by byte by Python itself, which takes fifty times as long.
    a, b = np.frombuffer(one, np.uint8), np.frombuffer(other, np.uint8)
    return a.size == b.size and bool(np.equal(a, b, out=work.array(np.bool_, a.shape)).all())


def header(tensor: TensorProto) -> bytes:
    """A tensor without where its bytes are."""
    copy = TensorProto()
    copy.CopyFrom(tensor)
    copy.ClearField("external_data")
    return copy.SerializeToString(deterministic=True)


def said_of(tensor: TensorProto) -> tuple[str, bytes]:
    """What a model says of a tensor beside its numbers."""
    copy = TensorProto(doc_string=tensor.doc_string)
    copy.metadata_props.MergeFrom(tensor.metadata_props)
    return tensor.name, copy.SerializeToString(deterministic=True)
