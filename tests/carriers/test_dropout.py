"""Dropout is passed where nothing can make it active, in every version of the operator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import BOOL, DOUBLE, FLOAT, Net, assert_folds_to, feed_for, fold, refusal, run
from onnx import ModelProto
from oracle import evaluate
from passing import affine_of, ask, assert_goes_down, assert_goes_up, assert_stays, random_affine

from folding.plan import Kept, Reason


def network(opset: int, *more: str, outputs: str = "w", net: Net | None = None) -> Net:
    net = net or Net(opset=opset, ir_version=7)
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node("Dropout", "v", *more, out=outputs)
    net.batch_norm("w", 4, "y")
    return net


def assert_folds(model: ModelProto) -> None:
    assert_folds_to(model, "Conv", "Dropout")


@pytest.mark.parametrize("opset", [7, 9, 10, 11, 12, 13, 17])
def test_it_is_passed_where_it_is_for_inference_only(opset: int) -> None:
    model = network(opset).model("y")

    assert_folds(model)


def test_an_unread_mask_does_not_matter() -> None:
    model = network(13, outputs="w,mask").model("y")

    assert_folds(model)


def test_a_ratio_does_not_matter() -> None:
    net = Net(opset=13)
    model = network(13, net.store(0.5), net=net).model("y")

    assert_folds(model)


def test_a_training_mode_that_is_constant_false_does_not_matter() -> None:
    net = Net(opset=13)
    mode = net.store(np.array(False), elem_type=0)
    model = network(13, net.store(0.5), mode, net=net).model("y")

    assert_folds(model)


def test_an_empty_training_mode_is_false() -> None:
    net = Net(opset=13)
    model = network(13, net.store(0.5), "", net=net).model("y")

    assert_folds(model)


def test_a_training_mode_that_is_constant_true_is_refused() -> None:
    net = Net(opset=13)
    mode = net.store(np.array(True), elem_type=0)
    model = network(13, net.store(0.5), mode, net=net).model("y")

    assert refusal(model) == (Reason.DROPOUT_ACTIVE, "w")


def test_a_training_mode_that_is_an_input_is_refused() -> None:
    net = Net(opset=13)
    mode = net.input(name="mode", elem_type=BOOL)
    model = network(13, net.store(0.0), mode, net=net).model("y")

    assert refusal(model) == (Reason.DROPOUT_ACTIVE, "w")


def test_a_training_mode_that_a_caller_may_override_is_refused() -> None:
    net = Net(opset=13)
    mode = net.store(np.array(False), "mode", elem_type=0)
    model = network(13, net.store(0.5), mode, net=net)
    model.input(name="mode", elem_type=BOOL)

    assert refusal(model.model("y")) == (Reason.DROPOUT_ACTIVE, "w")


@pytest.mark.parametrize("opset", [1, 6])
def test_below_opset_7_it_is_passed_if_it_is_marked_for_tests(opset: int) -> None:
    net = Net(opset=opset, ir_version=3)
    given: dict[str, Any] = {"consumed_inputs": [0] * 5} if opset == 1 else {}
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node("Dropout", "v", out="w", is_test=1)
    net.batch_norm("w", 4, "y", is_test=1, **given)

    result = fold(net.model("y"))

    assert result.operators == ["Conv", "Dropout"]


def test_below_opset_7_it_is_active_unless_marked_for_tests() -> None:
    net = Net(opset=6, ir_version=3)
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node("Dropout", "v", out="w")
    net.batch_norm("w", 4, "y", is_test=1)

    assert refusal(net.model("y")) == (Reason.DROPOUT_ACTIVE, "w")


def test_a_mask_that_is_read_does_not_matter() -> None:
    net = network(13, outputs="w,mask")
    net.node("Cast", "mask", out="z", to=FLOAT)

    assert_folds_to(net.model("y", "z"), "Conv", "Dropout", "Cast")


def test_a_mask_that_is_an_output_of_the_graph_does_not_matter() -> None:
    model = network(13, outputs="w,mask").model("y", "mask")

    assert_folds(model)


def test_the_mask_itself_carries_nothing() -> None:
    net = Net(opset=13)
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node("Dropout", "v", out="w,mask")
    net.node("Cast", "mask", out="m", to=FLOAT)
    net.batch_norm("m", 4, "y")

    assert refusal(net.model("y")) == (Reason.CAST_ROUNDS, "m")


def dropout(opset: int, *more: str, net: Net | None = None, **attributes: Any) -> Net:
    """A Dropout alone, of all kinds of outputs."""
    net = net or Net(DOUBLE, opset=opset)
    net.node("Dropout", net.input(2, 3, 5), *more, out="y,mask", **attributes)
    return net


@pytest.mark.parametrize("opset", [7, 10, 12, 13, 22])
@pytest.mark.parametrize("axis", [None, -1, -2, -3])
def test_it_is_passed_in_both_directions(opset: int, axis: int | None) -> None:
    """Whatever the affine is."""
    affine = affine_of(-2.0, 3.0, None) if axis is None else random_affine((2, 3, 5)[axis], axis)

    assert_goes_up(dropout(opset), affine)
    assert_goes_down(dropout(opset), affine)


@pytest.mark.parametrize("down", [False, True])
def test_below_opset_7_both_directions_need_the_mark(*, down: bool) -> None:
    """Condition 3."""
    affine = random_affine(3, -2)

    (assert_goes_down if down else assert_goes_up)(dropout(6, is_test=1), affine)
    assert_stays(dropout(6), affine, Reason.DROPOUT_ACTIVE, down=down)


@pytest.mark.parametrize("opset", [12, 13, 22])
@pytest.mark.parametrize("down", [False, True])
def test_a_training_mode_decides_in_both_directions(opset: int, *, down: bool) -> None:
    """Condition 1."""
    affine = random_affine(3, -2)
    for mode in (False, True):
        net = Net(DOUBLE, opset=opset)
        inputs = net.store(0.5), net.store(np.array(mode), elem_type=0)
        net = dropout(opset, *inputs, net=net)
        if mode:
            assert_stays(net, affine, Reason.DROPOUT_ACTIVE, down=down)
        else:
            (assert_goes_down if down else assert_goes_up)(net, affine)


def test_an_affine_of_the_mask_stays() -> None:
    """Condition 4: up to opset 9 it is made of floats."""
    affine = random_affine(3, -2)

    assert_stays(dropout(7), affine, Reason.UNUSUAL_FORM, place=1, read="mask")


@pytest.mark.parametrize("down", [False, True])
def test_a_mask_that_is_read_does_not_matter_in_both_directions(*, down: bool) -> None:
    """Condition 4."""
    _, answer = ask(dropout(13), random_affine(3, -2), down=down, read="mask")

    assert not isinstance(answer, Kept)


def test_an_affine_of_the_ratio_stays() -> None:
    """Condition 4."""
    net = Net(DOUBLE, opset=13)
    net.node("Dropout", net.input(2, 3), net.input(name="ratio"), out="y")

    assert_stays(net, affine_of(2.0, 0.0, None), Reason.UNUSUAL_FORM, down=True, place=1)


@pytest.mark.parametrize("opset", [7, 10, 12, 13])
def test_the_definition_agrees_with_onnxruntime(opset: int) -> None:
    """What the rule is tested against; in old versions nothing is said about the mask."""
    net = dropout(opset, net=Net(FLOAT, opset=opset))
    model = net.model("y", "mask") if opset >= 12 else net.model("y")
    feed = feed_for(model)

    for found, wanted in zip(evaluate(model, feed), run(model, feed), strict=True):
        assert (found == wanted).all()
