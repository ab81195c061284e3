"""Sums of branches: the scale goes to every operand, the shift to one."""

from __future__ import annotations

import numpy as np
import passing
import pytest
from graphs import DOUBLE, FLOAT, Array, Net, assert_same_function, feed_for, fold, refusal, run
from onnx import helper
from oracle import evaluate
from passing import (
    affine_of,
    applied,
    ask,
    assert_goes_down,
    assert_goes_up,
    assert_stays,
    feed_of,
    random_affine,
)

from folding.affine import ChannelAffine, identity
from folding.carriers import Moved
from folding.plan import Folded, Reason

SHAPE = (2, 3, 5, 7)
Size = int | str | None
#: Every form of the operators, and how many operands it is tried with.
FORMS = [
    ("Add", 7, 2),
    ("Add", 13, 2),
    ("Add", 14, 2),
    ("Sub", 7, 2),
    ("Sub", 14, 2),
    ("Sum", 6, 3),
    ("Sum", 8, 1),
    ("Sum", 13, 4),
    ("Mean", 6, 2),
    ("Mean", 8, 1),
    ("Mean", 13, 3),
]
#: Constants that broadcasting finds a place for in SHAPE.
CONSTANTS = [(), (1,), (5, 7), (3, 1, 7), (1, 3, 1, 1), (1, 1, 1, 1), (2, 1, 5, 1), SHAPE]
OVER_CHANNELS = affine_of([0.5, -2.0, 0.0], [1.0, -3.0, 0.25], -3)
UNIFORM_SCALE = affine_of([-2.5] * 3, [1.0, -3.0, 0.25], -3)
SHIFT = affine_of([1.0] * 3, [1.0, -3.0, 0.25], -3)


def network(operator: str, *shapes: tuple[Size, ...], opset: int = 17) -> Net:
    """One node on inputs ``a``, ``b`` and so on of these shapes."""
    net = Net(DOUBLE, opset=opset)
    names = [net.input(*shape, name=chr(ord("a") + i)) for i, shape in enumerate(shapes)]
    net.node(operator, *names, out="y")
    return net


def with_constant(operator: str, constant: tuple[int, ...], slot: int) -> Net:
    """One node on an input and a constant in a slot."""
    net = Net(DOUBLE)
    names = [net.input(*SHAPE)]
    names.insert(slot, net.weight(*constant, name="c"))
    net.node(operator, *names, out="y")
    return net


def ways(net: Net, affine: ChannelAffine) -> tuple[Moved, ...]:
    """The ways on which one operand takes the shift."""
    return tuple(way for way in all_ways(net, affine) if not way.is_even)


def all_ways(net: Net, affine: ChannelAffine) -> tuple[Moved, ...]:
    _, answer = ask(net, affine)
    assert isinstance(answer, tuple), answer
    return answer


def shifted(net: Net, affine: ChannelAffine) -> list[list[int]]:
    """The slots that a shift goes to, way by way."""
    return [
        [slot for slot, part in way.affines.items() if not part.is_scale]
        for way in ways(net, affine)
    ]


def assert_right_by_name(net: Net, affine: ChannelAffine, way: Moved) -> None:
    """Each value has one affine, in whatever slots it stands, and the result is right."""
    model = net.model("y")
    feed = feed_of(model)
    parts: dict[str, ChannelAffine] = {}
    for slot, name in enumerate(net.nodes[0].input):
        part = way.affines.get(slot, identity())
        known = parts.setdefault(name, part)
        assert (known.scale.high == part.scale.high).all()
        assert (known.shift.high == part.shift.high).all()
    given = {name: applied(parts[name], value) for name, value in feed.items()}
    wanted = applied(affine, evaluate(model, feed)[0])
    np.testing.assert_allclose(evaluate(model, given)[0], wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("operator", "opset", "count"), FORMS)
