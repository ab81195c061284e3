"""MatMul with an affine before its data: K is scaled, and a shift becomes one of the output."""

from __future__ import annotations

import numpy as np
import pytest
from absorbing import ask, assert_refused, assert_taken
from graphs import DOUBLE, INT64, Net
from passing import affine_of, random_affine

from folding.plan import Kept, Reason

Shape = tuple[int | str, ...]

# The shapes of the data and of W, the axis that is summed over.
ON_THE_RIGHT: list[tuple[Shape, tuple[int, ...]]] = [
    ((3, 5), (5, 4)),
    ((2, 3, 5), (5, 4)),
    ((2, 1, 3, 5), (5, 1)),
    ((5,), (5, 4)),
    ((2, 3, 5), (1, 5, 4)),
    ((3, 5), (1, 1, 5, 4)),
    ((5,), (1, 5, 4)),
]
ON_THE_LEFT: list[tuple[Shape, tuple[int, ...]]] = [
    ((5, 3), (4, 5)),
    ((2, 5, 3), (4, 5)),
    ((2, 2, 5, 1), (1, 5)),
    ((5,), (4, 5)),
    ((2, 5, 3), (1, 4, 5)),
    ((5, 3), (1, 1, 4, 5)),
    ((5,), (1, 4, 5)),
]
NO_ROOM: list[tuple[int, Shape, tuple[int, ...]]] = [
    (0, (2, 3, 5), (2, 5, 4)),
    (0, (3, 5), (2, 1, 5, 4)),
    (0, (3, 5), (5,)),
    (0, (5,), (5,)),
    (1, (2, 5, 3), (2, 4, 5)),
    (1, (5,), (2, 4, 5)),
    (1, (5, 3), (5,)),
    (1, (5,), (5,)),
]


def net(slot: int, data: Shape, weight: tuple[int, ...], opset: int = 17) -> Net:
    made = Net(DOUBLE, opset=opset)
    inputs = made.input(*data), made.weight(*weight, name="w")
    made.node("MatMul", *(inputs if slot == 0 else inputs[::-1]), out="y")
    return made


def summed_axis(slot: int, data: Shape) -> int:
    return -1 if slot == 0 or len(data) == 1 else -2


@pytest.mark.parametrize(
    ("slot", "data", "weight"),
    [(0, *shapes) for shapes in ON_THE_RIGHT] + [(1, *shapes) for shapes in ON_THE_LEFT],
)
@pytest.mark.parametrize("sign", [0, 1])
def test_scales_go_in_and_shifts_come_out_behind_it(
    slot: int, data: Shape, weight: tuple[int, ...], sign: int
) -> None:
    axis = summed_axis(slot, data)

    answer = assert_taken(net(slot, data, weight), random_affine(5, axis, sign=sign), slot)

    assert set(answer.factors) == {1 - slot}
    assert not answer.constants
    assert answer.shift is not None
    assert answer.shift.shape == ((weight[-1],) if slot == 0 else (weight[-2],))
    assert answer.shift_axis == axis


@pytest.mark.parametrize(("slot", "data", "weight"), NO_ROOM)
def test_scales_alone_go_into_every_weight(slot: int, data: Shape, weight: tuple[int, ...]) -> None:
    affine = random_affine(5, summed_axis(slot, data), shift=False)

    assert assert_taken(net(slot, data, weight), affine, slot).shift is None


@pytest.mark.parametrize(("slot", "data", "weight"), NO_ROOM)
def test_a_shift_that_is_no_vector_behind_it_stays(
    slot: int, data: Shape, weight: tuple[int, ...]
) -> None:
    affine = random_affine(5, summed_axis(slot, data))

    assert_refused(net(slot, data, weight), affine, Reason.HAS_NO_BIAS, slot)


@pytest.mark.parametrize(("slot", "data"), [(0, (2, 3, 5)), (1, (2, 5, 3)), (1, (5,)), (0, (5,))])
def test_the_same_affine_for_all_goes_in(slot: int, data: Shape) -> None:
    assert_taken(net(slot, data, (5, 5)), affine_of(-0.75, 1.5, None), slot)


