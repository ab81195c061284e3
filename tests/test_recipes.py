"""Folded numbers are the exact ones, rounded once; what does not fit its type is refused."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt
from typing import Any

import numpy as np
import pytest
from absorbing import layer_of
from graphs import BFLOAT, BOOL, DOUBLE, FLOAT, HALF, Array, Net, fold, fold_unverified, run
from onnx import ModelProto

from folding.doubled import Doubled
from folding.factor import Factor, along
from folding.floats import FLOATS
from folding.layers import scale_weight
from folding.modelfile import in_memory
from folding.plan import Kept, Reason
from folding.recipes import Changed, Scaled, Unrepresentable

ALL = [FLOAT, DOUBLE, HALF, BFLOAT]
BITS = 400
#: Beyond the half ULP of one rounding: what float64 leaves of it.
SLACK = Fraction(1, 2**20)


def exact(array: Array) -> list[Fraction]:
    return [Fraction(float(v)) for v in array.ravel()]


def root(value: Fraction) -> Fraction:
    return Fraction(isqrt(int(value * 2 ** (2 * BITS))), 2**BITS)


def ulps(stored: Array, truth: list[Fraction], elem_type: int) -> float:
    """The largest distance, in units in the last place of the exact value."""
    kind = FLOATS[elem_type]
    worst = Fraction(0)
    for got, want in zip(exact(stored), truth, strict=True):
        ulp = 2 * Fraction(float(kind.half_ulp(np.array(float(want)))))
        worst = max(worst, abs(got - want) / ulp)
    return float(worst)


def batch_norm_network(elem_type: int, seed: int) -> tuple[Net, dict[str, list[Fraction]]]:
    """Conv and a batch norm with numbers of very different sizes, and the exact parameters."""
    net = Net(elem_type, opset=14, seed=seed)
    draw = np.random.default_rng(seed)
    spread = 2.0 ** draw.integers(-6, 6, (16, 3, 3))
    net.node(
        "Conv",
        net.input(1, 3, 5),
        net.store(draw.standard_normal((16, 3, 3)) * spread, "w"),
        net.store(draw.standard_normal(16) * 8, "b"),
        out="v",
    )
    net.batch_norm("v", 16, "y", epsilon=1e-3)
    named = {name.removeprefix("y."): exact(array) for name, array in net.stored.items()}
    return net, named


@pytest.mark.parametrize("elem_type", ALL)
@pytest.mark.parametrize("seed", range(5))
def test_weights_are_within_half_an_ulp_of_the_exact_product(elem_type: int, seed: int) -> None:
    net, given = batch_norm_network(elem_type, seed)
    epsilon = Fraction(float(np.float32(1e-3)))
    scale = [g / root(v + epsilon) for g, v in zip(given["gamma"], given["var"], strict=True)]

    stored = fold_unverified(net.model("y")).tensors["w"]

    truth = [w * scale[i // 9] for i, w in enumerate(given["w"])]
    assert ulps(stored, truth, elem_type) <= 0.5 + SLACK


@pytest.mark.parametrize("elem_type", ALL)
@pytest.mark.parametrize("seed", range(5))
def test_biases_are_within_half_an_ulp_of_the_exact_sum(elem_type: int, seed: int) -> None:
    net, given = batch_norm_network(elem_type, seed)
    epsilon = Fraction(float(np.float32(1e-3)))

    stored = fold_unverified(net.model("y")).tensors["b"]

    truth = [
        (b - m) * g / root(v + epsilon) + beta
        for b, m, g, v, beta in zip(
            *(given[name] for name in ("b", "mean", "gamma", "var", "beta")), strict=True
        )
    ]
    assert ulps(stored, truth, elem_type) <= 0.5 + SLACK


@pytest.mark.parametrize("elem_type", [FLOAT, HALF, BFLOAT])
def test_two_folds_into_one_tensor_round_only_once(elem_type: int) -> None:
    net = Net(elem_type)
    net.node("Conv", net.input(1, 3, 5), net.weight(8, 3, 3, name="w"), out="v")
    net.node("Mul", "v", net.weight(8, 1, name="s"), out="a")
    net.node("Identity", "a", out="b")
    net.node("Div", "b", net.weight(8, 1, name="d"), out="y")
    w, s, d = (exact(net.stored[name]) for name in "wsd")

    stored = fold_unverified(net.model("y")).tensors["w"]

    truth = [v * s[i // 9] / d[i // 9] for i, v in enumerate(w)]
    assert ulps(stored, truth, elem_type) <= 0.5 + SLACK


def test_a_bias_that_nearly_cancels_is_still_exact() -> None:
    net = Net()
    net.node("Conv", net.input(1, 1, 3), net.store([[[1.0]]]), net.store([0.1], "b"), out="v")
    net.node("Mul", "v", net.store([[1.0 / 3.0]], "s"), out="a")
    net.node("Sub", "a", net.store([[1.0 / 30.0]], "t"), out="y")
    b, s, t = (exact(net.stored[name])[0] for name in "bst")

    stored = fold(net.model("y")).tensors["b"]

    assert ulps(stored, [b * s - t], FLOAT) <= 0.5 + SLACK


def test_gemm_multiplies_beta_into_c_exactly() -> None:
    net = Net()
    net.node("Gemm", net.input(2, 3), net.weight(3, 4), net.weight(4, name="c"), out="v", beta=0.1)
    net.node("Mul", "v", net.weight(4, name="s"), out="y")
    c, s = exact(net.stored["c"]), exact(net.stored["s"])
    beta = Fraction(float(np.float32(0.1)))

    stored = fold(net.model("y")).tensors["c"]

    assert ulps(stored, [p * beta * q for p, q in zip(c, s, strict=True)], FLOAT) <= 0.5 + SLACK


def test_a_weight_of_many_blocks_is_scaled_in_all_of_them() -> None:
    net = Net()
    weight = net.weight(1200, 50, 9, name="w")
    net.node("Conv", net.input(1, 50, 9), weight, out="v")
    net.node("Mul", "v", net.weight(1200, 1, name="s"), out="y")

    stored = fold_unverified(net.model("y")).tensors["w"]

    scale = net.stored["s"].astype(float)[:, :, None]
    expected = (net.stored["w"].astype(float) * scale).astype(np.float32)
    np.testing.assert_array_equal(stored, expected)


# --- factors by rows and by columns ------------------------------------------------------------


def scaled_twice(elem_type: int, weight: Any, rows: Any, columns: Any) -> tuple[Changed, Array]:
    """A matrix that one fold scales by rows and another by columns, and as it was stored."""
    net = Net(elem_type)
    net.store(weight, "w")
    net.node("MatMul", net.input(1, len(net.stored["w"])), "w", out="y")
    layer = layer_of(in_memory(net.model("y")))
    for axis, scale in enumerate((rows, columns)):
        factor = Factor(along(axis, net.stored["w"].shape), Doubled.exact(scale))
        scale_weight(layer.draft, layer.index, 1, factor, "a fold")
    return layer.draft.changed["w"], net.stored["w"]


def rounded(changed: Changed) -> Array:
    return np.frombuffer(changed.to_bytes(), changed.float_type.dtype)


@pytest.mark.parametrize("elem_type", ALL)
def test_factors_by_rows_and_by_columns_round_only_once(elem_type: int) -> None:
    random = np.random.default_rng(3)
    rows, columns = random.uniform(0.5, 2.0, 37), random.uniform(0.5, 2.0, 41)

    changed, w = scaled_twice(elem_type, random.standard_normal((37, 41)), rows, columns)

    a, b = exact(rows), exact(columns)
    truth = [v * a[i // 41] * b[i % 41] for i, v in enumerate(exact(w))]
    assert ulps(rounded(changed), truth, elem_type) <= 0.5 + SLACK
    assert isinstance(changed.recipe, Scaled)
    for part in changed.recipe.parts():
        sizes = [abs(float(t)) for t in truth]
        np.testing.assert_allclose(part.magnitude.ravel(), sizes, rtol=1e-12)


def test_factors_are_kept_by_channel_and_not_by_pairs_of_channels() -> None:
    changed, _ = scaled_twice(FLOAT, np.ones((5, 7)), np.ones(5), np.ones(7))
    assert isinstance(changed.recipe, Scaled)

    again = changed.recipe.times(Factor(along(0, (5, 7)), Doubled.exact(np.full(5, 3.0))))

    assert sorted(factor.scale.size for factor in again.factors) == [5, 7]
    assert [part.exact.tolist() for part in again.parts()] == [np.full((5, 7), 3.0).tolist()]


def test_a_small_weight_beside_normal_ones_in_its_row_and_column_may_lose_digits() -> None:
    changed, _ = scaled_twice(HALF, [[1.0, 1e-4], [1.0, 1.0]], [0.7, 0.7], [0.7, 0.7])

    assert (rounded(changed) != 0).all()


@pytest.mark.parametrize(
    ("rows", "columns"), [([1e-7, 1.0], [1.0, 1.0]), ([1.0, 1.0], [1.0, 1e-7])]
)
def test_a_row_or_a_column_that_would_vanish_is_refused(
    rows: list[float], columns: list[float]
) -> None:
    changed, _ = scaled_twice(HALF, [[1.1, 1.2], [1.3, 1.4]], rows, columns)

    with pytest.raises(Unrepresentable) as refused:
        changed.to_bytes()
    assert refused.value.reason is Reason.UNDERFLOW


# --- what does not fit -------------------------------------------------------------------------


def scaled(elem_type: int, weight: Any, scale: Any, bias: Any = None) -> Net:
    """A Conv of two channels with one weight each, and a Mul."""
    net = Net(elem_type)
    inputs = [net.store(np.reshape(weight, (2, -1, 1)), "w")]
    inputs += [] if bias is None else [net.store(bias, "b")]
    taps = net.stored["w"].shape[1]
    net.node("Conv", net.input(1, taps, 3), *inputs, out="v")
    net.node("Mul", "v", net.store(np.reshape(scale, (2, 1)), "s"), out="y")
    return net


@pytest.mark.parametrize(
    ("elem_type", "weight", "scale"),
    [(HALF, 300.0, 300.0), (FLOAT, 1e30, 1e30), (BFLOAT, 1e30, 1e30), (DOUBLE, 1e200, 1e200)],
)
def test_a_weight_that_would_overflow_is_refused(
    elem_type: int, weight: float, scale: float
) -> None:
    model = scaled(elem_type, [1.0, weight], [1.0, scale]).model("y")

    result = fold_unverified(model)

    assert result.kept("y") == (Reason.OVERFLOW, "w")
    assert result.model.SerializeToString() == model.SerializeToString()


def test_a_bias_that_would_overflow_is_refused() -> None:
    model = scaled(HALF, [1.0, 1.0], [1.0, 300.0], [1.0, 300.0]).model("y")

    result = fold_unverified(model)

    assert result.kept("y") == (Reason.OVERFLOW, "b")
    assert result.model.SerializeToString() == model.SerializeToString()


def test_the_shift_of_a_matmul_that_would_overflow_is_refused() -> None:
    net = Net(HALF)
    net.node("MatMul", net.input(3, 5), net.weight(5, 4), out="v")
    net.node("Add", "v", net.store([1.0, 1.0, 1.0, 300.0], "t"), out="a")
    net.node("Mul", "a", net.store([1.0, 1.0, 1.0, 300.0]), out="y")

    assert fold_unverified(net.model("y")).kept("y") == (Reason.OVERFLOW, "t")


def test_the_largest_number_itself_is_no_overflow() -> None:
    model = scaled(HALF, [1.0, 32752.0], [1.0, 2.0]).model("y")

    result = fold_unverified(model)

    assert result.tensors["w"].ravel().tolist() == [1.0, 65504.0]


@pytest.mark.parametrize(
    ("elem_type", "weight", "scale"),
    [(HALF, 1e-3, 1e-3), (FLOAT, 1e-20, 1e-20), (BFLOAT, 1e-20, 1e-20)],
)
def test_weights_that_would_vanish_are_refused(elem_type: int, weight: float, scale: float) -> None:
    model = scaled(elem_type, [1.0, weight], [1.0, scale]).model("y")

    result = fold_unverified(model)

    assert result.kept("y") == (Reason.UNDERFLOW, "w")
    assert result.model.SerializeToString() == model.SerializeToString()


SMALL = [1e-200, 1e-199]


def tiny(*operators: str) -> tuple[str, ModelProto]:
    """Layers, activations and scales of which float64 does not hold the product, and the last."""
    net = Net(DOUBLE)
    value, last = net.input(5, 2), ""
    for operator in operators:
        if operator == "MatMul":
            value = net.node("MatMul", value, net.weight(2, 2))
        elif operator == "Mul":
            value = last = net.node("Mul", value, net.store(SMALL))
        elif operator == "BatchNormalization":
            value = net.batch_norm(value, 2, out="norm")
            net.stored["norm.gamma"] = np.array(SMALL)
        else:
            value = net.node(operator, value)
    return last, net.model(value)


@pytest.mark.parametrize(
    "operators",
    [
        ("MatMul", "Mul", "Mul"),
        ("MatMul", "Mul", "Relu", "Mul"),
        ("Mul", "MatMul", "Mul"),
        ("Mul", "Relu", "Mul"),
        ("Sigmoid", "BatchNormalization", "Relu", "Mul"),
    ],
)
def test_scales_are_not_multiplied_to_less_than_float64_holds(operators: tuple[str, ...]) -> None:
    """Where the layer's results are as large, the model gives numbers."""
    name, model = tiny(*operators)
    feed = {"x": np.full((5, 2), 1e150)}

    result = fold_unverified(model)

    assert isinstance(result.decision(name).outcome, Kept)
    for before, after in zip(run(model, feed), run(result.model, feed), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-12)