@pytest.mark.parametrize("axis", [-1, -2, -3, -4])
def test_up_the_scale_goes_to_all_and_the_shift_to_any(
    axis: int, operator: str, opset: int, count: int
) -> None:
    """Each way is exact, with scales of both signs, and there is one for each operand."""
    net = network(operator, *[SHAPE] * count, opset=opset)
    affine = random_affine(SHAPE[axis], axis)

    assert_goes_up(net, affine)
    assert shifted(net, affine) == [[slot] for slot in range(count)]
    assert all(len(way.affines) == count for way in ways(net, affine))


@pytest.mark.parametrize(("operator", "opset", "count"), FORMS)
@pytest.mark.parametrize("affine", [OVER_CHANNELS, UNIFORM_SCALE, SHIFT, affine_of(0.0, 2.0, None)])
def test_up_any_numbers_pass(affine: ChannelAffine, operator: str, opset: int, count: int) -> None:
    """Zero scales, equal ones, none, and scalars."""
    assert_goes_up(network(operator, *[SHAPE] * count, opset=opset), affine)


@pytest.mark.parametrize(("operator", "count"), [("Add", 2), ("Sum", 4), ("Mean", 3)])
@pytest.mark.parametrize("affine", [OVER_CHANNELS, UNIFORM_SCALE, SHIFT, affine_of(0.5, 2.0, None)])
def test_up_at_last_the_shift_goes_to_all_alike(
    affine: ChannelAffine, operator: str, count: int
) -> None:
    net = network(operator, *[SHAPE] * count)

    even = all_ways(net, affine)[-1]

    assert [way.is_even for way in all_ways(net, affine)] == [False] * count + [True]
    assert [*even.affines] == [*range(count)]
    assert all(part.equals(even.affines[0]) for part in even.affines.values())
    assert_right_by_name(net, affine, even)


def test_up_a_value_in_two_slots_has_what_all_have() -> None:
    net = Net(DOUBLE)
    net.node("Sum", net.input(*SHAPE, name="a"), net.input(*SHAPE, name="b"), "a", out="y")

    assert_right_by_name(net, OVER_CHANNELS, all_ways(net, OVER_CHANNELS)[-1])


@pytest.mark.parametrize(
    ("net", "affine"),
    [
        (network("Sub", SHAPE, SHAPE), OVER_CHANNELS),
        (network("Add", SHAPE, SHAPE), random_affine(3, -3, shift=False)),
        (network("Add", SHAPE, (2, 1, 5, 7)), UNIFORM_SCALE),
        (with_constant("Add", SHAPE, 1), OVER_CHANNELS),
        (network("Sum", SHAPE), OVER_CHANNELS),
    ],
)
def test_up_nothing_is_shared(net: Net, affine: ChannelAffine) -> None:
    """By weights that cancel out, without a shift, by an operand without the channels, by none."""
    assert not any(way.is_even for way in all_ways(net, affine))


@pytest.mark.parametrize("operator", ["Add", "Sub", "Sum", "Mean"])
def test_up_a_scale_alone_has_one_way(operator: str) -> None:
    """There is no shift to find a place for."""
    net = network(operator, SHAPE, SHAPE)
    affine = random_affine(3, -3, shift=False)

    assert_goes_up(net, affine)
    assert [set(way.affines) for way in ways(net, affine)] == [{0, 1}]


@pytest.mark.parametrize("operator", ["Add", "Sub", "Sum", "Mean"])
def test_up_a_shift_alone_touches_one_operand(operator: str) -> None:
    """The others stay as they are, whoever else reads them."""
    net = network(operator, SHAPE, SHAPE)

    assert [set(way.affines) for way in ways(net, SHIFT)] == [{0}, {1}]


