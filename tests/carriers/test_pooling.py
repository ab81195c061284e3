"""Pooling is passed wherever each channel is pooled by itself and pads do not show."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from graphs import FLOAT, Net, distance, feed_for, run
from onnx import helper
from oracle import evaluate
from passing import (
    affine_of,
    ask,
    assert_goes_down,
    assert_goes_up,
    assert_stays,
    random_affine,
)

from folding.plan import Kept, Reason

#: Windows none of which lies outside of an input of 5 by 7.
WINDOWS: list[dict[str, Any]] = [
    {"kernel_shape": [2, 3]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    {"kernel_shape": [3, 2], "strides": [1, 3], "pads": [2, 0, 0, 1]},
    {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1},
    {"kernel_shape": [3, 3], "strides": [2, 3], "pads": [0, 1, 1, 0], "ceil_mode": 1},
    {"kernel_shape": [1, 1], "strides": [2, 3]},
    {"kernel_shape": [1, 1], "strides": [2, 3], "ceil_mode": 1},
    {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
    {"kernel_shape": [2, 4], "strides": [2, 3], "auto_pad": "SAME_LOWER"},
    {"kernel_shape": [3, 4], "strides": [2, 2], "auto_pad": "VALID"},
    {"kernel_shape": [2, 3], "auto_pad": "NOTSET", "pads": [1, 1, 1, 2]},
]
DILATED: list[dict[str, Any]] = [
    {"kernel_shape": [2, 3], "dilations": [2, 3]},
    {"kernel_shape": [2, 3], "dilations": [2, 2], "pads": [1, 2, 0, 2]},
    {"kernel_shape": [2, 2], "dilations": [2, 2], "strides": [2, 3], "ceil_mode": 1},
]
#: The first is refused by onnxruntime; in the second it pads too little.
NOT_RUN: list[dict[str, Any]] = [
    {"kernel_shape": [2, 2], "dilations": [2, 3], "pads": [2, 1, 2, 3]},
    {"kernel_shape": [2, 3], "dilations": [3, 2], "auto_pad": "SAME_UPPER"},
]
#: What of these is certain without any sizes.
CERTAIN = [w for w in WINDOWS if w != WINDOWS[6]] + [DILATED[0]]
AXES = [(-4, 2), (-3, 3)]
GLOBAL = ["GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool"]
WINDOWED = ["AveragePool", "LpPool", "MaxPool"]


def pool(
    operator: str, *shape: int | str | None, opset: int = 19, out: str = "y", **given: Any
) -> Net:
    """A net of one pooling node, on batches of 3 channels of 5 by 7 if no shape is given."""
    net = Net(opset=opset)
    net.node(operator, net.input(*(shape or (2, 3, 5, 7))), out=out, **given)
    return net


def attributes(operator: str, given: dict[str, Any]) -> dict[str, Any]:
    """Those of an operator with windows, none for a global one."""
    return {} if operator in GLOBAL else given


def suited(operator: str, channels: int, axis: int, seed: int = 0) -> Any:
    """Whatever passes the operator upward."""
    sign = 0 if "Average" in operator else 1
    return random_affine(channels, axis, seed, sign=sign, shift="Lp" not in operator)


def runnable() -> Iterator[tuple[str, int, dict[str, Any]]]:
    """What onnxruntime computes by the text: operators, opsets and attributes."""
    for given, operator in product([*WINDOWS, *DILATED], WINDOWED):
        is_new = "dilations" in given or (operator == "LpPool" and "ceil_mode" in given)
        for opset in (19, 22) if is_new else (11, 19, 22):
            yield operator, opset, given
            if operator == "AveragePool":
                yield operator, opset, {**given, "count_include_pad": 1}


@pytest.mark.parametrize(("operator", "opset", "given"), list(runnable()))
def test_the_definitions_are_what_onnxruntime_computes(
    operator: str, opset: int, given: dict[str, Any]
) -> None:
    model = pool(operator, opset=opset, **given).model("y")
    feed = feed_for(model)

    assert distance(run(model, feed)[0], evaluate(model, feed)[0]) < 1e-6


@pytest.mark.parametrize("operator", GLOBAL)
def test_the_definitions_of_global_pools_are_what_onnxruntime_computes(operator: str) -> None:
    model = pool(operator).model("y")
    feed = feed_for(model)

    assert distance(run(model, feed)[0], evaluate(model, feed)[0]) < 1e-6


@pytest.mark.parametrize("order", [0, 1])
def test_the_indices_of_the_definition_are_those_of_onnxruntime(order: int) -> None:
    net = pool("MaxPool", out="y,i", kernel_shape=[2, 3], pads=[1, 1, 1, 1], storage_order=order)
    model = net.model("y", "i")
    feed = feed_for(model)

    for found, defined in zip(run(model, feed), evaluate(model, feed), strict=True):
        assert distance(found, defined) < 1e-6


@pytest.mark.parametrize("opset", [19, 22])
@pytest.mark.parametrize("given", [*WINDOWS, *DILATED, *NOT_RUN])
@pytest.mark.parametrize("operator", WINDOWED)
def test_channels_and_samples_are_pooled_by_themselves(
    operator: str, given: dict[str, Any], opset: int
) -> None:
    net = pool(operator, opset=opset, **given)

    for axis, channels in AXES:
        assert_goes_up(net, suited(operator, channels, axis))
        assert_goes_down(net, suited(operator, channels, axis, seed=1))


@pytest.mark.parametrize("opset", [7, 8, 10, 11, 12])
@pytest.mark.parametrize("operator", WINDOWED)
def test_the_older_forms_are_passed_too(operator: str, opset: int) -> None:
    given: dict[str, Any] = {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]}
    net = pool(operator, opset=opset, **given)

    assert_goes_up(net, suited(operator, 3, -3))
    assert_goes_down(net, suited(operator, 3, -3))


@pytest.mark.parametrize("shape", [(3, 4, 9), (2, 3, 3, 5, 4)])
@pytest.mark.parametrize("operator", WINDOWED)
def test_there_may_be_any_number_of_spatial_axes(operator: str, shape: tuple[int, ...]) -> None:
    count = len(shape) - 2
    given: dict[str, Any] = {"kernel_shape": [2] * count, "pads": [1] * 2 * count}
    net = pool(operator, *shape, **given)

    assert_goes_up(net, suited(operator, shape[1], -count - 1))
    assert_goes_down(net, suited(operator, shape[1], -count - 1))


@pytest.mark.parametrize("shape", [(3, 4, 9), (2, 3, 5, 7), (2, 3, 3, 2, 4)])
@pytest.mark.parametrize("operator", GLOBAL)
def test_global_pools_are_passed(operator: str, shape: tuple[int, ...]) -> None:
    net = pool(operator, *shape)

    for axis in (0, 1):
        assert_goes_up(net, suited(operator, shape[axis], axis - len(shape)))
        assert_goes_down(net, suited(operator, shape[axis], axis - len(shape)))


@pytest.mark.parametrize("operator", [*WINDOWED, *GLOBAL])
def test_scalars_are_passed(operator: str) -> None:
    given = attributes(operator, {"kernel_shape": [2, 3], "pads": [1, 1, 0, 1]})
    affine = affine_of(0.5, 0.0 if "Lp" in operator else -1.5, None)

    assert_goes_up(pool(operator, **given), affine)
    assert_goes_down(pool(operator, **given), affine)


@pytest.mark.parametrize("operator", GLOBAL)
def test_scalars_pass_global_pools_of_any_shape(operator: str) -> None:
    net = Net()
    net.inputs.append(helper.make_tensor_value_info("x", FLOAT, None))
    net.node(operator, "x", out="y")

    _, answer = ask(net, affine := affine_of(0.5, 0.0, None))

    assert not isinstance(answer, Kept)
    assert answer[0].affines == {0: affine}


@pytest.mark.parametrize("given", CERTAIN)
@pytest.mark.parametrize("operator", WINDOWED)
def test_sizes_need_not_be_known_where_they_do_not_matter(
    operator: str, given: dict[str, Any]
) -> None:
    net = pool(operator, "n", 3, "h", "w", **given)

    assert_goes_up(net, suited(operator, 3, -3), h=6, w=9)
    assert_goes_down(net, suited(operator, 3, -3), h=7, w=8)


def test_a_max_pool_whose_indices_have_no_reader_is_passed() -> None:
    net = pool("MaxPool", out="y,i", kernel_shape=[2, 2], storage_order=1)
    affine = affine_of([0.5, 1.0, 2.0], [-1.0, 0.0, 3.0], -3)

    assert_goes_up(net, affine)
    assert_goes_down(net, affine)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("operator", [*WINDOWED, *GLOBAL])
def test_channels_on_a_spatial_axis_are_mixed(operator: str, axis: int, *, down: bool) -> None:
    given = attributes(operator, {"kernel_shape": [1, 1]})
    net = pool(operator, 2, 3, 1, 1, **given)

    assert_stays(net, affine_of([0.5], [0.0], axis), Reason.MIXES_CHANNELS, down=down)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("operator", GLOBAL)
def test_a_global_pool_of_an_unknown_rank_has_unknown_axes(operator: str, *, down: bool) -> None:
    net = Net()
    net.inputs.append(helper.make_tensor_value_info("x", FLOAT, None))
    net.node(operator, "x", out="y")

    assert_stays(net, affine_of([1.0, 2.0], [0.0] * 2, -3), Reason.MISSING_AXES, down=down)


@pytest.mark.parametrize("operator", WINDOWED)
def test_a_kernel_must_be_given(operator: str) -> None:
    affine = affine_of([0.5, 1.0, 2.0], [0.0] * 3, -3)

    assert_stays(pool(operator), affine, Reason.UNUSUAL_FORM)
    assert_stays(pool(operator, kernel_shape=[0, 2]), affine, Reason.UNUSUAL_FORM)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("operator", ["MaxPool", "GlobalMaxPool"])
def test_a_negative_scale_would_make_the_largest_the_smallest(operator: str, *, down: bool) -> None:
    given = attributes(operator, {"kernel_shape": [2, 2]})
    affine = affine_of([1.0, -0.5, 2.0], [0.0] * 3, -3)

    assert_stays(pool(operator, **given), affine, Reason.NEGATIVE_SCALE, down=down)


@pytest.mark.parametrize("operator", ["LpPool", "GlobalLpPool"])
def test_a_norm_takes_the_magnitude_of_a_scale_down_and_none_negative_up(operator: str) -> None:
    given = attributes(operator, {"kernel_shape": [2, 2], "p": 3})
    affine = affine_of([1.0, -0.5, 0.0], [0.0] * 3, -3)

    assert_goes_down(pool(operator, **given), affine)
    assert_stays(pool(operator, **given), affine, Reason.NEGATIVE_SCALE)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("operator", ["LpPool", "GlobalLpPool"])
def test_no_shift_passes_a_norm(operator: str, *, down: bool) -> None:
    given = attributes(operator, {"kernel_shape": [2, 2]})
    affine = affine_of([1.0, 0.5, 0.0], [0.0, 0.0, 1.0], -3)

    assert_stays(pool(operator, **given), affine, Reason.SHIFT_BLOCKED, down=down)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("p", [0, -1])
@pytest.mark.parametrize("operator", ["LpPool", "GlobalLpPool"])
def test_a_norm_of_no_positive_power_is_none(operator: str, p: int, *, down: bool) -> None:
    given = attributes(operator, {"kernel_shape": [2, 2]})
    net = pool(operator, p=p, **given)

    assert_stays(net, random_affine(3, -3, shift=False), Reason.UNUSUAL_FORM, down=down)


@pytest.mark.parametrize("down", [False, True])
def test_indices_that_are_read_may_change_by_rounding(*, down: bool) -> None:
    net = pool("MaxPool", out="y,i", kernel_shape=[2, 2])
    affine = random_affine(3, -3, sign=1)

    assert_stays(net, affine, Reason.OUTPUT_USED, down=down, read="i")


#: Windows outside of an input of 5 by 7, by the opset and what is said of them.
HOLLOW: list[tuple[int, Reason, dict[str, Any]]] = [
    (19, Reason.EMPTY_WINDOW, {"kernel_shape": [2, 2], "pads": [2, 0, 0, 0]}),
    (19, Reason.EMPTY_WINDOW, {"kernel_shape": [2, 2], "pads": [0, 0, 0, 2]}),
    (19, Reason.EMPTY_WINDOW, {"kernel_shape": [2, 2], "dilations": [1, 2], "pads": [0, 3, 0, 0]}),
    (19, Reason.EMPTY_WINDOW, {"kernel_shape": [1, 1], "strides": [1, 4], "ceil_mode": 1}),
    (22, Reason.EMPTY_WINDOW, {"kernel_shape": [1, 1], "strides": [1, 7], "pads": [0, 0, 0, 1]}),
    (19, Reason.EMPTY_WINDOW, {"kernel_shape": [2, 2], "dilations": [6, 1], "pads": [3, 0, 3, 0]}),
]


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize(("opset", "reason", "given"), HOLLOW)
@pytest.mark.parametrize("operator", ["AveragePool", "MaxPool"])
def test_nothing_is_known_of_a_window_in_the_padding_alone(
    operator: str, opset: int, reason: Reason, given: dict[str, Any], *, down: bool
) -> None:
    net = pool(operator, opset=opset, **given)
    model = net.model("y")

    assert not np.isfinite(evaluate(model, feed_for(model))[0]).all()
    assert_stays(net, random_affine(3, -3, sign=1), reason, down=down)


@pytest.mark.parametrize("given", [given for _, _, given in HOLLOW])
def test_scales_pass_averages_of_nothing(given: dict[str, Any]) -> None:
    net = pool("AveragePool", **given)

    assert_goes_up(net, random_affine(3, -3, shift=False))
    assert_goes_down(net, random_affine(3, -3, shift=False))


@pytest.mark.parametrize("operator", ["AveragePool", "MaxPool"])
def test_a_window_that_starts_behind_the_input_is_left_out_since_opset_22(operator: str) -> None:
    net = pool(operator, opset=22, kernel_shape=[1, 1], strides=[1, 4], ceil_mode=1)

    assert_goes_up(net, suited(operator, 3, -3))


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize(
    "given",
    [
        {"kernel_shape": [2, 2], "dilations": [2, 2], "auto_pad": "SAME_UPPER"},
        {"kernel_shape": [2, 2], "dilations": [2, 2], "pads": [1, 1, 1, 1]},
        {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 0, 2]},
        {"kernel_shape": [1, 1], "strides": [2, 2], "ceil_mode": 1},
    ],
)
@pytest.mark.parametrize("operator", ["AveragePool", "MaxPool"])
def test_sizes_decide_of_some_windows_whether_they_are_empty(
    operator: str, given: dict[str, Any], *, down: bool
) -> None:
    net = pool(operator, "n", 3, "h", "w", **given)

    assert_stays(net, random_affine(3, -3, sign=1), Reason.SIZES_UNKNOWN, down=down)


#: Nothing outside of an input of 5 by 7 is counted here.
WITHIN: list[dict[str, Any]] = [
    {"kernel_shape": [2, 3]},
    {"kernel_shape": [2, 3], "strides": [2, 3]},
    {"kernel_shape": [3, 4], "strides": [2, 3], "ceil_mode": 1},
    {"kernel_shape": [2, 3], "ceil_mode": 1},
    {"kernel_shape": [2, 3], "strides": [2, 2], "auto_pad": "VALID"},
    {"kernel_shape": [1, 1], "strides": [2, 3], "auto_pad": "SAME_UPPER"},
    {"kernel_shape": [1, 1], "strides": [5, 7], "auto_pad": "SAME_LOWER"},
]


@pytest.mark.parametrize("given", WITHIN)
def test_shifts_pass_averages_that_would_count_padding_but_have_none(
    given: dict[str, Any],
) -> None:
    net = pool("AveragePool", count_include_pad=1, **given)

    assert_goes_up(net, random_affine(3, -3))
    assert_goes_down(net, random_affine(3, -3))


#: Something is.
COUNTED: list[dict[str, Any]] = [
    {"kernel_shape": [2, 3], "pads": [0, 0, 0, 1]},
    {"kernel_shape": [2, 3], "pads": [1, 0, 0, 0]},
    {"kernel_shape": [2, 3], "auto_pad": "SAME_UPPER"},
    {"kernel_shape": [2, 3], "auto_pad": "SAME_LOWER"},
]


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("given", COUNTED)
def test_shifts_do_not_pass_averages_that_count_padding(
    given: dict[str, Any], *, down: bool
) -> None:
    net = pool("AveragePool", count_include_pad=1, **given)

    assert_stays(net, random_affine(3, -3), Reason.PADS, down=down)


@pytest.mark.parametrize("mode", ["NOTSET", "VALID"])
def test_what_a_last_window_counts_beyond_the_end_is_not_agreed_on(mode: str) -> None:
    given: dict[str, Any] = {
        "kernel_shape": [2, 3],
        "strides": [2, 2],
        "ceil_mode": 1,
        "auto_pad": mode,
    }
    net = pool("AveragePool", count_include_pad=1, **given)

    assert_stays(net, random_affine(3, -3), Reason.PADS)


@pytest.mark.parametrize("given", [*WINDOWS, *DILATED, *NOT_RUN])
def test_scales_pass_averages_that_count_padding(given: dict[str, Any]) -> None:
    net = pool("AveragePool", count_include_pad=1, **given)

    assert_goes_up(net, random_affine(3, -3, shift=False))
    assert_goes_down(net, random_affine(3, -3, shift=False))


@pytest.mark.parametrize(
    "given",
    [
        {"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1},
    ],
)
def test_sizes_decide_whether_some_averages_count_padding(given: dict[str, Any]) -> None:
    net = pool("AveragePool", "n", 3, "h", "w", count_include_pad=1, **given)

    assert_stays(net, random_affine(3, -3), Reason.SIZES_UNKNOWN)
