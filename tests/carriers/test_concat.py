"""Concat: an affine is cut where the inputs meet, or filled up with the identity for the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import DOUBLE, FLOAT, Net, feed_for, run
from onnx import helper
from oracle import evaluate
from passing import (
    Around,
    affine_of,
    applied,
    ask,
    assert_goes_down,
    assert_goes_up,
    assert_stays,
    feed_of,
    random_affine,
)

from folding.affine import ChannelAffine
from folding.plan import Kept, Reason

SIZES = (2, 3, 1)


def joined(axis: int = 1, *, elem_type: int = DOUBLE, opset: int = 13, stored: str = "") -> Net:
    """Three values of the shape [2, size, 5], the sizes standing on the axis; some are constant."""
    net = Net(elem_type, opset=opset)
    for name, size in zip("abc", SIZES, strict=True):
        shape = [2, 4, 5]
        shape[axis] = size
        (net.weight if name in stored else net.input)(*shape, name=name)
    net.node("Concat", "a", "b", "c", out="y", axis=axis)
    return net


def twice(axis: int, *rest: str) -> Net:
    """The same value, joined to itself, and to others."""
    net = Net(DOUBLE)
    for name in ("a", *rest):
        net.input(2, 3, 5, name=name)
    net.node("Concat", "a", *rest, "a", out="y", axis=axis)
    return net


def assert_repeated_goes_up(net: Net, affine: ChannelAffine, slots: set[int]) -> None:
    """As ``assert_goes_up``, of a value at two slots, which has one affine."""
    model, answer = ask(net, affine)
    assert not isinstance(answer, Kept), answer
    assert answer[0].affines.keys() == slots
    feed = feed_of(model)
    moved = dict(feed)
    for slot, piece in answer[0].affines.items():
        name = model.graph.node[0].input[slot]
        moved[name] = applied(piece, feed[name])
    (found,), (before,) = evaluate(model, moved), evaluate(model, feed)
    np.testing.assert_allclose(found, applied(affine, before), rtol=1e-12)


@pytest.mark.parametrize("opset", [4, 11, 13])
@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_upward_it_is_cut_on_the_joined_axis(axis: int, opset: int) -> None:
    """Each input gets as many as it has."""
    assert_goes_up(joined(axis, opset=opset), random_affine(6, axis % 3 - 3))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_downward_the_other_inputs_get_the_identity(axis: int, place: int) -> None:
    """Its channels keep their place."""
    assert_goes_down(joined(axis), random_affine(SIZES[place], axis - 3), place=place)


@pytest.mark.parametrize("stored", ["", "b"])
def test_upward_what_is_not_cut_passes_to_every_input(stored: str) -> None:
    """As does an affine along another axis; a constant keeps its shape."""
    assert_goes_up(joined(stored=stored), affine_of(-2.0, 3.0, None))
    assert_goes_up(joined(stored=stored), random_affine(2, -3))


def test_upward_a_scale_or_a_shift_alone_may_be_one_number_for_all_channels() -> None:
    """An affine has an axis if one of its two parts has."""
    shift = np.arange(6.0)

    assert_goes_up(joined(stored="b"), affine_of(-2.0, shift, -2))
    assert_goes_up(joined(stored="b"), affine_of(shift, 0.5, -2))
    assert_goes_up(joined(stored="b"), affine_of(np.arange(5.0), 0.5, -1))


def test_a_scalar_passes_downward_as_a_vector_on_the_joined_axis() -> None:
    """What is the same for all channels of another axis is a scalar."""
    assert_goes_down(joined(), affine_of(-2.0, 3.0, None), place=1)
    assert_goes_down(joined(), affine_of([-2.0] * 5, [3.0] * 5, -1), place=2)


@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("stored", ["a", "bc"])
def test_upward_a_constant_input_is_scaled_itself(stored: str, axis: int) -> None:
    """Its piece is not left to anybody else."""
    net = joined(stored=stored)
    affine = random_affine(6 if axis == -2 else 5, axis)

    _, answer = ask(net, affine)

    assert not isinstance(answer, Kept)
    assert answer[0].constants.keys() == {"abc".index(name) for name in stored}
    assert not answer[0].constants.keys() & answer[0].affines.keys()
    assert_goes_up(net, affine)


@pytest.mark.parametrize("stored", ["", "b"])
def test_upward_an_input_whose_piece_does_nothing_gets_none(stored: str) -> None:
    """Only the others change."""
    affine = affine_of([2, 3, 1, 1, 1, 1], [0, 0, 0, 0, 0, 4], -2)

    _, answer = ask(joined(stored=stored), affine)

    assert not isinstance(answer, Kept)
    assert answer[0].affines.keys() == {0, 2}
    assert not answer[0].constants
    assert_goes_up(joined(stored=stored), affine)


@pytest.mark.parametrize("stored", ["", "a", "ab"])
def test_upward_what_changes_nothing_goes_to_one_input(stored: str) -> None:
    """It vanishes only in a layer: a value must not go on as another one."""
    _, answer = ask(joined(stored=stored), affine_of(1.0, 0.0, None))

    assert not isinstance(answer, Kept)
    (moved,) = answer
    assert list(moved.affines) == [len(stored)]
    assert not moved.constants


def test_an_input_may_be_empty() -> None:
    """It has no channels to scale."""
    net = Net(DOUBLE)
    net.node("Concat", net.input(2, 3), net.store(np.zeros((2, 0))), out="y", axis=1)
    assert_goes_up(net, random_affine(3, -1))
    assert_goes_down(net, random_affine(3, -1))


def test_upward_one_value_joined_to_itself_passes_if_its_pieces_agree() -> None:
    """It is scaled once, and both slots say so."""
    part = random_affine(3, -2)
    both = part.of_channels(np.array([0, 1, 2, 0, 1, 2]), -2)

    assert_repeated_goes_up(twice(1), both, {0, 1})
    assert_repeated_goes_up(twice(2), part, {0, 1})


@pytest.mark.parametrize(
    "affine",
    [
        random_affine(6, -2),
        affine_of([2, 2, 2, 1, 1, 1], 0, -2),
        affine_of(1, [0, 0, 0, 0, 0, 3], -2),
    ],
)
def test_upward_one_value_joined_to_itself_stays_if_its_pieces_differ(
    affine: ChannelAffine,
) -> None:
    """It would have to be scaled in two ways (condition 4), also if one piece does nothing."""
    assert_stays(twice(1), affine, Reason.BRANCHES_DIFFER)


def test_upward_a_constant_joined_to_itself_may_have_different_pieces() -> None:
    """Each slot gets a constant of its own."""
    net = Net(DOUBLE)
    net.node("Concat", net.weight(2, 2, name="a"), "a", net.input(2, 1), out="y", axis=-1)

    _, answer = ask(net, affine_of([2, 3, 4, 5, 6], 0, -1))

    assert not isinstance(answer, Kept)
    found = [answer[0].constants[slot].high.tolist() for slot in (0, 1)]
    assert found == [(net.stored["a"] * scale).tolist() for scale in ([2, 3], [4, 5])]


def test_downward_one_value_may_stand_at_several_places() -> None:
    """All of its channels carry the affine; those of the others do not."""
    assert_goes_down(twice(1, "b"), random_affine(3, -2))
    assert_goes_down(twice(1), random_affine(3, -2))
    assert_goes_down(twice(1, "b"), affine_of(2.0, -1.0, None))


def test_downward_on_another_axis_it_passes_if_nothing_else_is_joined() -> None:
    """Nothing but the same value is there to be scaled."""
    for affine in (random_affine(5, -1), affine_of(2.0, -1.0, None)):
        _, answer = ask(twice(1), affine, down=True)
        assert not isinstance(answer, Kept)
        assert answer[0].affines == {0: affine}
        assert_goes_down(twice(1), affine)


def test_downward_on_another_axis_it_stays_beside_others() -> None:
    """They would be scaled too (condition 5)."""
    affine = random_affine(5, -1)

    assert_stays(joined(1), affine, Reason.OTHER_BRANCH, down=True)
    assert_stays(twice(1, "b"), affine, Reason.OTHER_BRANCH, down=True)


@pytest.mark.parametrize("down", [False, True])
def test_below_opset_four_it_stays(*, down: bool) -> None:
    """The axis has a default there (condition 1)."""
    affine = random_affine(2 if down else 6, -2)

    assert_stays(joined(opset=3), affine, Reason.UNUSUAL_FORM, down=down)


@pytest.mark.parametrize("down", [False, True])
def test_an_axis_of_an_unknown_rank_is_refused(*, down: bool) -> None:
    """An axis from the left cannot be compared with one from the right (condition 2)."""
    net = Net(DOUBLE)
    net.inputs.append(helper.make_tensor_value_info("x", DOUBLE, None))
    net.node("Concat", "x", "x", out="y", axis=1)

    assert_stays(net, random_affine(6, -2), Reason.MISSING_AXES, down=down)


@pytest.mark.parametrize("down", [False, True])
def test_unknown_sizes_on_the_joined_axis_are_refused(*, down: bool) -> None:
    """It is not known where to cut (condition 2); other sizes do not matter."""
    net = Net(DOUBLE)
    names = net.input("n", 2, "w", name="a"), net.input("n", "c", "w", name="b")
    net.node("Concat", *names, out="y", axis=1)

    assert_stays(net, random_affine(2 if down else 4, -2), Reason.SIZES_UNKNOWN, down=down)
    assert_goes_up(net, affine_of(2.0, 3.0, None))


def test_other_sizes_may_be_unknown() -> None:
    """Only those of the joined axis matter."""
    net = Net(DOUBLE)
    names = net.input("n", 2, "w", name="a"), net.input("n", 3, "w", name="b")
    net.node("Concat", *names, out="y", axis=1)

    assert_goes_up(net, random_affine(5, -2))
    assert_goes_down(net, random_affine(3, -2), place=1)


def test_upward_a_constant_whose_numbers_are_not_known_is_refused(monkeypatch: Any) -> None:
    """They would have to be scaled (condition 3)."""
    monkeypatch.setattr(Around, "numbers", lambda *_: None)

    assert_stays(joined(stored="b"), random_affine(6, -2), Reason.UNUSUAL_FORM)
    assert_goes_up(joined(), random_affine(6, -2))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_the_definition_agrees_with_onnxruntime(axis: int) -> None:
    """What the tests above compare with is what the operator is."""
    model = joined(axis, elem_type=FLOAT).model("y")
    feed = feed_for(model)

    np.testing.assert_allclose(evaluate(model, feed)[0], run(model, feed)[0], rtol=1e-6)
