"""Gemm and MatMul, with weights on either side, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import TYPES, Net, feed_for
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto
from samples import assert_by_definition, assert_exact, sampled, untyped, whole_numbers

from folding.equivalence.sampling import Unsupported, contraction

SIZES = st.integers(1, 4)


@st.composite
def products(draw: st.DrawFn) -> ModelProto:
    """A MatMul of vectors, matrices or stacks of them; at most one side is a constant."""
    inner, batch = draw(SIZES), draw(st.lists(SIZES, max_size=2))
    net, sides = Net(seed=draw(st.integers(0, 1000))), []
    constant = draw(st.sampled_from([0, 1, None]))
    for side in range(2):
        kept = [size if draw(st.booleans()) else 1 for size in batch]
        own = kept[draw(st.integers(0, len(batch))) :]
        outer = draw(SIZES)
        if not own and draw(st.booleans()):
            dims = [inner]
        else:
            dims = [*own, outer, inner] if side == 0 else [*own, inner, outer]
        if side == constant:
            sides.append(whole_numbers(net, *dims))
        else:
            sides.append(net.input(*dims, name=f"x{side}"))
    net.node("MatMul", *sides, out="y")
    return net.model("y")


@given(products())
def test_a_product_is_what_the_runtime_computes(model: ModelProto) -> None:
    """Stacks are broadcast, vectors lose their axis."""
    assert_exact(model)


@st.composite
def gemms(draw: st.DrawFn) -> ModelProto:
    """A Gemm with its weight on either side, and any third input."""
    m, k, n = draw(SIZES), draw(SIZES), draw(SIZES)
    net = Net(seed=draw(st.integers(0, 1000)))
    turned = draw(st.booleans()), draw(st.booleans())
    constant, inputs = draw(st.sampled_from([0, 1, None])), []
    for side, dims in enumerate(((m, k), (k, n))):
        own = dims[::-1] if turned[side] else dims
        if side == constant:
            inputs.append(whole_numbers(net, *own))
        else:
            inputs.append(net.input(*own, name=f"x{side}"))
    added = draw(st.sampled_from([None, (), (n,), (1,), (1, n), (m, 1), (m, n)]))
    if added is not None:
        inputs.append(whole_numbers(net, *added))
    numbers: dict[str, Any] = {
        "alpha": draw(st.integers(-2, 2)) / 2,
        "beta": draw(st.integers(-2, 2)) / 2,
    }
    net.node("Gemm", *inputs, out="y", transA=turned[0], transB=turned[1], **numbers)
    return net.model("y")


@given(gemms())
def test_a_gemm_is_what_the_runtime_computes(model: ModelProto) -> None:
    """Either side transposed or not, with factors, and a third input that is broadcast."""
    assert_exact(model)


@pytest.mark.parametrize("elem_type", TYPES)
def test_products_are_what_the_specification_says(elem_type: int) -> None:
    """Of any numbers, to the last digits of float64."""
    net = Net(elem_type)
    x = net.input(3, 5)
    y = net.node("Gemm", x, net.weight(4, 5), net.weight(4), transB=1, alpha=0.5, beta=2.0)
    net.node("MatMul", y, net.weight(4, 6), out="y")

    assert_by_definition(net.model("y"))


def test_a_gemm_adds_nothing_without_a_third_input() -> None:
    """It may be left out by an empty name."""
    net = Net()
    net.node("Gemm", net.input(3, 5), whole_numbers(net, 5, 2), "", out="y")

    assert_exact(net.model("y"))


def test_a_third_input_that_is_multiplied_by_nothing_is_not_read() -> None:
    """Infinity times 0 would be no number."""
    net = Net()
    added = net.store([np.inf, 1.0])
    net.node("Gemm", net.input(3, 5), whole_numbers(net, 5, 2), added, out="y", beta=0.0)

    assert_exact(net.model("y"))


@pytest.mark.parametrize(
    ("operator", "data", "dims", "result"),
    [
        ("MatMul", (3, 4), (5, 6), (3, 6)),
        ("MatMul", (3, 4), (3, 6), (3, 6)),
        ("MatMul", (3, 4), (4, 6), (3, 7)),
        ("MatMul", (3, 4), (4, 6), (1, 3, 6)),
        ("MatMul", (2, 3, 4), (3, 4, 6), (2, 3, 6)),
        ("MatMul", (3, 4), (), (3,)),
        ("Gemm", (3, 4), (5, 6), (3, 6)),
        ("Gemm", (3, 4), (4, 6), (6, 3)),
        ("Gemm", (3, 4), (3, 6), (3, 6)),
    ],
)
def test_a_product_that_does_not_fit_its_shapes_is_not_supported(
    operator: str, data: tuple[int, ...], dims: tuple[int, ...], result: tuple[int, ...]
) -> None:
    """Whatever the runtime is said to have made of it."""
    net = Net()
    net.node(operator, net.input(*data), net.weight(*dims), out="y")
    model = untyped(net, "y")

    assert isinstance(sampled(model, feed_for(model), {"y": result}, "y"), Unsupported)


@pytest.mark.parametrize("operator", ["MatMul", "Gemm"])
def test_a_weight_that_is_too_short_is_not_supported_in_blocks_either(
    operator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each block by itself would fit."""
    monkeypatch.setattr(contraction, "_block", lambda _: 6)
    net = Net()
    net.node(operator, net.input(3, 4), net.weight(3, 6), out="y")
    model = untyped(net, "y")

    found = sampled(model, feed_for(model), {"y": (3, 6)}, "y")

    assert found == Unsupported(f"the shapes of {operator} do not fit")


@pytest.mark.parametrize("data", [(4,), (4, 4, 4)])
def test_a_gemm_is_of_matrices(data: tuple[int, ...]) -> None:
    """Only MatMul is of stacks of them, or vectors."""
    net = Net()
    net.node("Gemm", net.input(*data), net.weight(4, 6), out="y")
    model = untyped(net, "y")

    found = sampled(model, feed_for(model), {"y": (4, 6)}, "y")

    assert found == Unsupported("Gemm of what is no matrix")


def test_a_third_input_that_cannot_be_broadcast_is_not_supported() -> None:
    """Gemm broadcasts one way only."""
    net = Net()
    net.node("Gemm", net.input(1, 4), net.weight(4, 6), net.store(np.ones((3, 6))), out="y")
    model = untyped(net, "y")

    found = sampled(model, feed_for(model), {"y": (1, 6)}, "y")

    assert found == Unsupported("'c1' cannot be broadcast")