@pytest.mark.parametrize("operator", ["Add", "Sub", "Sum", "Mean"])
@pytest.mark.parametrize("thin", [(2, 1, 5, 7), (5, 7), (1,), ()])
def test_up_an_operand_without_the_channels_takes_equal_scales(
    thin: tuple[int, ...], operator: str
) -> None:
    """The shift goes to the one that has them, whichever that is."""
    for shapes, slot in (((SHAPE, thin), 0), ((thin, SHAPE), 1)):
        net = network(operator, *shapes)
        assert_goes_up(net, UNIFORM_SCALE)
        assert_goes_up(net, SHIFT)
        assert shifted(net, UNIFORM_SCALE) == shifted(net, SHIFT) == [[slot]]


@pytest.mark.parametrize("operator", ["Add", "Sub", "Sum", "Mean"])
@pytest.mark.parametrize("thin", [(2, 1, 5, 7), (5, 7), (1,), ("one", "one", 5, 7)])
def test_up_equal_numbers_go_to_any_operand(thin: tuple[Size, ...], operator: str) -> None:
    """Also if they are written as a vector."""
    affine = affine_of([-2.5] * 3, [0.75] * 3, -3)
    net = network(operator, SHAPE, thin)

    assert_goes_up(net, affine, one=1)
    assert shifted(net, affine) == [[0], [1]]


def test_up_one_channel_is_a_scalar_to_operands_that_lack_its_axis() -> None:
    """An affine of one channel has the same numbers for all."""
    assert_goes_up(network("Add", (2, 1, 5), (5,)), affine_of([2.0], [1.0], -2))


@pytest.mark.parametrize(
    ("operator", "reads"),
    [
        ("Add", "aa"),
        ("Sum", "aa"),
        ("Sum", "aba"),
        ("Sum", "baab"),
        ("Sum", "aaa"),
        ("Mean", "aab"),
        ("Mean", "aaa"),
    ],
)
@pytest.mark.parametrize("affine", [OVER_CHANNELS, SHIFT, affine_of(3.0, 2.0, None)])
def test_a_value_in_several_slots_carries_one_affine(
    affine: ChannelAffine, operator: str, reads: str
) -> None:
    """Upward its shift is divided by how often it counts, downward multiplied."""
    net = Net(DOUBLE)
    for name in sorted(set(reads)):
        net.input(*SHAPE, name=name)
    net.node(operator, *reads, out="y")

    assert len(ways(net, affine)) == len(set(reads))
    for way in ways(net, affine):
        assert_right_by_name(net, affine, way)
    if len(set(reads)) == 1:
        for place in range(len(reads)):
            assert_goes_down(net, affine, place=place)
    else:
        assert_goes_down(net, SHIFT, place=reads.index("a"))


@pytest.mark.parametrize("operator", ["Add", "Sub", "Sum", "Mean"])
@pytest.mark.parametrize("constant", CONSTANTS)
@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("affine", [OVER_CHANNELS, UNIFORM_SCALE, affine_of(0.0, 2.0, None)])
def test_up_a_constant_operand_takes_in_its_part_and_the_shift(
    affine: ChannelAffine, slot: int, constant: tuple[int, ...], operator: str
) -> None:
    """It may grow along the channels, and nothing but the scale is left for the other one."""
    net = with_constant(operator, constant, slot)

    assert_goes_up(net, affine)
    (way,) = ways(net, affine)
    assert set(way.constants) == {slot}
    assert way.affines[1 - slot].is_scale


@pytest.mark.parametrize("operator", ["Add", "Sub", "Sum", "Mean"])
def test_up_a_shift_alone_vanishes_in_a_constant(operator: str) -> None:
    """Nothing is left to travel."""
    net = with_constant(operator, (5, 7), 1)

    assert_goes_up(net, SHIFT)
    (way,) = ways(net, SHIFT)
    assert not way.affines


def test_up_a_constant_keeps_what_a_float64_cannot_tell() -> None:
    """Numbers are rounded once, when they are stored."""
    net = Net(DOUBLE)
    net.node("Add", net.input(*SHAPE), net.store(1.0), out="y")

    (way,) = ways(net, affine_of(1.0, 1e-20, None))

    assert way.constants[1].low == 1e-20


