"""Weights that are computed from constants, as under weight normalisation, fold at any size."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from graphs import (
    DOUBLE,
    FLOAT,
    HALF,
    TYPES,
    Net,
    assert_folds_to,
    assert_same_function,
    feed_for,
    fold,
    fold_unverified,
)
from oracle import evaluate

import folding
from folding.computed import computed
from folding.constants import Constants
from folding.doubled import Doubled
from folding.equivalence.sampling.numbers import constant_numbers
from folding.graph import index
from folding.modelfile import in_memory
from folding.plan import Kept, Reason
from folding.stored import Stored

#: The channels of a weight of three taps, of more numbers than are evaluated one by one for a norm.
WIDE = 20


def conv(net: Net, weight: str, channels: int = WIDE) -> None:
    net.node("Conv", net.input(2, channels, 5), weight, out="v")
    net.batch_norm("v", channels, "y")


def shape(*, last: bool = False) -> tuple[int, ...]:
    return (3, WIDE, WIDE) if last else (WIDE, WIDE, 3)


def divided_first(net: Net) -> str:
    """As torch's first exporter writes it: ``g * (v / |v|)``."""
    v = net.weight(*shape(), name="v0")
    norm = net.node("ReduceL2", v, axes=[1, 2], keepdims=1)
    return net.node("Mul", net.node("Div", v, norm), net.weight(WIDE, 1, 1, name="g"), out="w")


def by_axes_input(net: Net) -> str:
    net.opset = 18
    v = net.weight(*shape(), name="v0")
    norm = net.node("ReduceL2", v, net.integers(1, 2))
    return net.node("Mul", net.weight(WIDE, 1, 1, name="g"), net.node("Div", v, norm), out="w")


def powers(net: Net) -> str:
    """As torch's second exporter may write it: ``v * (g / sqrt(sum(v ** 2)))``."""
    v = net.weight(*shape(), name="v0")
    total = net.node("ReduceSum", net.node("Pow", v, net.store(2.0)), net.integers(-1, 1))
    scale = net.node("Div", net.weight(WIDE, 1, 1, name="g"), net.node("Sqrt", total))
    return net.node("Mul", v, scale, out="w")


def channels_last(net: Net) -> str:
    """As Keras' layers are written: the output channels come last, and are turned to the front."""
    v = net.weight(*shape(last=True), name="v0")
    total = net.node("ReduceSum", net.node("Mul", v, v), net.integers(0, 1), keepdims=0)
    root = net.node("Reciprocal", net.node("Sqrt", total))
    w = net.node("Mul", net.weight(WIDE, name="g"), net.node("Mul", v, root))
    return net.node("Transpose", w, perm=[2, 1, 0], out="w")


def sum_of_squares(net: Net) -> str:
    """With a norm for the whole weight, and axes that come and go."""
    v = net.weight(*shape(), name="v0")
    norm = net.node("Sqrt", net.node("ReduceSumSquare", v, keepdims=0))
    w = net.node("Unsqueeze", net.node("Div", v, norm), net.integers(0))
    w = net.node("Mul", net.weight(WIDE, 1, name="g"), w)
    return net.node("Identity", net.node("Squeeze", w, net.integers(0)), out="w")


SPELLINGS = [divided_first, by_axes_input, powers, channels_last, sum_of_squares]
Spelling = Callable[[Net], str]


def constants(net: Net) -> Constants:
    model = in_memory(net.model("y"))
    return Constants(model, index(model)[0][0], None)


@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_weight_under_weight_normalisation_is_a_stored_one_times_factors(
    spelling: Spelling, elem_type: int
) -> None:
    net = Net(elem_type)
    conv(net, spelling(net))
    model = net.model("y")

    found = computed(constants(net), "w")
    result = fold(model)

    assert found is not None
    assert isinstance(found.source, Stored)
    assert all(factor.channel.size <= WIDE for factor in found.factors)
    assert result.operators == ["Conv"]
    assert set(result.tensors) == {"w_folded", result.model.graph.node[0].input[2]}
    assert_same_function(model, result.model)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_it_folds_before_a_layer_too(spelling: Spelling) -> None:
    net = Net()
    relu = net.node("Relu", net.input(2, WIDE, 5))
    net.node("Conv", net.batch_norm(relu, WIDE), spelling(net), out="y")

    assert_folds_to(net.model("y"), "Relu", "Conv")


def test_the_folded_numbers_are_rounded_once() -> None:
    net = Net()
    conv(net, divided_first(net))
    result = fold(net.model("y"))
    v, g, gamma, variance = (
        net.stored[name].astype(np.longdouble) for name in ("v0", "g", "y.gamma", "y.var")
    )
    norm = np.sqrt((v * v).sum((1, 2), keepdims=True))
    scale = gamma / np.sqrt(variance + np.longdouble(np.float32(1e-5)))
    wanted = v / norm * g * scale.reshape(-1, 1, 1)

    assert (result.tensors["w_folded"] == wanted.astype(np.float32)).all()


def subtracted(net: Net) -> str:
    """Weight standardisation."""
    v = net.weight(*shape())
    return net.node("Sub", v, net.node("ReduceMean", v, axes=[1, 2]), out="w")


def narrow(net: Net) -> str:
    return net.node("Cast", net.weight(*shape(), elem_type=HALF), to=FLOAT, out="w")


def masked(net: Net) -> str:
    return net.node("Mul", net.weight(*shape()), net.weight(*shape()), out="w")


