"""Reductions of constants are evaluated as the runtime does, in every operator set's form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from graphs import Net, assert_folds_to
from onnx import ModelProto, helper

from folding.constant_ops import OPERATORS, Value
from folding.doubled import Doubled

Array = npt.NDArray[Any]

MEANT: dict[str, Callable[..., Array]] = {
    "ReduceL1": lambda a, **of: abs(a).sum(**of),
    "ReduceL2": lambda a, **of: np.sqrt((a * a).sum(**of)),
    "ReduceMax": np.max,
    "ReduceMean": np.mean,
    "ReduceMin": np.min,
    "ReduceSum": np.sum,
}
FLOATS = np.random.default_rng(5).normal(size=(3, 5, 7))


def reduced(operator: str, *inputs: Array, **attributes: Any) -> Value | None:
    """What one node is evaluated to."""
    node = helper.make_node(operator, ["x", "axes"][: len(inputs)], ["y"], **attributes)
    values = [Doubled.exact(a) if a.dtype.kind == "f" else a for a in inputs]
    return OPERATORS[operator](node, values, ())


@pytest.mark.parametrize("operator", MEANT)
@pytest.mark.parametrize("axes", [(0,), (-1,), (2, 0), (0, 1, 2), ()])
@pytest.mark.parametrize("keep", [None, 0, 1])
def test_floats_are_reduced_along_the_axes_that_an_attribute_or_an_input_says(
    operator: str, axes: tuple[int, ...], keep: int | None
) -> None:
    """Without axes along all of them; a dimension of 1 stays unless the node says otherwise."""
    more = {} if keep is None else {"keepdims": keep}
    meant = MEANT[operator](FLOATS, axis=axes or None, keepdims=keep != 0)
    given = reduced(operator, FLOATS, np.array(axes, np.int64), **more)
    said = reduced(operator, FLOATS, **({"axes": list(axes)} if axes else {}), **more)

    for found in (given, said):
        assert isinstance(found, Doubled)
        assert found.shape == meant.shape
        np.testing.assert_allclose(found.high, meant, rtol=1e-13)


def test_a_sum_is_right_where_large_numbers_cancel() -> None:
    """And its magnitude says how wrong a float32 may be."""
    values = np.array([1e17, 1.0, -1e17, 3.0, 0.5])

    found = reduced("ReduceSum", values, keepdims=0)

    assert isinstance(found, Doubled)
    assert found.high == 4.5
    assert found.magnitude == abs(values).sum()


@pytest.mark.parametrize("operator", ["ReduceMax", "ReduceMin"])
def test_the_largest_may_be_any_that_rounding_makes_it(operator: str) -> None:
    """So the magnitude is that of the least certain one."""
    values = Doubled(np.array([1.0, -2.0]), np.zeros(2), np.array([9.0, 5.0]))
    node = helper.make_node(operator, ["x"], ["y"])

    found = OPERATORS[operator](node, [values], ())

    assert isinstance(found, Doubled)
    assert found.magnitude.tolist() == [9.0]


@pytest.mark.parametrize("operator", MEANT)
def test_integers_are_reduced_where_nothing_is_rounded(operator: str) -> None:
    whole = np.array([[3, -4], [1, 2]])

    found = reduced(operator, whole, axes=[0], keepdims=0)

    if operator in ("ReduceMax", "ReduceMin", "ReduceSum"):
        assert isinstance(found, np.ndarray)
        assert found.tolist() == MEANT[operator](whole, axis=0).tolist()
    else:
        assert found is None


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([2**53 - 1, 1], np.int64),
        ([2**53, -(2**53)], np.int64),
        ([2**31 - 1, 1], np.int32),
        ([-(2**31), -(2**31)], np.int32),
        ([2**63], np.uint64),
    ],
)
def test_a_sum_of_integers_that_a_runtime_may_round_is_not_evaluated(
    values: list[int], dtype: type
) -> None:
    """It adds them up in float64, and keeps to the type's limits."""
    assert reduced("ReduceSum", np.array(values, dtype)) is None


@pytest.mark.parametrize("operator", MEANT)
@pytest.mark.parametrize(
    ("value", "attributes"),
    [
        (FLOATS, {"axes": [3]}),
        (FLOATS, {"axes": [-4]}),
        (FLOATS, {"noop_with_empty_axes": 1}),
        (np.zeros((2, 0)), {}),
    ],
)
def test_what_is_said_in_two_ways_or_makes_no_sense_is_left_to_the_runtime(
    operator: str, value: Array, attributes: dict[str, Any]
) -> None:
    assert reduced(operator, value, **attributes) is None


@pytest.mark.parametrize("operator", ["ReduceMax", "ReduceMin"])
def test_which_of_no_numbers_is_the_largest_is_left_to_the_runtime(operator: str) -> None:
    assert reduced(operator, np.array([1.0, np.nan])) is None


def weight_norm(net: Net) -> str:
    """A direction over its length, times a gain, as torch exports it."""
    direction = net.weight(4, 3, 3, 3)
    norm = over(net, "ReduceL2", direction)
    return net.node("Mul", direction, net.node("Div", net.positive(4, 1, 1, 1), norm))


def standardised(net: Net) -> str:
    """A weight less its mean, over its standard deviation."""
    weight = net.weight(4, 3, 3, 3)
    centred = net.node("Sub", weight, over(net, "ReduceMean", weight))
    variance = over(net, "ReduceMean", net.node("Mul", centred, centred))
    root = net.node("Sqrt", net.node("Add", variance, net.store(1e-5)))
    return net.node("Div", centred, root)


def over(net: Net, operator: str, value: str) -> str:
    if net.opset < 18:
        return net.node(operator, value, axes=[1, 2, 3])
    return net.node(operator, value, net.integers(1, 2, 3))


def convolved(net: Net, weight: str) -> ModelProto:
    conv = net.node("Conv", net.input(2, 3, 6, 6), weight)
    net.batch_norm(conv, 4, out="y")
    return net.model("y")


@pytest.mark.parametrize("opset", [11, 17, 18, 21])
@pytest.mark.parametrize("computed", [weight_norm, standardised])
def test_weights_that_are_normalised_fold(computed: Callable[[Net], str], opset: int) -> None:
    net = Net(opset=opset)

    assert_folds_to(convolved(net, computed(net)), "Conv")
