"""Flags that switch a model to training, and models as they are at inference."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import BOOL, Net
from linting import codes, conv, image, lints, normed
from onnx import ModelProto, helper

FLAG, BATCH = "TRAINING_FLAG", "BATCH_STATISTICS"


def branch(net: Net, out: str, name: str) -> object:
    """What a net has gathered, as the body of an If that reads its inputs from outside."""
    graph = net.graph(out, name=name)
    del graph.input[:]
    return graph


def batch_normed(net: Net, y: str) -> str:
    """A normalisation by the statistics of the batch."""
    mean = net.node("ReduceMean", net.node("Mul", y, y), axes=[0, 2, 3])
    root = net.node("Sqrt", net.node("Add", mean, net.store(1e-5)))
    return net.node("Div", y, root)


def switched(
    *, default: bool | None = None, inverted: bool = False, train: bool = True, ir: int = 8
) -> ModelProto:
    """``If(flag)`` between statistics of the batch, if it can ``train``, and moving ones."""
    net = Net(ir_version=ir)
    y = conv(net, image(net))
    net.input(name="flag", elem_type=BOOL)
    condition = net.node("Not", net.node("Identity", "flag")) if inverted else "flag"
    then, other = Net(), Net()
    then.stored, other.stored = {}, {}
    taken = batch_normed(then, y) if train else then.node("Neg", y, out="negated")
    moving = normed(other, y)
    for body, prefix in ((then, "t_"), (other, "o_")):
        for node in body.nodes:
            node.output[0] = prefix + node.output[0]
            for place, name in enumerate(node.input):
                if name != y:
                    node.input[place] = prefix + name
        body.stored = {prefix + name: array for name, array in body.stored.items()}
    bodies = branch(then, f"t_{taken}", "then"), branch(other, f"o_{moving}", "else")
    out = net.node("If", condition, then_branch=bodies[0], else_branch=bodies[1])
    if default is not None:
        net.store(np.array(default), "flag", 0)
    model = net.model(net.node("Relu", out))
    kept = [value for value in model.graph.input if value.name in ("x", "flag")]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    return model


@pytest.mark.parametrize("default", [None, False])
def test_a_flag_that_switches_to_training_is_found(*, default: bool | None) -> None:
    """Required or with a default; the statistics of the branch not taken are none of the model."""
    (found,) = lints(switched(default=default))
    assert (found.code.name, found.at) == (FLAG, "flag")
    assert ("default" in found.cause) == (default is not None)


def test_a_flag_may_be_true_at_inference() -> None:
    """The value is taken that does not train."""
    assert codes(switched(inverted=True)) == [FLAG]


def test_a_default_that_trains_is_found_as_such() -> None:
    """Nobody has to set the flag for the statistics of the batch to be used."""
    assert codes(switched(default=True)) == sorted([FLAG, BATCH])


def test_other_flags_are_silent() -> None:
    """A choice between two ways of which neither trains is the caller's."""
    assert codes(switched(train=False)) == []
    assert codes(switched(train=False, default=False)) == []


def test_a_flag_that_nobody_can_set_is_a_constant() -> None:
    """Below IR version 4 initializers are inputs, too, and yet fixed."""
    assert codes(switched(default=False, ir=3)) == []
    assert codes(switched(default=True, ir=3)) == [BATCH]


def test_a_constant_condition_needs_no_flag() -> None:
    """Its branch is looked at, the other one is not."""
    for value, expected in ((False, []), (True, [BATCH])):
        model = switched(default=value)
        flag = next(v for v in model.graph.input if v.name == "flag")
        model.graph.input.remove(flag)
        assert codes(model) == expected


def test_the_mode_of_a_dropout_is_a_flag() -> None:
    """It needs no If."""
    net = Net()
    y = conv(net, image(net))
    net.input(name="flag", elem_type=BOOL)
    out = net.node("Dropout", y, net.store(0.5), "flag")
    (found,) = lints(net.model(net.node("Relu", out)))
    assert (found.code.name, found.at) == (FLAG, "flag")


def test_an_if_that_is_computed_stays() -> None:
    """What the data decide is decided in each run: both branches are looked at."""
    model = switched()
    name = "flag"
    flag = next(v for v in model.graph.input if v.name == name)
    model.graph.input.remove(flag)
    data = [
        helper.make_node("ReduceMax", ["x"], ["top"], keepdims=0),
        helper.make_node("IsNaN", ["top"], [name]),
    ]
    nodes = [*data, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    assert FLAG not in codes(model)


def test_no_more_than_eight_flags_are_looked_at() -> None:
    """Each is a plan of its own; a model of hundreds would take minutes."""
    net = Net(opset=17)
    x = conv(net, image(net))
    for number in range(10):
        flag = net.input(name=f"flag{number}", elem_type=BOOL)
        x = net.node("Dropout", x, net.store(0.5), flag)
    found = lints(net.model(x))
    assert [one.code.name for one in found] == [FLAG] * 8
