"""Exactness: what is only compared, moved and counted must be the same in both models."""

from __future__ import annotations

from typing import Any

import pytest
from graphs import BOOL, FLOAT, INT64, Net
from onnx import helper

from folding.equivalence.exactness import exact_outputs
from folding.graph import index
from folding.modelfile import in_memory


def exact(net: Net) -> bool:
    model = in_memory(net.model("y"))
    (scope, *_), _ = index(model)
    return "y" in exact_outputs(model.proto.graph, scope.type)


EXACT: dict[str, tuple[str, int, dict[str, Any]]] = {
    "an index": ("ArgMax", FLOAT, {}),
    "a selection": ("Relu", FLOAT, {}),
    "a cast of a flag": ("Cast", BOOL, {"to": FLOAT}),
    "a size of integers": ("Abs", INT64, {}),
}
ROUNDED: dict[str, tuple[str, int, dict[str, Any]]] = {
    "a function": ("Sigmoid", FLOAT, {}),
    "a sum": ("ReduceMean", FLOAT, {}),
}


@pytest.mark.parametrize("what", EXACT)
def test_this_is_made_without_rounding(what: str) -> None:
    operator, kind, attributes = EXACT[what]
    net = Net()
    net.node(operator, net.input(2, 3, elem_type=kind), out="y", **attributes)

    assert exact(net)


@pytest.mark.parametrize("what", ROUNDED)
def test_this_rounds_and_so_does_what_is_decided_by_it(what: str) -> None:
    operator, kind, attributes = ROUNDED[what]
    net = Net()
    net.node("ArgMax", net.node(operator, net.input(2, 3, elem_type=kind), **attributes), out="y")

    assert not exact(net)


def test_integers_alone_are_exact_whatever_is_done_to_them() -> None:
    net = Net()
    net.node("Mul", net.input(2, 3, elem_type=INT64), net.integers(3), out="y")

    assert exact(net)


def test_an_operator_of_another_domain_may_round() -> None:
    net = Net()
    net.node("Identity", net.input(2, 3), out="y")
    model = net.model("y")
    model.graph.node[0].domain = "my.ops"

    assert not exact_outputs(model.graph, lambda _: INT64)


def test_a_type_that_is_not_known_may_be_a_float() -> None:
    net = Net()
    net.node("Mul", net.input(2, 3), net.store(2.0), out="y")

    assert not exact_outputs(net.model("y").graph, lambda _: 0)


def test_what_a_body_decides_may_be_decided_by_what_rounds_in_it() -> None:
    """Only the flag is seen to go in, and only an index to come out."""
    inner = Net()
    inner.node("ArgMax", inner.node("Sigmoid", "x"), out="i")
    index_out = helper.make_tensor_value_info("i", INT64, None)
    body = helper.make_graph(inner.nodes, "b", [], [index_out])
    net = Net()
    net.input(2, 3)
    net.node("If", net.input(name="f", elem_type=BOOL), then_branch=body, else_branch=body, out="y")

    assert not exact_outputs(net.model("y").graph, {"f": BOOL, "y": INT64}.__getitem__)
