"""Slice: the channels that are taken keep their numbers, the others get the identity."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import DOUBLE, FLOAT, INT64, Net, feed_for, run
from onnx import helper
from oracle import evaluate
from passing import affine_of, ask, assert_goes_down, assert_goes_up, assert_stays, random_affine

from folding.affine import identity
from folding.plan import Kept, Reason

MOST = 2**31 - 1
#: Start, end and step on an axis of seven, and how many that takes.
FORWARD = [
    (0, 7, 1, 7),
    (2, 5, 1, 3),
    (2, MOST, 1, 5),
    (-3, 2**63 - 1, 1, 3),
    (-100, -2, 1, 5),
    (1, 100, 1, 6),
]
STEPPING = [
    (0, 7, 2, 4),
    (1, 6, 3, 2),
    (-6, -1, 4, 2),
    (6, 0, -1, 6),
    (-1, -MOST, -1, 7),
    (100, -(2**63) + 1, -2, 4),
    (5, 1, -3, 2),
    (-100, -100, -1, 1),
]


def sliced(
    cuts: dict[int, tuple[int, int, int]],
    *,
    opset: int = 13,
    shape: tuple[int | str, ...] = (2, 7, 5),
    elem_type: int = DOUBLE,
) -> Net:
    """A Slice by axis: start, end and step."""
    net = Net(elem_type, opset=opset)
    net.input(*shape)
    starts, ends, steps = zip(*cuts.values(), strict=True)
    if opset < 10:
        net.node("Slice", "x", out="y", starts=starts, ends=ends, axes=list(cuts))
    else:
        lists = [net.integers(*values) for values in (starts, ends, cuts)]
        if set(steps) != {1}:
            lists.append(net.integers(*steps))
        net.node("Slice", "x", *lists, out="y")
    return net


@pytest.mark.parametrize("opset", [1, 9, 10, 11, 13])
@pytest.mark.parametrize(("start", "end", "step", "taken"), FORWARD)
def test_what_is_taken_forward_keeps_its_numbers(
    start: int, end: int, step: int, taken: int, opset: int
) -> None:
    """Upward the other channels get the identity, downward they are gone."""
    for axis in (1, -2) if opset > 10 else (1,):
        net = sliced({axis: (start, end, step)}, opset=opset)
        assert_goes_up(net, random_affine(taken, -2))
        assert_goes_down(net, random_affine(7, -2))


@pytest.mark.parametrize("opset", [10, 11, 13])
@pytest.mark.parametrize(("start", "end", "step", "taken"), STEPPING)
def test_what_is_taken_in_steps_keeps_its_numbers(
    start: int, end: int, step: int, taken: int, opset: int
) -> None:
    """Backward too, with ends before the first one (condition 2)."""
    net = sliced({0: (1, 2, 1), 1: (start, end, step)}, opset=opset)

    assert_goes_up(net, random_affine(taken, -2))
    assert_goes_down(net, random_affine(7, -2))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_channels_may_stand_on_any_of_several_axes_that_are_cut(axis: int) -> None:
    """Each axis has its own start, end and step."""
    net = sliced({2: (1, 4, 1), 0: (1, 2, 1), -2: (6, 0, -2)})

    assert_goes_up(net, random_affine((1, 3, 3)[axis], axis - 3))
    assert_goes_down(net, random_affine((2, 7, 5)[axis], axis - 3))


def test_the_other_channels_get_the_identity() -> None:
    """What is not taken stays as it is."""
    _, answer = ask(sliced({1: (1, 6, 2)}), affine_of([2, 3, 4], [5, 6, 7], -2))

    assert not isinstance(answer, Kept)
    assert answer[0].affines[0].scale.high.tolist() == [1, 2, 1, 3, 1, 4, 1]
    assert answer[0].affines[0].shift.high.tolist() == [0, 5, 0, 6, 0, 7, 0]


@pytest.mark.parametrize("opset", [9, 10, 13])
def test_without_axes_the_first_ones_are_cut(opset: int) -> None:
    """As many as there are starts; inputs may be absent or have an empty name."""
    net = Net(DOUBLE, opset=opset)
    net.input(3, 7, 5)
    if opset < 10:
        net.node("Slice", "x", out="y", starts=[1, 2], ends=[3, 6])
    else:
        net.node("Slice", "x", net.integers(1, 2), net.integers(3, 6), "", "", out="y")

    assert_goes_up(net, random_affine(4, -2))
    assert_goes_down(net, random_affine(7, -2))
    assert_goes_up(net, random_affine(5, -1))


def runtime(*, axes: tuple[int, ...] | None, shape: tuple[int | str, ...] = (2, 7, 5)) -> Net:
    """A Slice whose starts are known at run time only, and so are its axes if none are given."""
    net = Net(DOUBLE)
    net.input(*shape)
    net.input(1, name="starts", elem_type=INT64)
    last = net.integers(*axes) if axes else net.input(1, name="axes", elem_type=INT64)
    net.node("Slice", "x", "starts", net.integers(9), last, out="y")
    return net


@pytest.mark.parametrize("down", [False, True])
def test_where_an_axis_is_cut_does_not_matter_to_another(*, down: bool) -> None:
    """Nor does it to a scalar, whatever is cut."""
    for affine in (random_affine(7, -2), random_affine(2, -3)):
        _, answer = ask(runtime(axes=(2,)), affine, down=down)
        assert not isinstance(answer, Kept)
        assert answer[0].affines == {0: affine}

    scalar = affine_of(-2.0, 3.0, None)
    _, answer = ask(runtime(axes=None), scalar, down=down)
    assert not isinstance(answer, Kept)
    assert answer[0].affines == {0: scalar}


@pytest.mark.parametrize("down", [False, True])
def test_unknown_starts_on_the_axis_of_the_channels_are_refused(*, down: bool) -> None:
    """It is not known which ones are taken (condition 2)."""
    net = runtime(axes=(1,))

    assert_stays(net, random_affine(7, -2), Reason.SIZES_UNKNOWN, down=down)


@pytest.mark.parametrize("slot", [2, 4])
def test_unknown_ends_and_steps_are_refused(slot: int) -> None:
    """As unknown starts are (condition 2)."""
    net = sliced({1: (6, 0, -2)})
    name = net.nodes[0].input[slot]
    del net.stored[name]
    net.input(1, name=name, elem_type=INT64)

    assert_stays(net, random_affine(3, -2), Reason.SIZES_UNKNOWN)


@pytest.mark.parametrize("down", [False, True])
def test_an_unknown_size_on_the_axis_of_the_channels_is_refused(*, down: bool) -> None:
    """It is not known where the end is (condition 2); that of another axis does not matter."""
    net = sliced({1: (-3, MOST, 1)}, shape=("n", "c", "w"))

    assert_stays(net, random_affine(3, -2), Reason.SIZES_UNKNOWN, down=down)
    assert_goes_up(net, random_affine(5, -1), n=2, c=7, w=5)


@pytest.mark.parametrize("down", [False, True])
def test_unknown_axes_are_refused(*, down: bool) -> None:
    """The axis of the channels may be cut or not (condition 1)."""
    assert_stays(runtime(axes=None), random_affine(7, -2), Reason.MISSING_AXES, down=down)
    net = runtime(axes=(1,))
    del net.nodes[0].input[3]
    assert_stays(net, random_affine(7, -2), Reason.MISSING_AXES, down=down)


@pytest.mark.parametrize("down", [False, True])
def test_an_axis_of_an_unknown_rank_is_refused(*, down: bool) -> None:
    """An axis from the left cannot be compared with one from the right (condition 1)."""
    net = sliced({1: (0, 2, 1)})
    net.inputs[:] = [helper.make_tensor_value_info("x", DOUBLE, None)]

    assert_stays(net, random_affine(7, -2), Reason.MISSING_AXES, down=down)


def test_an_axis_that_the_data_do_not_have_is_refused() -> None:
    """No runtime takes it (condition 2)."""
    assert_stays(sliced({-4: (0, 2, 1)}), random_affine(2, -4), Reason.SIZES_UNKNOWN)


@pytest.mark.parametrize("down", [False, True])
def test_an_axis_that_is_cut_twice_is_refused(*, down: bool) -> None:
    """It is undefined what that means (condition 3)."""
    net = sliced({1: (1, 5, 1), -2: (0, 2, 1)})

    assert_stays(net, random_affine(7, -2), Reason.UNUSUAL_FORM, down=down)
    assert_goes_down(sliced({1: (1, 5, 1)}), random_affine(7, -2))


@pytest.mark.parametrize("cut", [(5, 2, 1), (4, 7, 1)])
def test_downward_channels_that_do_nothing_get_the_identity(
    cut: tuple[int, int, int],
) -> None:
    """So it is of no channels at all."""
    affine = affine_of([2, 3, 4, 5, 1, 1, 1], [0, 0, 0, 1, 0, 0, 0], -2)

    _, answer = ask(sliced({1: cut}), affine, down=True)

    assert not isinstance(answer, Kept)
    assert answer[0].affines[0].equals(identity())


def test_downward_only_the_data_are_cut() -> None:
    """No affine stands before a start (condition 4)."""
    net = sliced({1: (0, 2, 1)})

    assert_stays(net, affine_of(2, 0, None), Reason.UNUSUAL_FORM, down=True, place=1)


@pytest.mark.parametrize("opset", [9, 10, 11, 13])
@pytest.mark.parametrize("cut", [f[:3] for f in FORWARD + STEPPING])
def test_the_definition_agrees_with_onnxruntime(cut: Any, opset: int) -> None:
    """What the tests above compare with is what the operator is."""
    if opset < 10:
        cut = (*cut[:2], 1)
    model = sliced({1: cut, 2: (1, 4, 1)}, opset=opset, elem_type=FLOAT).model("y")
    feed = feed_for(model)

    np.testing.assert_allclose(evaluate(model, feed)[0], run(model, feed)[0], rtol=1e-6)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize(
    "lists",
    [
        ([6], [0], [1], [0]),
        ([1, 2], [5], [1], [1]),
        ([1], [5, 6], [1], [1]),
        ([1], [5], [1, 2], [1]),
        ([1], [5], [1], [1, 1]),
    ],
)
def test_lists_that_no_runtime_takes_are_refused(
    lists: tuple[list[int], ...], *, down: bool
) -> None:
    """A step of zero, or lists of different lengths."""
    net = Net(DOUBLE)
    net.input(2, 7, 5)
    net.node("Slice", "x", *(net.integers(*values) for values in lists), out="y")

    assert_stays(net, random_affine(7, -2), Reason.UNUSUAL_FORM, down=down)