def test_a_shift_that_adds_up_to_nothing_is_none() -> None:
    made = net(0, (3, 2), (2, 4))
    made.stored["w"][1] = made.stored["w"][0]

    answer = assert_taken(made, affine_of([2.0, 3.0], [1.5, -1.5], -1))

    assert answer.shift is None


def test_open_sizes_of_the_data_do_not_matter() -> None:
    assert_taken(net(0, ("n", "m", 5), (5, 4)), random_affine(5, -1), n=2, m=3)
    assert_taken(net(1, ("n", 5, "m"), (4, 5)), random_affine(5, -2), 1, n=2, m=3)


@pytest.mark.parametrize("slot", [0, 1])
def test_below_opset_7_scales_go_in(slot: int) -> None:
    affine = random_affine(5, -1 - slot, shift=False)

    assert_taken(net(slot, (5, 5), (5, 5), opset=6), affine, slot)


@pytest.mark.parametrize("slot", [0, 1])
def test_below_opset_7_shifts_stay(slot: int) -> None:
    affine = random_affine(5, -1 - slot)

    assert_refused(net(slot, (5, 5), (5, 5), opset=6), affine, Reason.OLD_OPSET, slot)


@pytest.mark.parametrize(("slot", "axis"), [(0, -2), (0, -3), (1, -1), (1, -3)])
def test_an_affine_along_an_axis_that_is_not_summed_over_stays(slot: int, axis: int) -> None:
    """In a cube, where no size tells the axes apart."""
    affine = random_affine(5, axis, shift=False)

    assert_refused(net(slot, (5, 5, 5), (5, 5)), affine, Reason.NOT_INPUT_CHANNELS, slot)


def unknown_rank(slot: int) -> Net:
    """Data with nothing known of its shape: a Reshape to a shape that is an input."""
    made = Net(DOUBLE)
    made.node("Reshape", made.input("n"), made.input("r", name="s", elem_type=INT64), out="d")
    inputs = "d", made.weight(5, 5)
    made.node("MatMul", *(inputs if slot == 0 else inputs[::-1]), out="y")
    return made


@pytest.mark.parametrize("axis", [-1, None])
def test_on_the_right_data_of_unknown_rank_may_be_a_vector(axis: int | None) -> None:
    affine = affine_of(2.0, 0.0, None) if axis is None else random_affine(5, axis)

    assert_refused(unknown_rank(1), affine, Reason.MISSING_AXES, 1)


@pytest.mark.parametrize(("slot", "axis"), [(0, -1), (1, -2)])
def test_other_data_of_unknown_rank_goes_in(slot: int, axis: int) -> None:
    """The last axis is the one on the left; an axis -2 tells that there are two."""
    _, answer = ask(unknown_rank(slot), random_affine(5, axis), slot)

    assert not isinstance(answer, Kept)
    assert answer.shift_axis == axis


@pytest.mark.parametrize("slot", [0, 1])
def test_two_factors_computed_at_run_time_are_refused(slot: int) -> None:
    made = Net(DOUBLE)
    made.node("MatMul", made.input(5, 5), made.input(5, 5, name="b"), out="y")

    assert_refused(made, random_affine(5, -1 - slot), Reason.RUNTIME_OPERANDS, slot)


@pytest.mark.parametrize("slot", [0, 1])
def test_other_channels_than_are_summed_over_are_refused(slot: int) -> None:
    affine = random_affine(3, -1 - slot)

    assert_refused(net(slot, (5, 5), (5, 5)), affine, Reason.BAD_LAYER, slot)


@pytest.mark.parametrize("slot", [0, 1])
def test_a_weight_without_axes_is_refused(slot: int) -> None:
    assert_refused(net(slot, (5, 5), ()), affine_of(2.0, 0.0, None), Reason.BAD_LAYER, slot)


@pytest.mark.parametrize("slot", [0, 1])
def test_a_weight_that_is_not_finite_takes_no_shift_in(slot: int) -> None:
    made = net(slot, (5, 5), (5, 5))
    made.stored["w"][0, 2] = np.inf

    _, answer = ask(made, random_affine(5, -1 - slot), slot)

    assert answer == Kept(Reason.NOT_FINITE, "w")
