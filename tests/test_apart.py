"""Channels of one layer that are cut out by several nodes, each with a norm of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from graphs import BOOL, INT64, TYPES, Net, assert_same_function, fold, plan, refusal
from inprocess import planned_fold
from onnx import ModelProto

from folding import ahead, apart
from folding.equivalence.frame import check_frame
from folding.equivalence.sites import find_sites
from folding.equivalence.verdict import Status
from folding.modelfile import in_memory
from folding.plan import Kept, Reason


def conv(net: Net, channels: int = 6) -> str:
    return net.node("Conv", net.input(2, 3, 5), net.weight(channels, 3, 1), out="v")


def cut(net: Net, start: int, end: int, x: str = "v", axis: int = 1, step: int = 1) -> str:
    if net.opset < 10:
        return net.node("Slice", x, starts=[start], ends=[end], axes=[axis])
    return net.node("Slice", x, *(net.integers(n) for n in (start, end, axis, step)))


def picked(net: Net, *channels: int, axis: int = 1) -> str:
    return net.node("Gather", "v", net.integers(*channels), axis=axis)


def assert_folds(model: ModelProto, *operators: str) -> None:
    """All affines go, and what is left has these operators and is the same, for good."""
    result = fold(model)
    assert all(decision.is_folded for decision in result.plan.decisions), result.plan
    assert result.operators == [*operators]
    assert_same_function(model, result.model)
    assert fold(result.model).model.SerializeToString() == result.model.SerializeToString()


# --- who takes other channels --------------------------------------------------------------------


@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize("opset", [9, 13, 21])
def test_every_part_of_a_layer_brings_its_norm_to_the_layer(opset: int, elem_type: int) -> None:
    """All of the layer's channels are changed, by one fold after the other."""
    net = Net(elem_type, opset)
    conv(net)
    parts = [cut(net, 0, 2), cut(net, 2, 5), cut(net, -1, 6)]
    model = net.model(*(net.batch_norm(part, n) for part, n in zip(parts, (2, 3, 1), strict=True)))

    assert_folds(model, "Conv", "Slice", "Slice", "Slice")


@pytest.mark.parametrize("elem_type", TYPES)
def test_the_parts_may_be_any_channels_in_any_order(elem_type: int) -> None:
    net = Net(elem_type)
    conv(net)
    parts = [picked(net, 5, 0, -4), cut(net, 4, 0, step=-3), cut(net, 3, 4)]
    model = net.model(*(net.batch_norm(part, n) for part, n in zip(parts, (3, 2, 1), strict=True)))

    assert_folds(model, "Conv", "Gather", "Slice", "Slice")


def test_who_takes_other_channels_reads_what_he_read() -> None:
    """Under the new name of the layer's value, and makes what he made under its old name."""
    net = Net()
    conv(net)
    part = net.batch_norm(cut(net, 0, 4), 4, out="y")
    rest = [cut(net, 4, 6), picked(net, 4, 5), cut(net, 5, 6)]
    model = net.model(part, *rest)

    result = fold(model)

    assert_folds(model, "Conv", "Slice", "Slice", "Gather", "Slice")
    value = result.model.graph.node[0].output[0]
    assert value != "v"
    assert [node.input[0] for node in result.model.graph.node[1:]] == [value] * 4


def test_a_product_keeps_the_shifts_of_all_parts_in_one_add() -> None:
    net = Net()
    net.node("MatMul", net.input(2, 5), net.weight(5, 6), out="v")
    model = net.model(*(net.batch_norm(cut(net, n, n + 3), 3) for n in (0, 3)))

    assert_folds(model, "MatMul", "Add", "Slice", "Slice")


def test_a_product_whose_first_part_is_only_scaled_gets_its_add_later() -> None:
    """Who reads the product then reads the Add, but for the Add itself."""
    net = Net()
    net.node("MatMul", net.input(2, 5), net.weight(5, 6), out="v")
    scaled = net.node("Mul", cut(net, 0, 3), net.weight(3))
    model = net.model(scaled, net.batch_norm(net.node("Identity", cut(net, 3, 6)), 3))

    assert_folds(model, "MatMul", "Add", "Slice", "Slice", "Identity")


