"""Products of constant matrices are exact, and known to be so."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from graphs import Net, assert_same_function, fold
from onnx import helper

from folding.doubled import Doubled
from folding.expressions import evaluate
from folding.multiplying import MOST_MULTIPLICATIONS


def product(left: Any, right: Any) -> Any:
    given = [Doubled.exact(v) if v.dtype.kind == "f" else v for v in (left, right)]
    return evaluate(helper.make_node("MatMul", ["a", "b"], ["y"]), given, ())


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3, 5), (5, 2)),
        ((5,), (5,)),
        ((5,), (5, 2)),
        ((3, 5), (5,)),
        ((4, 3, 5), (5, 2)),
        ((5,), (4, 5, 2)),
        ((2, 1, 3, 5), (4, 5, 2)),
        ((1, 1), (1, 1)),
        ((40, 300), (300, 30)),
    ],
)
def test_matrices_are_multiplied_as_numpy_does(
    left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    random = np.random.default_rng(3)
    one, other = (random.integers(-9, 9, dims).astype(np.float64) for dims in (left, right))

    found, sizes = product(one, other), product(np.abs(one), np.abs(other))

    assert found.high.shape == np.matmul(one, other).shape
    assert (found.high == np.matmul(one, other)).all()
    assert (found.magnitude == sizes.high).all()


def test_sums_that_cancel_keep_their_digits() -> None:
    random = np.random.default_rng(4)
    one, other = (random.standard_normal(64) * 10.0 ** random.integers(-6, 6, 64) for _ in range(2))
    pairs = zip(one.tolist(), other.tolist(), strict=True)
    truth = sum((Fraction(a) * Fraction(b) for a, b in pairs), Fraction(0))
    last = float(truth)
    found = product(np.append(one, -1.0), np.append(other, last))

    exact = truth - Fraction(last)
    apart = abs(Fraction(found.high.item()) + Fraction(found.low.item()) - exact)
    assert apart <= Fraction(found.magnitude.item()) / 2**96


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3, 5), (4, 2)),
        ((), (5, 2)),
        ((3, 0), (0, 2)),
        ((2, 3, 5), (3, 5, 2)),
        ((MOST_MULTIPLICATIONS // 64 + 1, 1, 8), (8, 8)),
    ],
)
def test_what_does_not_fit_or_takes_too_long_is_left_to_the_runtime(
    left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    assert product(np.ones(left), np.ones(right)) is None


def test_integers_are_left_to_the_runtime() -> None:
    assert product(np.ones((2, 2), int), np.ones((2, 2), int)) is None


def test_a_weight_with_a_merged_low_rank_update_folds() -> None:
    net = Net()
    update = net.node("MatMul", net.weight(6, 2), net.weight(2, 5))
    net.node("Add", net.weight(6, 5), net.node("Mul", update, net.store(0.5)), out="w")
    net.node("Gemm", net.input(2, 5), "w", out="v", transB=1)
    model = net.model(net.batch_norm("v", 6, "y"))

    result = fold(model)

    assert result.into("y") == ("v",)
    assert result.operators == ["Gemm"]
    assert_same_function(model, result.model)


def test_a_weight_under_spectral_normalisation_folds() -> None:
    """The weight is seen as a matrix: w / (u @ (w @ v))."""
    net = Net()
    net.weight(4, 3, 3, 3, name="w")
    matrix = net.node("Reshape", "w", net.integers(4, 27))
    inner = net.node("MatMul", matrix, net.weight(27))
    norm = net.node("MatMul", net.weight(4), inner)
    net.node("Div", "w", norm, out="unit")
    net.node("Conv", net.input(2, 3, 5, 5), "unit", out="v")
    model = net.model(net.batch_norm("v", 4, "y"))

    result = fold(model)

    assert result.into("y") == ("v",)
    assert result.operators == ["Conv"]
    assert_same_function(model, result.model)
