"""Statistics of the batch in functions, and in the bodies of Ifs."""

from __future__ import annotations

import pytest
from graphs import FLOAT, Net
from linting import codes, conv, image
from onnx import GraphProto, helper, numpy_helper

from .test_batch import BATCH, normalised


def test_statistics_in_a_function_are_found_where_it_is_called() -> None:
    """What it is called with has sizes; one that nothing calls is not run."""
    inner = Net()
    out = normalised(inner, "a", (0, 2, 3))
    constants = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array))
        for name, array in inner.stored.items()
    ]
    nodes, imports = [*constants, *inner.nodes], [helper.make_opsetid("", 17)]
    function = helper.make_function("own", "Live", ["a"], [out], nodes, imports)
    for is_called in (True, False):
        net = Net()
        y = conv(net, image(net))
        y = net.node("Live", y, domain="own") if is_called else net.node("Abs", y, domain="")
        model = net.model(net.node("Relu", y), functions=[function])
        assert codes(model) == [BATCH] * is_called


def branch(x: str, *, nested: bool) -> GraphProto:
    """Statistics of a value from outside, perhaps of outside of the graph around this one."""
    body = Net()
    out = normalised(body, x, (0,))
    if nested:
        inner, body = body.graph(out, name="inner"), Net()
        out = body.node("If", "positive", then_branch=inner, else_branch=inner)
    return body.graph(out, name="body")


@pytest.mark.parametrize("nested", [False, True])
def test_what_a_body_reads_from_outside_may_be_of_a_layer(*, nested: bool) -> None:
    """Both branches of an If that the data decide, with no gamma or beta behind them."""
    net = Net()
    y = net.node("MatMul", net.input("N", 6), net.weight(6, 5, name="weight"))
    top = net.node("ReduceMax", y, keepdims=0)
    positive = net.node("Greater", top, net.store(0.0, "zero"), out="positive")
    body = branch(y, nested=nested)
    out = net.node("If", positive, then_branch=body, else_branch=body)
    assert set(codes(net.model(net.node("Relu", out)))) == {BATCH}


def test_what_a_body_makes_of_a_layer_is_learned_too() -> None:
    """Behind an If the statistics need no gamma either."""
    net = Net()
    y = net.node("MatMul", net.input("N", 6), net.weight(6, 5))
    positive = net.node("Greater", net.node("ReduceMax", "x", keepdims=0), net.store(0.0))
    bodies = []
    for operator in ("Neg", "Abs"):
        value = helper.make_tensor_value_info(operator, FLOAT, ("N", 5))
        node = helper.make_node(operator, [y], [operator])
        bodies.append(helper.make_graph([node], operator, [], [value]))
    out = net.node("If", positive, then_branch=bodies[0], else_branch=bodies[1])
    assert codes(net.model(normalised(net, out, (0,)))) == [BATCH]