def test_what_is_behind_a_part_may_be_passed_first_and_what_is_before_it_then() -> None:
    net = Net()
    conv(net)
    value = net.node("MaxPool", "v", kernel_shape=[2], auto_pad="SAME_UPPER")
    for start in (0, 3):
        part = net.node("Relu", cut(net, start, start + 3, value))
        net.node("Mul", part, net.positive(3, 1), out=f"y{start}")

    assert_folds(net.model("y0", "y3"), "Conv", "MaxPool", *["Slice", "Relu"] * 2)


def test_a_part_of_a_part_is_apart_where_all_are() -> None:
    net = Net()
    conv(net)
    first, rest = cut(net, 0, 4), cut(net, 4, 6)
    small = [cut(net, n, n + 2, first) for n in (0, 2)]
    model = net.model(net.batch_norm(small[0], 2), small[1], net.batch_norm(rest, 2))

    assert_folds(model, "Conv", *["Slice"] * 4)


def test_a_shift_may_stay_behind_a_part_alone() -> None:
    """The padding of a mean lets no shift pass."""
    net = Net()
    conv(net)
    rest = cut(net, 3, 6)
    mean: dict[str, Any] = {"kernel_shape": [3], "pads": [1, 1], "count_include_pad": 1}
    pooled = net.node("AveragePool", cut(net, 0, 3), **mean)
    net.node("Add", net.node("Mul", pooled, net.weight(3, 1)), net.weight(3, 1), out="y")
    model = net.model("y", rest)

    result = fold(model)

    assert result.operators == ["Conv", "Slice", "Slice", "AveragePool", "Add"]
    assert_same_function(model, result.model)
    assert fold(result.model).model == result.model


def test_a_norm_that_stays_takes_the_parts_in() -> None:
    """What makes the value is no layer, but a norm in front of which nothing takes any."""
    net = Net()
    net.batch_norm(net.node("Sigmoid", net.input(2, 4, 5)), 4, out="v")
    model = net.model(*(net.batch_norm(cut(net, n, n + 2), 2) for n in (0, 2)))

    result = fold(model)

    assert result.operators == ["Sigmoid", "BatchNormalization", "Slice", "Slice"]
    assert_same_function(model, result.model)


# --- parts that meet again -----------------------------------------------------------------------


@pytest.mark.parametrize("elem_type", TYPES)
def test_parts_that_are_joined_ask_each_for_their_own_channels(elem_type: int) -> None:
    net = Net(elem_type)
    conv(net)
    parts = [net.node("Relu", cut(net, 2, 6)), cut(net, 0, 1)]
    joined = net.node("Concat", *parts, axis=1)
    net.node("Mul", joined, net.positive(5, 1), out="y")
    model = net.model("y", cut(net, 1, 2))

    assert_folds(model, "Conv", "Slice", "Relu", "Slice", "Concat", "Slice")


def test_a_part_may_be_joined_with_a_layer_of_another() -> None:
    net = Net()
    conv(net)
    branch = net.node("Conv", cut(net, 3, 6), net.weight(3, 3, 1))
    joined = net.node("Concat", cut(net, 0, 3), branch, axis=1)
    model = net.model(net.batch_norm(joined, 6))

    assert_folds(model, "Conv", "Slice", "Conv", "Slice", "Concat")


def test_parts_may_meet_before_a_value_that_parts_again() -> None:
    """The value nearest to the layer waits for all that comes from the others."""
    net = Net()
    conv(net)
    for start, name in ((0, "a"), (3, "b")):
        cut(net, start, start + 3)
        net.node("Identity", net.nodes[-1].output[0], out=name)
    joined = net.node("Concat", "a", "b", axis=1, out="w")
    again = [cut(net, n, n + 3, joined) for n in (0, 3)]
    model = net.model(net.batch_norm(net.node("Concat", *again, axis=1), 6))

    assert_folds(model, "Conv", *["Slice", "Identity"] * 2, "Concat", "Slice", "Slice", "Concat")


@pytest.mark.parametrize("between", ["Slice", "Split"])
@pytest.mark.parametrize("order", [1, -1])
def test_a_layer_waits_for_the_parts_of_its_parts(order: int, between: str) -> None:
    """It takes in what all of them ask together, and others may see the rest."""
    net = Net()
    conv(net, 8)
    first, second = cut(net, 0, 4), net.node("Identity", cut(net, 4, 8), out="w")
    if between == "Split":
        net.node("Split", second, net.integers(2, 2), out="a,b", axis=1)
        parts, rest = [first, "a", net.node("Identity", "b")], first
    else:
        parts, rest = [first, cut(net, 0, 2, second)], cut(net, 2, 4, second)
    joined = net.node("Concat", *parts[::order], axis=1)
    net.batch_norm(joined, 8 if between == "Split" else 6, out="y")
    model = net.model("y", *([rest] if rest != first else []))

    result = fold(model)

    assert "BatchNormalization" not in result.operators
    assert_same_function(model, result.model)


