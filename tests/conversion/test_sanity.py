"""The check in a process of its own: what it finds, and what becomes of it if it fails itself."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from converting import KIND, source_in
from fake_routes import good, other_function, product, unchecked

from folding.conversion import sanity
from folding.conversion.agreement import Agreed, Agreement, OutputFacts
from folding.conversion.job import Job, Product
from folding.conversion.sanity import checked
from folding.equivalence.limits import RunLimits
from folding.equivalence.worker import WorkerFailed
from folding.errors import Unconvertible


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "job").mkdir()
    return Job(source_in(tmp_path), KIND, tmp_path / "job")


def test_the_same_function_is_the_same(job: Job) -> None:
    found = checked(good(job), job.folder, "net")

    assert (found.verdict, found.batches) == (Agreed.SAME, (1, 3, 8))
    assert found.worst is not None
    assert found.worst.name == "y"


def test_another_function_is_different_and_told_where(job: Job) -> None:
    found = checked(other_function(job), job.folder, "net")

    assert found.verdict is Agreed.DIFFERENT
    assert found.why.startswith("output 'y' at a batch of ")


def test_without_the_framework_nothing_is_compared(job: Job) -> None:
    found = checked(unchecked(job), job.folder, "net")

    assert found.verdict is Agreed.NOT_COMPARED
    assert "no such convolution" in found.why


def test_what_nobody_wants_compared_must_be_valid_all_the_same(job: Job) -> None:
    assert checked(good(job), job.folder, "net", compare=False).verdict is Agreed.SKIPPED

    (job.folder / "model.onnx").write_bytes(b"")
    says = "'net' cannot be converted: what fake2onnx 2.0 made is no model: 'model.onnx' is empty"
    with pytest.raises(Unconvertible, match=says):
        checked(product(unchecked="nothing"), job.folder, "net", compare=False)


class Failing:
    """A worker without an answer."""

    kind: Any = "crash"

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def call(self, *_: Any) -> Any:
        raise WorkerFailed(self.kind, "the process that checked the model failed")


@pytest.mark.parametrize("kind", ["memory", "time", "start"])
def test_a_check_that_does_not_end_is_no_comparison(
    job: Job, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(Failing, "kind", kind)
    monkeypatch.setattr(sanity, "Worker", Failing)

    found = checked(good(job), job.folder, "net")

    assert found == Agreement(Agreed.NOT_COMPARED, "the process that checked the model failed")


def test_a_model_that_crashes_the_runtime_is_not_sound(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sanity, "Worker", Failing)

    with pytest.raises(Unconvertible, match="made is not sound: the process that checked"):
        checked(good(job), job.folder, "net")


def test_limits_hold_for_it(job: Job) -> None:
    found = checked(good(job), job.folder, "net", limits=RunLimits(seconds=1e-3))

    assert (found.verdict, found.why) == (
        Agreed.NOT_COMPARED,
        "the process that checked the model took longer than 0.001 s",
    )


def answered(monkeypatch: pytest.MonkeyPatch, *outputs: OutputFacts) -> Product:
    """Let the other process find these."""

    def call(*_: Any) -> Any:
        return {"why": "", "batches": [2], "outputs": [asdict(output) for output in outputs]}

    monkeypatch.setattr(Failing, "call", call)
    monkeypatch.setattr(sanity, "Worker", Failing)
    return product(references=["reference-0.npz"])


def test_outputs_that_all_say_nothing_are_no_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that says something is."""
    np.savez(tmp_path / "reference-0.npz", in_x=np.ones(1), out_y=np.full(1, np.nan))
    lost, told = OutputFacts("a", 2, 1.0, 4.0, lost=True), OutputFacts("b", 2, 0.0, 1.0)

    nothing = checked(answered(monkeypatch, lost), tmp_path, "net")
    something = checked(answered(monkeypatch, lost, told), tmp_path, "net")

    assert nothing.verdict is Agreed.NOT_COMPARED
    assert "rounding alone" in nothing.why
    assert something.verdict is Agreed.SAME


@pytest.mark.parametrize(
    ("agreement", "says"),
    [
        (Agreement(Agreed.SKIPPED), "not compared with the framework, as you asked"),
        (
            Agreement(Agreed.DIFFERENT, "y is off"),
            "another function than what K computes: y is off",
        ),
        (Agreement(Agreed.NOT_COMPARED, "random"), "unproven to be what K computes: random"),
        (Agreement(Agreed.SAME, "", (1, 3)), "the same as K computes, at batches of 1, 3"),
        (
            Agreement(Agreed.SAME, "", (1,), (OutputFacts("y", 1, 1e-7, 1e-5),)),
            "the same as K computes, at batches of 1: 'y' is off by 1e-07 of 1e-05 of its size",
        ),
        (
            Agreement(Agreed.SAME, "", (), (OutputFacts("y", 1, 2.0, 4.0, by_noise=True),)),
            "the same as K computes: 'y' is off by 2 of 4 times what rounding explains",
        ),
    ],
)
def test_an_agreement_is_a_sentence(agreement: Agreement, says: str) -> None:
    assert agreement.sentence("K") == says


def test_samples_that_are_no_numbers_are_said_to_be_the_reason(job: Job) -> None:
    """Then nothing is compared, and rounding has no part in it."""
    made = good(job)
    for reference in made.references:
        with np.load(job.folder / reference) as arrays:
            nothing = {name: np.full_like(array, np.nan) for name, array in arrays.items()}
        np.savez(job.folder / reference, allow_pickle=False, **nothing)

    found = checked(made, job.folder, "net")

    assert found.verdict is Agreed.NOT_COMPARED
    assert found.why == "the sample inputs hold NaN, so that no output tells anything"
