"""ReverseSequence and Compress: what stands along another axis passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import BOOL, DOUBLE, FLOAT, Net, assert_folds_to, feed_for, run
from oracle import evaluate
from passing import affine_of, ask, assert_goes_down, assert_goes_up, assert_stays, random_affine

from folding.carriers import Moved
from folding.plan import Reason

SHAPE = (3, 4, 2, 5)
SCALAR, UNIFORM = affine_of(-2.0, 0.5, None), affine_of([0.5] * 4, [2.0] * 4, -3)
REVERSED: list[dict[str, Any]] = [{}, {"time_axis": 0, "batch_axis": 1}]
REVERSED += [{"time_axis": 1, "batch_axis": 0}]
AXES = [0, 1, 2, -1, -3]


def reversing(elem_type: int = DOUBLE, **given: Any) -> Net:
    net = Net(elem_type)
    batch = given.get("batch_axis", 1)
    lengths = net.integers(*(1 + i % SHAPE[1 - batch] for i in range(SHAPE[batch])))
    net.node("ReverseSequence", net.input(*SHAPE), lengths, out="y", **given)
    return net


def compressing(elem_type: int = DOUBLE, **given: Any) -> Net:
    net = Net(elem_type)
    size = SHAPE[given["axis"]] if "axis" in given else 120
    mask = net.store(np.arange(size) % 2 == 0, elem_type=0)
    net.node("Compress", net.input(*SHAPE), mask, out="y", **given)
    return net


@pytest.mark.parametrize("given", REVERSED)
def test_along_another_axis_it_passes_a_reversal(given: dict[str, Any]) -> None:
    """Condition 1: also along the batch."""
    time = given.get("time_axis", 0)
    for axis in (a for a in range(-4, 0) if a + 4 != time):
        assert_goes_up(reversing(**given), random_affine(SHAPE[axis], axis))
        assert_goes_down(reversing(**given), random_affine(SHAPE[axis], axis))


@pytest.mark.parametrize("axis", AXES)
def test_along_another_axis_it_passes_what_leaves_some_out(axis: int) -> None:
    """Condition 1: the axis may be counted from either end."""
    for other in (a for a in range(-4, 0) if a % 4 != axis % 4):
        assert_goes_up(compressing(axis=axis), random_affine(SHAPE[other], other))
        assert_goes_down(compressing(axis=axis), random_affine(SHAPE[other], other))


@pytest.mark.parametrize("down", [False, True])
def test_along_the_axis_itself_it_stays(*, down: bool) -> None:
    """Condition 2."""
    mixed = Reason.MIXES_CHANNELS

    for given in REVERSED:
        axis = given.get("time_axis", 0) - 4
        assert_stays(reversing(**given), random_affine(SHAPE[axis], axis), mixed, down=down)
    for axis in AXES:
        affine = random_affine(SHAPE[axis], axis % 4 - 4)
        assert_stays(compressing(axis=axis), affine, mixed, down=down)
    size = 120 if not down else 5
    assert_stays(compressing(), random_affine(size, -1), mixed, down=down)


@pytest.mark.parametrize("affine", [SCALAR, UNIFORM])
def test_what_is_the_same_for_all_passes_along_any_axis(affine: Any) -> None:
    """Condition 2."""
    for net in (reversing(time_axis=1, batch_axis=0), compressing(axis=1), compressing()):
        assert_goes_down(net, affine)
        assert_goes_up(net, affine if affine.axis is None else affine.narrowed())


def test_a_vector_of_equal_numbers_is_no_vector() -> None:
    """Condition 2, upward."""
    assert_goes_up(compressing(), affine_of([0.5] * 60, [2.0] * 60, -1))
    assert_goes_up(compressing(axis=1), affine_of([0.5] * 2, [2.0] * 2, -3))
    assert_goes_up(reversing(), affine_of([0.5] * 3, [2.0] * 3, -4))


@pytest.mark.parametrize("down", [False, True])
def test_an_axis_that_is_not_known_may_be_any(*, down: bool) -> None:
    """Condition 3: that of a reversal is counted from the left; a scalar passes."""
    for net in (reversing(), compressing(axis=0)):
        net.inputs[0].type.tensor_type.ClearField("shape")
        assert_stays(net, random_affine(5, -1), Reason.MISSING_AXES, down=down)
        _, answer = ask(net, SCALAR, down=down)
        assert answer == (Moved({0: SCALAR}),)


@pytest.mark.parametrize("down", [False, True])
def test_nothing_passes_what_inference_knows_nothing_of(*, down: bool) -> None:
    """Condition 4."""
    net = compressing(axis=0)
    net.opset = 10

    for affine in (random_affine(5, -1), SCALAR):
        assert_stays(net, affine, Reason.UNUSUAL_FORM, down=down)
    net.opset = 11
    assert_goes_up(net, random_affine(5, -1))


@pytest.mark.parametrize("elem_type", [DOUBLE, FLOAT])
def test_an_affine_behind_and_one_before_are_folded(elem_type: int) -> None:
    """What is left out comes at run time."""
    net = Net(elem_type)
    mask = net.input(5, name="mask", elem_type=BOOL)
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 1), out="v")
    net.batch_norm(net.node("Compress", "v", mask, axis=2), 4, "y")
    net.batch_norm("x", 3, "n")
    net.node("Conv", net.node("Compress", "n", mask, axis=2), net.weight(4, 3, 1), out="z")

    assert_folds_to(net.model("y", "z"), "Conv", "Compress", "Compress", "Conv")


@pytest.mark.parametrize("elem_type", [DOUBLE, FLOAT])
def test_around_a_reversal_they_are_folded_as_well(elem_type: int) -> None:
    net = Net(elem_type)
    lengths = net.integers(2, 5, 0)
    net.node("MatMul", net.input(5, 3, 4), net.weight(4, 2), out="v")
    net.node("Mul", net.node("ReverseSequence", "v", lengths), net.weight(2), out="u")
    net.node("Add", "u", net.weight(2), out="y")
    net.node("Add", net.node("Mul", "x", net.weight(4)), net.weight(4), out="n")
    net.node("MatMul", net.node("ReverseSequence", "n", lengths), net.weight(4, 2), out="z")

    folded = ("MatMul", "Add", "ReverseSequence", "ReverseSequence", "MatMul", "Add")
    assert_folds_to(net.model("y", "z"), *folded)


NETS = [reversing(FLOAT, **given) for given in REVERSED]
NETS += [compressing(FLOAT, axis=axis) for axis in AXES] + [compressing(FLOAT)]


@pytest.mark.parametrize("net", NETS)
def test_the_definition_agrees_with_onnxruntime(net: Net) -> None:
    """What the rules are tested against."""
    model = net.model("y")
    feed = feed_for(model)

    assert (evaluate(model, feed)[0] == run(model, feed)[0]).all()
