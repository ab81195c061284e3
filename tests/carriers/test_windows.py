"""Where windows lie, compared with the definition for every small geometry."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any
from unittest.mock import Mock

import pytest
from definitions.pooling import starts_along
from onnx import helper

from folding.carriers import Passage
from folding.carriers.windows import Windows, windows_of
from folding.plan import Kept, Reason

MODES = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
LONGEST = 9


def asked(size: int | None, opset: int, **given: Any) -> tuple[Windows, ...] | Kept:
    """The windows of a node on one spatial axis of that length."""
    around = Mock(opset=opset)
    around.shape.return_value = (2, 3, size)
    return windows_of(Passage(helper.make_node("MaxPool", ["x"], ["y"], **given), around))


def along(size: int | None, opset: int, given: dict[str, Any]) -> Windows:
    """The windows of a sound node."""
    answer = asked(size, opset, **given)
    assert not isinstance(answer, Kept)
    return answer[0]


def geometries() -> Iterator[tuple[int, dict[str, Any]]]:
    """Opsets and attributes."""
    for opset, kernel, stride, dilation, ceil in product(
        (17, 22), (1, 2, 3), (1, 2, 3), (1, 2, 3), (0, 1)
    ):
        given = {
            "kernel_shape": [kernel],
            "strides": [stride],
            "dilations": [dilation],
            "ceil_mode": ceil,
        }
        for begin, end in product(range(4), range(4)):
            yield opset, {**given, "pads": [begin, end]}
        for mode in MODES[1:]:
            yield opset, {**given, "auto_pad": mode}


def taps(size: int, opset: int, given: dict[str, Any]) -> list[list[int]]:
    """The positions that each window holds, by the definition.

    VALID is read as no padding: so onnxruntime has one window more where the count is rounded up.
    """
    attributes = {k: v.encode() if k == "auto_pad" else v for k, v in given.items()}
    if given.get("auto_pad") == "VALID":
        del attributes["auto_pad"]
    starts, _ = starts_along(attributes, 0, size, opset)
    steps = [tap * given["dilations"][0] for tap in range(given["kernel_shape"][0])]
    return [[start + step for step in steps] for start in starts]


def has_empty(size: int, opset: int, given: dict[str, Any]) -> bool:
    return any(not set(window) & set(range(size)) for window in taps(size, opset, given))


def is_short(size: int, given: dict[str, Any]) -> bool:
    """Whether an input is shorter than a window of it that onnxruntime has nevertheless."""
    missing = (given["kernel_shape"][0] - 1) * given["dilations"][0] + 1 - size
    return 0 < missing < given["strides"][0] and given.get("auto_pad") in (None, "VALID")


def has_outside(size: int, opset: int, given: dict[str, Any]) -> bool:
    return any(set(window) - set(range(size)) for window in taps(size, opset, given))


def jumps(size: int, given: dict[str, Any]) -> bool:
    """Whether taps are so far apart that the whole input may lie between two."""
    return given["dilations"][0] > size and given.get("pads") != [0, 0]


def test_every_empty_window_is_found_where_the_size_is_known() -> None:
    """And none is where there is none, but for inputs shorter than the dilation."""
    for (opset, given), size in product(geometries(), range(1, 6)):
        windows = along(size, opset, given)
        empty = has_empty(size, opset, given)
        if empty or not jumps(size, given):
            assert (windows.emptiness() is not None) == empty, (size, opset, given)


def test_no_size_has_an_empty_window_where_an_unknown_one_is_said_to_have_none() -> None:
    """And if it may have one there is a size that does."""
    for opset, given in geometries():
        windows = along(None, opset, given)
        empty = any(has_empty(size, opset, given) for size in range(1, LONGEST))
        jump = any(jumps(size, given) for size in range(1, LONGEST))
        if empty or not jump:
            assert (windows.emptiness() is not None) == empty, (opset, given)


def test_every_tap_outside_of_the_input_is_found_where_the_size_is_known() -> None:
    for (opset, given), size in product(geometries(), range(1, 6)):
        windows = along(size, opset, given)
        outside = has_outside(size, opset, given) or is_short(size, given)
        if outside:
            assert windows.overhang() is not None, (size, opset, given)
        elif not any(given.get("pads", ())):
            assert windows.overhang() is None, (size, opset, given)


def test_no_size_has_a_tap_outside_where_an_unknown_one_is_said_to_have_none() -> None:
    for opset, given in geometries():
        windows = along(None, opset, given)
        outside = any(has_outside(size, opset, given) for size in range(1, LONGEST))
        if outside:
            assert windows.overhang() is not None, (opset, given)
        elif not any(given.get("pads", ())):
            assert windows.overhang() is None, (opset, given)


@pytest.mark.parametrize(
    "given",
    [
        {"strides": [1, 1]},
        {"strides": [0]},
        {"dilations": [1, 1]},
        {"dilations": [0]},
        {"pads": [1]},
        {"pads": [0, -1]},
        {"auto_pad": "SAME"},
        {"auto_pad": "SAME_UPPER", "pads": [1, 1]},
        {"auto_pad": "VALID", "pads": [1, 0]},
        {"kernel_shape": [2, 2]},
    ],
)
def test_attributes_that_do_not_fit_together_are_refused(given: dict[str, Any]) -> None:
    answer = asked(5, 17, **{"kernel_shape": [2], **given})

    assert answer == Kept(Reason.UNUSUAL_FORM, "y", "MaxPool")


def test_nothing_is_in_a_window_of_an_empty_input() -> None:
    given = {"kernel_shape": [3], "pads": [2, 2], "dilations": [1]}

    assert has_empty(0, 17, given)
    assert along(0, 17, given).emptiness() is Reason.EMPTY_WINDOW


@pytest.mark.parametrize("mode", MODES)
def test_no_padding_may_be_said_with_any_mode(mode: str) -> None:
    given = {"kernel_shape": [2], "strides": [2], "pads": [0, 0], "auto_pad": mode}
    windows = along(4, 17, given)

    assert (windows.begin, windows.end) == (0, 0)


def test_what_is_not_said_has_its_default() -> None:
    assert asked(5, 22, kernel_shape=[3]) == (Windows(5, 3, 1, 1, 0, 0, ceil=False, drops=False),)


def test_sizes_are_not_known_where_the_shape_is_not() -> None:
    around = Mock(opset=17)
    around.shape.return_value = None
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[3, 2])

    answer = windows_of(Passage(node, around))

    assert not isinstance(answer, Kept)
    assert [windows.size for windows in answer] == [None, None]
