"""Operators of other domains that have the names of ONNX's own: nothing is known of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from graphs import Net
from onnx import FunctionProto, ModelProto, helper
from pairs import judged

from folding.equivalence.foreign import Matched, NotEstablished
from folding.equivalence.foreign.check import compare
from folding.equivalence.foreign.terms import COMMUTING
from folding.modelfile import in_memory

DOMAIN = "my"


def same(one: ModelProto, other: ModelProto) -> bool:
    return isinstance(judged(one, other), Matched)


def calling(operator: str, *inputs: str, **attributes: Any) -> ModelProto:
    """A node of another domain on two inputs."""
    net = Net()
    for name in ("p", "q"):
        net.input(2, 3, name=name)
    net.node(operator, *inputs, out="y", domain=DOMAIN, **attributes)
    return net.model("y")


@pytest.mark.parametrize("operator", sorted(COMMUTING))
def test_only_operators_of_onnx_take_their_inputs_in_any_order(operator: str) -> None:
    one, other = calling(operator, "p", "q"), calling(operator, "q", "p")
    assert same(one, one)
    assert not same(one, other)


def test_the_momentum_of_another_normalisation_counts() -> None:
    one, other = (calling("BatchNormalization", "p", momentum=m) for m in (0.5, 0.9))
    assert same(one, one)
    assert not same(one, other)


def test_how_many_values_another_operator_makes_counts() -> None:
    """It may be told to make others by that."""
    one, other = calling("Split", "p"), calling("Split", "p")
    other.graph.node[0].output.append("z")
    assert not same(one, other)


Build = Callable[[Net, str], str]

#: What has another domain, and what it would be if that were ONNX's.
LOOKALIKES: dict[str, tuple[Build, Build]] = {
    "transpositions": (
        lambda net, x: net.node("Transpose", _other(net, "Transpose", x, perm=[1, 0, 2]),
                                perm=[2, 0, 1]),
        lambda net, x: net.node("Transpose", x, perm=[2, 1, 0]),
    ),
    "dimensions": (
        lambda net, x: net.node("Reshape", _other(net, "Reshape to", x, dims=[6, 4]),
                                net.integers(24)),
        lambda net, x: net.node("Reshape", x, net.integers(24)),
    ),
    "dimensions that are not told": (
        lambda net, x: net.node("Reshape", _other(net, "Reshape to", x), net.integers(24)),
        lambda net, x: net.node("Reshape", x, net.integers(24)),
    ),
    "padding": (
        lambda net, x: net.node("Conv", _other(net, "Pad", x, mode="constant", value=0.0,
                                               pads=[0, 0, 1, 0, 0, 1]), _weight(net)),
        lambda net, x: net.node("Conv", x, _weight(net), pads=[1, 1]),
    ),
    "layers": (
        lambda net, x: net.node("Add", _other(net, "Conv", x, _weight(net), _bias(net)),
                                net.store(np.ones((5, 1)))),
        lambda net, x: _other(net, "Conv", x, _weight(net), _bias(net, 1.0)),
    ),
}  # fmt: skip


def _other(net: Net, operator: str, *inputs: str, **attributes: Any) -> str:
    return net.node(operator, *inputs, domain=DOMAIN, **attributes)


def _weight(net: Net) -> str:
    return net.store(np.arange(45.0).reshape(5, 3, 3), "w")


def _bias(net: Net, more: float = 0.0) -> str:
    return net.store(np.arange(5.0) + more, "b")


@pytest.mark.parametrize("what", LOOKALIKES)
def test_nothing_is_seen_through_that_only_looks_alike(what: str) -> None:
    models = []
    for build in LOOKALIKES[what]:
        net = Net()
        net.node("Relu", build(net, net.input(2, 3, 4)), out="y")
        models.append(net.model("y"))
    assert same(models[0], models[0])
    assert not same(*models)


@pytest.mark.parametrize("name", ["Reshape to", "Slice along", "matrix product", '"input'])
def test_no_node_of_onnx_has_a_name_that_rules_give(name: str) -> None:
    net = Net()
    net.node(name, net.input(2, 3), out="y")
    model = in_memory(net.model("y"))
    assert isinstance(compare(model, model), NotEstablished)


def overloaded(called: str) -> ModelProto:
    """Two functions of one name, of which one is called."""
    net = Net(ir_version=10)
    node = helper.make_node("F", [net.input(2, 3)], ["y"], domain=DOMAIN)
    node.overload = called
    net.nodes.append(node)
    return net.model("y", functions=[_function("one", "Relu"), _function("two", "Identity")])


def _function(overload: str, operator: str) -> FunctionProto:
    body: Sequence[Any] = [helper.make_node(operator, ["a"], ["b"])]
    function = helper.make_function(DOMAIN, "F", ["a"], ["b"], body, [helper.make_opsetid("", 17)])
    function.overload = overload
    return function


def test_another_overload_is_another_function() -> None:
    one, other = overloaded("one"), overloaded("two")
    assert same(one, one)
    found = judged(one, other)
    assert isinstance(found, NotEstablished)
    assert found.why == "where the reference has my:F:one 'y', the candidate has my:F:two 'y'"


def test_another_overload_is_another_value_to_choose_from() -> None:
    """Where inputs may come in any order, a value meets the one of its own function."""
    models = []
    for names in (("one", "two"), ("two", "one")):
        net = Net(ir_version=10)
        x = net.input(2, 3)
        for name in names:
            node = helper.make_node("F", [x], [name], domain=DOMAIN)
            node.overload = name
            net.nodes.append(node)
        net.node("Add", *names, out="y")
        functions = [_function("one", "Relu"), _function("two", "Identity")]
        models.append(net.model("y", functions=functions))
    assert same(*models)