def test_up_constants_do_not_grow_further_than_they_must() -> None:
    """Equal numbers leave their shape, and channels need no axes before their own."""
    for affine, shape in (
        (UNIFORM_SCALE, (3, 5, 7)),
        (affine_of([2.0] * 3, [1.0] * 3, -3), (5, 7)),
    ):
        (way,) = ways(with_constant("Add", (5, 7), 1), affine)
        assert way.constants[1].shape == shape


@pytest.mark.parametrize("operator", ["Sum", "Mean"])
def test_up_a_sum_may_have_several_constants(operator: str) -> None:
    """Each takes its scale, and the first of them the shift."""
    net = Net(DOUBLE)
    net.node(operator, net.weight(5, 7), net.input(*SHAPE), net.weight(3, 1, 7), out="y")

    assert_goes_up(net, OVER_CHANNELS)
    assert len(ways(net, OVER_CHANNELS)) == 1


def test_up_a_wide_sum_has_a_few_ways() -> None:
    """The ways of a sum do not grow with the square of its operands."""
    net = network("Sum", *[(2, 3)] * 20)
    affine = random_affine(3, -1)

    assert_goes_up(net, affine)
    assert len(ways(net, affine)) == 8


def branches(taker: int, count: int = 12) -> Net:
    """A sum whose branches take any scale that is not negative; one takes a shift, too."""
    net = Net(DOUBLE)
    x, names = net.input(2, 3, 4), []
    for number in range(count):
        layer = net.node("Conv", x, net.weight(3, 3, 1), net.weight(3))
        names.append(layer if number == taker else net.node("Relu", layer))
    net.node("Sum", *names, out="v")
    net.node("Mul", "v", net.positive(3, 1, name="s"), out="u")
    net.node("Add", "u", net.weight(3, 1), out="y")
    return net


@pytest.mark.parametrize("count", [8, 12])
def test_a_shift_goes_to_the_one_of_eight_that_takes_it(count: int) -> None:
    model = branches(7, count).model("y")

    result = fold(model)

    assert result.operators.count("Add") == 0
    assert_same_function(model, result.model)


@pytest.mark.parametrize(
    ("count", "reason", "at"),
    [(8, Reason.SHIFT_BLOCKED, "relu1"), (9, Reason.TOO_MANY_WAYS, "v")],
)
def test_a_shift_stays_for_the_number_of_operands_if_that_is_why(
    count: int, reason: Reason, at: str
) -> None:
    """One of those that were not tried might have taken it."""
    model = branches(8, count).model("y")

    result = fold(model)

    outcome = result.decision("y").outcome
    assert isinstance(outcome, Folded)
    assert outcome.rest is not None
    assert (outcome.rest.reason, outcome.rest.at) == (reason, at)
    assert_same_function(model, result.model)


def test_what_stops_the_scale_alone_is_the_reason_and_not_the_number_of_operands() -> None:
    net = branches(8)
    net.stored["s"][0] = -0.5

    reason, _ = refusal(net.model("y"))

    assert reason is Reason.NEGATIVE_SCALE


@pytest.mark.parametrize("operator", ["Add", "Sub", "Sum", "Mean"])
@pytest.mark.parametrize("thin", [(2, 1, 5, 7), (5, 7), (1,), ()])
@pytest.mark.parametrize("slot", [0, 1])
def test_up_an_operand_without_the_channels_stops_different_scales(
    slot: int, thin: tuple[int, ...], operator: str
) -> None:
    """It would grow (condition 1)."""
    shapes = [SHAPE, thin] if slot else [thin, SHAPE]

    assert_stays(network(operator, *shapes), OVER_CHANNELS, Reason.OPERAND_GROWS)


