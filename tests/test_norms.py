"""Sums of squares of stored weights, which are read piece by piece."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from graphs import DOUBLE, FLOAT, HALF, Net

from folding.constants import Constants
from folding.doubled import Doubled
from folding.graph import index
from folding.modelfile import in_memory
from folding.norms import norm

SHAPE = (6, 7, 41)


def constants(net: Net, output: str = "n") -> Constants:
    model = in_memory(net.model(output))
    return Constants(model, index(model)[0][0], None)


def asked(net: Net, output: str = "n") -> Doubled | None:
    """The norm that the last node is, if it is one."""
    found = constants(net, output)
    node = found.node(output)
    assert node is not None
    return norm(found, node)


def exactly(value: Doubled) -> list[Fraction]:
    pairs = zip(value.high.ravel(), value.low.ravel(), strict=True)
    return [Fraction(float(high)) + Fraction(float(low)) for high, low in pairs]


def squares(array: np.ndarray[Any, Any], axes: tuple[int, ...]) -> list[Fraction]:
    whole = np.vectorize(lambda x: Fraction(float(x)) ** 2, otypes=[object])(array)
    return list(np.asarray(whole.sum(axes), object).ravel())


@pytest.mark.parametrize("elem_type", [DOUBLE, FLOAT, HALF])
@pytest.mark.parametrize("axes", [(0,), (1, 2), (-1,), (0, 1, 2)])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_a_sum_of_squares_has_100_bits(
    elem_type: int, axes: tuple[int, ...], keepdims: int
) -> None:
    net = Net(elem_type, opset=13)
    net.node("ReduceSumSquare", net.weight(*SHAPE, name="v"), out="n", axes=axes, keepdims=keepdims)

    found = asked(net)

    assert found is not None
    assert found.shape == net.stored["v"].sum(axes, keepdims=bool(keepdims)).shape
    for one, other in zip(exactly(found), squares(net.stored["v"], axes), strict=True):
        assert abs(one - other) <= other * Fraction(2) ** -70
    np.testing.assert_allclose(found.magnitude, found.high, rtol=1e-14)


def test_a_norm_is_the_root_of_it() -> None:
    net = Net(opset=13)
    net.node("ReduceL2", net.weight(*SHAPE, name="v"), out="n", axes=[1, 2])

    found = asked(net)

    assert found is not None
    for one, other in zip(exactly(found), squares(net.stored["v"], (1, 2)), strict=True):
        assert abs(one**2 - other) <= other * Fraction(2) ** -70


@pytest.mark.parametrize("exponent", [2, np.int64(2)])
def test_squares_may_be_spelled_as_powers_or_products(exponent: Any) -> None:
    one, other = Net(), Net()
    v = one.weight(*SHAPE, name="v")
    elem_type = 0 if isinstance(exponent, np.int64) else None
    power = one.node("Pow", v, one.store(exponent, elem_type=elem_type))
    one.node("ReduceSum", power, one.integers(1), out="n")
    v = other.weight(*SHAPE, name="v")
    other.node("ReduceSum", other.node("Mul", v, v), other.integers(1), out="n")

    found = [asked(one), asked(other)]

    assert all(value is not None and value.shape == (6, 1, 41) for value in found)
    assert exactly(found[0] or Doubled.exact(0)) == exactly(found[1] or Doubled.exact(0))


def cubes(net: Net) -> None:
    power = net.node("Pow", net.weight(*SHAPE), net.store(3.0))
    net.node("ReduceSum", power, net.integers(1), out="n")


def powers_of_two_exponents(net: Net) -> None:
    exponents = net.store([2.0] * 40 + [3.0])
    net.node("ReduceSum", net.node("Pow", net.weight(*SHAPE), exponents), net.integers(1), out="n")


def a_product(net: Net) -> None:
    product = net.node("Mul", net.weight(*SHAPE), net.weight(*SHAPE))
    net.node("ReduceSum", product, net.integers(1), out="n")


def a_sum(net: Net) -> None:
    net.node("ReduceSum", net.weight(*SHAPE), net.integers(1), out="n")


def a_mean(net: Net) -> None:
    net.node("ReduceMean", net.weight(*SHAPE), axes=[1], out="n")


def a_small_one(net: Net) -> None:
    net.node("ReduceL2", net.weight(4, 3), axes=[1], out="n")


def of_integers(net: Net) -> None:
    net.node("ReduceL2", net.store(np.ones(SHAPE, np.int32), elem_type=0), axes=[1], out="n")


def of_a_computed_one(net: Net) -> None:
    net.node("ReduceL2", net.node("Neg", net.weight(*SHAPE)), axes=[1], out="n")


def without_axes(net: Net) -> None:
    net.opset = 18
    net.node("ReduceL2", net.weight(*SHAPE), noop_with_empty_axes=1, out="n")


@pytest.mark.parametrize(
    "made",
    [
        cubes,
        powers_of_two_exponents,
        a_product,
        a_sum,
        a_mean,
        a_small_one,
        of_integers,
        of_a_computed_one,
        without_axes,
    ],
)
def test_anything_else_is_evaluated_node_by_node(made: Any) -> None:
    net = Net()
    made(net)

    assert asked(net) is None


def test_a_number_that_is_not_finite_shows() -> None:
    net = Net()
    net.node("ReduceL2", net.weight(*SHAPE, name="v"), axes=[1, 2], out="n")
    net.stored["v"][2, 3, 4] = np.inf

    found = asked(net)

    assert found is not None
    assert np.isfinite(found.high).ravel().tolist() == [True, True, False, True, True, True]