def by_pairs(net: Net) -> str:
    """A factor that differs along two axes."""
    return net.node("Mul", net.weight(*shape()), net.weight(WIDE, WIDE, 1), out="w")


def joined(net: Net) -> str:
    """Axes that are joined behind the product."""
    w = net.node("Mul", net.weight(WIDE, WIDE * 3, 1), net.weight(WIDE, 1, 1))
    return net.node("Reshape", w, net.integers(*shape()), out="w")


@pytest.mark.parametrize("spelling", [subtracted, narrow, masked, by_pairs, joined])
def test_any_other_weight_is_evaluated_whole(spelling: Spelling) -> None:
    net = Net()
    conv(net, spelling(net))
    model = net.model("y")

    found = computed(constants(net), "w")
    result = fold(model)

    assert found is not None
    assert isinstance(found.source, Doubled)
    assert result.operators == ["Conv"]
    assert_same_function(model, result.model)


def test_a_weight_that_is_stored_in_half_its_type_grows_the_file() -> None:
    """Two bytes for each of its numbers are as much of a growth as a copy would be."""
    net = Net()
    conv(net, net.node("Cast", net.weight(60, 60, 1, elem_type=HALF), to=FLOAT, out="w"), 60)

    assert fold(net.model("y")).kept("y") == (Reason.COMPUTED_COPIES, "w")


@pytest.mark.parametrize("read", ["v0", "w"])
def test_what_others_read_too_is_not_stored_twice(read: str) -> None:
    net = Net()
    conv(net, divided_first(net))
    net.node("ReduceMax", read, keepdims=0, out="z")

    assert fold(net.model("y", "z")).kept("y") == (Reason.COMPUTED_COPIES, "w")


def test_two_layers_on_one_stored_weight_need_two() -> None:
    net = Net()
    x, v = net.input(3, 40), net.weight(40, 40, name="v")
    norm = net.node("ReduceL2", v, axes=[0])
    for name in "ab":
        w = net.node("Mul", net.node("Div", v, norm), net.weight(40), out=f"w{name}")
        net.batch_norm(net.node("MatMul", x, w), 40, name)

    result = fold(net.model("a", "b"))

    assert result.kept("a") == (Reason.COMPUTED_COPIES, "wa")
    assert result.kept("b") == (Reason.COMPUTED_COPIES, "wb")


def test_a_channel_of_zeros_has_no_direction() -> None:
    net = Net()
    weight = divided_first(net)
    net.stored["v0"][3] = 0
    conv(net, weight)

    assert fold_unverified(net.model("y")).kept("y") == (Reason.NOT_FINITE, "w")


def test_a_large_product_is_never_made() -> None:
    net = Net()
    net.node("MatMul", net.input(1, 1024), _large(net), out="m")
    net.node("Mul", "m", net.weight(1024), out="y")
    model = in_memory(net.model("y"))
    found = Constants(model, index(model)[0][0], None)

    tracemalloc.start()
    weight = computed(found, "w")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert weight is not None
    assert peak < 8 * 1024 * 1024  # What is stored takes half as much.


def _large(net: Net) -> str:
    v = net.store(np.ones((1024, 1024)))
    norm = net.node("ReduceL2", v, axes=[0])
    return net.node("Mul", net.node("Div", v, norm), net.weight(1024), out="w")


def test_weights_take_no_room_from_other_constants() -> None:
    """One weight too many is refused, and all else is evaluated as without them."""
    net = Net()
    x, names = net.input(1, 1024), []
    for number in range(3):
        w = net.node("Cast", net.store(np.ones((1024, 1024)), "", HALF), to=FLOAT, out=f"w{number}")
        scale = net.node("Mul", net.weight(1024), net.store(0.5))
        names.append(net.node("Mul", net.node("MatMul", x, w), scale, out=f"y{number}"))

    _, report = folding.fold_model(net.model(*names), verify=False, allow_growth=True)

    assert [d.is_folded for d in report.plan.decisions] == [True, True, False]
    kept = report.plan.decisions[-1].outcome
    assert isinstance(kept, Kept)
    assert (kept.reason, kept.at) == (Reason.TOO_COMPLEX, "w2")


@pytest.mark.parametrize("spelling", [divided_first, channels_last, subtracted])
def test_the_sites_are_compared_with_the_numbers_of_the_computed_weight(spelling: Spelling) -> None:
    net = Net(DOUBLE)
    conv(net, spelling(net))
    known = constants(net)
    model = net.model("w")
    (wanted,) = evaluate(model, feed_for(model))

    numbers = constant_numbers(known, "w", np.dtype(np.longdouble))

    assert numbers is not None
    assert numbers.dims == wanted.shape
    np.testing.assert_allclose(numbers.read(7, 500).value.astype("f8"), wanted.ravel()[7:500])


@pytest.mark.parametrize("operator", ["Mul", "Div"])
def test_below_opset_7_an_attribute_says_along_which_axis_a_weight_is_multiplied(
    operator: str,
) -> None:
    """Numpy's rules would take the last axis, which has the same length."""
    net = Net(opset=6)
    x, v, g = net.input(1, 3, 4, 4), net.weight(3, 3, 3, 3), net.positive(3)
    w = net.node(operator, v, g, out="w", broadcast=1, axis=0)
    net.batch_norm(net.node("Conv", x, w), 3, "y", is_test=1)

    assert fold_unverified(net.model("y")).kept("y") == (Reason.TOO_COMPLEX, "w")
