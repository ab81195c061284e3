"""DepthToSpace and SpaceToDepth: channels are repeated or tiled, by the mode."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest
from graphs import DOUBLE, FLOAT, Net, feed_for, run
from moves import assert_goes_where_it_can, patterns, repeated, tiled
from onnx import helper
from oracle import evaluate
from passing import affine_of, assert_goes_down, assert_goes_up, assert_stays, random_affine

from folding.carriers import CARRIERS, Passage
from folding.plan import Kept, Reason

#: Operator, mode (None where there is none) and opset.
FORMS = [
    ("DepthToSpace", None, 1),
    ("DepthToSpace", None, 11),
    ("DepthToSpace", "DCR", 11),
    ("DepthToSpace", "CRD", 11),
    ("DepthToSpace", None, 13),
    ("DepthToSpace", "DCR", 13),
    ("DepthToSpace", "CRD", 13),
    ("SpaceToDepth", None, 1),
    ("SpaceToDepth", None, 13),
    ("SpaceToDepth", "DCR", 28),
    ("SpaceToDepth", "CRD", 28),
]
THREE = random_affine(3, -3, seed=3)


def network(
    operator: str, mode: str | None, opset: int, dims: tuple[int | str, ...], block: int = 2
) -> Net:
    net = Net(DOUBLE, opset=opset)
    given: dict[str, Any] = {} if mode is None else {"mode": mode}
    net.node(operator, net.input(*dims), out="y", blocksize=block, **given)
    return net


def sides(operator: str, block: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What stands before and behind: three channels of space, odd rows and columns of depth."""
    depth, space = (2, 3 * block**2, 1, 3), (2, 3, block, 3 * block)
    return (depth, space) if operator == "DepthToSpace" else (space, depth)


@pytest.mark.parametrize(("operator", "mode", "opset"), FORMS)
@pytest.mark.parametrize("block", [1, 2, 3])
@pytest.mark.parametrize("down", [False, True])
def test_every_affine_that_can_goes(
    operator: str, mode: str | None, opset: int, block: int, *, down: bool
) -> None:
    """Conditions 1 and 2: on every axis, with numbers that repeat and that do not."""
    before, after = sides(operator, block)
    here = before if down else after
    for axis in (axis for axis in range(-4, 0) if here[axis] > 1):
        for affine in patterns(here[axis], axis):
            net = network(operator, mode, opset, before, block)
            assert_goes_where_it_can(net, affine, down=down)


@pytest.mark.parametrize(("operator", "mode", "opset"), FORMS)
def test_the_channels_of_space_are_repeated_or_tiled(
    operator: str, mode: str | None, opset: int
) -> None:
    """Condition 1: in depth they are all there, b·b times."""
    net = network(operator, mode, opset, sides(operator, 2)[0])
    wanted = repeated(THREE, 4) if mode == "CRD" else tiled(THREE, 4)
    if operator == "DepthToSpace":
        assert_goes_up(net, THREE)
        assert_goes_down(net, wanted)
    else:
        assert_goes_down(net, THREE)
        assert_goes_up(net, wanted)


@pytest.mark.parametrize(("operator", "mode", "opset"), FORMS)
def test_channels_of_depth_that_differ_within_one_of_space_stay(
    operator: str, mode: str | None, opset: int
) -> None:
    """Condition 1: the other mode's order does not do either."""
    net = network(operator, mode, opset, sides(operator, 2)[0])
    down = operator == "DepthToSpace"
    other = tiled(THREE, 4) if mode == "CRD" else repeated(THREE, 4)

    assert_stays(net, random_affine(12, -3), Reason.MIXES_CHANNELS, down=down)
    assert_stays(net, other, Reason.MIXES_CHANNELS, down=down)