@pytest.mark.parametrize("operator", ["Add", "Sub", "Sum", "Mean"])
def test_up_an_operand_of_unknown_size_stops_different_numbers(operator: str) -> None:
    """It might have one channel for all (condition 1)."""
    net = network(operator, SHAPE, (2, "c", 5, 7))

    assert_stays(net, OVER_CHANNELS, Reason.SIZES_UNKNOWN)
    assert shifted(net, UNIFORM_SCALE) == [[0]]


def test_up_an_operand_of_unknown_rank_stops_different_numbers() -> None:
    """It might lack the axis (condition 1)."""
    net = Net(DOUBLE)
    net.inputs.append(helper.make_tensor_value_info("b", DOUBLE, None))
    net.node("Add", net.input(*SHAPE), "b", out="y")

    assert_stays(net, OVER_CHANNELS, Reason.SIZES_UNKNOWN)
    assert shifted(net, UNIFORM_SCALE) == [[0]]


def test_up_a_shift_stays_if_no_operand_is_known_to_have_the_channels() -> None:
    """One of them must, but which is not known (condition 1)."""
    assert_stays(
        network("Add", (2, "c", 5), (2, "d", 5)),
        affine_of([1.0] * 3, [1.0, 2.0, 3.0], -2),
        Reason.SIZES_UNKNOWN,
    )


def test_up_a_constant_that_is_not_evaluated_stops_a_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it would become is not known (condition 1)."""
    monkeypatch.setattr(passing.Around, "numbers", lambda *_: None)

    assert_stays(with_constant("Add", (5, 7), 1), OVER_CHANNELS, Reason.TOO_COMPLEX)


def test_up_a_constant_that_is_not_finite_stays() -> None:
    """Nothing is computed with such numbers (condition 1)."""
    net = Net(DOUBLE)
    net.node("Add", net.input(2, 2, 2), net.store([[0.0, -np.inf], [0.0, 0.0]]), out="y")

    assert_stays(net, affine_of([2.0, 3.0], [0.0, 1.0], -2), Reason.NOT_FINITE)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("affine", [OVER_CHANNELS, SHIFT])
def test_a_value_less_itself_stays(affine: ChannelAffine, *, down: bool) -> None:
    """Nothing of it reaches the result (condition 2)."""
    net = Net(DOUBLE)
    net.node("Sub", net.input(*SHAPE), "x", out="y")

    assert_stays(net, affine, Reason.UNUSUAL_FORM, down=down)


@pytest.mark.parametrize(("operator", "opset", "count"), FORMS)
@pytest.mark.parametrize("axis", [-1, -2, -3, -4])
def test_down_a_shift_passes_from_any_operand(
    axis: int, operator: str, opset: int, count: int
) -> None:
    """It is what its operand counts for in the sum."""
    random = random_affine(SHAPE[axis], axis)
    shift = affine_of(np.ones(SHAPE[axis]), random.shift.high, axis)

    for place in range(count):
        assert_goes_down(network(operator, *[SHAPE] * count, opset=opset), shift, place=place)


@pytest.mark.parametrize("operator", ["Add", "Sub", "Sum", "Mean"])
@pytest.mark.parametrize(
    "other", [(5, 7), (1,), (2, 1, 5, 7), ("one", "one", 5, 7), (4, 2, 3, 5, 7)]
)
def test_down_a_shift_passes_whatever_the_others_are(
    other: tuple[Size, ...], operator: str
) -> None:
    """The result has the channels where they were, counted from the right."""
    assert_goes_down(network(operator, SHAPE, other), SHIFT, one=1)
    assert_goes_down(network(operator, other, SHAPE), SHIFT, place=1, one=1)


def test_down_one_channel_that_is_stretched_becomes_a_scalar() -> None:
    """The result has more channels than the operand."""
    net = network("Add", (2, 1, 5), (2, 3, 5))

    assert_goes_down(net, affine_of([1.0], [2.0], -2))
    _, answer = ask(net, affine_of([1.0], [2.0], -2), down=True)
    assert isinstance(answer, tuple)
    assert answer[0].affines[0].axis is None


@pytest.mark.parametrize("operator", ["Sum", "Mean"])
def test_down_a_single_operand_passes_everything(operator: str) -> None:
    """The operator does nothing."""
    assert_goes_down(network(operator, SHAPE), OVER_CHANNELS)


@pytest.mark.parametrize("operator", ["Add", "Sub", "Sum", "Mean"])
@pytest.mark.parametrize("constant", CONSTANTS)
@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("seed", [1, 2])
def test_down_constants_are_divided_by_the_scale(
    seed: int, slot: int, constant: tuple[int, ...], operator: str
) -> None:
    """Then the scale passes as well."""
    net = with_constant(operator, constant, slot)

    assert_goes_down(net, random_affine(3, -3, seed), place=1 - slot)
    assert_goes_down(net, affine_of(-0.5, 2.0, None), place=1 - slot)


def test_down_a_shift_alone_leaves_constants_alone() -> None:
    """They are not written anew for nothing."""
    _, answer = ask(with_constant("Add", (5, 7), 1), SHIFT, down=True)

    assert isinstance(answer, tuple)
    assert not answer[0].constants


@pytest.mark.parametrize("operator", ["Add", "Sub", "Sum", "Mean"])
@pytest.mark.parametrize("place", [0, 1])
def test_down_a_scale_stays_beside_another_branch(place: int, operator: str) -> None:
    """The other operand is not scaled (condition 3)."""
    net = network(operator, SHAPE, SHAPE)

    assert_stays(net, OVER_CHANNELS, Reason.OTHER_BRANCH, down=True, place=place)


def test_down_a_scale_stays_if_one_of_the_others_is_no_constant() -> None:
    """One branch among constants is enough (condition 3)."""
    net = Net(DOUBLE)
    net.node("Sum", net.input(*SHAPE), net.weight(5, 7), net.input(7, name="b"), out="y")

    assert_stays(net, UNIFORM_SCALE, Reason.OTHER_BRANCH, down=True)


def test_down_a_zero_scale_stays_beside_a_constant() -> None:
    """Nothing can be divided by it (condition 3)."""
    net = with_constant("Add", (5, 7), 1)

    assert_stays(net, OVER_CHANNELS, Reason.UNUSUAL_FORM, down=True)


def test_down_a_constant_that_is_not_evaluated_stops_a_scale(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it would become is not known (condition 3)."""
    monkeypatch.setattr(passing.Around, "numbers", lambda *_: None)

    assert_stays(with_constant("Add", (5, 7), 1), UNIFORM_SCALE, Reason.TOO_COMPLEX, down=True)