def test_computed_weights_that_would_vanish_are_refused_too() -> None:
    net = Net(HALF)
    net.node("Mul", net.weight(4, 3, 3), net.store(0.5), out="w")
    net.node("Conv", net.input(2, 3, 5), "w", out="v")
    net.node("Mul", "v", net.store(np.full((4, 1), 1e-6)), out="y")

    assert fold_unverified(net.model("y")).kept("y")[0] is Reason.UNDERFLOW


def test_a_small_weight_beside_a_normal_one_may_lose_digits() -> None:
    model = scaled(HALF, [[1.0, 1e-3], [1.0, 1e-3]], [1e-2, 1.0]).model("y")

    result = fold_unverified(model)

    assert result.decision("y").is_folded


def test_subnormal_weights_that_lose_nothing_fold() -> None:
    tiny = 2.0**-14
    model = scaled(HALF, [1.0, tiny], [1.0, 0.5]).model("y")

    result = fold_unverified(model)

    assert result.tensors["w"].ravel().tolist() == [1.0, tiny / 2]


@pytest.mark.parametrize("elem_type", ALL)
def test_a_scale_of_zero_folds_to_exact_zeros(elem_type: int) -> None:
    net = Net(elem_type)
    net.node("Conv", net.input(1, 3, 3), net.weight(2, 3, 1, name="w"), out="v")
    net.node("Mul", "v", net.store([[0.0], [1.0]]), out="a")
    net.node("Add", "a", net.store([[0.75], [1.0]]), out="y")

    result = fold_unverified(net.model("y"))

    assert (result.tensors["w"][0].astype(float) == 0).all()
    bias = result.tensors[result.model.graph.node[0].input[2]]
    assert float(bias[0]) == 0.75


