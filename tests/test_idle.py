"""What nothing reads does not keep an affine from its layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import (
    DOUBLE,
    INT64,
    TYPES,
    Net,
    assert_folds_to,
    assert_same_function,
    fold,
    fold_unverified,
    refusal,
)
from onnx import TensorProto, helper

from folding.plan import Reason


def layer(elem_type: int = DOUBLE) -> Net:
    """A layer that makes ``v``."""
    net = Net(elem_type)
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 1), out="v")
    return net


def assert_forked(net: Net, *outputs: str, at: str = "v") -> None:
    """What else reads the value stops the norm behind it."""
    net.batch_norm("v", 4, "y")
    assert refusal(net.model("y", *outputs)) == (Reason.FORKED, at)


@pytest.mark.parametrize("elem_type", TYPES)
def test_a_node_that_nothing_reads_goes_with_the_value_that_it_reads(elem_type: int) -> None:
    net = layer(elem_type)
    net.node("Sigmoid", "v", out="dead")
    net.batch_norm("v", 4, "y")
    model = net.model("y")

    assert_folds_to(model, "Conv")


def test_a_node_that_nothing_reads_does_not_keep_the_rest_from_being_known() -> None:
    """It might make a length negative, at which a Slice would end shape inference."""
    net = layer()
    net.node("ConvTranspose", "v", net.weight(4, 2, 1), strides=[2], out="dead")
    net.batch_norm("v", 4, "y")
    part = net.node("Slice", "y", net.integers(0), net.integers(3), net.integers(2))
    net.batch_norm(net.node("Reshape", part, net.integers(2, 4, 3, 1)), 4, "z")
    model = net.model("z")

    assert_folds_to(model, "Conv", "Slice", "Reshape")


def test_what_only_such_nodes_read_goes_too_and_its_weights() -> None:
    net = layer()
    net.node("Conv", net.node("Sigmoid", "v"), net.weight(2, 4, 1, name="w"), out="u")
    net.node("Size", net.node("Relu", "u"), out="dead")
    net.batch_norm("v", 4, "y")
    model = net.model("y")

    result = fold(model)

    assert result.operators == ["Conv"]
    assert "w" not in result.tensors
    assert_same_function(model, result.model)


def test_downward_it_does_not_have_to_take_part() -> None:
    net = Net(DOUBLE)
    net.batch_norm(net.input(2, 3, 5), 3, "v")
    net.node("Sigmoid", "v", out="dead")
    net.node("Conv", "v", net.weight(4, 3, 1), out="y")
    model = net.model("y")

    assert_folds_to(model, "Conv")


@pytest.mark.parametrize("dead", ["a", "b"])
@pytest.mark.parametrize("axis", [1, 2])
def test_a_part_of_a_split_is_not_changed_under_such_a_node(axis: int, dead: str) -> None:
    """It may keep its name as it changes, where the split is along another axis."""
    net = layer()
    net.node("Split", "v", net.integers(*((1, 3) if axis == 1 else (2, 3))), out="a,b", axis=axis)
    net.node("Gather", net.weight(2), net.node("Cast", dead, to=INT64), out="dead")
    other = "b" if dead == "a" else "a"
    net.batch_norm(other, 4 if axis == 2 else {"a": 1, "b": 3}[other], "y")
    model = net.model("y")

    folded = fold_unverified(model).model

    assert next(node for node in folded.graph.node if node.op_type == "Cast").input == [dead]
    assert (axis == 1) == (len(folded.graph.node) < len(model.graph.node))


def test_in_a_body_it_goes_too() -> None:
    body = Net(DOUBLE)
    step = body.input(2, 4, 5, name="step")
    body.node("Conv", step, body.weight(4, 4, 1), out="v")
    body.node("Sigmoid", "v", out="dead")
    body.batch_norm("v", 4, "made")
    net = Net(DOUBLE)
    x = net.input(3, 2, 4, 5)
    net.node("Scan", x, out="y", body=body.graph("made"), num_scan_inputs=1)
    for value in net.nodes[0].attribute[0].g.output:
        value.type.CopyFrom(helper.make_tensor_type_proto(DOUBLE, (2, 4, 5)))
    model = net.model("y")

    result = fold(model)

    scan = next(node for node in result.model.graph.node if node.op_type == "Scan")
    graphs = [attribute.g for attribute in scan.attribute if attribute.HasField("g")]
    assert [node.op_type for node in graphs[0].node] == ["Conv"]
    assert_same_function(model, result.model)


def test_what_reads_a_value_that_stays_as_it_is_stays_too() -> None:
    net = layer()
    net.batch_norm("v", 4, "y")
    net.node("Sigmoid", "y", out="dead")
    net.node("Relu", "x", out="idle")

    assert fold(net.model("y")).operators == ["Conv", "Sigmoid", "Relu"]


def test_nothing_goes_where_nothing_is_folded() -> None:
    net = Net()
    net.batch_norm(net.node("Relu", net.input(2, 3)), 3, "y")
    net.node("Sigmoid", "relu0", out="dead")
    model = net.model("y")

    assert refusal(model)[0] is Reason.SHIFT_BLOCKED


@pytest.mark.parametrize("reader", ["Relu", "Shape"])
def test_what_something_reads_is_in_the_way(reader: str) -> None:
    net = layer()
    net.node("Sigmoid", "v", out="u")
    net.node(reader, "u", out="z")

    assert_forked(net, "z")


def test_what_is_an_output_is_in_the_way() -> None:
    net = layer()
    net.node("Sigmoid", "v", out="z")

    assert_forked(net, "z")


def test_what_a_body_reads_is_in_the_way() -> None:
    net = layer()
    net.node("Sigmoid", "v", out="seen")
    bodies: dict[str, Any] = {}
    for branch in ("then_branch", "else_branch"):
        body = Net(DOUBLE)
        body.node("Neg", "seen", out=f"{branch}_made")
        bodies[branch] = body.graph(f"{branch}_made")
    net.node("If", net.input(name="c", elem_type=TensorProto.BOOL), out="z", **bodies)

    assert_forked(net, "z")


def test_a_node_with_a_body_is_in_the_way() -> None:
    """It may do something besides what it makes."""
    body = Net(DOUBLE)
    body.node("Neg", body.input(4, 5, name="step"), out="made")
    net = layer()
    net.node("Scan", "v", out="dead", body=body.graph("made"), num_scan_inputs=1)

    assert_forked(net)


def test_an_operator_of_another_domain_is_in_the_way() -> None:
    net = layer()
    net.node("Print", "v", out="dead", domain="com.example")
    net.batch_norm("v", 4, "y")

    result = fold_unverified(net.model("y"))

    assert result.kept("y") == (Reason.FORKED, "v")


def test_a_random_operator_is_in_the_way() -> None:
    """Without it, others would draw other numbers."""
    net = Net(DOUBLE)
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 1), out="v")
    net.node("Bernoulli", "v", out="dead")
    net.batch_norm("v", 4, "y")

    result = fold_unverified(net.model("y"))

    assert result.kept("y") == (Reason.FORKED, "v")


def test_an_affine_that_nothing_reads_is_in_the_way_and_stays() -> None:
    """Each has a decision that says what became of it."""
    net = layer()
    net.node("Mul", "v", net.weight(4, 1), out="dead")
    net.batch_norm("v", 4, "y")

    result = fold(net.model("y"))

    assert result.kept("dead") == (Reason.UNREAD, "dead")
    assert result.kept("y") == (Reason.FORKED, "v")


def test_an_affine_that_nothing_reads_goes_with_the_one_before_it() -> None:
    """Whichever of them is decided first; so folding twice changes nothing."""
    net = Net()
    net.node("Sub", net.store(0.5), net.node("Relu", net.input(2, 4)), out="v")
    net.batch_norm("v", 4, "dead")
    net.node("Gemm", "v", net.weight(4, 3), net.weight(1), out="g")
    net.batch_norm("g", 3, "y")
    model = net.model("y")

    result = fold(model)

    assert result.operators == ["Relu", "Gemm"]
    assert result.decision("dead").is_folded
    assert_same_function(model, result.model)
    assert fold(result.model).model.SerializeToString() == result.model.SerializeToString()


def test_another_output_of_a_node_may_not_change_under_a_node_that_stays() -> None:
    """Where all are equal, the first place is another."""
    net = layer()
    net.node("MaxPool", "v", out="p,places", kernel_shape=[2])
    net.node("Abs", "places", out="dead")
    net.batch_norm("p", 4, "y")
    net.stored["y.gamma"] = np.zeros(4)

    assert refusal(net.model("y")) == (Reason.OUTPUT_USED, "p")


def test_a_weight_that_such_a_node_reads_is_not_changed_under_it() -> None:
    net = layer()
    net.node("Sigmoid", "c0", out="dead")
    net.batch_norm("v", 4, "y")
    model = net.model("y")

    result = fold(model)

    assert result.operators == ["Conv", "Sigmoid"]
    assert (result.tensors["c0"] == net.stored["c0"]).all()
    assert_same_function(model, result.model)


def test_what_rests_on_weights_alone_is_not_changed_under_such_a_node() -> None:
    net = Net()
    codes = net.store(np.ones((4, 3, 1)), elem_type=TensorProto.INT8)
    net.node("DequantizeLinear", codes, net.store(0.5, name="scale"), out="w")
    net.node("Conv", net.input(2, 3, 5), "w", out="v")
    net.node("Sigmoid", "w", out="dead")
    net.batch_norm("v", 4, "y")
    net.stored["y.gamma"] = np.ones(4)

    assert refusal(net.model("y")) == (Reason.SHARED_WEIGHT, "w")


def test_what_a_branch_makes_of_outer_values_goes_too() -> None:
    """A branch has no inputs of its own."""
    net = Net(DOUBLE)
    net.input(2, 3, 5)
    net.input(name="flag", elem_type=TensorProto.BOOL)
    one, other = Net(DOUBLE, seed=1), Net(DOUBLE, seed=2)
    one.node("Conv", "x", one.weight(4, 3, 1, name="w"), out="v")
    one.node("Sigmoid", "v", out="dead")
    one.batch_norm("v", 4, "a")
    other.node("Conv", "x", other.weight(4, 3, 1, name="w2"), out="b")
    branches: dict[str, Any] = {"then_branch": one.graph("a"), "else_branch": other.graph("b")}
    net.node("If", "flag", out="y", **branches)
    model = net.model("y")

    result = fold(model)

    assert result.decision("a").is_folded
    assert_same_function(model, result.model)


def test_what_a_branch_makes_of_outer_weights_alone_is_not_changed_under_such_a_node() -> None:
    """It keeps its name, whatever it holds."""
    net = Net(DOUBLE)
    net.input(2, 3, 5)
    net.input(name="flag", elem_type=TensorProto.BOOL)
    net.weight(4, 3, 1, name="w")
    one, other = Net(DOUBLE, seed=1), Net(DOUBLE, seed=2)
    one.node("Abs", "w", out="made")
    one.node("Sigmoid", "made", out="dead")
    one.node("Conv", "x", "made", out="v")
    one.batch_norm("v", 4, "a")
    other.node("Conv", "x", other.weight(4, 3, 1, name="w2"), out="b")
    branches: dict[str, Any] = {"then_branch": one.graph("a"), "else_branch": other.graph("b")}
    net.node("If", "flag", out="y", **branches)
    model = net.model("y")

    result = fold(model)

    assert_same_function(model, result.model)
    (node,) = (n for n in result.model.graph.node if n.op_type == "If")
    (body,) = (a.g for a in node.attribute if a.name == "then_branch")
    assert "Sigmoid" in [inner.op_type for inner in body.node]
