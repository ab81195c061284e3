"""Flatten: all axes before one become one axis, and all from it on another."""

from __future__ import annotations

from typing import Any

import pytest
from graphs import DOUBLE, FLOAT, Net, feed_for, run
from moves import assert_goes_where_it_can, patterns, repeated, tiled
from onnx import helper
from oracle import evaluate
from passing import affine_of, assert_goes_down, assert_goes_up, assert_stays, random_affine

from folding.plan import Reason

THREE, FOUR = random_affine(3, -1, seed=3), random_affine(4, -1, seed=4)


def flattening(before: tuple[int | str, ...], axis: int | None, opset: int = 17) -> Net:
    net = Net(DOUBLE, opset=opset)
    given: dict[str, Any] = {} if axis is None else {"axis": axis}
    net.node("Flatten", net.input(*before), out="y", **given)
    return net


@pytest.mark.parametrize("before", [(2, 3, 4, 5), (3, 4), (6,)])
@pytest.mark.parametrize("down", [False, True])
def test_every_affine_that_can_goes_over_flatten(before: tuple[int, ...], *, down: bool) -> None:
    """Condition 5: whatever the axis is, from 0 to the rank, and counted from the right."""
    for axis in range(-len(before), len(before) + 1):
        net = flattening(before, axis)
        sizes = [d.dim_value for d in net.model("y").graph.output[0].type.tensor_type.shape.dim]
        here = before if down else tuple(sizes)
        for place in (i - len(here) for i, size in enumerate(here) if size > 1):
            for affine in patterns(here[place], place):
                assert_goes_where_it_can(flattening(before, axis), affine, down=down)


@pytest.mark.parametrize("opset", [1, 9, 11, 13, 21, 23, 24, 25])
def test_flatten_keeps_the_first_axis_by_default(opset: int) -> None:
    """Condition 5, in all versions."""
    assert_goes_down(flattening((2, 3, 4), None, opset), THREE.along(-2))
    assert_goes_up(flattening((2, 3, 4), None, opset), repeated(THREE, 4))


def test_flatten_needs_only_the_sizes_that_it_merges() -> None:
    """Condition 3."""
    assert_goes_up(flattening(("n", 3, 4, 5), 1), repeated(THREE, 20), n=3)
    assert_goes_down(flattening(("n", 3, 4, 5), 1), THREE.along(-3), n=3)
    assert_goes_down(flattening((3, 4, "n"), 2), THREE.along(-3), n=3)
    assert_goes_up(flattening(("n", 3, "h", "w"), 1), repeated(THREE, 20), n=2, h=4, w=5)
    assert_goes_up(flattening(("n", "c", 4), 1), tiled(FOUR, 3), n=2, c=3)
    unknown = Reason.SIZES_UNKNOWN
    assert_stays(flattening(("n", 3, "h", "w"), 1), THREE.along(-3), unknown, down=True)
    assert_stays(flattening(("n", 3, 4), 2), THREE.along(-2), unknown, down=True)


def test_flatten_mixes_what_it_merges() -> None:
    """Condition 2."""
    assert_stays(flattening((2, 3, 4), 1), random_affine(12, -1), Reason.MIXES_CHANNELS)


@pytest.mark.parametrize("down", [False, True])
def test_without_a_known_rank_it_stays(*, down: bool) -> None:
    """Condition 3: no axis can be told."""
    net = Net(DOUBLE)
    net.inputs.append(helper.make_tensor_value_info("x", DOUBLE, None))
    net.node("Flatten", "x", out="y")

    assert_stays(net, THREE, Reason.MISSING_AXES, down=down)


@pytest.mark.parametrize("axis", [None, -1])
def test_one_number_for_all_passes(axis: int | None) -> None:
    """Condition 2: it stands on no axis."""
    affine = affine_of([2.0] * 4, [3.0] * 4, -1) if axis else affine_of(-2.0, 3.0, None)

    assert_goes_up(flattening((3, 2, 4), 2), affine)
    assert_goes_down(flattening((3, 2, 4), 2), affine)


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 21])
def test_the_definition_agrees_with_onnxruntime(opset: int) -> None:
    """What the rule is tested against."""
    net = Net(FLOAT, opset=opset)
    net.input(2, 3, 4)
    axes = (0, 1, 2, 3, *((-1, -2) if opset >= 11 else ()))
    model = net.model(*[net.node("Flatten", "x", axis=axis) for axis in axes])
    feed = feed_for(model)

    for found, wanted in zip(evaluate(model, feed), run(model, feed), strict=True):
        assert found.shape == wanted.shape
        assert (found == wanted).all()
