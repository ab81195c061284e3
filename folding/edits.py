"""The edit list, and the only code that changes a graph.

What the planner's drafts differ in from the skeleton is written into a copy of it, once, in one
place. Everything that no fold touched is the source's own message, unknown fields included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from folding.draft import Draft
from folding.modelfile import Model
from folding.plan import Warned
from folding.protos import graphs, subgraphs
from folding.recipes import Changed
from folding.skeleton import LEAST, TOKEN
from folding.source import Block

_TYPED = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")


@dataclass(frozen=True, slots=True)
class Computed:
    """The bytes of a changed tensor, which exist only while they are written."""

    changed: Changed
    apart: bool

    @property
    def size(self) -> int:
        return self.changed.size

    def read(self, start: int, end: int) -> bytes:
        return self.changed.to_bytes()[start:end]

    def read_into(self, start: int, buffer: memoryview) -> None:
        buffer[:] = self.read(start, start + len(buffer))

    def blocks(self) -> Iterator[Block]:
        return self.changed.blocks()


def apply(model: Model, drafts: list[Draft]) -> tuple[Model, list[Warned]]:
    """The folded model, and what had to go with the values that changed.

    The model given is not changed. The tokens of the new one share its contents; a changed
    tensor's content is computed when it is read.
    """
    copy = ModelProto()
    copy.CopyFrom(model.proto)
    folded = Model(copy, list(model.contents), model.path, model.files)
    warnings: list[Warned] = []
    # Inner before outer: changing a graph copies the nodes in it, and with them their bodies.
    for draft, graph in reversed(list(zip(drafts, graphs(copy), strict=False))):
        if draft.nodes or draft.tensors_dropped:
            _nodes(draft, graph)
            _tensors(draft, graph, folded)
            warnings += _annotations(draft, graph)
    return folded, warnings


def _nodes(draft: Draft, graph: GraphProto) -> None:
    behind: dict[int, list[int]] = {}
    for new, place in draft.after.items():
        behind.setdefault(place, []).append(new)
    structure = bool(behind) or any(node is None for node in draft.nodes.values())
    nodes: list[NodeProto] = []
    for index, node in enumerate(graph.node):
        changed = draft.nodes.get(index, node)
        if changed is not None and changed is not node:
            _become(node, changed)
        if changed is not None:
            nodes.append(node)
        added = (draft.nodes[new] for new in behind.get(index, ()))
        nodes += [node for node in added if node is not None]
    if structure:
        kept = GraphProto()
        kept.node.extend(nodes)
        del graph.node[:]
        graph.node.extend(kept.node)


def _become(node: NodeProto, changed: NodeProto) -> None:
    """Let a node be what a fold makes of it; its bodies have been changed before."""
    if any(True for _ in subgraphs(node)):
        node.output[:] = changed.output
    else:
        node.CopyFrom(changed)


def _tensors(draft: Draft, graph: GraphProto, folded: Model) -> None:
    names = {tensor.name for tensor in graph.initializer}
    lost = draft.tensors_dropped - draft.changed.keys()
    if draft.keeps_inputs:
        lost = lost - draft.scope.inputs
    kept = [tensor for tensor in graph.initializer if tensor.name not in lost]
    for tensor in kept:
        if tensor.name in draft.changed:
            _fill(tensor, draft.changed[tensor.name], folded)
    if lost:
        holder = GraphProto()
        holder.initializer.extend(kept)
        del graph.initializer[:]
        graph.initializer.extend(holder.initializer)
    for name, changed in draft.changed.items():
        if name in names:
            continue
        if draft.keeps_inputs:
            _constant_node(graph, changed, folded)
        else:
            _fill(graph.initializer.add(name=name), changed, folded)


def _constant_node(graph: GraphProto, changed: Changed, folded: Model) -> None:
    """Below IR 4 an initializer must be a graph input too, and the signature may not change."""
    node = NodeProto(op_type="Constant", output=[changed.name])
    value = node.attribute.add(name="value", type=AttributeProto.TENSOR)
    _fill(value.t, changed, folded)
    nodes = list(graph.node)
    holder = GraphProto()
    holder.node.extend([node, *nodes])
    del graph.node[:]
    graph.node.extend(holder.node)


def _fill(tensor: TensorProto, changed: Changed, folded: Model) -> None:
    """Give a tensor its new content; name, doc string and metadata stay."""
    source = folded.content(tensor)
    for kind in (*_TYPED, "raw_data", "external_data"):
        tensor.ClearField(kind)
    tensor.data_type = changed.elem_type
    del tensor.dims[:]
    tensor.dims.extend(changed.recipe.dims)
    if changed.size < LEAST:
        tensor.ClearField("data_location")
        tensor.raw_data = changed.to_bytes()
        return
    apart = source.apart if source is not None else folded.is_external
    folded.contents.append(Computed(changed, apart))
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=TOKEN)
    tensor.external_data.add(key="offset", value=str(len(folded.contents) - 1))


def _annotations(draft: Draft, graph: GraphProto) -> list[Warned]:
    """What the graph says elsewhere of values that are gone or changed."""
    for place in reversed(range(len(graph.value_info))):
        name = graph.value_info[place].name
        if name in draft.renamed:
            graph.value_info[place].name = draft.renamed[name]
        elif name in draft.vanished:
            del graph.value_info[place]
    for value in graph.output:
        value.name = draft.given.get(value.name, value.name)
    warnings = []
    stale = draft.renamed.keys() | draft.vanished | draft.changed.keys() | draft.tensors_dropped
    for place in reversed(range(len(graph.quantization_annotation))):
        name = graph.quantization_annotation[place].tensor_name
        if name in stale:
            del graph.quantization_annotation[place]
            text = f"the quantization annotation of {name!r} went with its old values"
            warnings.append(Warned("QUANTIZATION_ANNOTATION_DROPPED", name, text))
    return warnings
