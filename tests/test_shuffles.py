"""Affines over the nodes that shuffle channels, up and down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from graphs import (
    DOUBLE,
    TYPES,
    Net,
    assert_folds_to,
    assert_same_function,
    fold,
    fold_unverified,
    plan,
)
from onnx import ModelProto, helper

from folding.graph import Scope
from folding.plan import Kept, Reason
from folding.walk import Walker
from folding.way import Reached

SHUFFLE = ("Reshape", "Transpose", "Reshape")
Dims = tuple[int | str, ...]
SIZES: list[Dims] = [(2, 4, 4), ("n", 4, 4), ("n", "h", "w")]


def sizes(net: Net, x: str, *middle: int) -> str:
    """The shape of a value, with other numbers in place of its channels."""
    shape = net.node("Shape", x)
    first = net.node("Slice", shape, net.integers(0), net.integers(1))
    rest = net.node("Slice", shape, net.integers(2), net.integers(4))
    return net.node("Concat", first, net.integers(*middle), rest, axis=0)


def shuffled(net: Net, x: str, dims: Dims, *, groups: int = 3, channels: int = 12) -> str:
    """Channels in so many groups, one of each in turn; the shapes are computed if all are open."""
    inner = channels // groups
    batch, *space = (size if isinstance(size, int) else -1 for size in dims)
    if space == [-1, -1]:
        cut, whole = sizes(net, x, groups, inner), sizes(net, x, channels)
    else:
        cut = net.integers(batch, groups, inner, *space)
        whole = net.integers(batch, channels, *space)
    net.node("Reshape", x, cut, out="cut")
    net.node("Transpose", "cut", perm=[0, 2, 1, 3, 4], out="turned")
    return net.node("Reshape", "turned", whole, out="shuffled")


def behind(elem_type: int = DOUBLE, dims: Dims = (2, 4, 4)) -> Net:
    """Layer, shuffle, batch norm."""
    net = Net(elem_type)
    batch, *space = dims
    net.node("Conv", net.input(batch, 3, *space), net.weight(12, 3, 1, 1), out="v")
    net.batch_norm(shuffled(net, "v", dims), 12, "y")
    return net


def before(elem_type: int = DOUBLE, dims: Dims = (2, 4, 4)) -> Net:
    """Batch norm, shuffle, layer."""
    net = Net(elem_type)
    batch, *space = dims
    net.batch_norm(net.input(batch, 12, *space), 12, "n")
    mixed = shuffled(net, "n", dims)
    net.node("Conv", mixed, net.weight(4, 6, 1, 1), group=2, out="y")
    return net


@pytest.mark.parametrize("dims", SIZES)
@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize("build", [behind, before])
def test_a_shuffle_of_channels_is_passed(
    build: Callable[[int, Dims], Net], elem_type: int, dims: Dims
) -> None:
    """Both ways, whatever is known of the other sizes."""
    model = build(elem_type, dims).model("y")

    result = fold(model)

    kinds = [op for op in result.operators if op in {*SHUFFLE, "Conv", "BatchNormalization"}]
    assert sorted(kinds) == sorted(("Conv", *SHUFFLE))
    assert_same_function(model, result.model)


@pytest.mark.parametrize("build", [behind, before])
def test_what_is_between_them_is_called_otherwise(build: Callable[[], Net]) -> None:
    """It goes on with other content."""
    folded = fold(build().model("y")).model

    made = {name for node in folded.graph.node for name in node.output}
    assert made.isdisjoint({"cut", "turned", "shuffled"})


def test_channels_that_stand_last_are_shuffled_alike() -> None:
    net = Net(DOUBLE)
    net.node("MatMul", net.input("n", 5, 12), net.weight(12, 12), out="v")
    cut = net.node("Reshape", "v", net.integers(-1, 5, 3, 4))
    turned = net.node("Transpose", cut, perm=[0, 1, 3, 2])
    whole = net.node("Reshape", turned, net.integers(-1, 5, 12))
    net.node("Mul", whole, net.weight(12), out="u")
    net.node("Add", "u", net.weight(12), out="y")
    model = net.model("y")

    result = fold(model)

    assert result.operators == ["MatMul", "Add", *SHUFFLE]
    assert_same_function(model, result.model)


def test_a_unit_of_branches_and_a_shuffle_loses_all_its_batch_norms() -> None:
    """Concat, shuffle, Split: each half goes to channels of both layers."""
    net = Net(DOUBLE)
    for out in ("a", "b"):
        x = "x" if net.inputs else net.input("n", 3, 4, 4)
        net.node("Conv", x, net.weight(6, 3, 1, 1), out=out)
    net.node("Concat", "a", "b", axis=1, out="v")
    mixed = shuffled(net, "v", ("n", 4, 4), groups=2)
    net.node("Split", mixed, net.integers(6, 6), out="p,q", axis=1)
    net.batch_norm("p", 6, "y")
    net.batch_norm("q", 6, "z")
    model = net.model("y", "z")

    result = fold(model)

    assert result.operators == ["Conv", "Conv", "Concat", *SHUFFLE, "Split"]
    assert set(result.into("y")) == set(result.into("z")) == {"a", "b"}
    assert_same_function(model, result.model)


def test_downward_the_halves_of_a_shuffle_go_to_all_layers_behind() -> None:
    net = Net(DOUBLE)
    net.batch_norm(net.input(2, 12, 4, 4), 12, "n")
    mixed = shuffled(net, "n", (2, 4, 4), groups=2)
    net.node("Split", mixed, net.integers(6, 6), out="p,q", axis=1)
    net.node("Conv", "p", net.weight(2, 6, 1, 1), out="y")
    net.node("Conv", "q", net.weight(2, 6, 1, 1), out="z")
    model = net.model("y", "z")

    result = fold(model)

    assert result.operators == [*SHUFFLE, "Split", "Conv", "Conv"]
    assert_same_function(model, result.model)


def reasons(model: ModelProto, name: str) -> set[tuple[Reason, str]]:
    """Why an affine stays, upward and downward; the model must be as it was."""
    result = fold_unverified(model)
    assert result.model.SerializeToString() == model.SerializeToString()
    outcome = result.decision(name).outcome
    assert isinstance(outcome, Kept)
    below = outcome.below
    return {(outcome.reason, outcome.at)} | ({(below.reason, below.at)} if below else set())


@pytest.mark.parametrize("value", ["cut", "turned"])
def test_a_value_between_them_that_is_an_output_is_not_changed(value: str) -> None:
    """Condition 2."""
    up, down = behind().model("y", value), before().model("y", value)

    assert (Reason.MIXES_CHANNELS, "shuffled") in reasons(up, "y")
    assert (Reason.MIXES_CHANNELS, "cut") in reasons(down, "n")


@pytest.mark.parametrize("value", ["cut", "turned"])
def test_a_value_between_them_that_others_read_is_not_changed(value: str) -> None:
    """Condition 2."""
    for build, name, at in ((behind, "y", "shuffled"), (before, "n", "cut")):
        net = build()
        net.node("Sigmoid", value, out="z")
        assert (Reason.MIXES_CHANNELS, at) in reasons(net.model("y", "z"), name)


@pytest.mark.parametrize("value", ["cut", "turned"])
def test_a_value_between_them_that_a_body_captures_is_not_changed(value: str) -> None:
    """Condition 2."""
    for build, name, at in ((behind, "y", "shuffled"), (before, "n", "cut")):
        net = build()
        bodies = [Net(DOUBLE), Net(DOUBLE)]
        for body in bodies:
            body.node("Relu", value, out="inner")
        branches = [body.graph("inner") for body in bodies]
        flag = net.store(np.array(True), elem_type=0)
        net.node("If", flag, then_branch=branches[0], else_branch=branches[1], out="z")
        assert (Reason.MIXES_CHANNELS, at) in reasons(net.model("y", "z"), name)


def test_who_only_asks_for_a_shape_between_them_is_pointed_to_the_new_name() -> None:
    """Condition 2: that does not see what is in it."""
    for build in (behind, before):
        net = build()
        net.node("Shape", "turned", out="z")
        model = net.model("y", "z")
        result = fold(model)
        assert [d.is_folded for d in result.plan.decisions] == [True]
        assert_same_function(model, result.model)


def test_another_operator_between_them_ends_it() -> None:
    """Condition 1."""
    for build, name, at in ((behind, "y", "shuffled"), (before, "n", "cut")):
        net = build()
        place = next(i for i, node in enumerate(net.nodes) if node.op_type == "Transpose")
        net.nodes[place].input[0] = "bent"
        net.nodes.insert(place, helper.make_node("Sigmoid", ["cut"], ["half"]))
        net.nodes.insert(place + 1, helper.make_node("Sigmoid", ["half"], ["bent"]))
        assert (Reason.MIXES_CHANNELS, at) in reasons(net.model("y"), name)


def test_an_operator_of_that_name_in_another_domain_ends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Condition 1: even if the shapes behind it were known."""
    shape, known = Scope.shape, {"turned": (2, 4, 3, 4, 4), "shuffled": (2, 12, 4, 4)}
    monkeypatch.setattr(Scope, "shape", lambda scope, name: known.get(name) or shape(scope, name))
    model = before().model("y")
    assert fold_unverified(model).decision("n").is_folded

    turning = next(node for node in model.graph.node if node.op_type == "Transpose")
    turning.domain = "elsewhere"
    model.opset_import.add(domain="elsewhere", version=1)

    assert (Reason.MIXES_CHANNELS, "cut") in reasons(model, "n")


