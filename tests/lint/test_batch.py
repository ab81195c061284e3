"""Statistics of the batch: told from those of layers, groups and instances."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from graphs import FLOAT, INT64, Net
from linting import codes, conv, image, lints

BATCH = "BATCH_STATISTICS"


def normalised(net: Net, x: str, axes: tuple[int, ...], *, by_root: bool = True) -> str:
    """``(x - mean) / sqrt(variance + epsilon)`` over some axes, as exporters take it apart."""
    mean = net.node("ReduceMean", x, axes=axes)
    apart = net.node("Sub", x, mean)
    variance = net.node("ReduceMean", net.node("Mul", apart, apart), axes=axes)
    spread = net.node("Add", variance, net.store(1e-5))
    root = net.node("Sqrt", spread)
    if by_root:
        return net.node("Div", apart, root)
    return net.node("Mul", apart, net.node("Reciprocal", root))


@pytest.mark.parametrize("by_root", [True, False])
@pytest.mark.parametrize("axes", [(0,), (0, 2, 3), (-4, -2, -1)])
def test_a_mean_over_the_batch_that_scales_the_data_is_found(
    axes: tuple[int, ...], *, by_root: bool
) -> None:
    """Over the batch alone, or positions too, by a quotient or a product."""
    net = Net()
    y = normalised(net, conv(net, image(net)), axes, by_root=by_root)
    (found,) = lints(net.model(net.node("Relu", y)))
    assert (found.code.name, found.at) == (BATCH, y)


def shared(axes: tuple[int, ...]) -> Callable[[Net], str]:
    return lambda net: normalised(net, conv(net, image(net)), axes)


def group_norm(net: Net) -> str:
    x = net.node("Reshape", conv(net, image(net)), net.integers(0, 2, -1))
    return net.node("Reshape", normalised(net, x, (2,)), net.integers(0, 4, 6, 6))


def instance_as_batch(net: Net) -> str:
    """How torch writes an instance norm: each example's channels are those of one example."""
    y = net.node("Conv", net.input(2, 3, 8, 8), net.weight(4, 3, 3, 3))
    x = net.node("Reshape", y, net.integers(1, 8, 6, 6))
    return normalised(net, x, (0, 2, 3))


def prepared(net: Net) -> str:
    """What is normalised before any layer are the data of one recording."""
    x = net.input("T", 40)
    return net.node("MatMul", normalised(net, x, (0,)), net.weight(40, 3))


def plain_mean(net: Net) -> str:
    """A mean over the batch that scales nothing."""
    return net.node("ReduceMean", conv(net, image(net)), axes=(0,))


def centred(net: Net) -> str:
    y = conv(net, image(net))
    return net.node("Sub", y, net.node("ReduceMean", y, axes=(0,)))


def over_all(net: Net) -> str:
    return normalised(net, conv(net, image(net)), (0, 1, 2, 3))


@pytest.mark.parametrize(
    "make",
    [
        shared((1,)),
        shared((2, 3)),
        shared((1, 2, 3)),
        group_norm,
        instance_as_batch,
        prepared,
        plain_mean,
        centred,
        over_all,
    ],
)
def test_other_normalisations_are_silent(make: Callable[[Net], str]) -> None:
    """Layer, instance and group norm, a batch of one, data prepared, and means that scale not."""
    net = Net()
    assert codes(net.model(net.node("Relu", make(net)))) == []


@pytest.mark.parametrize("operator", ["InstanceNormalization", "LayerNormalization"])
def test_operators_that_normalise_each_example_are_silent(operator: str) -> None:
    """InstanceNormalization and LayerNormalization are as they should be."""
    net = Net()
    size = 4 if operator == "InstanceNormalization" else 6
    y = net.node(operator, conv(net, image(net)), net.positive(size), net.weight(size))
    assert codes(net.model(net.node("Relu", y))) == []


def test_the_mean_that_is_scaled_with_the_data_is_not_told_of() -> None:
    """``x * scale + (beta - mean * scale)`` is one normalisation."""
    net = Net()
    x = conv(net, image(net))
    mean = net.node("ReduceMean", x, axes=(0, 2, 3))
    square = net.node("ReduceMean", net.node("Mul", x, x), axes=(0, 2, 3))
    scale = net.node("Reciprocal", net.node("Sqrt", net.node("Add", square, net.store(1e-3))))
    y = net.node("Mul", x, scale)
    shift = net.node("Sub", net.weight(4, 1, 1), net.node("Mul", mean, scale))
    (found,) = lints(net.model(net.node("Add", y, shift)))
    assert (found.code.name, found.at) == (BATCH, y)


def test_dead_statistics_are_silent() -> None:
    """What nothing reads is not computed for anybody."""
    net = Net()
    y = conv(net, image(net))
    normalised(net, y, (0, 2, 3))
    assert codes(net.model(net.node("Relu", y))) == []


def test_training_mode_is_found() -> None:
    """A BatchNormalization whose attribute says so, or that is asked for the batch's mean."""
    net = Net(opset=15)
    out = net.batch_norm(conv(net, image(net)), 4, out="y,m,v", training_mode=1)
    (found,) = lints(net.model(out, "m", "v"))
    assert (found.code.name, found.at) == (BATCH, "y")
    old = Net(opset=9)
    out = old.batch_norm(conv(old, image(old)), 4, out="y,m,v,a,b")
    assert BATCH in codes(old.model(out, "m", "v"))


def test_a_batch_norm_of_the_mean_of_its_batch_is_found() -> None:
    """As torch exports one that tracks no statistics; a mean from a caller is none of the batch."""
    net = Net()
    y = conv(net, image(net))
    mean = net.node("ReduceMean", y, axes=(0, 2, 3), keepdims=0)
    variance = net.node("ReduceMean", net.node("Mul", y, y), axes=(0, 2, 3), keepdims=0)
    out = net.node("BatchNormalization", y, net.positive(4), net.weight(4), mean, variance)
    (found,) = lints(net.model(out))
    assert (found.code.name, found.at) == (BATCH, out)
    assert "has to be trained again" in found.remedy
    given = Net()
    y = conv(given, image(given))
    statistics = given.input(4, name="m"), given.input(4, name="v")
    out = given.node("BatchNormalization", y, given.positive(4), given.weight(4), *statistics)
    assert codes(given.model(out)) == []


def test_axes_may_be_an_input() -> None:
    """Since operator set 18; where they are not known, nothing is said."""
    for known in (True, False):
        net = Net(opset=18)
        axes = net.integers(0, 2, 3) if known else net.input(3, name="a", elem_type=INT64)
        y = conv(net, image(net))
        mean = net.node("ReduceMean", net.node("Mul", y, y), axes)
        out = net.node("Div", y, net.node("Sqrt", mean))
        assert codes(net.model(out)) == ([BATCH] if known else [])


def test_an_operator_of_another_domain_is_no_mean() -> None:
    """Whatever it is called."""
    net = Net()
    y = conv(net, image(net))
    mean = net.node("ReduceMean", net.node("Mul", y, y), axes=(0, 2, 3), domain="own")
    assert codes(net.model(net.node("Div", y, net.node("Sqrt", mean)))) == []


def test_a_mean_of_whole_numbers_is_no_statistic() -> None:
    """Data that are normalised are floats, and so are their means."""
    net = Net()
    y = conv(net, image(net))
    mean = net.node("ReduceMean", net.node("Cast", y, to=INT64), axes=(0, 2, 3))
    root = net.node("Sqrt", net.node("Cast", mean, to=FLOAT))
    assert codes(net.model(net.node("Div", y, root))) == []
