"""Dropout is passed where nothing can make it active, in every version of the operator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import BOOL, FLOAT, Net, assert_same_function, fold, refusal
from onnx import ModelProto

from folding.plan import Reason


def network(opset: int, *more: str, outputs: str = "w", net: Net | None = None) -> Net:
    net = net or Net(opset=opset, ir_version=7)
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node("Dropout", "v", *more, out=outputs)
    net.batch_norm("w", 4, "y")
    return net


def assert_folds(model: ModelProto) -> None:
    result = fold(model)

    assert result.operators == ["Conv", "Dropout"]
    assert_same_function(model, result.model)


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


def test_a_mask_that_is_read_is_refused() -> None:
    net = network(13, outputs="w,mask")
    net.node("Cast", "mask", out="z", to=FLOAT)

    assert refusal(net.model("y", "z")) == (Reason.OUTPUT_USED, "w")


def test_a_mask_that_is_an_output_of_the_graph_is_refused() -> None:
    model = network(13, outputs="w,mask").model("y", "mask")

    assert refusal(model) == (Reason.OUTPUT_USED, "w")


def test_the_mask_itself_carries_nothing() -> None:
    net = Net(opset=13)
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node("Dropout", "v", out="w,mask")
    net.node("Cast", "mask", out="m", to=FLOAT)
    net.batch_norm("m", 4, "y")

    assert refusal(net.model("y")) == (Reason.CAST_ROUNDS, "m")
