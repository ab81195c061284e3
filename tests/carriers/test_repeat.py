"""Expand and Tile: what is done to an element must be done to all of its repetitions."""

from __future__ import annotations

import pytest
from graphs import DOUBLE, FLOAT, INT64, Net, feed_for, run
from moves import assert_goes_where_it_can, patterns, tiled
from onnx import helper
from oracle import evaluate
from passing import affine_of, ask, assert_goes_down, assert_goes_up, assert_stays, random_affine

from folding.affine import ChannelAffine
from folding.carriers import Moved
from folding.carriers.blocks import LARGEST
from folding.plan import Kept, Reason

Dims = tuple[int | str, ...]
#: What stands before, the shape asked for, and what comes out.
EXPANDED = [
    ((3, 1, 5), (2, 3, 4, 5), (2, 3, 4, 5)),
    ((3, 1, 5), (3, 4, 1), (3, 4, 5)),
    ((3, 1, 5), (4, 5), (3, 4, 5)),
    ((3, 4), (1,), (3, 4)),
    ((4,), (2, 3, 4), (2, 3, 4)),
    ((1, 4), (6, 1), (6, 4)),
]
#: What stands before, and the repetitions.
TILED = [((2, 3, 4), (1, 2, 3)), ((2, 3), (2, 1)), ((4,), (3,)), ((1, 2, 1), (4, 1, 2))]


def expanding(before: Dims, shape: tuple[int, ...], opset: int = 13) -> Net:
    net = Net(DOUBLE, opset=opset)
    net.node("Expand", net.input(*before), net.integers(*shape), out="y")
    return net


def tiling(before: Dims, repeats: tuple[int, ...], opset: int = 13) -> Net:
    net = Net(DOUBLE, opset=opset)
    net.node("Tile", net.input(*before), net.integers(*repeats), out="y")
    return net


def moved(net: Net, affine: ChannelAffine, *, down: bool = False) -> ChannelAffine:
    """The affine after the answer."""
    _, answer = ask(net, affine, down=down)
    assert not isinstance(answer, Kept), answer
    assert answer == (Moved({0: answer[0].affines[0]}),)
    return answer[0].affines[0]


@pytest.mark.parametrize("opset", [8, 13])
@pytest.mark.parametrize(("before", "shape", "after"), EXPANDED)
@pytest.mark.parametrize("down", [False, True])
def test_every_affine_that_can_goes_over_expand(
    before: tuple[int, ...],
    shape: tuple[int, ...],
    after: tuple[int, ...],
    opset: int,
    *,
    down: bool,
) -> None:
    """On every axis, new ones, longer ones and others."""
    here = before if down else after
    for axis in (axis - len(here) for axis, size in enumerate(here) if size > 1):
        for affine in patterns(here[axis], axis):
            net = expanding(before, shape, opset)
            assert_goes_where_it_can(net, affine, down=down, reason=Reason.OPERAND_GROWS)


@pytest.mark.parametrize("opset", [6, 13])
@pytest.mark.parametrize(("before", "repeats"), TILED)
@pytest.mark.parametrize("down", [False, True])
def test_every_affine_that_can_goes_over_tile(
    before: tuple[int, ...], repeats: tuple[int, ...], opset: int, *, down: bool
) -> None:
    """On every axis, with numbers that begin again and that do not."""
    after = tuple(size * times for size, times in zip(before, repeats, strict=True))
    here = before if down else after
    for axis in (axis - len(here) for axis, size in enumerate(here) if size > 1):
        for affine in patterns(here[axis], axis):
            net = tiling(before, repeats, opset)
            assert_goes_where_it_can(net, affine, down=down, reason=Reason.OPERAND_GROWS)


def test_a_vector_on_a_repeated_axis_stays() -> None:
    """Condition 1."""
    four, six = random_affine(4, -2), random_affine(6, -1)

    assert_stays(expanding((3, 1, 5), (3, 4, 5)), four, Reason.OPERAND_GROWS)
    assert_stays(expanding((5,), (4, 5)), four, Reason.OPERAND_GROWS)
    assert_stays(tiling((2, 3), (1, 2)), six, Reason.OPERAND_GROWS)


