"""Which axis a normalisation acts along, and which one has the channels of its layer."""

from __future__ import annotations

import pytest
from graphs import FLOAT, Net
from linting import affine, conv, ended, image, normed

AXIS, BIAS = "WRONG_AXIS", "REDUNDANT_BIAS"


@pytest.mark.parametrize("sizes", [(8, 10), (4, 10), (10, 4)])
def test_another_axis_than_the_channels_is_found(sizes: tuple[int, int]) -> None:
    """Even where an image is as wide or high as there are channels."""
    height, width = sizes
    for dims in ((width,), (height, 1)):
        net = Net()
        y = net.node("Conv", net.input("N", 3, height, width), net.weight(4, 3, 1, 1))
        assert ended(net, affine(net, y, *dims)) == [AXIS]
    right = Net()
    y = right.node("Conv", right.input("N", 3, height, width), right.weight(4, 3, 1, 1))
    assert ended(right, affine(right, y, 4, 1, 1)) == []


def test_the_axis_is_followed_through_what_moves_it() -> None:
    """A Transpose makes the last axis the channels, a Reshape may keep them."""
    for dims, expected in (((4,), []), ((6, 1), [AXIS])):
        net = Net()
        y = net.node("Transpose", conv(net, image(net)), perm=[0, 2, 3, 1])
        assert ended(net, affine(net, y, *dims)) == expected
    flat = Net()
    y = flat.node("Reshape", conv(flat, image(flat)), flat.integers(0, 4, 36))
    assert ended(flat, affine(flat, y, 4, 1)) == []
    features = Net()
    y = features.node("Reshape", conv(features, image(features)), features.integers(0, -1))
    assert ended(features, affine(features, y, 4 * 36)) == []


def test_a_dense_layer_has_its_channels_last() -> None:
    """In a batch of sequences, too."""
    for dims, expected in (((5,), []), ((7, 1), [AXIS])):
        net = Net()
        y = net.node("MatMul", net.input("N", 7, 3), net.weight(3, 5))
        assert ended(net, affine(net, y, *dims)) == expected


def test_a_layer_with_its_weights_on_the_left_has_its_channels_before_the_last() -> None:
    """Whether as rows of a product or behind a Transpose, where fold takes in the same."""
    for dims, expected in (((3, 1), []), ((5,), [AXIS])):
        net = Net()
        y = net.node("MatMul", net.weight(3, 4), net.input("N", 4, 5))
        assert ended(net, affine(net, y, *dims)) == expected
    vector = Net()
    y = vector.node("MatMul", vector.weight(3, 4), vector.input(4))
    assert ended(vector, affine(vector, y, 3)) == []
    for bias, expected in (((3, 1), [BIAS]), ((5,), [])):
        net = Net()
        y = net.node("Gemm", net.weight(3, 4), net.input(4, 5), net.weight(*bias))
        assert ended(net, normed(net, net.node("Transpose", y), 3)) == expected


def test_a_product_of_two_computed_values_has_no_channels() -> None:
    """It is no layer of weights: either of its axes may be normalised."""
    for dims in ((3, 1), (5,)):
        net = Net()
        y = net.node("MatMul", net.input("N", 3, 4, name="a"), net.input("N", 4, 5))
        assert ended(net, affine(net, y, *dims)) == []


def test_the_channels_are_followed_where_the_axis_is_not() -> None:
    """A dense layer of sequences is one of rows for some converters, which then are taken apart."""
    for dims, expected in (((5,), [BIAS]), ((7, 1), [AXIS])):
        net = Net()
        rows = net.node("Reshape", net.input("N", 7, 3), net.integers(-1, 3))
        y = net.node("MatMul", rows, net.weight(3, 5))
        y = net.node("Reshape", y, net.integers(-1, 7, 5))
        y = net.node("Add", y, net.weight(5))
        assert ended(net, affine(net, y, *dims)) == expected
    moved = Net()
    rows = moved.node("Reshape", moved.input("N", 7, 3), moved.integers(-1, 3))
    y = moved.node("MatMul", rows, moved.weight(3, 5))
    y = moved.node("Reshape", y, moved.integers(-1, 7, 5))
    y = moved.node("Transpose", y, perm=[1, 2, 0])
    assert ended(moved, affine(moved, y, 5, 1)) == []


def test_channels_that_are_moved_beside_an_unknown_axis_are_found() -> None:
    """A Transpose on the way down is the other way round than on the way up."""
    net = Net()
    rows = net.node("Reshape", net.input("N", 7, 3), net.integers(-1, 3))
    y = net.node("MatMul", rows, net.weight(3, 5))
    y = net.node("Transpose", net.node("Reshape", y, net.integers(-1, 7, 5)), perm=[1, 2, 0])
    assert ended(net, affine(net, y, 7, 1, 1)) == [AXIS]


@pytest.mark.parametrize(
    ("channels", "height", "width"),
    [
        pytest.param(4, 4, "W", id="it is unknown how much is behind it"),
        pytest.param(6, 4, 6, id="something else is behind the other"),
    ],
)
def test_an_axis_of_the_same_length_may_be_another(
    channels: int, height: int, width: int | str
) -> None:
    """Behind a Reshape the channels are not what only is as long as they are."""
    net = Net()
    y = net.node("Conv", net.input("N", 3, height, width), net.weight(channels, 3, 1, 1))
    y = net.node("Reshape", y, net.integers(0, channels, -1))
    assert ended(net, normed(net, y, channels)) == []


def test_an_only_channel_is_on_no_axis_for_certain() -> None:
    """What is flattened behind it are the features."""
    net = Net()
    y = net.node("Conv", net.input("N", 3, 6, 6), net.weight(1, 3, 1, 1))
    y = net.node("Reshape", y, net.integers(0, 1, 36))
    assert ended(net, affine(net, y, 36)) == []


def test_the_walk_ends_at_operators_of_other_domains() -> None:
    """Whatever they are called."""
    net = Net()
    y = net.node("MaxPool", conv(net, image(net)), domain="own")
    y = net.node("Reshape", net.node("Cast", y, to=FLOAT), net.integers(2, 4, 9))
    assert ended(net, normed(net, y)) == []
