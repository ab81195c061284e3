"""Put the branch of an If that has but one left in the place of the If.

    y = If(c){ h = f(x); r = g(h) }         h = f(x)
    h = ...                                 y = g(h)        with a new name for h if another has it

The outputs of the branch take the names of the If's. Names of the branch that the model has
elsewhere, too, are made new ones; its initializers move out with its nodes. Branches within it are
put in its place first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from folding.protos import (
    INITIALIZERS_ALONE_SINCE_IR,
    attribute,
    graphs,
    is_default_domain,
    subgraphs,
)
from folding.renaming import Fresh, defined, fresh_values, own_names, rename


def splice(proto: ModelProto) -> None:
    """Replace every If that has lost a branch."""
    _Splicer(proto).graph(proto.graph)


def store(proto: ModelProto, graph: GraphProto, tensors: Iterable[TensorProto]) -> list[NodeProto]:
    """Store tensors in a graph; the nodes for them where an initializer would have to be an input.

    Those nodes are to be put before the ones that read them.
    """
    if proto.ir_version >= INITIALIZERS_ALONE_SINCE_IR:
        graph.initializer.extend(tensors)
        return []
    holder = GraphProto()
    for tensor in tensors:
        node = holder.node.add(op_type="Constant", output=[tensor.name])
        node.attribute.add(name="value", type=AttributeProto.TENSOR).t.CopyFrom(tensor)
    return list(holder.node)


def replace_nodes(graph: GraphProto, nodes: Iterable[NodeProto]) -> None:
    """Give a graph other nodes; some of them may be its own."""
    holder = GraphProto(node=nodes)
    del graph.node[:]
    graph.node.extend(holder.node)


def output_names(
    inner: Iterable[str], outer: Iterable[str], made: AbstractSet[str], given: Mapping[str, str]
) -> tuple[dict[str, str], list[NodeProto]]:
    """New names for the outputs of what is put in another place, and nodes for all that need one.

    Those are outputs that are not made within, or stand for two values outside.

    Args:
        inner: the outputs, as they are called within.
        outer: the same, as they are called outside; empty where nobody wants one.
        made: the values that are made within.
        given: what the others are called outside, where that is another name.
    """
    new: dict[str, str] = {}
    copies: list[NodeProto] = []
    for was, name in zip(inner, outer, strict=False):
        if name and was in made and was not in new:
            new[was] = name
        elif name:
            source = new.get(was, given.get(was, was))
            copies.append(NodeProto(op_type="Identity", input=[source], output=[name]))
    return new, copies


class _Splicer:
    """Replaces Ifs, inner before outer."""

    def __init__(self, proto: ModelProto) -> None:
        self.proto = proto
        self.count = Counter(name for graph in graphs(proto) for name in own_names(graph))
        self.fresh = fresh_values(proto)
        #: Runtimes want the nodes of a graph to have different names, if any.
        self.titles = Counter(node.name for graph in graphs(proto) for node in graph.node)
        self.fresh_title = Fresh(self.titles)

    def graph(self, graph: GraphProto) -> None:
        nodes: list[NodeProto] = []
        is_changed = False
        for node in list(graph.node):
            for body in subgraphs(node):
                self.graph(body)
            branch = _only_branch(node)
            nodes += [node] if branch is None else self._spliced(node, branch, graph)
            is_changed = is_changed or branch is not None
        if is_changed:
            replace_nodes(graph, nodes)

    def _spliced(self, node: NodeProto, branch: GraphProto, graph: GraphProto) -> list[NodeProto]:
        """The nodes that do what an If did; its tensors are moved to the graph."""
        own = dict.fromkeys(defined(branch))
        outputs = (value.name for value in branch.output)
        new, copies = output_names(outputs, node.output, own.keys(), {})
        for name in own:
            if name not in new and self.count[name] > 1:
                new[name] = self.fresh(name)
                self.count[name] -= 1
        rename(branch, new)
        for inner in branch.node:
            if inner.name and self.titles[inner.name] > 1:
                self.titles[inner.name] -= 1
                inner.name = self.fresh_title(inner.name)
        constants = store(self.proto, graph, branch.initializer)
        graph.sparse_initializer.extend(branch.sparse_initializer)
        graph.value_info.extend(branch.value_info)
        graph.quantization_annotation.extend(branch.quantization_annotation)
        return [*constants, *branch.node, *copies]


def _only_branch(node: NodeProto) -> GraphProto | None:
    """The branch of an If that has lost the other."""
    if node.op_type != "If" or not is_default_domain(node):
        return None
    found = [attribute(node, name) for name in ("then_branch", "else_branch")]
    left = [branch.g for branch in found if branch is not None]
    return left[0] if len(left) == 1 else None
