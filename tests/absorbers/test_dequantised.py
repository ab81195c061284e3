"""Quantised weights that are rearranged before their layer: the scale takes the affine in."""

from __future__ import annotations

import pytest
from absorbers.test_quantised import affine, assert_folds, dequantizers
from graphs import Net, refusal
from quantising import net_of, quantised

from folding.plan import Reason


@pytest.mark.parametrize("scales", [(), (4,)])
@pytest.mark.parametrize("way", [1, 3])
def test_a_transposed_weight_is_folded(scales: tuple[int, ...], way: int) -> None:
    """However often it is turned around."""
    net = net_of()
    weight = quantised(net, 4, 3, scales=scales, axis=0)
    for _ in range(way):
        weight = net.node("Transpose", weight)
    affine(net, net.node("MatMul", net.input(2, 3), weight), 4)

    assert_folds(net, "DequantizeLinear", *["Transpose"] * way, "MatMul", "Add")


@pytest.mark.parametrize("zero", [None, 3])
def test_one_scale_becomes_one_along_the_axis_that_the_channels_were(zero: int | None) -> None:
    net = net_of()
    weight = net.node("Transpose", quantised(net, 3, 2, 4, zero=zero), perm=[2, 0, 1])
    affine(net, net.node("Conv", net.input(2, 3, 5), weight), 4, 1)

    result = assert_folds(net, "DequantizeLinear", "Transpose", "Conv")

    (node,) = dequantizers(result.model)
    assert [(a.name, a.i) for a in node.attribute] == [("axis", 2)]
    assert result.tensors[node.input[1]].shape == (4,)


@pytest.mark.parametrize("scales", [(), (4,)])
@pytest.mark.parametrize(
    ("operator", "dims", "rest"),
    [
        ("Reshape", (4, 6), [4, 3, 2]),
        ("Reshape", (4, 2, 3), [4, 3, 2]),
        ("Reshape", (4, 3, 2, 1), [-1, 3, 2]),
        ("Unsqueeze", (4, 3), [-1]),
        ("Squeeze", (4, 1, 3, 2), [1]),
        ("Identity", (4, 3, 2), None),
    ],
)
def test_a_weight_of_another_shape_is_folded(
    operator: str, dims: tuple[int, ...], rest: list[int] | None, scales: tuple[int, ...]
) -> None:
    net = net_of()
    given = [] if rest is None else [net.integers(*rest)]
    weight = net.node(operator, quantised(net, *dims, scales=scales, axis=0), *given)
    affine(net, net.node("Conv", net.input(2, 3, 5), weight), 4, 1)

    assert_folds(net, "DequantizeLinear", operator, "Conv")


def test_a_weight_is_followed_through_several_forms() -> None:
    net = net_of()
    weight = quantised(net, 3, 4, scales=(4,), axis=1)
    flat = net.node("Flatten", net.node("Transpose", weight), axis=1)
    affine(
        net,
        net.node("Conv", net.input(2, 3, 5), net.node("Unsqueeze", flat, net.integers(2))),
        4,
        1,
    )

    assert_folds(net, "DequantizeLinear", "Transpose", "Flatten", "Unsqueeze", "Conv")


def test_what_is_the_same_for_all_goes_through_any_form() -> None:
    net = net_of()
    weight = net.node("Reshape", quantised(net, 24), net.integers(4, 3, 2))
    layer = net.node("Conv", net.input(2, 3, 5), weight)
    net.node("Add", net.node("Mul", layer, net.store(0.5)), net.weight(4, 1), out="y")

    assert_folds(net, "DequantizeLinear", "Reshape", "Conv")


def refused(net: Net, weight: str) -> Reason:
    layer = net.node("Conv", net.input(2, 3, 5), weight)
    net.node("Mul", layer, net.positive(4, 1), out="y")
    return refusal(net.model("y"))[0]


@pytest.mark.parametrize("dims", [(12, 2), (24,), (2, 2, 3, 2), (2, 4, 3)])
def test_an_axis_that_was_split_or_joined_is_refused(dims: tuple[int, ...]) -> None:
    """And one of the same length that stands elsewhere is another one."""
    net = net_of()
    weight = net.node("Reshape", quantised(net, *dims), net.integers(4, 3, 2))

    assert refused(net, weight) is Reason.OTHER_SCALES


def test_scales_of_another_axis_behind_a_transpose_are_refused() -> None:
    net = net_of()
    weight = quantised(net, 2, 3, 4, scales=(2,), axis=0)

    assert refused(net, net.node("Transpose", weight)) is Reason.OTHER_SCALES


@pytest.mark.parametrize("place", [0, 1])
def test_a_weight_that_another_reads_on_the_way_is_refused(place: int) -> None:
    net = net_of()
    names = [quantised(net, 3, 2, 4)]
    names.append(net.node("Transpose", names[0], perm=[2, 0, 1]))
    net.node("Mul", net.node("Conv", net.input(2, 3, 5), names[1]), net.positive(4, 1), out="y")
    net.node("Relu", names[place], out="z")

    assert refusal(net.model("y", "z"))[0] is Reason.SHARED_WEIGHT


def test_a_weight_that_is_an_output_on_the_way_is_refused() -> None:
    net = net_of()
    net.node("Transpose", quantised(net, 3, 2, 4), perm=[2, 0, 1], out="t")
    net.node("Mul", net.node("Conv", net.input(2, 3, 5), "t"), net.positive(4, 1), out="y")

    assert refusal(net.model("y", "t"))[0] is Reason.SHARED_WEIGHT


def test_an_operator_that_changes_numbers_is_in_the_way() -> None:
    net = net_of()

    assert refused(net, net.node("Relu", quantised(net, 4, 3, 2))) is Reason.TOO_COMPLEX


@pytest.mark.parametrize("scales", [(), (3,)])
def test_before_a_layer_the_scale_goes_into_its_input_channels(scales: tuple[int, ...]) -> None:
    """What the layer makes is the same value as before."""
    net = net_of()
    weight = net.node("Transpose", quantised(net, 4, 3, scales=scales, axis=1))
    data = net.node("Mul", net.input(2, 3), net.positive(3))
    net.node("Relu", net.node("MatMul", data, weight), out="y")

    assert_folds(net, "DequantizeLinear", "Transpose", "MatMul", "Relu")
