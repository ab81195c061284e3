"""Planning takes time in proportion to the model: what is counted is work, not seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import pairwise
from time import process_time
from types import FrameType
from typing import Any

import numpy as np
import pytest
from graphs import BOOL, FLOAT, HALF, Net, plan
from onnx import GraphProto, ModelProto, numpy_helper

from folding import ahead, edits, soundness
from folding.modelfile import Model, in_memory
from folding.planner import plan_model
from folding.tally import operators

SMALL, TIMES = 60, 4
#: More than this times the work for ``TIMES`` times the model is growth of a higher order.
MOST = TIMES * 1.1


def steps(model: Model) -> int:
    """The calls, of Python's functions and of C's, between opening a model and writing it."""
    count = 0

    def called(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        soundness.check(model, "model")
        folded, _ = edits.apply(model, plan_model(model, {}).drafts)
        operators(model, folded)
    finally:
        sys.setprofile(before)
    return count


def near_one(net: Net, *shape: int) -> str:
    """A constant of which the product of many is still a number."""
    return net.store(net.random.uniform(0.99, 1.01, shape))


def conv(net: Net, x: str, weight: str = "", bias: str = "") -> str:
    return net.node("Conv", x, weight or near_one(net, 2, 2, 1), *([bias] if bias else []))


def data(net: Net) -> str:
    return net.input(1, 2, 3)


# --- chains of layers ---------------------------------------------------------------------------


def convolutions(net: Net, n: int) -> list[str]:
    x = data(net)
    for _ in range(n):
        x = net.node("Relu", net.batch_norm(conv(net, x), 2))
    return [x]


def dense_layers(net: Net, n: int) -> list[str]:
    x = net.input(2, 2)
    for _ in range(n):
        dense = net.node("Add", net.node("MatMul", x, near_one(net, 2, 2)), near_one(net, 2))
        x = net.batch_norm(dense, 2)
    return [x]


def spelled_norms(net: Net, n: int) -> list[str]:
    x = data(net)
    for _ in range(n):
        x = net.node("Mul", conv(net, x), near_one(net, 2, 1))
        x = net.node("Relu", net.node("Add", x, near_one(net, 2, 1)))
    return [x]


def norms_in_a_row(net: Net, n: int) -> list[str]:
    x = conv(net, data(net))
    for _ in range(n):
        x = net.batch_norm(x, 2)
    return [x]


def plain_nodes(net: Net, n: int) -> list[str]:
    x = data(net)
    for _ in range(n):
        x = net.node("Relu", x)
    return [x]


# --- what many read -----------------------------------------------------------------------------


def readers_of_a_value(net: Net, n: int) -> list[str]:
    x = net.batch_norm(conv(net, data(net)), 2)
    return [net.node("Relu", x) for _ in range(n)]


def affines_on_a_value(net: Net, n: int) -> list[str]:
    x = conv(net, data(net))
    return [net.node("Mul", x, near_one(net, 2, 1)) for _ in range(n)]


def affines_among_readers_of_a_shape(net: Net, n: int) -> list[str]:
    x = conv(net, data(net))
    shapes = [net.node("Shape", x) for _ in range(n)]
    return [*shapes, *(net.node("Mul", x, near_one(net, 2, 1)) for _ in range(n))]


def a_shared_weight(net: Net, n: int) -> list[str]:
    x, weight = data(net), near_one(net, 2, 2, 1)
    for _ in range(n):
        x = net.node("Relu", net.batch_norm(conv(net, x, weight), 2))
    return [x]


def a_shared_scale(net: Net, n: int) -> list[str]:
    x, scale = data(net), near_one(net, 2, 1)
    for _ in range(n):
        x = net.node("Mul", conv(net, x), scale)
    return [x]


def a_shared_bias(net: Net, n: int) -> list[str]:
    x, bias = data(net), near_one(net, 2, 1)
    for _ in range(n):
        x = net.node("Add", net.node("Relu", x), bias)
    return [x]


# --- long ways ----------------------------------------------------------------------------------


def carried(operator: str, *vector: int) -> Callable[[Net, int], list[str]]:
    """Affines with an Identity behind each, behind one convolution."""

    def build(net: Net, n: int) -> list[str]:
        value = conv(net, data(net))
        for _ in range(n):
            affine = net.node(operator, value, near_one(net, *vector))
            value = net.node("Identity", affine)
        return [value]

    return build


def shifts_behind_a_product(net: Net, n: int) -> list[str]:
    x = net.node("MatMul", net.input(2, 2), near_one(net, 2, 2))
    for _ in range(n):
        x = net.node("Add", net.node("Mul", x, near_one(net, 2)), near_one(net, 2))
        x = net.node("Identity", x)
    return [x]


def transposed(net: Net, n: int) -> list[str]:
    x = conv(net, data(net))
    for _ in range(n):
        x = net.node("Mul", net.node("Transpose", x, perm=[0, 2, 1]), near_one(net, 2))
        x = net.node("Transpose", x, perm=[0, 2, 1])
    return [x]


def reshaped(net: Net, n: int) -> list[str]:
    x = conv(net, data(net))
    for _ in range(n):
        for shape in ((1, 2, 3, 1), (1, 6), (1, 2, 3)):
            x = net.node("Reshape", x, net.integers(*shape))
        x = net.node("Flatten", net.node("Mul", x, near_one(net, 2, 1)))
        x = net.node("Reshape", x, net.integers(1, 2, 3))
    return [x]


def reshaped_behind_a_rounding(net: Net, n: int) -> list[str]:
    x = net.node("Cast", conv(net, data(net)), to=HALF)
    for _ in range(n):
        scale = net.random.uniform(0.99, 1.01, 2).repeat(3)
        x = net.node("Reshape", x, net.integers(1, 6))
        x = net.node("Mul", x, net.store(scale, elem_type=HALF))
        x = net.node("Reshape", x, net.integers(1, 2, 3))
    return [x]


def numbers_that_cost_something(net: Net, n: int) -> list[str]:
    """Scalars that a layer takes in only with the norm behind them, since its weight is shared."""
    x, weight = data(net), near_one(net, 2, 2, 1)
    other, y = conv(net, x, weight), conv(net, x, weight)
    for _ in range(n):
        y = net.node("Identity", net.node("Mul", y, near_one(net)))
    return [other, net.batch_norm(y, 2)]


def affines_behind_a_rounding(net: Net, n: int) -> list[str]:
    x = net.node("Cast", conv(net, data(net)), to=HALF)
    for _ in range(n):
        scale = net.store(net.random.uniform(0.99, 1.01, (2, 1)), elem_type=HALF)
        x = net.node("Identity", net.node("Mul", x, scale))
    return [net.node("Cast", x, to=FLOAT)]


def affines_along_two_axes(net: Net, n: int) -> list[str]:
    x = conv(net, data(net))
    for number in range(n):
        x = net.node("Mul", x, near_one(net, *((3,) if number % 2 else (2, 1))))
    return [x]


def folds_that_unlock_the_one_before(net: Net, n: int) -> list[str]:
    """Each scale is the weight of the layer before, which is shared until the scale is folded."""
    x = net.input(1, 1, 3)
    weights = [near_one(net, 1, 1, 1) for _ in range(n + 1)]
    return [net.node("Mul", conv(net, x, weight), scale) for scale, weight in pairwise(weights)]


# --- constants ----------------------------------------------------------------------------------


def small_tensors(net: Net, n: int) -> list[str]:
    for _ in range(20 * n):
        near_one(net, 2)
    return convolutions(net, 1)


def constant_nodes(net: Net, n: int) -> list[str]:
    for _ in range(n):
        net.node("Constant", value=numpy_helper.from_array(np.ones(2, np.float32)))
    return convolutions(net, 1)


def moved_constants(net: Net, n: int) -> list[str]:
    x, scale = data(net), near_one(net, 2, 1)
    for _ in range(n):
        scale = net.node("Identity", scale)
        x = net.node("Relu", net.node("Mul", x, scale))
    return [x]


def numbers_from_a_shape(net: Net, n: int) -> list[str]:
    x = data(net)
    numbers = net.node("Shape", x)
    for _ in range(n):
        numbers = net.node("Sub", numbers, numbers)
    return [net.node("Relu", x), net.node("Identity", numbers)]


# --- bodies -------------------------------------------------------------------------------------


def body(x: str, prefix: str, depth: int = 0) -> GraphProto:
    """A convolution and its norm, and so many bodies in each other that do the same."""
    inner = Net()
    weight = inner.weight(2, 2, 1, name=f"{prefix}w")
    inner.node("Conv", x, weight, out=f"{prefix}v")
    inner.batch_norm(f"{prefix}v", 2, f"{prefix}y")
    if not depth:
        return inner.graph(f"{prefix}y")
    other = Net()
    other.node("Relu", f"{prefix}y", out=f"{prefix}o")
    then = body(f"{prefix}y", f"{prefix}n", depth - 1)
    inner.node(
        "If", "condition", out=f"{prefix}z", then_branch=then, else_branch=other.graph(f"{prefix}o")
    )
    return inner.graph(f"{prefix}z")


def bodies(net: Net, n: int) -> list[str]:
    x, condition = data(net), net.input(name="condition", elem_type=BOOL)
    for number in range(n):
        then, other = (body(x, f"{name}{number}") for name in ("then", "else"))
        x = net.node("If", condition, then_branch=then, else_branch=other)
    return [x]


# --- affines that travel -------------------------------------------------------------------------


def affines_that_go_down_together(net: Net, n: int) -> list[str]:
    x = data(net)
    for _ in range(n):
        x = net.node("Identity", net.node("Mul", x, near_one(net, 2, 1)))
    return [conv(net, x)]


def affines_that_cannot_go_down(net: Net, n: int) -> list[str]:
    x = data(net)
    for _ in range(n):
        x = net.node("Identity", net.node("Mul", x, near_one(net, 2, 1)))
    return [net.node("Sigmoid", x)]


def affines_behind_a_pooling(net: Net, n: int) -> list[str]:
    x = conv(net, data(net))
    for _ in range(n):
        x = net.node("MaxPool", net.node("Mul", x, near_one(net, 2, 1)), kernel_shape=[1])
    return [x]


def layers_that_read_one_affine(net: Net, n: int) -> list[str]:
    x = net.batch_norm(data(net), 2)
    return [conv(net, x) for _ in range(n)]


def affines_that_meet_in_a_sum(net: Net, n: int) -> list[str]:
    x = data(net)
    parts = [net.batch_norm(net.node("Sigmoid", x), 2) for _ in range(n)]
    return [net.node("Sum", *parts)]


def branches_of_a_concat(net: Net, n: int) -> list[str]:
    x = data(net)
    both = net.node("Concat", *(conv(net, x) for _ in range(n)), axis=1)
    return [net.batch_norm(both, 2 * n)]


def residual_additions(net: Net, n: int) -> list[str]:
    x = data(net)
    value = conv(net, x)
    for _ in range(n):
        value = net.node("Add", net.node("Relu", conv(net, value)), conv(net, value))
        value = net.batch_norm(value, 2)
    return [value]


def a_tree_of_additions(net: Net, n: int) -> list[str]:
    x = data(net)
    value = conv(net, x)
    for _ in range(n):
        value = net.node("Add", value, conv(net, x))
    return [net.batch_norm(value, 2)]


def diamonds(net: Net, n: int) -> list[str]:
    """Each value twice in the next: a walk that followed both ways would double with each."""
    value = conv(net, data(net))
    for _ in range(n):
        value = net.node("Add", value, value)
    return [net.batch_norm(value, 2)]


def diamonds_of_two_ways(net: Net, n: int) -> list[str]:
    value = conv(net, data(net))
    for _ in range(n):
        value = net.node("Mean", net.node("Identity", value), value)
    return [net.node("Mul", value, near_one(net, 2, 1))]


def scales_among_diamonds(net: Net, n: int) -> list[str]:
    value = conv(net, data(net))
    for _ in range(n):
        value = net.node("Sub", value, net.node("GlobalAveragePool", value))
        value = net.node("Mul", value, near_one(net, 2, 1))
    return [value]


def diamonds_on_the_way_down(net: Net, n: int) -> list[str]:
    value = net.batch_norm(data(net), 2)
    for _ in range(n):
        value = net.node("Mean", net.node("Identity", value), value)
    return [conv(net, value)]


def affines_above_diamonds_that_stay(net: Net, n: int) -> list[str]:
    value = data(net)
    for _ in range(n):
        value = net.node("Mul", value, near_one(net, 2, 1))
        value = net.node("Mean", net.node("Identity", value), value)
    return [net.node("Sigmoid", value)]


def affines_that_meet_twice_in_a_sum(net: Net, n: int) -> list[str]:
    parts: list[str] = []
    for _ in range(n):
        x = net.batch_norm(net.node("Sigmoid", data(net) if not parts else "x"), 2)
        parts += [net.node("MaxPool", x, kernel_shape=[1]), net.node("Identity", x)]
    return [net.node("Sum", *parts)]


def sums_that_read_one_affine(net: Net, n: int) -> list[str]:
    x = net.batch_norm(data(net), 2)
    return [net.node("Add", x, net.node("Sigmoid", "x")) for _ in range(n)]


def affines_above_cuts_that_stay(net: Net, n: int) -> list[str]:
    x = data(net)
    for _ in range(n):
        x = net.node("Concat", *[net.node("Mul", x, near_one(net, 2, 1))] * 2, axis=1)
        x = net.node("Split", x, axis=1, out=f"{x}_0,{x}_1")
    return [net.node("Sigmoid", x)]


def affines_above_parts_that_stay(net: Net, n: int) -> list[str]:
    x = data(net)
    for number in range(n):
        x = net.node("Mul", x, near_one(net, 2, 1))
        x = net.node("Tile", x, net.integers(1, 2, 1))
        net.node("Split", x, axis=1, out=f"p{number},q{number}")
        x = net.node("Sub", f"p{number}", net.node("Sigmoid", f"q{number}"))
    return [x]


def scales_without_their_shifts(net: Net, n: int) -> list[str]:
    x = data(net)
    for _ in range(n):
        x = net.node("Mul", net.node("Relu", conv(net, x)), near_one(net, 2, 1))
        x = net.node("Add", x, near_one(net, 2, 1))
        x = net.node("Conv", x, near_one(net, 2, 2, 3), pads=[1, 1])
    return [x]


SHAPES: dict[str, Callable[[Net, int], list[str]]] = {
    function.__name__.replace("_", " "): function
    for function in (
        convolutions,
        dense_layers,
        spelled_norms,
        norms_in_a_row,
        plain_nodes,
        readers_of_a_value,
        affines_on_a_value,
        affines_among_readers_of_a_shape,
        a_shared_weight,
        a_shared_scale,
        a_shared_bias,
        shifts_behind_a_product,
        transposed,
        reshaped,
        reshaped_behind_a_rounding,
        numbers_that_cost_something,
        affines_behind_a_rounding,
        affines_along_two_axes,
        folds_that_unlock_the_one_before,
        small_tensors,
        constant_nodes,
        moved_constants,
        numbers_from_a_shape,
        bodies,
        affines_that_go_down_together,
        affines_that_cannot_go_down,
        affines_behind_a_pooling,
        layers_that_read_one_affine,
        affines_that_meet_in_a_sum,
        branches_of_a_concat,
        residual_additions,
        a_tree_of_additions,
        diamonds,
        diamonds_of_two_ways,
        diamonds_on_the_way_down,
        affines_that_meet_twice_in_a_sum,
        sums_that_read_one_affine,
        affines_above_cuts_that_stay,
        affines_above_parts_that_stay,
        scales_without_their_shifts,
    )
} | {
    "scales and carriers": carried("Mul", 2, 1),
    "numbers and carriers": carried("Mul"),
    "shifts and carriers": carried("Add", 2, 1),
}


def built(
    build: Callable[[Net, int], list[str]], n: int, ir_version: int = 8, opset: int = 17
) -> ModelProto:
    net = Net(ir_version=ir_version, opset=opset)
    return net.model(*build(net, n))


def nested(depth: int) -> ModelProto:
    net = Net()
    x, condition = data(net), net.input(name="condition", elem_type=BOOL)
    value = net.node("If", condition, then_branch=body(x, "t", depth), else_branch=body(x, "e"))
    return net.model(value)


@pytest.mark.parametrize("name", SHAPES)
def test_the_work_grows_with_the_model_and_no_faster(name: str) -> None:
    small, large = (in_memory(built(SHAPES[name], n)) for n in (SMALL, TIMES * SMALL))

    assert steps(large) <= MOST * steps(small)


@pytest.mark.parametrize("build", [scales_among_diamonds, affines_above_diamonds_that_stay])
def test_not_every_affine_walks_a_long_row_of_diamonds_again(
    build: Callable[[Net, int], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "_MOST_FORKS", 6)
    small, large = (in_memory(built(build, n)) for n in (SMALL, TIMES * SMALL))

    assert steps(large) <= MOST * steps(small)


def test_the_work_grows_no_faster_where_tensors_are_inputs_too() -> None:
    small, large = (
        in_memory(built(convolutions, n, ir_version=3, opset=9)) for n in (SMALL, TIMES * SMALL)
    )

    assert steps(large) <= MOST * steps(small)


def test_the_work_grows_no_faster_with_the_depth_of_bodies() -> None:
    small, large = (in_memory(nested(depth)) for depth in (6, TIMES * 6))

    assert steps(large) <= MOST * steps(small)


def test_many_that_a_node_refuses_alike_are_not_each_looked_for_among_its_inputs() -> None:
    """What is counted elsewhere are calls, of which a loop has none."""
    net = Net()
    x = net.node("Sigmoid", net.input(2))
    net.node("Max", *[x] * 20_000, *(net.node("Neg", x) for _ in range(2_000)), out="y")
    model = in_memory(net.model("y"))
    start = process_time()

    plan_model(model, {})

    assert process_time() - start < 4


def test_folds_that_unlock_the_one_before_are_all_made() -> None:
    decisions = plan(built(folds_that_unlock_the_one_before, 5))

    assert [decision.is_folded for decision in decisions] == [True] * 5