def test_one_number_for_all_becomes_a_scalar() -> None:
    """Condition 1: whatever is known of the sizes."""
    uniform = affine_of([-2.0] * 4, [3.0] * 4, -1)

    assert moved(expanding((3, 1), (3, 4)), uniform).axis is None
    assert_goes_up(expanding((3, 1), (3, 4)), uniform)
    assert_goes_up(tiling((3, 1), (2, 4)), uniform)
    assert_goes_down(tiling((3, 4), (2, 4)), uniform)


def test_a_scalar_stays_one() -> None:
    """In both directions."""
    scalar = affine_of(-2.0, 3.0, None)
    for net in (expanding((3, 1), (2, 3, 4)), tiling((3, 1), (2, 4))):
        assert_goes_up(net, scalar)
        assert_goes_down(net, scalar)


def test_tile_repeats_the_vector_downward() -> None:
    """Condition 4."""
    three = random_affine(3, -1)
    found = moved(tiling(("n", 3), (1, 4)), three, down=True)

    assert found.axis == -1
    assert found.scale.high.tolist() == tiled(three, 4).scale.high.tolist()
    assert_goes_up(tiling(("n", 3), (5, 4)), tiled(three, 4), n=2)


@pytest.mark.parametrize("operator", ["Expand", "Tile"])
def test_upward_the_size_before_must_be_known(operator: str) -> None:
    """Condition 2: an axis of unknown size may be the one that is made long."""
    net = Net(DOUBLE)
    net.node(operator, net.input(3, "w"), net.integers(1, 4), out="y")

    assert_stays(net, random_affine(4, -1), Reason.SIZES_UNKNOWN)


@pytest.mark.parametrize("operator", ["Expand", "Tile"])
def test_upward_the_rank_before_must_be_known(operator: str) -> None:
    """Condition 2."""
    net = Net(DOUBLE)
    net.inputs.append(helper.make_tensor_value_info("x", DOUBLE, None))
    net.node(operator, "x", net.integers(1, 4), out="y")

    assert_stays(net, random_affine(4, -1), Reason.MISSING_AXES)


def test_over_expand_an_affine_goes_down_whatever_the_shape_is() -> None:
    """Condition 3."""
    net = Net(DOUBLE)
    net.node("Expand", net.input("n", 3, 1), net.input("r", name="s", elem_type=INT64), out="y")
    three = random_affine(3, -2)

    assert moved(net, three, down=True) == three
    assert_goes_down(expanding(("n", 3, 1), (2, 1, 1, 4)), three, n=3)


def test_over_tile_the_size_behind_must_be_known() -> None:
    """Condition 4."""
    net = Net(DOUBLE)
    net.node("Tile", net.input(2, 3), net.input(2, name="r", elem_type=INT64), out="y")
    assert_stays(net, random_affine(3, -1), Reason.SIZES_UNKNOWN, down=True)

    net = Net(DOUBLE)
    net.inputs.append(helper.make_tensor_value_info("x", DOUBLE, None))
    net.node("Tile", "x", net.input(2, name="r", elem_type=INT64), out="y")
    assert_stays(net, random_affine(3, -1), Reason.MISSING_AXES, down=True)


@pytest.mark.parametrize("times", [0, LARGEST])
def test_over_tile_nothing_goes_to_an_axis_that_is_empty_or_very_long(times: int) -> None:
    """Condition 4."""
    affine = random_affine(3, -1)

    assert_stays(tiling((2, 3), (1, times)), affine, Reason.UNUSUAL_FORM, down=True)
    assert moved(tiling((2, 3), (1, LARGEST // 3)), affine, down=True).axis == -1


@pytest.mark.parametrize("opset", [8, 13, 17])
def test_the_definitions_agree_with_onnxruntime(opset: int) -> None:
    """What the rules are tested against."""
    for make, cases in ((expanding, [c[:2] for c in EXPANDED]), (tiling, TILED)):
        for before, given in cases:
            net = make(before, given, opset)
            net.elem_type = net.inputs[0].type.tensor_type.elem_type = FLOAT
            model = net.model("y")
            feed = feed_for(model)
            found, wanted = evaluate(model, feed)[0], run(model, feed)[0]
            assert found.shape == wanted.shape
            assert (found == wanted).all()
