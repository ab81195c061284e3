"""Training flags that are variables: ``tf.Variable(False, trainable=False)`` read by a ``tf.cond``.

Such a one is an input whose default is what the checkpoint holds, and a flag like any other then.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from folding.conversion.tf1.conditions import conditions
from folding.conversion.tf1.flags import is_mode, is_truth
from folding.conversion.tf1.nodes import Graph, Tensor, constant, made
from folding.conversion.tf1.variables import VARIABLES, Checkpoint, found_value, restored_names


def with_inputs(graph: Graph, checkpoint: Checkpoint) -> tuple[Graph, frozenset[str]]:
    """The graph with inputs in the place of variables that are flags, and the names of these.

    A truth value is one wherever it is read: what decides may lie in a function.

    Raises:
        BadModel: the checkpoint is damaged.
    """
    deciding = conditions(graph.nodes)
    names = [
        name
        for name, node in graph.nodes.items()
        if node.op in VARIABLES and (is_truth(node) or (name in deciding and is_mode(node)))
    ]
    restored = restored_names(graph) if names else {}
    inputs = [
        one
        for name in names
        for one in _input(graph.nodes[name], found_value(graph.nodes[name], checkpoint, restored))
    ]
    return graph.replaced(inputs), frozenset(names)


def _input(variable: Any, value: Any) -> Iterator[Any]:
    """The input that stands for a variable, and its default if there is one."""
    attributes = {key: variable.attr[key] for key in ("dtype", "shape")}
    if value is None:
        yield made("Placeholder", variable.name, **attributes)
        return
    stored = constant(f"{variable.name}/in_checkpoint", value)
    yield stored
    yield made("PlaceholderWithDefault", variable.name, [Tensor(stored.name)], **attributes)