def test_only_the_affine_that_does_not_fit_stays() -> None:
    net = scaled(HALF, [1.0, 100.0], [1.0, 100.0])
    net.node("Identity", "y", out="i")
    net.node("Mul", "i", net.store([[1.0], [100.0]]), out="z")

    result = fold_unverified(net.model("z"))

    assert result.decision("y").is_folded
    assert result.kept("z") == (Reason.OVERFLOW, "w")


def test_two_affines_that_fit_only_together_fold_together() -> None:
    net = scaled(HALF, [1.0, 300.0], [1.0, 300.0])
    net.node("Identity", "y", out="i")
    net.node("Div", "i", net.store([[1.0], [300.0]]), out="z")

    result = fold_unverified(net.model("z"))

    assert result.operators == ["Conv", "Identity"]
    assert result.tensors["w"].ravel().tolist() == [1.0, 300.0]


def test_an_overflow_in_one_body_does_not_keep_an_affine_in_another() -> None:
    def body(prefix: str, scale: float) -> Net:
        inner = Net(HALF)
        inner.node("Conv", "x", inner.weight(4, 3, 3, name="w"), out=f"{prefix}v")
        inner.node("Mul", f"{prefix}v", inner.store(np.full((4, 1), scale)), out=f"{prefix}y")
        return inner

    small, big = body("a", 0.5).graph("ay"), body("b", 60000.0).graph("by")
    kept = []
    for branches in ((small, big), (big, small)):
        net = Net(HALF)
        net.input(2, 3, 5)
        then, other = branches
        condition = net.input(name="c", elem_type=BOOL)
        net.node("If", condition, out="y", then_branch=then, else_branch=other)

        result = fold_unverified(net.model("y"))

        kept.append([d.name for d in result.plan.decisions if not d.is_folded])
    assert kept == [["by"], ["by"]]
