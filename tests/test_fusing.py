"""Folds into quantised weights never make onnxruntime round what a layer reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
from graphs import FLOAT, Net, feed_for, fold, fold_unverified
from onnx import ModelProto
from quantising import INT8

import folding
from folding.equivalence.verdict import VerdictName
from folding.plan import Reason

WIDE = 16
Build = Callable[[Net], None]


def weight(net: Net, scale: str, zero: str = "", axis: int = 1) -> str:
    data = net.store(net.random.integers(-99, 99, (WIDE, WIDE)), "", INT8)
    points = [zero] if zero else []
    return net.node("DequantizeLinear", data, scale, *points, axis=axis)


def product(net: Net, made: str, out: str, operator: str = "MatMul", **given: Any) -> None:
    net.node(operator, "x", made, out=f"v{out}", **given)
    net.node("Mul", f"v{out}", net.positive(WIDE), out=out)


def one_scale_of_one_axis(net: Net) -> None:
    product(net, weight(net, net.store([0.05])), "y")


def one_scale_of_one_axis_in_a_gemm(net: Net) -> None:
    product(net, weight(net, net.store([0.05])), "y", "Gemm")


def a_shared_scale(net: Net) -> None:
    scale = net.store(0.05)
    product(net, weight(net, scale), "y")
    net.node("MatMul", "x", weight(net, scale), out="z")


def shared_scales_of_columns(net: Net) -> None:
    scale = net.positive(WIDE)
    product(net, weight(net, scale), "y")
    net.node("MatMul", "x", weight(net, scale), out="z")


def a_shared_zero_point(net: Net) -> None:
    zero = net.store(3, "", INT8)
    product(net, weight(net, net.store(0.05), zero), "y")
    net.node("MatMul", "x", weight(net, net.store(0.05), zero), out="z")


def a_scale_that_is_left_to_a_product(net: Net) -> None:
    scale = net.store(0.05)
    net.node("Gemm", "x", weight(net, scale), out="vy", transB=1)
    net.node("Mul", "vy", net.positive(WIDE), out="y")
    net.node("MatMul", "x", weight(net, scale), out="z")


def a_scale_for_all_columns(net: Net) -> None:
    product(net, weight(net, net.store(0.05)), "y")


def scales_of_columns(net: Net) -> None:
    product(net, weight(net, net.positive(WIDE)), "y")


def a_transposed_weight(net: Net) -> None:
    product(net, weight(net, net.store([0.05])), "y", "Gemm", transB=1)


def a_scale_that_two_others_share(net: Net) -> None:
    scale = net.store([0.05])
    product(net, weight(net, scale), "y", "Gemm", transB=1)
    for out in ("z", "u"):
        net.node("MatMul", "x", weight(net, scale), out=out)


def model(build: Build) -> ModelProto:
    net = Net(FLOAT)
    net.input(2, WIDE)
    build(net)
    made = {name for node in net.nodes for name in node.output}
    return net.model("y", *(name for name in "zu" if name in made))


def rounds(proto: ModelProto) -> bool:
    """Whether the default session is off by more than a float32 is."""
    feed, found = feed_for(proto), []
    levels = onnxruntime.GraphOptimizationLevel
    for level in (levels.ORT_DISABLE_ALL, levels.ORT_ENABLE_ALL):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = level
        session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
        found.append(session.run(None, feed))
    return any(np.abs(a - b).max() > 1e-4 * np.abs(a).max() for a, b in zip(*found, strict=True))


@pytest.mark.parametrize(
    "build",
    [
        one_scale_of_one_axis,
        one_scale_of_one_axis_in_a_gemm,
        a_shared_scale,
        shared_scales_of_columns,
        a_shared_zero_point,
        a_scale_that_is_left_to_a_product,
    ],
)
def test_a_product_that_is_not_rounded_does_not_become_one_that_is(build: Build) -> None:
    source = model(build)

    result = fold(source)

    assert not rounds(source)
    assert result.kept("y")[0] is Reason.ROUNDS_INPUT
    assert result.model == source


@pytest.mark.parametrize("build", [a_scale_for_all_columns, scales_of_columns])
def test_a_product_that_is_rounded_anyway_takes_its_affine_in(build: Build) -> None:
    source = model(build)

    folded, report = folding.fold_model(source)

    assert rounds(source)
    assert report.verification.name is VerdictName.EQUIVALENT
    assert [w.code for w in report.warnings] == ["RUNTIME_OPTIMISER_DIFFERS"]
    assert "Mul" not in [node.op_type for node in folded.graph.node]


@pytest.mark.parametrize("build", [a_transposed_weight, a_scale_that_two_others_share])
def test_what_is_never_rounded_takes_its_affine_in(build: Build) -> None:
    result = fold(model(build))

    assert "Mul" not in result.operators
    assert not rounds(result.model)


def test_without_a_run_it_stays_too() -> None:
    assert fold_unverified(model(a_shared_scale)).kept("y")[0] is Reason.ROUNDS_INPUT