def test_a_permutation_that_is_none_ends_it() -> None:
    """No runtime runs such a model."""
    model = before().model("y")
    turning = next(node for node in model.graph.node if node.op_type == "Transpose")
    turning.attribute[0].ints[:] = [0, 0, 0, 0, 0]

    assert (Reason.MIXES_CHANNELS, "cut") in reasons(model, "n")


def turned_often(times: int) -> ModelProto:
    """A shuffle with so many pairs of Transposes more, which do nothing."""
    net = Net(DOUBLE)
    net.node("Conv", net.input(2, 3, 5), net.weight(6, 3, 1), out="v")
    value = net.node("Reshape", "v", net.integers(2, 2, 3, 5))
    for _ in range(2 * times + 1):
        value = net.node("Transpose", value, perm=[0, 2, 1, 3])
    net.batch_norm(net.node("Reshape", value, net.integers(2, 6, 5)), 6, "y")
    return net.model("y")


def test_they_are_only_a_few() -> None:
    """Condition 1: seven are passed, nine are not."""
    assert fold(turned_often(2)).decision("y").is_folded
    assert Reason.MIXES_CHANNELS in dict(reasons(turned_often(3), "y"))


def test_what_is_spread_for_good_stays() -> None:
    """The channels behind it are of two axes before."""
    net = Net(DOUBLE)
    net.node("Conv", net.input(2, 3, 5), net.weight(6, 3, 1), out="v")
    turned = net.node("Transpose", "v", perm=[0, 2, 1])
    net.batch_norm(net.node("Reshape", turned, net.integers(2, 15, 2), out="w"), 15, "y")

    assert (Reason.MIXES_CHANNELS, "w") in reasons(net.model("y"), "y")


def test_an_affine_that_stays_does_not_lead_others_over_a_shuffle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their numbers would have to change places as its own did."""
    led: list[object] = []
    up = Walker.up

    def watched(walker: Walker, *given: Any, **more: Any) -> Reached | Kept:
        found = up(walker, *given, **more)
        led.append(walker._last)
        return found

    monkeypatch.setattr(Walker, "up", watched)
    net = Net(DOUBLE)
    net.batch_norm(shuffled(net, net.input(2, 12, 4, 4), (2, 4, 4)), 12, "y")

    plan(net.model("y"))

    assert set(led) == {None}


def test_two_affines_go_over_one_shuffle_each_for_itself() -> None:
    """What is left of the way of the first is a row that no other passes but as a shuffle."""
    net = Net(DOUBLE)
    net.node("Conv", net.input(2, 5, 4, 4), net.weight(12, 5, 1, 1), out="v")
    first = net.batch_norm(shuffled(net, "v", (2, 4, 4)), 12)
    second = net.batch_norm(net.node("Identity", first), 12)
    net.node("Sigmoid", second, out="y")

    operators = "Conv", "Reshape", "Transpose", "Reshape", "Identity", "Sigmoid"
    assert_folds_to(net.model("y"), *operators)
