"""Trials: what does not fit its type is kept, and many such affines cost few plans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files import save
from graphs import FLOAT, HALF, Net
from onnx import ModelProto

import folding
from folding import Kept, Reason, trial
from folding.modelfile import in_memory
from folding.plan import Decision
from folding.planner import plan_model

MANY, NARROW, WIDE = 30, 2, 200


def net(kinds: list[str], elem_type: int = HALF, *, width: int = NARROW) -> ModelProto:
    """Convolutions of one input, each with a normalisation that fits or overflows its weight.

    Narrow ones overflow a new bias, too, and are computed at once; wide ones when they are written.
    """
    made = Net(elem_type=elem_type)
    x = made.input(1, width, 4, 4)
    for number, kind in enumerate(kinds):
        hidden = made.node("Conv", x, made.weight(4, width, 1, 1, name=f"w{number}"))
        made.batch_norm(hidden, 4, out=f"y{number}")
        if kind == "overflows":
            largest = np.finfo(np.float16 if elem_type == HALF else np.float32).max
            made.stored[f"y{number}.gamma"][:] = largest
            if width == WIDE:
                made.stored[f"y{number}.beta"][:] = made.stored[f"y{number}.mean"][:] = 0
    return made.model(*(f"y{number}" for number in range(len(kinds))))


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many affines were refused before each plan."""
    calls: list[int] = []

    def counting(model: Any, refused: Any) -> Any:
        calls.append(len(refused))
        return plan_model(model, refused)

    monkeypatch.setattr(trial, "plan_model", counting)
    return calls


Decide = Callable[[ModelProto, Path], Sequence[Decision]]


def by_fold(model: ModelProto, folder: Path) -> Sequence[Decision]:
    return folding.fold(save(model, folder / "m.onnx"), verify=False).plan.decisions


def by_explain(model: ModelProto, folder: Path) -> Sequence[Decision]:
    return folding.explain(save(model, folder / "m.onnx")).decisions


def in_a_variable(model: ModelProto, folder: Path) -> Sequence[Decision]:
    return folding.fold_model(model, verify=False)[1].plan.decisions


WAYS: list[Decide] = [by_fold, by_explain, in_a_variable]


@pytest.mark.parametrize("width", [NARROW, WIDE])
@pytest.mark.parametrize("decide", WAYS)
def test_many_affines_that_do_not_fit_cost_few_plans(
    tmp_path: Path, plans: list[int], decide: Decide, width: int
) -> None:
    """They are found in one go, not one with each plan."""
    decisions = decide(net(["overflows"] * MANY, width=width), tmp_path)

    assert all(isinstance(decision.outcome, Kept) for decision in decisions)
    assert len(decisions) == MANY
    assert len(plans) <= 3


@pytest.mark.parametrize("decide", WAYS)
def test_only_those_are_kept_that_do_not_fit(
    tmp_path: Path, plans: list[int], decide: Decide
) -> None:
    """Each is told with the tensor that would overflow."""
    kinds = ["overflows" if number % 3 else "fits" for number in range(MANY)]

    decisions = decide(net(kinds), tmp_path)

    kept = {d.name: d.outcome for d in decisions if isinstance(d.outcome, Kept)}
    assert kept == {
        f"y{number}": Kept(Reason.OVERFLOW, f"w{number}")
        for number, kind in enumerate(kinds)
        if kind == "overflows"
    }
    assert len(plans) <= 3


@pytest.mark.parametrize("decide", WAYS)
def test_what_fits_costs_one_plan(tmp_path: Path, plans: list[int], decide: Decide) -> None:
    """Nothing is planned again without need."""
    decisions = decide(net(["fits"] * 3), tmp_path)

    assert all(decision.is_folded for decision in decisions)
    assert plans == [0]


@pytest.mark.parametrize("elem_type", [HALF, FLOAT])
def test_explain_decides_what_fold_does(tmp_path: Path, elem_type: int) -> None:
    """In the order of the graph, whatever does not fit."""
    model = net(["fits", "overflows", "overflows", "fits", "overflows"], elem_type)

    assert by_explain(model, tmp_path) == by_fold(model, tmp_path)
    assert by_explain(model, tmp_path) == in_a_variable(model, tmp_path)


def test_an_affine_that_is_kept_stays_as_it_was(tmp_path: Path) -> None:
    """Those beside it are folded, and all is proved."""
    model = net(["fits", "overflows"])

    folded, report = folding.fold_model(model)

    assert [node.op_type for node in folded.graph.node] == ["Conv", "Conv", "BatchNormalization"]
    assert report.verification.checks[1].status.value == "passed"


def tower(inner: float, outer: float, width: int) -> ModelProto:
    """Two normalisations behind a convolution, both of which go into its weight."""
    made = Net(elem_type=HALF)
    x = made.input(1, width, 4, 4)
    hidden = made.node("Conv", x, made.weight(4, width, 1, 1, name="w"))
    hidden = made.batch_norm(hidden, 4, out="inner")
    made.batch_norm(made.node("Transpose", hidden, perm=[0, 1, 3, 2]), 4, out="outer")
    for name, scale in (("inner", inner), ("outer", outer)):
        made.stored[f"{name}.gamma"] *= np.float16(scale)
        made.stored[f"{name}.beta"][:] = made.stored[f"{name}.mean"][:] = 0
    return made.model("outer")


TOO_LARGE = 3e4


@pytest.mark.parametrize("width", [NARROW, WIDE])
@pytest.mark.parametrize("decide", WAYS)
def test_of_two_affines_in_one_tensor_the_first_may_fit_alone(
    tmp_path: Path, plans: list[int], decide: Decide, width: int
) -> None:
    """The last to be folded is the first to be kept."""
    first, last = decide(tower(1.0, TOO_LARGE, width), tmp_path)

    assert first.is_folded
    assert last.outcome == Kept(Reason.OVERFLOW, "w")
    assert plans == [0, 1]


@pytest.mark.parametrize("width", [NARROW, WIDE])
@pytest.mark.parametrize("decide", WAYS)
def test_what_was_refused_stays_refused(
    tmp_path: Path, plans: list[int], decide: Decide, width: int
) -> None:
    """When the next plan shows that something else does not fit either."""
    decisions = decide(tower(TOO_LARGE, TOO_LARGE, width), tmp_path)

    assert [decision.outcome for decision in decisions] == [Kept(Reason.OVERFLOW, "w")] * 2
    assert plans == [0, 1, 2]


def test_what_does_not_fit_is_told_by_its_last_affine_and_its_tensor() -> None:
    """All of them at once."""
    kinds = ["overflows", "fits", "overflows"]
    planned = plan_model(in_memory(net(kinds)), {})

    assert trial.misfits(planned) == {
        (0, "y0"): Kept(Reason.OVERFLOW, "w0"),
        (0, "y2"): Kept(Reason.OVERFLOW, "w2"),
    }
