"""Sweeping: what has lost its last reader goes, and nothing else."""

from __future__ import annotations

from itertools import permutations

import pytest
from graphs import BOOL, FLOAT, Net
from onnx import ModelProto, helper

from folding.sweeping import called, forget, sweep


def swept(model: ModelProto, *lost: str) -> list[str]:
    """The nodes that are left, by what they make first."""
    sweep(model, lost)
    return [node.output[0] for node in model.graph.node]


def chained() -> Net:
    """x, a, b, y; and c from a, which nobody reads."""
    net = Net()
    net.node("Mul", net.input(2, 3), net.weight(3, name="w"), out="a")
    net.node("Relu", "a", out="b")
    net.node("Abs", "a", out="c")
    net.node("Neg", "b", out="y")
    return net


def test_what_was_read_for_a_node_alone_goes_with_it() -> None:
    """From the last to the first."""
    net = chained()
    net.node("Exp", "x", out="z")
    model = net.model("z")

    assert swept(model, "y", "c") == ["z"]
    assert not model.graph.initializer


def test_what_others_read_stays() -> None:
    """Outputs are read by the caller."""
    assert swept(chained().model("y"), "a", "b", "y", "x") == ["a", "b", "c", "y"]
    assert swept(chained().model("y"), "c") == ["a", "b", "y"]


def test_what_has_lost_nothing_stays_although_nobody_reads_it() -> None:
    """It was dead before."""
    assert swept(chained().model("y"), "nonsense") == ["a", "b", "c", "y"]


def test_a_name_that_two_graphs_have_stays() -> None:
    """Which of them was meant is not asked."""
    net = chained()
    net.input(name="open", elem_type=BOOL)
    value = helper.make_tensor_value_info("c", FLOAT, None)
    body = helper.make_graph([helper.make_node("Relu", ["x"], ["c"])], "b", [], [value])
    net.node("If", "open", out="z", then_branch=body, else_branch=body)

    assert "c" in swept(net.model("y", "z"), "c")


@pytest.mark.parametrize("order", list(permutations(["inner", "outer", "shared"])))
def test_what_goes_with_its_body_is_not_counted_twice(order: tuple[str, ...]) -> None:
    """A value that a body reads, and others too, is read until all of them are gone."""
    net = Net()
    net.node("Exp", net.input(2, 3), out="shared")
    net.input(name="open", elem_type=BOOL)
    nodes = [
        helper.make_node("Relu", ["shared"], ["inner"]),
        helper.make_node("Neg", ["x"], ["last"]),
    ]
    value = helper.make_tensor_value_info("last", FLOAT, None)
    body = helper.make_graph(nodes, "b", [], [value])
    other = helper.make_graph([helper.make_node("Abs", ["x"], ["e"])], "e", [], [value])
    other.output[0].name = "e"
    net.node("If", "open", out="outer", then_branch=body, else_branch=other)
    net.node("Neg", "shared", out="y")

    assert swept(net.model("y"), *order) == ["shared", "y"]


def test_functions_are_called_by_nodes_bodies_and_each_other() -> None:
    """Those that are not can be forgotten."""
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("my", 1)]
    names = {"F": "G", "G": "", "Idle": "G"}
    functions = [
        helper.make_function(
            *("my", name, ["a"], ["b"]),
            [helper.make_node(calls or "Relu", ["a"], ["b"], domain="my" if calls else "")],
            imports,
        )
        for name, calls in names.items()
    ]
    net = Net()
    net.input(2, 3)
    net.input(name="open", elem_type=BOOL)
    value = helper.make_tensor_value_info("t", FLOAT, None)
    body = helper.make_graph([helper.make_node("F", ["x"], ["t"], domain="my")], "b", [], [value])
    net.node("If", "open", out="y", then_branch=body, else_branch=body)
    model = net.model("y")
    model.functions.extend(functions)

    found = called(model)

    assert found == {("my", "F", ""), ("my", "G", "")}
    forget(model, {("my", "Idle", "")})
    assert [function.name for function in model.functions] == ["F", "G"]
