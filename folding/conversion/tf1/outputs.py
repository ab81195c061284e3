"""Which tensors of a graph are its outputs: those that the user names, else a guess.

A training graph ends in much that is no output: losses, gradients, updates, summaries, savers. The
guess leaves these out, step by step:

1. Training is what lies in a scope ``gradients``, writes variables, saves, or reports; whatever
   reads of it is training, too.
2. A label is an input, but no scalar, that no variable ever meets, where another input does meet
   one: the layers are variables, and labels come after them. Whatever reads a label measures the
   network, and is no part of it.
3. Of what is left, and reads more of an input than its sizes, the ends are what nothing reads, or
   nothing but measures. Of these, what merely prepares a measure (a Reshape, an ArgMax, a Log)
   gives way to what it reads.

One end is the output. If there are more the user has to say. All this is looked for in the graph as
it is at inference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from folding.conversion.tf1.flags import flags, shape_of
from folding.conversion.tf1.nodes import Graph, Tensor, data, parsed
from folding.conversion.tf1.specialise import specialised
from folding.conversion.tf1.variables import VARIABLES
from folding.errors import BadCall

_TRAINING_SCOPE = re.compile(r"(^|/)gradients(_\d+)?/")
_TRAINING_OPS = re.compile(
    r"(Ref)?(Assign|Apply|SparseApply|ResourceApply|ResourceSparseApply|Scatter|ResourceScatter"
    r"|Save|Restore|MergeV2Checkpoints|ShardedFilename|Assert|Print|VarIsInitialized"
    r"|IsVariableInitialized|NoOp|.*Summary)"
)
_INPUTS = ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")
#: What stands between an output and what measures it.
_PREPARING = frozenset({
    "ArgMax", "ArgMin", "Cast", "Greater", "GreaterEqual", "Less", "LessEqual", "Log",
    "Log1p", "Maximum", "Minimum", "Reshape", "Round", "Slice", "Squeeze", "StopGradient",
    "StridedSlice", "TopKV2",
})  # fmt: skip
#: What tells sizes, which are no values.
_SIZES = frozenset({"Shape", "ShapeN", "Size", "Rank"})
_MOST_NAMED = 12


def chosen_outputs(graph: Graph, names: Sequence[str], signed: Iterable[str] = ()) -> list[Tensor]:
    """The outputs.

    Args:
        graph: as it was saved.
        names: what the user calls them, if anything.
        signed: what a signature of the file calls them.

    Raises:
        BadCall: there is no such tensor, or there is no telling which it is.
    """
    named = [parsed(name) for name in (names or signed)]
    if named:
        for tensor in named:
            _require(graph, tensor)
        return named
    ends = _ends(graph)
    if len(ends) != 1:
        listed = ", ".join(map(repr, ends[:_MOST_NAMED])) or "none that computes from an input"
        text = f"the graph does not say which of its ends is the output: {listed}"
        raise BadCall(text, hint="Name one or more with --output.")
    return [Tensor(ends[0])]


def _require(graph: Graph, tensor: Tensor) -> None:
    if tensor.node not in graph.nodes or tensor.is_control:
        ends = ", ".join(map(repr, _ends(graph)[:_MOST_NAMED])) or "none"
        text = f"the graph has no output {tensor.node!r}"
        raise BadCall(text, hint=f"Its ends that compute from an input: {ends}.")


def _ends(trained: Graph) -> list[str]:
    """The names of what may be an output, in order."""
    graph, _ = specialised(trained, dict.fromkeys(flags(trained, trained.nodes), False))
    readers = _readers(graph)
    training = _downstream(readers, filter(_is_training, graph.nodes.values()))
    inputs = [node for node in graph.nodes.values() if node.op in _INPUTS]
    layered = [node for node in inputs if _meets_variable(graph, readers, node, training)]
    arrays = [node for node in inputs if shape_of(node) != []]
    features = layered or arrays or inputs
    measures = _downstream(readers, (node for node in arrays if node not in features))
    values = {n: r for n, r in readers.items() if graph.nodes[n].op not in _SIZES}
    sizes = {name for name, node in graph.nodes.items() if node.op in _SIZES}
    network = _downstream(values, features) - measures - training - sizes
    network -= {node.name for node in inputs}
    found = set(_Last(trained, graph, readers).of(network, measures))
    return [name for name in trained.nodes if name in found]


class _Last:
    """What nothing of a network reads, without what is there for measures or training only."""

    def __init__(self, trained: Graph, graph: Graph, readers: Mapping[str, list[str]]) -> None:
        self._trained, self._graph = trained, graph
        # Who is read in training only is no end either.
        self._once, self._now = _readers(trained), readers

    def of(self, network: set[str], measures: set[str]) -> list[str]:
        left, measuring = set(network), set(measures)
        while True:
            ends = [n for n in self._graph.nodes if n in left and left.isdisjoint(self._by(n))]
            measured = {name for name in ends if not measuring.isdisjoint(self._by(name))}
            idle = {name for name in ends if self._is_idle(name, name in measured)}
            if not idle or idle == left:
                return ends
            left -= idle
            measuring |= idle & measured

    def _by(self, name: str) -> list[str]:
        return [*self._now.get(name, ()), *self._once.get(name, ())]

    def _is_idle(self, name: str, is_measured: bool) -> bool:  # noqa: FBT001
        if is_measured:
            return self._graph.nodes[name].op in _PREPARING
        return bool(self._by(name)) or self._is_spare(name)

    def _is_spare(self, name: str) -> bool:
        """Whether it is a side of a Switch, or an output of an If that only a gradient asks for."""
        node = self._trained.nodes.get(name)
        if node is None or node.op != "Identity":
            return False
        (tensor,) = data(node)
        source = self._trained.nodes[tensor.node].op
        return source == "Switch" or (tensor.port > 0 and source in ("If", "StatelessIf"))


def _readers(graph: Graph) -> dict[str, list[str]]:
    readers: dict[str, list[str]] = {}
    for node in graph.nodes.values():
        for tensor in data(node):
            if not _reports(node):
                readers.setdefault(tensor.node, []).append(node.name)
    return readers


def _downstream(readers: Mapping[str, list[str]], starts: Iterable[Any]) -> set[str]:
    """Nodes, and whatever reads of them."""
    found: set[str] = set()
    wanted = [node.name for node in starts]
    while wanted:
        name = wanted.pop()
        if name not in found:
            found.add(name)
            wanted.extend(readers.get(name, ()))
    return found


def _meets_variable(
    graph: Graph, readers: Mapping[str, list[str]], start: Any, training: set[str]
) -> bool:
    """Whether something that reads an input reads a variable, too."""
    return any(
        _is_variable(graph, tensor)
        for name in _downstream(readers, [start]) - training
        for tensor in data(graph.nodes[name])
    )


def _is_variable(graph: Graph, tensor: Tensor) -> bool:
    node = graph.nodes[tensor.node]
    while node.op in ("Identity", "ReadVariableOp"):
        node = graph.nodes[data(node)[0].node]
    return node.op in VARIABLES


def _is_training(node: Any) -> bool:
    return bool(_TRAINING_SCOPE.search(node.name) or _TRAINING_OPS.match(node.op))


def _reports(node: Any) -> bool:
    return node.op.endswith("Summary") or node.op in ("Print", "PrintV2", "Assert")
