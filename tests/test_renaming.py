"""Renaming: a value is called otherwise wherever it is meant, and nowhere else."""

from __future__ import annotations

from graphs import FLOAT
from onnx import GraphProto, NodeProto, helper

from folding.renaming import Fresh, rename_nodes


def an_if(*nodes: NodeProto) -> NodeProto:
    """An If whose branches end with ``r``."""
    value = helper.make_tensor_value_info("r", FLOAT, None)

    def body() -> GraphProto:
        return helper.make_graph(nodes, "b", [], [value])

    return helper.make_node("If", ["c"], ["y"], then_branch=body(), else_branch=body())


def branches(node: NodeProto) -> list[GraphProto]:
    return [attribute.g for attribute in node.attribute]


def test_a_value_is_renamed_in_the_bodies_that_read_it() -> None:
    """However deep they are."""
    inner = an_if(helper.make_node("Relu", ["h"], ["r"]))
    inner.output[0] = "r"
    outer = an_if(inner)

    rename_nodes([outer], {"h": "new", "c": "d", "y": "z"})

    assert (list(outer.input), list(outer.output)) == (["d"], ["z"])
    for body in branches(outer):
        assert list(body.node[0].input) == ["d"]
        for within in branches(body.node[0]):
            assert list(within.node[0].input) == ["new"]


def test_a_name_that_a_body_gives_itself_is_another_value() -> None:
    """It hides the one that is renamed."""
    nodes = [helper.make_node("Relu", ["x"], ["h"]), helper.make_node("Neg", ["h"], ["r"])]
    outer = an_if(*nodes)

    rename_nodes([outer], {"h": "new", "x": "w"})

    for body in branches(outer):
        assert [list(node.input) for node in body.node] == [["w"], ["h"]]
        assert list(body.node[0].output) == ["h"]


def test_what_bodies_call_their_own_is_made_new_on_request() -> None:
    """Each body gets its own names, in its outputs too."""
    nodes = [helper.make_node("Relu", ["x"], ["h"]), helper.make_node("Neg", ["h"], ["r"])]
    outer = an_if(*nodes)

    rename_nodes([outer], {"h": "new"}, Fresh(["h", "r"]))

    made = [[*node.output] for body in branches(outer) for node in body.node]
    assert sorted(made) == [["h_1"], ["h_2"], ["r_1"], ["r_2"]]
    for body in branches(outer):
        assert body.node[1].input[0] == body.node[0].output[0]
        assert body.output[0].name == body.node[1].output[0]
        assert body.node[0].input[0] == "x"


def test_fresh_names_are_those_wished_for_while_they_are_free() -> None:
    """Then they are counted."""
    fresh = Fresh(["a", "b_1"])

    assert [fresh(wish) for wish in ("b", "a", "a", "b", "c")] == ["b", "a_1", "a_2", "b_2", "c"]