def test_parts_that_overlap_do_not_meet() -> None:
    net = Net()
    conv(net)
    joined = net.node("Concat", cut(net, 0, 4), cut(net, 3, 6), axis=1)
    model = net.model(net.batch_norm(joined, 7))

    assert refusal(model)[0] is Reason.BRANCHES_DIFFER


def test_so_many_values_part_on_one_way_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net()
    conv(net)
    part = net.node("Identity", cut(net, 0, 4))
    net.batch_norm(cut(net, 0, 2, part), 2, out="y")
    model = net.model("y", cut(net, 2, 4, part), cut(net, 4, 6))

    assert_folds(model, "Conv", "Slice", "Identity", *["Slice"] * 3)
    monkeypatch.setattr(ahead, "_MOST_FORKS", 1)
    assert refusal(model) == (Reason.TOO_MANY_WAYS, "v")


# --- who does not --------------------------------------------------------------------------------


def other(net: Net, kind: str) -> str:
    """Another reader of the value than the one that takes its first four channels."""
    start = net.input(1, name="start", elem_type=INT64)
    lists = [net.integers(n) for n in (6, 1)]
    readers: dict[str, Callable[[], str]] = {
        "overlaps": lambda: cut(net, 3, 6),
        "overlaps, told from the end": lambda: cut(net, -6, -2),
        "gathers one of them": lambda: picked(net, 5, -3),
        "another axis": lambda: cut(net, 2, 4, axis=2),
        "gathers on another axis": lambda: picked(net, 4, axis=2),
        "unknown": lambda: net.node("Slice", "v", start, *lists),
        "gathers unknown ones": lambda: net.node("Gather", "v", start, axis=1),
        "all": lambda: net.node("Relu", "v"),
        "another domain": lambda: net.node(
            "Slice", "v", net.integers(4), *lists, domain="elsewhere"
        ),
        "a step of zero": lambda: cut(net, 4, 6, step=0),
        "more starts than ends": lambda: net.node("Slice", "v", net.integers(4, 4), *lists),
        "no start": lambda: net.node("Slice", "v", net.integers(), net.integers(6)),
        "itself": lambda: "v",
        "a body": lambda: captured(net),
    }
    return readers[kind]()


def captured(net: Net) -> str:
    body = Net()
    body.node("Identity", "v", out="o")
    graph = body.graph("o")
    condition = net.input(name="condition", elem_type=BOOL)
    return net.node("If", condition, out="z", then_branch=graph, else_branch=graph)


OTHERS = {
    "overlaps": Reason.FORKED,
    "overlaps, told from the end": Reason.FORKED,
    "gathers one of them": Reason.FORKED,
    "another axis": Reason.FORKED,
    "gathers on another axis": Reason.FORKED,
    "unknown": Reason.FORKED,
    "gathers unknown ones": Reason.FORKED,
    "all": Reason.FORKED,
    "another domain": Reason.FORKED,
    "a step of zero": Reason.FORKED,
    "more starts than ends": Reason.FORKED,
    "itself": Reason.GRAPH_OUTPUT,
    "a body": Reason.CAPTURED,
}


@pytest.mark.parametrize("kind", OTHERS)
def test_who_may_take_the_same_channels_keeps_all(kind: str) -> None:
    net = Net()
    conv(net)
    net.batch_norm(cut(net, 0, 4), 4, out="y")
    (decision,) = plan(net.model("y", other(net, kind)))

    assert isinstance(decision.outcome, Kept)
    assert (decision.outcome.reason, decision.outcome.at) == (OTHERS[kind], "v")


@pytest.mark.parametrize("who", ["the reader itself", "a number for all"])
def test_an_affine_of_all_channels_is_nobodys_own(who: str) -> None:
    """Directly at the value, and one that the cut axis does not matter to."""
    net = Net()
    conv(net, 4)
    data = "v" if who == "the reader itself" else cut(net, 0, 2)
    axis = (4, 1) if data == "v" else (5,)
    net.node("Mul", data, net.weight(*axis), out="y")
    model = net.model("y", cut(net, 2, 4))

    assert refusal(model) == (Reason.FORKED, "v")


