"""Rounding: what the reference loses by its own, no other model is blamed for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import BOOL, DOUBLE, FLOAT, HALF, INT64, Net
from inprocess import any_verdict, compared
from onnx import ModelProto, helper, numpy_helper

from folding.equivalence.rounding import rounded_values, rounding_feed, with_rounding
from folding.equivalence.runtime import Session
from folding.equivalence.verdict import Check, Status
from folding.modelfile import in_memory


def outputs(reference: ModelProto, candidate: ModelProto, **more: Any) -> Check:
    return compared(reference, candidate, measured=False, is_ours=False, **more).outputs


# --- models that are inaccurate ------------------------------------------------------------------


def inaccurate() -> ModelProto:
    """A bias and a mean of ten thousand, and a signal of a hundredth."""
    net = Net()
    hidden = net.node(
        "Conv",
        net.input(1, 4, 8, 8),
        net.store(net.random.normal(size=(5, 4, 3, 3)) * 1e-3),
        net.store(np.full(5, 1e4)),
    )
    gamma, beta = net.positive(5), net.weight(5)
    mean, var = (net.store(np.full(5, value)) for value in (1e4, 1e-4))
    net.node("Relu", net.node("BatchNormalization", hidden, gamma, beta, mean, var), out="y")
    return net.model("y")


def exact_fold(source: ModelProto, *, off: float = 0.0) -> ModelProto:
    """The same in float64, rounded once, with other names and another operator behind it."""
    stored = [numpy_helper.to_array(t).astype(np.float64) for t in source.graph.initializer]
    weight, bias, gamma, beta, mean, var = stored
    scale = gamma / np.sqrt(var + np.float64(np.float32(1e-5)))
    net = Net()
    hidden = net.node(
        "Conv",
        net.input(1, 4, 8, 8),
        net.store(weight * scale[:, None, None, None]),
        net.store(beta + (bias - mean) * scale + off),
        out="other",
    )
    net.node("Max", hidden, net.store(0.0), out="y")
    return net.model("y")


def test_a_fold_that_is_better_than_its_inaccurate_source_is_not_called_different() -> None:
    """The reference is off by a thirtieth of its own size."""
    verdict = any_verdict(inaccurate(), exact_fold(inaccurate()))

    assert verdict.name == "unproven"
    assert "the reference's own rounding" in verdict.checks[-1].why


def test_a_fault_beyond_the_rounding_of_an_inaccurate_source_is_found() -> None:
    assert any_verdict(inaccurate(), exact_fold(inaccurate(), off=3.0)).name == "different"


def sine(*factors: float) -> ModelProto:
    net = Net()
    hidden = net.input(2, 6)
    for factor in factors:
        hidden = net.node("Mul", hidden, net.store(np.float32(factor)))
    net.node("Sin", hidden, out="y")
    return net.model("y")


def test_inputs_so_large_that_a_rounding_decides_the_sine_are_no_evidence() -> None:
    """Those of usual size are."""
    check = outputs(sine(30.1, 33.3), sine(30.1 * 33.3))

    assert check.status is Status.PASSED
    assert "lost in the reference's own rounding on some inputs: 'y'" in check.why
    assert outputs(sine(30.1, 33.3), sine(30.1 * 33.31)).status is Status.FAILED


def test_where_all_inputs_are_lost_in_rounding_nothing_is_established() -> None:
    """Every number is enlarged until its sine is any."""
    feeds = [{"x": np.random.default_rng(0).normal(size=(2, 6)).astype(np.float32)}]

    check = outputs(sine(1e6, 1e6), sine(1e12), feeds=feeds)

    assert (check.status, check.excused) == (Status.NOT_RUN, False)


def far(number: float, factor: float) -> ModelProto:
    net = Net()
    away = net.store(number)
    hidden = net.node("Sub", net.node("Add", net.input(2, 6), away), away)
    net.node("Mul", hidden, net.store(factor), out="y")
    return net.model("y")


def test_numbers_that_cancel_are_no_better_known_than_what_is_left_of_them() -> None:
    near = Net()
    near.node("Mul", near.input(2, 6), near.store(100.0), out="y")
    wrong = Net()
    wrong.node("Mul", wrong.input(2, 6), wrong.store(101.0), out="y")

    check = outputs(far(1e4, 100.0), near.model("y"))

    assert check.status is Status.PASSED
    assert "as far off as the reference's own rounding: 'y'" in check.why
    assert outputs(far(1e4, 100.0), wrong.model("y")).status is Status.FAILED


def test_what_the_optimiser_rounds_otherwise_is_judged_by_the_rounding_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Here it computes the sine of the next float."""

    class Next(Session):
        def __init__(self, *models: object, optimised: bool, **more: object) -> None:
            super().__init__(*models, optimised=optimised, **more)  # type: ignore[arg-type]
            self.is_next = optimised and str(models[0].path).endswith("1.onnx")  # type: ignore[attr-defined]

        def run(self, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
            if self.is_next:
                feed = {name: np.nextafter(a, np.inf, dtype=a.dtype) for name, a in feed.items()}
            return super().run(feed)

    monkeypatch.setattr("folding.equivalence.sessions.Session", Next)

    assert outputs(sine(30.0), sine(30.0)).status is Status.PASSED


# --- the noisy model -----------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "unit"), [(FLOAT, 2.0**-24), (DOUBLE, 2.0**-53), (HALF, 2**-11)])
def test_every_value_moves_by_a_few_roundings_of_itself(kind: int, unit: float) -> None:
    net = Net(elem_type=kind)
    net.node("Add", net.input(4, 50), net.store(0.0), out="y")
    model = net.model("y")
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    exact = np.geomspace(1e-3, 1e3, 200).astype(dtype).reshape(4, 50)
    feed = rounding_feed({"x": exact}, {"y": (4, 50)}, {"y": kind}, np.random.default_rng(0))

    with Session(in_memory(model), with_rounding(model, {"y": kind}), optimised=False) as session:
        noisy = session.run_named(feed)["y"].astype(np.float64)

    moved = np.abs(noisy / exact - 1)
    assert 2 * unit < np.sqrt(np.mean(moved**2)) < 16 * unit
    assert moved.max() <= 18 * unit


def test_only_floats_that_depend_on_the_numbers_of_an_input_are_rounded() -> None:
    net = Net()
    net.input("n", 3, name="x")
    net.input(1, name="flag", elem_type=BOOL)
    size = net.node("Cast", net.node("Shape", "x"), to=FLOAT, out="size")
    net.node("Mul", size, net.store(2.0), out="twice")
    net.node("Sqrt", net.store(2.0), out="root")
    net.node("Mul", "x", "root", out="scaled")
    net.node("ArgMax", "scaled", out="place")
    net.node("Cast", "flag", to=FLOAT, out="number")
    net.node("CastLike", "twice", "x", out="like")
    model = net.model("scaled", "place", "number", "twice", "like")
    types = {
        "like": FLOAT,
        "size": FLOAT,
        "twice": FLOAT,
        "root": FLOAT,
        "scaled": FLOAT,
        "place": INT64,
    }

    found = rounded_values(model.graph, lambda name: {**types, "number": FLOAT}.get(name, 0))

    assert found == {"scaled": FLOAT}
