"""A graph as it was trained, turned into what it computes at inference: no flag, no variable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from folding.conversion.tf1.flags import default_of, flags, frozen, is_text, is_truth, shaped
from folding.conversion.tf1.loading import Loaded
from folding.conversion.tf1.nodes import Graph, Tensor, constant, followed, made
from folding.conversion.tf1.pruning import pruned
from folding.conversion.tf1.randomness import refuse_dropout, without_idle_dropout
from folding.conversion.tf1.specialise import specialised
from folding.conversion.tf1.training import at_inference, mode_at_inference
from folding.conversion.tf1.variables import restored_names, without_variables
from folding.errors import BadCall, BadModel, Unconvertible

_INPUTS = ("Placeholder", "PlaceholderV2")
_LOOPS = frozenset({"Enter", "Exit", "NextIteration", "LoopCond", "While", "StatelessWhile"})


@dataclass(frozen=True)
class Inference:
    """What is left. ``flags`` and ``defaults`` are the inputs that have a value now."""

    graph: Graph
    inputs: Sequence[str]
    outputs: Mapping[Tensor, Tensor]
    flags: Mapping[str, Any]
    defaults: Mapping[str, Any]

    @property
    def has_calls(self) -> bool:
        """Whether a node of it still names a function."""
        return any(
            value.WhichOneof("value") == "func"
            for node in self.graph.nodes.values()
            for value in node.attr.values()
        )


def inference(loaded: Loaded, outputs: Sequence[Tensor], freeze: Mapping[str, Any]) -> Inference:
    """Set the flags, and keep what some outputs need.

    Raises:
        BadCall: an input to freeze is not there, or one that is not frozen has to be.
        BadModel: the graph or its checkpoint lacks a part.
        Unconvertible: the graph has a loop, or changes variables as it runs.
    """
    given = frozen(loaded.graph, freeze)
    settled = _settled(loaded.graph, outputs, given)
    graph, instead = specialised(loaded.graph, given | settled)
    graph, found = _with_outputs(loaded, graph, outputs, instead)
    graph = pruned(graph, list(found.values()))
    _refuse_loops(graph)
    graph = without_variables(graph, loaded.checkpoint, restored_names(loaded.graph))
    graph, defaults = _without_defaults(graph)
    graph = pruned(without_idle_dropout(graph), list(found.values()))
    refuse_dropout(graph, list(found.values()), defaults)
    left = (name for name in loaded.graph.nodes if name in graph.nodes)
    inputs = [name for name in left if graph.nodes[name].op in _INPUTS]
    if not inputs:
        named = ", ".join(repr(tensor.name) for tensor in outputs)
        raise BadModel(f"{named} depends on no input", hint="Name other outputs with --output.")
    return Inference(graph, inputs, found, given | settled, defaults)


def _settled(graph: Graph, outputs: Sequence[Tensor], given: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that nobody has given a value as at inference, those in functions included."""
    settled: dict[str, Any] = {}
    while True:
        current, instead = specialised(graph, {**given, **settled})
        ends = [followed(instead, tensor).node for tensor in outputs]
        found = flags(current, [name for name in ends if name in current.nodes])
        if not found:
            return settled
        settled |= _told(current, found, [followed(instead, tensor) for tensor in outputs])


def _told(graph: Graph, found: Sequence[str], outputs: Sequence[Tensor]) -> dict[str, Any]:
    """What some flags are at inference by what they do or are called, else by their defaults.

    Raises:
        BadCall: nothing tells it.
    """
    nodes = {name: graph.nodes[name] for name in found}
    truths = [name for name, node in nodes.items() if is_truth(node)]
    told = {name: at_inference(graph, name, outputs) for name in truths}
    for values in (told, _defaults(graph, nodes, outputs)):
        known = {name: shaped(nodes[name], v) for name, v in values.items() if v is not None}
        if known:
            return known
    text = f"what is computed depends on {found[0]!r}, and its value at inference is unknown"
    way = f"'{found[0]}=\"VALUE\"'" if is_text(nodes[found[0]]) else f"{found[0]}=VALUE"
    raise BadCall(text, hint=f"Give it with --freeze {way}.")


def _defaults(graph: Graph, nodes: Mapping[str, Any], outputs: Sequence[Tensor]) -> dict[str, Any]:
    """What some flags are if nobody sets them; None where that is not inference."""
    given = {name: default_of(graph, node) for name, node in nodes.items()}
    return {
        name: value
        if value is None or is_truth(nodes[name])
        else mode_at_inference(graph, name, value, outputs)
        for name, value in given.items()
    }


def _with_outputs(
    loaded: Loaded, graph: Graph, outputs: Sequence[Tensor], instead: Mapping[Tensor, Tensor]
) -> tuple[Graph, dict[Tensor, Tensor]]:
    """The graph with a node for each output whose own is gone, and where each output is now."""
    found: dict[Tensor, Tensor] = {}
    more: list[Any] = []
    for tensor in outputs:
        source = followed(instead, tensor)
        if source.node not in graph.nodes or graph.nodes[source.node].op == "NoOp":
            text = f"{tensor.name!r} is not computed at inference"
            raise BadCall(text, hint="Name other outputs, or set its flag with --freeze.")
        found[tensor] = source
        if source != tensor:
            name = tensor.node if not tensor.port else f"{tensor.node}.{tensor.port}"
            more.append(made("Identity", name, [source], T=_type(loaded, tensor)))
            found[tensor] = Tensor(name)
    return graph.replaced(more), found


def _type(loaded: Loaded, tensor: Tensor) -> Any:
    """The attribute for the type of what a Switch, a Merge, an If or a call hands on."""
    from tensorflow.core.framework import attr_value_pb2

    node = loaded.graph.nodes[tensor.node]
    if "Tout" in node.attr:
        return attr_value_pb2.AttrValue(type=node.attr["Tout"].list.type[tensor.port])
    return node.attr["T"]


def _refuse_loops(graph: Graph) -> None:
    for node in graph.nodes.values():
        if node.op in _LOOPS:
            text = f"the graph has a loop: {node.name!r} is {_article(node.op)}"
            raise Unconvertible(text, hint="Name outputs before the loop with --output.")


def _article(op: str) -> str:
    return f"an {op}" if op[0] in "AEIOU" else f"a {op}"


def _without_defaults(graph: Graph) -> tuple[Graph, dict[str, Any]]:
    """Scalars that nobody has to give are their default; other inputs have none any more."""
    defaults: dict[str, Any] = {}
    inputs: list[Any] = []
    for name, node in graph.nodes.items():
        if node.op == "PlaceholderWithDefault":
            value = default_of(graph, node)
            if value is None:
                inputs.append(made("Placeholder", name, **node.attr))
            else:
                defaults[name] = value
    values = [constant(name, value) for name, value in defaults.items()]
    return graph.replaced([*inputs, *values]), defaults
