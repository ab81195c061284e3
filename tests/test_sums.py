"""Sums of a weight are right to some 75 bits, whatever it is stored in and has become so far."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction
from itertools import product
from math import fsum
from pathlib import Path

import numpy as np
import pytest
from absorbing import layer_of
from files import save
from graphs import BFLOAT, DOUBLE, FLOAT, HALF, Array, Net
from onnx import numpy_helper

from folding.doubled import Doubled
from folding.factor import Factor, along
from folding.layers import DraftLayer, scale_weight
from folding.modelfile import in_memory, open_model
from folding.plan import Kept, Reason
from folding.tensors import set_constant
from folding.totals import total

ALL = [FLOAT, DOUBLE, HALF, BFLOAT]
PRECISION = Fraction(1, 2**75)


def layer(net: Net, weight: str, rank: int) -> DraftLayer:
    """A node with a weight in slot 1; what it does with it does not matter here."""
    net.node("MatMul", net.input(*[1] * rank), weight, out="y")
    return layer_of(in_memory(net.model()))


def random_factor(channel: Array, seed: int = 5) -> Factor:
    """Numbers of about 100 bits, of both signs and several sizes, less than they are made of."""
    random, count = np.random.default_rng(seed), int(channel.max()) + 1
    high = Doubled.exact(random.standard_normal(count) * 2.0 ** random.integers(-9, 9, count))
    product_of = high * Doubled.exact(random.uniform(0.5, 2.0, count))
    return Factor(channel, product_of + Doubled.exact(random.standard_normal(count)))


def exact(number: Doubled, place: tuple[int, ...]) -> Fraction:
    return Fraction(float(number.high[place])) + Fraction(float(number.low[place]))


def assert_summed(
    found: Doubled | Kept, weight: Array, factors: list[Factor], axes: tuple[int, ...]
) -> None:
    """Each sum is the exact one, and its magnitude the one of absolute values."""
    assert isinstance(found, Doubled)
    kept = [axis for axis in range(weight.ndim) if axis not in axes]
    sums = {place: Fraction(0) for place in np.ndindex(*(weight.shape[axis] for axis in kept))}
    sizes = dict.fromkeys(sums, 0.0)
    channels = [np.broadcast_to(factor.channel, weight.shape) for factor in factors]
    for place in product(*map(range, weight.shape)):
        term, size = Fraction(float(weight[place])), abs(float(weight[place]))
        for factor, channel in zip(factors, channels, strict=True):
            term *= exact(factor.scale, (channel[place],))
            size *= float(factor.scale.magnitude[channel[place]])
        sums[tuple(place[axis] for axis in kept)] += term
        sizes[tuple(place[axis] for axis in kept)] += size
    assert found.shape == tuple(weight.shape[axis] for axis in kept)
    for at, truth in sums.items():
        assert abs(exact(found, at) - truth) <= PRECISION * Fraction(sizes[at])
        assert found.magnitude[at] == pytest.approx(sizes[at], rel=1e-12)


@pytest.mark.parametrize("elem_type", ALL)
@pytest.mark.parametrize(
    ("axis", "axes"), [(0, (0,)), (1, (1, 2)), (1, (0, 1, 2)), (2, (2,)), (0, (0, 2)), (1, (0,))]
)
def test_sums_are_exact_in_every_type(elem_type: int, axis: int, axes: tuple[int, ...]) -> None:
    net = Net(elem_type)
    net.store(net.random.standard_normal((5, 3, 7)), "w")
    factor = random_factor(along(axis, (5, 3, 7)))

    found = layer(net, "w", 3).summed(1, factor, axes)

    assert_summed(found, net.stored["w"], [factor], axes)


def test_axes_may_be_counted_from_the_right() -> None:
    net = Net()
    net.weight(4, 5, name="w")
    factor, asked = random_factor(along(0, (4, 5))), layer(net, "w", 2)

    from_left, from_right = asked.summed(1, factor, (0,)), asked.summed(1, factor, (-2,))

    assert isinstance(from_left, Doubled)
    assert isinstance(from_right, Doubled)
    np.testing.assert_array_equal(from_left.high, from_right.high)
    assert from_right.shape == (5,)


@pytest.mark.parametrize("elem_type", ALL)
def test_terms_that_cancel_wholly_leave_what_is_behind_their_last_bit(elem_type: int) -> None:
    """The difference of two numbers that float64 does not tell apart."""
    net = Net(elem_type)
    net.store([[1.5, 1.5, 1.0], [1.0, 0.0, -1.0]], "w")
    low = np.array([2.0**-60, 0.0, 0.0])
    scale = Doubled(np.array([3.0, -3.0, 0.0]), low, np.array([3.0, 3.0, 0.0]))

    found = layer(net, "w", 2).summed(1, Factor(along(1, (2, 3)), scale), (1,))

    assert isinstance(found, Doubled)
    assert found.high.tolist() == [1.5 * 2.0**-60, 3.0]
    assert found.low.tolist() == [0.0, 2.0**-60]
    assert found.magnitude.tolist() == [9.0, 3.0]


@pytest.mark.parametrize("elem_type", ALL)
@pytest.mark.parametrize("size", [2.0**300, 2.0**-300])
def test_a_factor_of_any_size_has_exact_products(elem_type: int, size: float) -> None:
    net = Net(elem_type)
    net.weight(3, 5, name="w")
    factor = random_factor(along(1, (3, 5)))
    scaled = Factor(factor.channel, factor.scale * Doubled.exact(size))

    found = layer(net, "w", 2).summed(1, scaled, (1,))

    assert_summed(found, net.stored["w"], [scaled], (1,))


@pytest.mark.parametrize("dims", [(300, 451), (3, 70_001), (70_001, 3), (70, 41, 47)])
@pytest.mark.parametrize("kept", [0, 1])
def test_a_weight_of_many_pieces_is_summed_over_all_of_them(
    dims: tuple[int, ...], kept: int
) -> None:
    net = Net()
    net.store(net.random.standard_normal(dims), "w")
    other = 1 - kept
    # 24 bits, so that each product is exact in float64.
    numbers = net.random.standard_normal(dims[other]).astype(np.float32)
    axes = tuple(axis for axis in range(len(dims)) if axis != kept)

    found = layer(net, "w", len(dims)).summed(
        1, Factor(along(other, dims), Doubled.exact(numbers)), axes
    )

    assert isinstance(found, Doubled)
    terms = net.stored["w"].astype(float) * numbers[along(other, dims)]
    for i in (0, 1, dims[kept] // 2, dims[kept] - 1):
        row = terms.take(i, kept).ravel()
        apart = fsum([*row, -found.high[i], -found.low[i]])
        assert abs(apart) <= 2.0**-70 * np.abs(row).sum()


def test_what_earlier_folds_multiply_a_weight_by_is_in_the_sum() -> None:
    net = Net()
    net.weight(4, 5, 3, name="w")
    asked = layer(net, "w", 3)
    rows, columns = random_factor(along(0, (4, 5, 3))), random_factor(along(1, (4, 5, 3)), 6)
    scale_weight(asked.draft, asked.index, 1, rows, "before")

    found = asked.summed(1, columns, (1, 2))

    assert_summed(found, net.stored["w"], [rows, columns], (1, 2))


def test_numbers_that_an_earlier_fold_has_put_in_are_summed() -> None:
    net = Net()
    net.weight(4, 5, name="w")
    asked, new = layer(net, "w", 2), Net(DOUBLE, seed=7).random.standard_normal((4, 5))
    set_constant(asked.draft, asked.index, 1, Doubled.exact(new), FLOAT, "before")
    factor = random_factor(along(1, (4, 5)))

    assert_summed(asked.summed(1, factor, (1,)), new, [factor], (1,))


def test_a_weight_that_is_computed_is_summed_as_it_is_computed() -> None:
    net = Net()
    net.node("Mul", net.weight(4, 5, name="a"), net.weight(5, name="b"), out="w")
    factor = random_factor(along(1, (4, 5)))

    found = layer(net, "w", 2).summed(1, factor, (1,))

    product_of = net.stored["a"].astype(float) * net.stored["b"]
    assert_summed(found, product_of, [factor], (1,))


def test_a_weight_that_is_stored_transposed_is_summed_as_it_is_seen() -> None:
    net = Net()
    net.node("Transpose", net.weight(4, 5, name="a"), out="w")
    factor = random_factor(along(0, (5, 4)))

    found = layer(net, "w", 2).summed(1, factor, (0,))

    assert_summed(found, net.stored["a"].T, [factor], (0,))


@pytest.mark.parametrize("elem_type", ALL)
@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
def test_a_number_that_is_not_finite_is_refused_even_if_it_counts_for_nothing(
    elem_type: int, number: float
) -> None:
    net = Net(elem_type)
    net.store([[1.0, 2.0], [3.0, number]], "w")
    factor = Factor(along(1, (2, 2)), Doubled.exact([1.0, 0.0]))

    assert layer(net, "w", 2).summed(1, factor, (1,)) == Kept(Reason.NOT_FINITE, "w")


def test_no_term_gives_zero() -> None:
    net = Net()
    net.store(np.zeros((3, 0)), "w")
    factor = Factor(along(1, (3, 0)), Doubled.exact([]))

    found = layer(net, "w", 2).summed(1, factor, (1,))

    assert isinstance(found, Doubled)
    assert found.high.tolist() == [0.0, 0.0, 0.0]


def test_numbers_of_all_sizes_are_added_as_if_there_were_one_rounding() -> None:
    """Within 2^-75 of the largest, which is what the sum of absolute values is about."""
    terms = np.array([[2.0**900, 1.0, -(2.0**900)], [2.0**-1000, 2.0**-1074, 1.5 * 2.0**-1000]])

    found = total(Doubled.exact(terms), (1,))

    assert abs(found.high[0, 0] - 1.0) <= 2.0**825
    assert found.high[1, 0] == 2.5 * 2.0**-1000
    assert found.low[1, 0] == 2.0**-1074


def test_a_big_weight_is_never_in_memory(tmp_path: Path) -> None:
    net = Net()
    net.store(net.random.standard_normal((2048, 1024)), "w")
    net.node("MatMul", net.input(1, 2048), "w", out="y")
    size = numpy_helper.from_array(net.stored["w"]).ByteSize()
    with open_model(save(net.model("y"), tmp_path / "m.onnx")) as model:
        asked, factor = layer_of(model), random_factor(along(0, (2048, 1024)))
        tracemalloc.start()
        found = asked.summed(1, factor, (0,))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert isinstance(found, Doubled)
    assert peak < size / 3