@pytest.mark.parametrize("axis", [-1, -2])
def test_rows_and_columns_go_where_they_follow_from_one_part(axis: int) -> None:
    """Condition 2."""
    few = random_affine(2, axis)
    spaces = ("n", 3, 4, 4)

    assert_goes_down(network("SpaceToDepth", None, 13, spaces), repeated(few, 2), n=2)
    assert_goes_down(network("SpaceToDepth", None, 13, spaces), tiled(few, 2), n=2)
    mixed = random_affine(4, axis)
    assert_stays(network("SpaceToDepth", None, 13, spaces), mixed, Reason.MIXES_CHANNELS, down=True)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_sizes_of_parts_that_are_not_merged_may_be_unknown(mode: str) -> None:
    """Condition 3: a batch, rows and columns."""
    depth, space = ("n", 12, "h", "w"), ("n", 3, "H", "W")
    many = repeated(THREE, 4) if mode == "CRD" else tiled(THREE, 4)
    to_space = network("DepthToSpace", mode, 13, depth)
    to_depth = network("SpaceToDepth", mode, 28, space)

    assert_goes_up(to_space, THREE, n=2, h=3, w=1)
    assert_goes_down(to_space, many, n=2, h=3, w=1)
    assert_goes_down(to_depth, THREE, n=2, H=6, W=2)
    assert_goes_up(to_depth, many, n=2, H=6, W=2)


def test_it_does_not_go_to_rows_or_channels_of_an_unknown_number() -> None:
    """Condition 3."""
    pairs = repeated(random_affine(2, -3), 6)
    net = network("DepthToSpace", "DCR", 13, ("n", 12, "h", "w"))
    assert_stays(net, pairs, Reason.SIZES_UNKNOWN, down=True)
    assert_goes_down(network("DepthToSpace", "DCR", 13, (2, 12, 3, 3)), pairs)

    rows = tiled(random_affine(2, -2), 2)
    net = network("SpaceToDepth", None, 13, ("n", "c", 4, 4))
    assert_stays(net, rows, Reason.SIZES_UNKNOWN, down=True)


@pytest.mark.parametrize("operator", ["DepthToSpace", "SpaceToDepth"])
def test_a_third_mode_is_refused(operator: str) -> None:
    """Condition 4; no model with one is valid, so the rule is asked directly."""
    node = helper.make_node(operator, ["x"], ["y"], blocksize=2, mode="RCD")
    around = Mock()
    around.shape.return_value = (2, 12, 4, 4)
    for asked in (CARRIERS[operator].up, CARRIERS[operator].down):
        assert asked is not None
        answer = asked(random_affine(12, -3), Passage(node, around))
        assert answer == Kept(Reason.UNUSUAL_FORM, "y", operator)


def test_no_rows_are_no_way() -> None:
    """Condition 3: an unusual size is refused."""
    pairs = repeated(random_affine(2, -3), 6)
    net = network("DepthToSpace", "DCR", 13, (2, 12, 0, 3))

    assert_stays(net, pairs, Reason.UNUSUAL_FORM, down=True)


@pytest.mark.parametrize(("operator", "mode", "opset"), FORMS)
@pytest.mark.parametrize("axis", [None, -3])
def test_one_number_for_all_passes(
    operator: str, mode: str | None, opset: int, axis: int | None
) -> None:
    """It stands on no axis, and no size is asked for."""
    before, after = sides(operator, 2)
    for check, dims in ((assert_goes_up, after), (assert_goes_down, before)):
        uniform = affine_of([-2.0] * dims[1], [3.0] * dims[1], -3)
        affine = affine_of(-2.0, 3.0, None) if axis is None else uniform
        check(network(operator, mode, opset, before), affine)


@pytest.mark.parametrize(("operator", "mode", "opset"), [f for f in FORMS if 7 <= f[2] <= 13])
@pytest.mark.parametrize("block", [2, 3])
def test_the_definitions_agree_with_onnxruntime(
    operator: str, mode: str | None, opset: int, block: int
) -> None:
    """What the rules are tested against."""
    net = network(operator, mode, opset, sides(operator, block)[0], block)
    net.inputs[0].type.tensor_type.elem_type = FLOAT
    net.elem_type = FLOAT
    model = net.model("y")
    feed = feed_for(model)

    assert (evaluate(model, feed)[0] == run(model, feed)[0]).all()
