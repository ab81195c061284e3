"""Abs is passed by scales, downward with their magnitudes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from graphs import Net, distance, feed_for, run
from oracle import evaluate
from passing import affine_of, ask, assert_goes_down, assert_goes_up, assert_stays, random_affine

from folding.plan import Kept, Reason


def absolute() -> Net:
    net = Net()
    net.node("Abs", net.input(2, 3, 5), out="y")
    return net


def test_the_definition_is_what_onnxruntime_computes() -> None:
    model = absolute().model("y")
    feed = feed_for(model)

    assert distance(run(model, feed)[0], evaluate(model, feed)[0]) == 0


@pytest.mark.parametrize(("axis", "channels"), [(-3, 2), (-2, 3), (-1, 5)])
def test_scales_that_are_not_negative_go_up_along_any_axis(axis: int, channels: int) -> None:
    assert_goes_up(absolute(), random_affine(channels, axis, sign=1, shift=False))


def test_a_scalar_goes_up() -> None:
    assert_goes_up(absolute(), affine_of(0.5, 0.0, None))


@pytest.mark.parametrize(("axis", "channels"), [(-3, 2), (-2, 3), (-1, 5)])
def test_all_scales_go_down_along_any_axis(axis: int, channels: int) -> None:
    assert_goes_down(absolute(), random_affine(channels, axis, shift=False))


def test_a_negative_scalar_goes_down() -> None:
    assert_goes_down(absolute(), affine_of(-0.5, 0.0, None))


def test_what_float64_cannot_hold_of_a_scale_changes_its_sign_with_it() -> None:
    """A third is more precise than float64: the rest has the sign of the whole."""
    negative = affine_of(-1.0, 0.0, None).scale / affine_of(3.0, 0.0, None).scale
    positive = affine_of(1.0, 0.0, None).scale / affine_of(3.0, 0.0, None).scale
    affine = affine_of(1.0, 0.0, None)

    for third in (negative, positive):
        _, answer = ask(absolute(), replace(affine, scale=third), down=True)
        assert not isinstance(answer, Kept)
        found = answer[0].affines[0].scale
        assert positive.low != 0
        assert (found.high, found.low) == (positive.high, positive.low)


def test_negative_scales_do_not_go_up() -> None:
    assert_stays(absolute(), affine_of([1.0, -1.0, 2.0], [0.0] * 3, -2), Reason.NEGATIVE_SCALE)


@pytest.mark.parametrize("down", [False, True])
def test_shifts_do_not_pass(*, down: bool) -> None:
    affine = affine_of([1.0, 0.5, 2.0], [0.0, 0.0, 1.0], -2)

    assert_stays(absolute(), affine, Reason.SHIFT_BLOCKED, down=down)
