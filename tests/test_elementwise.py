"""Functions of constants are exact to a few units of float64, and know how wrong they may be."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from graphs import FLOAT, HALF, Net, assert_same_function, fold
from onnx import ModelProto, helper

from folding.doubled import Doubled
from folding.expressions import evaluate

DIGITS = 60
#: What the parameter check allows a float64 beside half a unit of its last place.
ALLOWED = 2.0**-48


def _tanh(x: Decimal) -> Decimal:
    return 1 - 2 / ((2 * x).exp() + 1)


REAL: dict[str, Callable[[Decimal], Decimal]] = {
    "Exp": lambda x: x.exp(),
    "Log": lambda x: x.ln(),
    "Sigmoid": lambda x: 1 / (1 + (-x).exp()),
    "Softplus": lambda x: (1 + x.exp()).ln(),
    "Tanh": _tanh,
}


def computed(operator: str, *inputs: Any, **given: Any) -> Any:
    node = helper.make_node(operator, ["x"] * len(inputs), ["y"], **given)
    return evaluate(node, list(inputs), ())


def doubled(values: Any) -> Doubled:
    return Doubled.exact(np.asarray(values, np.float64))


def arguments(operator: str) -> Doubled:
    """Small and large, of both signs where they may be; with a part below float64."""
    random = np.random.default_rng(5)
    sizes = 10.0 ** random.uniform(-12, 1.5, 400)
    signs = np.ones(400) if operator == "Log" else random.choice([-1.0, 1.0], 400)
    return doubled(signs * sizes) / doubled(3.0)


@pytest.mark.parametrize("operator", REAL)
def test_a_function_is_far_within_what_the_parameter_check_allows(operator: str) -> None:
    given = arguments(operator)
    found = computed(operator, given)

    with localcontext(prec=DIGITS):
        pairs = zip(given.high.tolist(), given.low.tolist(), strict=True)
        exact = [REAL[operator](Decimal(high) + Decimal(low)) for high, low in pairs]
        pairs = zip(found.high.tolist(), found.low.tolist(), strict=True)
        apart = [
            float(abs(Decimal(high) + Decimal(low) - truth))
            for (high, low), truth in zip(pairs, exact, strict=True)
        ]
    assert (np.array(apart) <= ALLOWED / 4 * np.abs(found.high)).all()
    assert (found.magnitude >= np.abs(found.high)).all()


@pytest.mark.parametrize("operator", REAL)
def test_what_is_below_float64_in_a_number_changes_the_result(operator: str) -> None:
    """By the slope of the function: here it is large enough to be seen."""
    value = np.array([0.75])
    plain = computed(operator, doubled(value))
    moved = computed(operator, Doubled(value, np.array([2.0**-55]), value))

    apart = (moved.high - plain.high) + (moved.low - plain.low)
    with localcontext(prec=DIGITS):
        step = Decimal(2) ** -55
        truth = REAL[operator](Decimal("0.75") + step) - REAL[operator](Decimal("0.75"))
    assert apart.item() == pytest.approx(float(truth), rel=1e-9)


@pytest.mark.parametrize("operator", REAL)
def test_the_error_bound_holds_for_numbers_that_were_rounded(operator: str) -> None:
    """Of those that were computed in float32, with cancellation; a few roundings may add up."""
    unit, random = 2.0**-24, np.random.default_rng(6)
    one, other = (random.uniform(4, 5, 300).astype(np.float32) for _ in range(2))
    one = np.maximum(one, other + np.float32(0.01))
    exact = computed(operator, doubled(one) - doubled(other))
    rounded = (one - other) * np.float32(1 + 2 * unit)
    with np.errstate(all="ignore"):
        single = computed(operator, doubled(rounded)).high.astype(np.float32)

    assert (np.abs(single - exact.high) <= 4 * unit * exact.magnitude).all()


@pytest.mark.parametrize(
    ("operator", "number"),
    [("Exp", 710.0), ("Log", 0.0), ("Log", -1.0), ("Exp", np.nan), ("Tanh", np.nan)],
)
def test_what_is_no_number_is_left_to_the_runtime(operator: str, number: float) -> None:
    assert computed(operator, doubled([1.0, number])) is None


@pytest.mark.parametrize("operator", REAL)
def test_integers_are_left_to_the_runtime(operator: str) -> None:
    assert computed(operator, np.array([1, 2])) is None


@pytest.mark.parametrize(("operator", "choose"), [("Max", max), ("Min", min)])
def test_the_larger_and_the_smaller_of_two_are_told_by_every_digit(
    operator: str, choose: Callable[..., Fraction]
) -> None:
    random = np.random.default_rng(7)
    high = random.choice([-1.0, 1.0], 50)
    parts = [(high, random.uniform(-1, 1, 50) * 2.0**-60) for _ in range(2)]

    found = computed(operator, *(Doubled(h, low, np.abs(h)) for h, low in parts))

    for i in range(50):
        numbers = [Fraction(h[i].item()) + Fraction(low[i].item()) for h, low in parts]
        assert Fraction(found.high[i].item()) + Fraction(found.low[i].item()) == choose(numbers)


def test_a_bound_far_away_says_nothing_of_the_error_of_a_number() -> None:
    """Or any fault would be allowed a number that is clipped at the largest of its type."""
    found = computed("Clip", doubled([0.5]), doubled(-1e38), doubled(1e38))

    assert found.high.tolist() == found.magnitude.tolist() == [0.5]


@pytest.mark.parametrize("operator", ["Max", "Min"])
def test_of_numbers_that_rounding_may_let_change_places_the_larger_error_counts(
    operator: str,
) -> None:
    one, other = np.array([1.0]), np.array([1.0 + 2.0**-12])
    found = computed(
        operator, Doubled(one, one * 0, np.array([7.0])), Doubled(other, one * 0, other)
    )

    assert found.magnitude.tolist() == [7.0]


@pytest.mark.parametrize("operator", ["Max", "Min"])
@pytest.mark.parametrize(
    "inputs",
    [
        (doubled([1.0]), np.array([1])),
        (doubled([1.0]), doubled([np.nan])),
        (doubled([1.0, 2.0]), doubled([1.0, 2.0, 3.0])),
    ],
)
def test_what_does_not_fit_has_no_larger_one(operator: str, inputs: tuple[Any, ...]) -> None:
    assert computed(operator, *inputs) is None


@pytest.mark.parametrize(
    ("inputs", "given", "expected"),
    [
        ((), {"min": -1.0, "max": 2.0}, [-1.0, 0.5, 2.0]),
        ((), {"min": 0.25}, [0.25, 0.5, 3.0]),
        ((), {}, [-4.0, 0.5, 3.0]),
        ((doubled(-1.0),), {}, [-1.0, 0.5, 3.0]),
        ((None, doubled(2.0)), {}, [-4.0, 0.5, 2.0]),
        ((doubled(1.0), doubled(1.0)), {}, [1.0, 1.0, 1.0]),
    ],
)
def test_every_form_of_a_clip_is_read(
    inputs: tuple[Any, ...], given: dict[str, float], expected: list[float]
) -> None:
    found = computed("Clip", doubled([-4.0, 0.5, 3.0]), *inputs, **given)

    assert found.high.tolist() == expected


@pytest.mark.parametrize(
    ("numbers", "inputs"),
    [
        ([0.5], (doubled(2.0), doubled(1.0))),
        ([0.5], (doubled([1.0, 2.0]),)),
        ([1e39], ()),
        ([np.nan], (doubled(0.0),)),
    ],
)
def test_an_unclear_clip_is_left_to_the_runtime(
    numbers: list[float], inputs: tuple[Any, ...]
) -> None:
    """One whose bounds cross, are several, or are those of another type."""
    assert computed("Clip", doubled(numbers), *inputs) is None


def normalised(elem_type: int, opset: int) -> ModelProto:
    """F.normalize of a weight: v / max(|v|, 1e-12), as it is exported."""
    net = Net(elem_type, opset)
    net.weight(4, 3, 3, 3, name="v")
    net.node("ReduceL2", "v", out="norm", axes=[1, 2, 3], keepdims=1)
    if opset < 11:
        net.node("Clip", "norm", out="bounded", min=1e-12)
    else:
        net.node("Clip", "norm", net.store(1e-7), out="bounded")
    net.node("Div", "v", "bounded", out="w")
    net.node("Conv", net.input(2, 3, 5, 5), "w", out="c")
    return net.model(net.batch_norm("c", 4, "y"))


@pytest.mark.parametrize(("elem_type", "opset"), [(FLOAT, 10), (FLOAT, 17), (HALF, 17)])
def test_a_normalised_weight_folds(elem_type: int, opset: int) -> None:
    model = normalised(elem_type, opset)

    result = fold(model)

    assert result.into("y") == ("c",)
    assert result.operators == ["Conv"]
    if elem_type == FLOAT:
        assert_same_function(model, result.model)


@pytest.mark.parametrize("operator", ["Abs", *(name for name in REAL if name != "Log")])
def test_a_weight_that_is_a_function_of_a_stored_one_folds(operator: str) -> None:
    net = Net()
    net.node(operator, net.weight(4, 3, 3, 3), out="w")
    net.node("Conv", net.input(2, 3, 5, 5), "w", out="c")
    model = net.model(net.batch_norm("c", 4, "y"))

    result = fold(model)

    assert result.into("y") == ("c",)
    assert result.operators == ["Conv"]


def test_a_weight_of_random_numbers_stays_random() -> None:
    net = Net()
    net.node("RandomNormalLike", net.weight(4, 3, 3, 3), out="r")
    net.node("Abs", "r", out="w")
    net.node("Conv", net.input(2, 3, 5, 5), "w", out="c")
    model = net.model(net.batch_norm("c", 4, "y"))

    assert not fold(model).decision("y").is_folded