def test_a_single_channel_that_others_take_too_keeps_its_number() -> None:
    """A number has no axis: that of the parts is asked for."""
    net = Net()
    conv(net)
    net.batch_norm(cut(net, 0, 1), 1, out="y")
    model = net.model("y", cut(net, 0, 3))

    assert refusal(model) == (Reason.FORKED, "v")


@pytest.mark.parametrize("order", [1, -1])
def test_a_number_of_one_part_is_none_of_the_other(order: int) -> None:
    """Where both ways meet, it would be asked of all channels."""
    net = Net()
    conv(net)
    parts = [cut(net, 0, 1), cut(net, 1, 6)]
    net.node("Mul", net.node("Concat", *parts[::order], axis=1), net.weight(6, 1), out="y")

    assert refusal(net.model("y")) == (Reason.BRANCHES_DIFFER, "v")


def test_parts_that_ask_along_different_axes_do_not_meet() -> None:
    """Each takes channels and columns of its own, and one is turned."""
    net = Net()
    conv(net)
    parts = []
    for n in (0, 2):
        lists = [net.integers(*values) for values in ((n, n), (n + 2, n + 2), (1, 2))]
        parts.append(net.node("Slice", "v", *lists))
    turned = net.node("Transpose", parts[1], perm=[0, 2, 1])
    net.node("Mul", net.node("Add", parts[0], turned), net.weight(2, 1), out="y")

    assert refusal(net.model("y")) == (Reason.BRANCHES_DIFFER, "v")


def test_of_a_value_with_very_many_readers_none_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "MOST_READERS", 2)
    for count, expected in ((2, True), (3, False)):
        net = Net()
        conv(net)
        parts = [net.batch_norm(cut(net, n, n + 1), 1) for n in range(count)]
        decisions = fold(net.model(*parts)).plan.decisions

        assert [decision.is_folded for decision in decisions] == [expected] * count


# --- the proof -----------------------------------------------------------------------------------


def test_what_others_take_is_compared_too() -> None:
    """On the same activations, as what the fold itself is about."""
    net = Net()
    conv(net)
    net.batch_norm(cut(net, 0, 4), 4, out="y")
    cut(net, 4, 6)
    _, candidate, drafts = planned_fold(net.model("y", net.nodes[-1].output[0]))

    sites, missing = find_sites(drafts[0], candidate.graph)

    assert ([site.name for site in sites], missing) == (["y", net.nodes[-1].output[0]], [])


@pytest.mark.parametrize(
    "kind",
    [
        "overlaps",
        "overlaps, told from the end",
        "gathers one of them",
        "another axis",
        "unknown",
        "all",
        "a step of zero",
        "more starts than ends",
        "no start",
    ],
)
def test_a_plan_that_takes_others_for_apart_is_found(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frame knows by itself which channels are taken."""
    net = Net()
    conv(net)
    net.batch_norm(cut(net, 0, 4), 4, out="y")
    model = net.model("y", other(net, kind))
    monkeypatch.setattr(ahead, "own_part", lambda *given: given[1])
    monkeypatch.setattr(ahead, "is_apart", lambda *_: True)
    reference, candidate, drafts = planned_fold(model)
    assert "v" in drafts[0].renamed

    check = check_frame(reference, in_memory(candidate), drafts)

    assert check.status is Status.FAILED
    assert "lets a value go on as another one" in check.why


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_the_other_parts_of_a_split_are_compared_too(*, joined: bool, first: bool) -> None:
    """They have the noise of what went into the layer before."""
    net = Net()
    x = net.node("Add", net.node("Mul", net.input(2, 3), net.weight(3)), net.weight(3))
    net.node("MatMul", x, net.weight(3, 6))
    net.node("Split", net.nodes[-1].output[0], net.integers(3, 3), out="a,b", axis=1)
    part, rest = ("a", "b") if first else ("b", "a")
    if joined:
        part = net.node("Concat", net.node("Relu", part), net.node("Relu", part), axis=0)
    net.node("Mul", part, net.positive(3), out="y")
    _, candidate, drafts = planned_fold(net.model("y", rest))

    sites, missing = find_sites(drafts[0], candidate.graph)

    assert ({site.name for site in sites}, missing) == ({"y", rest}, [])
    assert fold(net.model("y", rest)).decision("y").is_folded
