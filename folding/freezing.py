"""Freeze inputs to values: an If whose condition is known then gives way to the branch taken.

    x ── layer ──┬── If(training) ── y          x ── layer ── norm ── y
                 │    then: norm of the batch
                 │    else: norm

A training flag that is a graph input, or an initializer that a caller may override, is no constant:
somebody may train the model. Frozen, it is an initializer, and the Ifs that depend on it are
decided, one in the body of another included. What only the other branches needed goes with them.
Whatever does not depend on the flag stays as it is.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy.typing as npt
from onnx import GraphProto, ModelProto, NodeProto, numpy_helper

from folding.conditions import evaluated, stored
from folding.modelfile import Model
from folding.preparation import Branch
from folding.protos import (
    attribute,
    bodies,
    is_default_domain,
    names,
    overridable,
    subgraphs,
    title,
)
from folding.renaming import defined
from folding.splicing import replace_nodes, splice, store
from folding.sweeping import called, forget, sweep

Array = npt.NDArray[Any]

_BRANCHES = ("then_branch", "else_branch")


def freeze(
    model: Model, values: Mapping[str, Array], *, settled: bool = False
) -> tuple[Model, list[Branch]]:
    """The model with inputs frozen to values of their types, and the Ifs that gave way.

    With ``settled``, so do those that were decided before. The model given is not changed.
    """
    copy = ModelProto()
    copy.CopyFrom(model.proto)
    frozen = Model(copy, list(model.contents), model.path, model.files, model.data)
    _store(copy, values)
    settling = _Settling(frozen, frozenset(values), settled)
    settling.graph(copy.graph, ChainMap())
    before = called(model.proto)
    splice(copy)
    sweep(copy, settling.lost | values.keys())
    forget(copy, before - called(copy))
    return frozen, settling.branches


def _store(proto: ModelProto, values: Mapping[str, Array]) -> None:
    """Make initializers of inputs."""
    graph = proto.graph
    inputs = [value for value in graph.input if value.name not in values]
    others = [tensor for tensor in graph.initializer if tensor.name not in values]
    tensors = [numpy_helper.from_array(array, name) for name, array in values.items()]
    holder = GraphProto(input=inputs, initializer=others)
    del graph.input[:], graph.initializer[:]
    graph.input.extend(holder.input)
    graph.initializer.extend(holder.initializer)
    if constants := store(proto, graph, tensors):
        replace_nodes(graph, [*constants, *graph.node])


class _Known(NamedTuple):
    """What a value is, and whether that is so because something was frozen."""

    value: Array
    follows: bool


_Values = ChainMap[str, "_Known | None"]


@dataclass(slots=True)
class _Settling:
    """One walk over all graphs that takes away the branches which are not taken.

    ``lost`` are the names that those read, and the conditions. With ``every``, an If need not
    depend on what was frozen.
    """

    model: Model
    frozen: frozenset[str]
    every: bool = False
    branches: list[Branch] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)

    def graph(self, graph: GraphProto, known: _Values) -> None:
        """Walk a graph; ``known`` has what is known of the values around it, and gets its own."""
        inputs = {value.name for value in graph.input}
        for name in (*inputs, *defined(graph)):
            known[name] = None  # It may hide one of the same name outside.
        defaults = overridable(graph, self.model.proto.ir_version)
        for tensor in graph.initializer:
            if tensor.name not in defaults:
                self._note(known, tensor.name, stored(self.model, tensor))
        for node in graph.node:
            self._node(node, known)

    def _note(
        self, known: _Values, name: str, value: Array | None, *, follows: bool = False
    ) -> None:
        follows = follows or name in self.frozen
        known[name] = None if value is None else _Known(value, follows)

    def _node(self, node: NodeProto, known: _Values) -> None:
        given = [known.get(name) for name in node.input]
        taken = self._taken(node, given)
        for body in subgraphs(node):
            inner = known.new_child()
            self.graph(body, inner)
            if taken:
                self._pass_on(node, body, known, inner)
        if not taken:
            value = evaluated(self.model, node, [found and found.value for found in given])
            follows = any(found is not None and found.follows for found in given)
            if value is not None:
                self._note(known, node.output[0], value, follows=follows)

    def _taken(self, node: NodeProto, given: list[_Known | None]) -> str:
        """The branch of a decided If, the only one that is left of it; else nothing."""
        if node.op_type != "If" or not is_default_domain(node):
            return ""
        (condition,) = given
        if condition is None or condition.value.size != 1:
            return ""
        if not (condition.follows or self.every):
            return ""
        taken, other = _BRANCHES if condition.value.item() else _BRANCHES[::-1]
        branch = attribute(node, other)
        assert branch is not None
        self.lost.update(node.input, names(branch.g))
        for body in bodies(branch.g):
            self.lost.update(names(body))
        node.attribute.remove(branch)
        self.branches.append(Branch(title(node), taken))
        return taken

    def _pass_on(self, node: NodeProto, branch: GraphProto, known: _Values, inner: _Values) -> None:
        """What a branch gives is what the If gives."""
        for name, output in zip(node.output, branch.output, strict=False):
            found = inner.get(output.name)
            known[name] = found and found._replace(follows=True)