@pytest.mark.parametrize("operator", ["Add", "Sub"])
@pytest.mark.parametrize("down", [False, True])
def test_below_opset_7_nothing_passes(operator: str, *, down: bool) -> None:
    """An attribute says how the operands are broadcast (condition 4)."""
    net = Net(DOUBLE, opset=6)
    net.node(operator, net.input(*SHAPE), net.input(*SHAPE, name="b"), out="y", broadcast=1)

    assert_stays(net, SHIFT, Reason.OLD_OPSET, down=down)


@pytest.mark.parametrize(("operator", "opset", "count"), FORMS)
def test_the_definitions_agree_with_onnxruntime(operator: str, opset: int, count: int) -> None:
    """What the tests above compare with is what the operator is."""
    net = Net(FLOAT, opset=max(opset, 7))
    shapes = [SHAPE] * count if opset < 8 else [SHAPE, (5, 7), (3, 1, 7), (1,)][:count]
    names = [net.input(*shape, name=f"x{i}") for i, shape in enumerate(shapes)]
    net.node(operator, *names, out="y")
    model = net.model("y")
    feed = feed_for(model)

    ours: list[Array] = evaluate(model, feed)
    np.testing.assert_allclose(ours[0], run(model, feed)[0], rtol=1e-5, atol=1e-6)
