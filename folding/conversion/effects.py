"""Graphs of TensorFlow that reach beyond themselves: to files, other machines, or foreign code.

Running a graph, or only loading one that folds its constants, does whatever its operators say.
What those may do that are not known to stay within it (``contained``) is the user's to decide.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from folding.conversion.contained import is_contained, keeps_state
from folding.errors import BadCall


def require_contained(
    name: str,
    graph_def: Any,
    starts: Iterable[str],
    *,
    trust: bool,
    loads_all: bool = False,
    allows: Callable[[Any], bool] | None = None,
) -> None:
    """Refuse a graph that reaches beyond itself, unless it is trusted.

    Args:
        name: what the user calls the source.
        graph_def: the graph with its functions.
        starts: the nodes and functions that are run; what they need is, too.
        trust: whether the source may do what it likes.
        loads_all: whether TensorFlow gets all of it, not what is run alone. Inferring shapes, it
            evaluates what keeps no state, for nobody.
        allows: which nodes of the graph itself are no reason to refuse it, whatever they do.

    Raises:
        BadCall: it does.
    """
    if trust:
        return
    functions = {found.signature.name for found in graph_def.library.function}
    evaluated = (node for node in _nodes(graph_def) if loads_all and not keeps_state(node))
    for node, is_own in _run(graph_def, starts, evaluated):
        is_known = node.op in functions or (is_own and allows is not None and allows(node))
        if not is_known and not is_contained(node):
            text = f"{name!r} may use files, the network or foreign code when it is run: its node"
            hint = "Convert it with --trust if you know who made it: it is run to compare results."
            raise BadCall(f"{text} {node.name!r} is {node.op}", hint=hint)


def is_restoring(node: Any, file_name: str) -> bool:
    """Whether a node brings in arrays of the checkpoint that one tensor names."""
    restores = node.op in ("Restore", "RestoreSlice", "RestoreV2")
    return restores and [*map(_whole, node.input[:1])] == [_whole(file_name)]


def run_alone(graph_def: Any, starts: Iterable[str]) -> Any:
    """The graph of what is run with some nodes, and nothing else."""
    seen = set[str]()
    deque(_run(graph_def, starts, seen=seen), maxlen=0)
    alone, library = type(graph_def)(versions=graph_def.versions), graph_def.library
    alone.node.extend(node for node in graph_def.node if node.name in seen)
    called = (found for found in library.function if found.signature.name in seen)
    alone.library.function.extend(called)
    gradients = (found for found in library.gradient if found.function_name in seen)
    alone.library.gradient.extend(gradients)
    return alone


def _nodes(graph_def: Any) -> Iterator[Any]:
    yield from graph_def.node
    for function in graph_def.library.function:
        yield from function.node_def


def _run(
    graph_def: Any,
    starts: Iterable[str],
    others: Iterable[Any] = (),
    *,
    seen: set[str] | None = None,
) -> Iterator[tuple[Any, bool]]:
    """The nodes that are run with some, whatever a condition says, in functions as well.

    Each comes with whether it is known to be one of the graph itself, and not of a function.

    ``others`` are nodes that are run besides, with the functions that they call. ``seen`` gets the
    names of all nodes and functions that are run.
    """
    nodes = {node.name: node for node in graph_def.node}
    functions = {found.signature.name: found for found in graph_def.library.function}
    gradients = {found.function_name: found.gradient_func for found in graph_def.library.gradient}
    wanted = [_node_of(start) for start in starts]
    seen = set[str]() if seen is None else seen
    for node in others:
        yield node, False
        wanted.extend(_called(node, functions))
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        bodies = functions[name].node_def if name in functions else ()
        if name in functions:
            wanted.extend(_instead(functions[name], functions.values()))
            wanted.extend(filter(None, [gradients.get(name)]))
        for node in bodies:
            yield node, False
            wanted.extend(_called(node, functions))
        if name in nodes:
            yield nodes[name], True
            wanted.extend(_called(nodes[name], functions))
            wanted.extend(_node_of(reference) for reference in nodes[name].input)


def _called(node: Any, functions: Mapping[str, Any]) -> Iterator[str]:
    """The functions that a node may run."""
    if node.op in functions:
        yield node.op
    yield from _named(node.attr.values())


def _named(values: Iterable[Any]) -> Iterator[str]:
    """The functions that attributes name, and those that are handed to them in turn."""
    for value in values:
        for function in (value.func, *value.list.func):
            if function.name:
                yield function.name
            yield from _named(function.attr.values())


def _instead(function: Any, functions: Iterable[Any]) -> Iterator[str]:
    """The functions that TensorFlow may run in its place: those that say to do the same."""
    said = function.attr["api_implements"].s if "api_implements" in function.attr else b""
    for other in functions if said else ():
        if "api_implements" in other.attr and other.attr["api_implements"].s == said:
            yield other.signature.name


def _whole(tensor: str) -> str:
    """A tensor with its port, which may be left out where it is the first."""
    return tensor if ":" in tensor else f"{tensor}:0"


def _node_of(reference: str) -> str:
    return reference.removeprefix("^").partition(":")[0]
