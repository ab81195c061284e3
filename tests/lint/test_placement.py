"""Where normalisations stand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from graphs import Net
from linting import affine, codes, conv, ended, image, lints, normed

ACTIVATION, POOLING = "ACTIVATION_BEFORE_NORM", "POOLING_BEFORE_NORM"
PADDING = "NORM_BEFORE_PADDING"


@pytest.mark.parametrize("operator", ["Elu", "HardSwish", "LeakyRelu", "Relu", "Sigmoid", "Tanh"])
def test_an_activation_between_layer_and_normalisation_is_found(operator: str) -> None:
    """Whichever it is, and whatever moves the data behind it."""
    net = Net()
    y = net.node(operator, conv(net, image(net)), name="act")
    y = net.node("Identity", net.node("Transpose", y, perm=[0, 1, 3, 2]))
    (found,) = lints(net.model(net.node("Tanh", normed(net, y))))
    assert found.code.name == ACTIVATION
    assert "'act'" in found.cause


@pytest.mark.parametrize("operator", ["AveragePool", "MaxPool"])
def test_a_pooling_between_layer_and_normalisation_is_found(operator: str) -> None:
    """Of maxima or means; what comes first on the way is told."""
    net = Net()
    y = net.node(operator, conv(net, image(net)), kernel_shape=[2, 2])
    assert ended(net, normed(net, y)) == [POOLING]
    both = Net()
    y = both.node(operator, both.node("Relu", conv(both, image(both))), kernel_shape=[2, 2])
    assert ended(both, normed(both, y)) == [POOLING]
    turned = Net()
    y = turned.node("MaxPool", conv(turned, image(turned)), kernel_shape=[2, 2])
    assert ended(turned, normed(turned, turned.node("Relu", y))) == [ACTIVATION]


def test_a_pooling_whose_result_is_added_to_what_follows_is_silent() -> None:
    """A block of a network that normalises first begins there."""
    net = Net()
    pooled = net.node("MaxPool", conv(net, image(net)), kernel_shape=[2, 2])
    inner = conv(net, net.node("Relu", normed(net, pooled)))
    short = net.node("Expand", net.node("ReduceMean", pooled), net.node("Shape", inner))
    assert ended(net, net.node("Add", short, inner)) == []


def residual(net: Net, joined: Callable[[Net, str, str], str]) -> str:
    """A first block: the norm behind the pooling is read by the layers, and by the shortcut."""
    pooled = net.node("MaxPool", conv(net, image(net)), kernel_shape=[2, 2])
    begun = net.node("Relu", normed(net, pooled))
    short = conv(net, begun, inner=4)
    inner = net.node("Relu", normed(net, conv(net, begun, inner=4)))
    return joined(net, short, net.node("Conv", inner, net.weight(4, 4, 1, 1)))


def summed(net: Net, short: str, inner: str) -> str:
    return net.node("Add", short, inner)


def multiplied(net: Net, short: str, inner: str) -> str:
    return net.node("Mul", short, inner)


def summed_apart(net: Net, short: str, inner: str) -> str:
    """Each with something else."""
    other = net.input("N", 4, 1, 1, name="other")
    return net.node("Mul", net.node("Add", short, other), net.node("Add", inner, other))


def test_a_pooling_before_the_first_block_of_a_residual_network_is_silent() -> None:
    """Its shortcut begins behind the norm; where the ways meet in no sum it is another."""
    for joined, expected in ((summed, []), (multiplied, [POOLING]), (summed_apart, [POOLING])):
        net = Net()
        assert ended(net, residual(net, joined)) == expected


def test_a_global_pooling_is_silent() -> None:
    """A normalisation of the features of a whole image is one of its own."""
    net = Net()
    assert ended(net, normed(net, net.node("GlobalAveragePool", conv(net, image(net))))) == []


def directly(net: Net) -> str:
    return normed(net, conv(net, image(net)))


def of_a_sum(net: Net) -> str:
    """Where several ways meet, as in a residual network, nothing is certain."""
    x = image(net)
    return normed(net, net.node("Relu", net.node("Add", conv(net, x), conv(net, x))))


def of_a_concat(net: Net) -> str:
    y = conv(net, image(net))
    return normed(net, net.node("Concat", y, net.node("Relu", y), axis=1), 8)


def without_a_layer(net: Net) -> str:
    return normed(net, net.node("Relu", net.input("N", 4, 8, 8)))


def behind_another_affine(net: Net) -> str:
    """A bias and a scale are no normalisation: layer scale stands so behind its activation."""
    y = net.node("Relu", conv(net, image(net)))
    return net.node("Mul", net.node("Add", y, net.weight(4, 1, 1)), net.positive(4, 1, 1))


def a_scale(net: Net) -> str:
    return net.node("Mul", net.node("Relu", conv(net, image(net))), net.positive(4, 1, 1))


@pytest.mark.parametrize(
    "make",
    [directly, of_a_sum, of_a_concat, without_a_layer, behind_another_affine, a_scale],
)
def test_other_places_are_silent(make: Callable[[Net], str]) -> None:
    """Right behind the layer, behind what joins several, and what is no normalisation."""
    net = Net()
    assert ended(net, make(net)) == []


def test_gamma_and_beta_of_a_layer_norm_are_no_batch_norm() -> None:
    """They follow statistics of the run, which may well follow an activation."""
    net = Net()
    y = net.node("Relu", net.node("MatMul", net.input("N", 4), net.weight(4, 4)))
    apart = net.node("Sub", y, net.node("ReduceMean", y, axes=[-1]))
    variance = net.node("ReduceMean", net.node("Mul", apart, apart), axes=[-1])
    root = net.node("Sqrt", net.node("Add", variance, net.store(1e-3)))
    assert ended(net, affine(net, net.node("Div", apart, root), 4)) == []


def padded(net: Net, y: str, pads: list[int]) -> list[str]:
    return codes(net.model(conv(net, y, inner=3, pads=pads)))


def test_a_normalised_input_before_padding_is_found() -> None:
    """In the layer or before it; without padding it folds."""
    for pads, expected in (([1] * 4, [PADDING]), ([0] * 4, [])):
        net = Net()
        assert padded(net, normed(net, image(net), 3), pads) == expected
    apart = Net()
    y = normed(apart, image(apart), 3)
    y = apart.node("Pad", y, apart.integers(0, 0, 1, 1, 0, 0, 1, 1))
    assert padded(apart, y, [0] * 4) == [PADDING]


@pytest.mark.parametrize("dims", [(1,), (1, 1, 1)])
def test_a_normalised_input_of_one_channel_before_padding_is_found(dims: tuple[int, ...]) -> None:
    """Its scale and shift are mere numbers; by their names they were trained."""
    for named, channels, expected in (
        ("batchnorm/", 1, [PADDING]),
        ("", 1, []),
        ("batchnorm", 3, []),
    ):
        net = Net()
        y = net.node("Mul", image(net, channels), net.positive(*dims), name=f"{named}mul")
        y = net.node("Add", y, net.weight(*dims), name=f"{named}add")
        y = net.node("Conv", y, net.weight(4, channels, 3, 3), pads=[1] * 4)
        assert codes(net.model(y)) == expected
    last = Net()
    y = last.node("Mul", last.input("N", 8, 8, 1), last.positive(*dims), name="batchnorm/mul")
    y = last.node("Add", y, last.weight(*dims), name="batchnorm/add")
    y = last.node("Transpose", y, perm=[0, 3, 1, 2])
    y = last.node("Conv", y, last.weight(4, 1, 3, 3), pads=[1] * 4)
    assert codes(last.model(y)) == [PADDING]
    scaled = Net()
    y = scaled.node("Mul", image(scaled, 1), scaled.positive(*dims), name="batchnorm/mul")
    y = scaled.node("Conv", y, scaled.weight(4, 1, 3, 3), pads=[1] * 4)
    assert codes(scaled.model(y)) == []


def test_how_data_are_prepared_is_silent() -> None:
    """Mean and deviation of the colours are taken off before padding everywhere."""
    net = Net()
    y = net.node("Sub", image(net), net.weight(3, 1, 1))
    assert padded(net, net.node("Div", y, net.positive(3, 1, 1)), [1] * 4) == []
    scaled = Net()
    assert padded(scaled, affine(scaled, image(scaled), 3, 1, 1), [1] * 4) == []


def test_a_trained_normalisation_taken_apart_is_told_from_that() -> None:
    """By three constants, by names, or by the root in its formula."""
    three = Net()
    y = three.node("Sub", image(three), three.weight(3, 1, 1))
    assert padded(three, affine(three, y, 3, 1, 1), [1] * 4) == [PADDING]
    named = Net()
    y = named.node("Mul", image(named), named.positive(3, 1, 1), name="batch_norm/mul")
    y = named.node("Add", y, named.weight(3, 1, 1))
    assert padded(named, y, [1] * 4) == [PADDING]
    rooted = Net()
    root = rooted.node("Sqrt", rooted.node("Add", rooted.positive(3, 1, 1), rooted.store(1e-3)))
    y = rooted.node("Mul", image(rooted), rooted.node("Div", rooted.positive(3, 1, 1), root))
    y = rooted.node("Add", y, rooted.weight(3, 1, 1))
    assert padded(rooted, y, [1] * 4) == [PADDING]
