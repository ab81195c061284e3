"""Fitting: inputs are not made up so short that a window of an AveragePool does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import Net, fold
from inprocess import compared
from onnx import ModelProto, helper

from folding.equivalence.fitting import check_fit, open_pools
from folding.equivalence.runtime import RuntimeRefused
from folding.equivalence.verdict import Status
from folding.errors import BadCall

COUNTED: dict[str, Any] = {"kernel_shape": [3, 2], "strides": [3, 2], "count_include_pad": 1}


def pooled(opset: int = 17, **attributes: Any) -> ModelProto:
    """A pool between a convolution and a batch norm, of pictures of any size."""
    net = Net(opset=opset)
    conv = net.node("Conv", net.input("n", 3, "h", "w"), net.weight(4, 3, 1, 1))
    net.batch_norm(net.node("AveragePool", conv, **{**COUNTED, **attributes}), 4, out="y")
    return net.model("y")


@pytest.mark.parametrize("opset", [11, 17, 18, 19, 22])
@pytest.mark.parametrize("more", [{}, {"auto_pad": "VALID"}, {"pads": [0, 0, 0, 0]}])
def test_a_pool_as_torch_exports_it_is_folded_and_verified_where_sizes_are_open(
    opset: int, more: dict[str, Any]
) -> None:
    """Below operator set 19 the runtime counts zeros in inputs shorter than the window."""
    assert fold(pooled(opset, **more)).operators == ["Conv", "AveragePool"]


def test_the_sizes_it_is_run_on_are_those_that_the_windows_fit_into() -> None:
    found = compared(pooled(), pooled())

    assert found.outputs.status is Status.PASSED
    assert "open dimensions 8" in found.ran_on
    assert "open dimensions 1" not in found.ran_on
    assert "open dimensions 2" not in found.ran_on


def test_shapes_that_the_user_wants_are_not_run_where_no_window_fits() -> None:
    with pytest.raises(BadCall, match="'averagepool1' is shorter than its window"):
        compared(pooled(), pooled(), shapes={"x": (1, 3, 1, 1)})


def test_the_user_s_own_inputs_are_run_as_they_are() -> None:
    feed = {"x": np.ones((1, 3, 2, 2), np.float32)}

    assert compared(pooled(), pooled(), feeds=[feed]).outputs.status is Status.PASSED


@pytest.mark.parametrize(
    ("attributes", "shape"),
    [
        ({"count_include_pad": 0}, None),
        ({"auto_pad": "SAME_UPPER"}, None),
        ({"pads": [1, 0, 1, 0]}, None),
        ({}, (None, 3, 2, 1)),
    ],
)
def test_nothing_is_asked_where_nothing_is_counted_or_sizes_are_known(
    attributes: dict[str, Any], shape: tuple[int | None, ...] | None
) -> None:
    node = helper.make_node("AveragePool", ["x"], ["y"], **{**COUNTED, **attributes})

    assert open_pools([node], lambda _: shape) == []


def test_holes_are_part_of_a_window() -> None:
    given = {**COUNTED, "dilations": [2, 2]}
    pools = open_pools([helper.make_node("AveragePool", ["x"], ["y"], **given)], lambda _: None)

    check_fit(pools, {"x": (1, 3, 5, 3)})
    for sizes in ((4, 3), (9, 2)):
        with pytest.raises(RuntimeRefused, match="'y' is shorter than its window"):
            check_fit(pools, {"x": (1, 3, *sizes)})


def test_only_the_axes_of_unknown_size_are_asked() -> None:
    node = helper.make_node("AveragePool", ["x"], ["y"], **COUNTED)
    pools = open_pools([node], lambda _: (None, 3, 1, None))

    check_fit(pools, {"x": (1, 3, 1, 2)})
    with pytest.raises(RuntimeRefused):
        check_fit(pools, {"x": (1, 3, 1, 1)})
