"""Reports that are read back from their JSON say the same as those they were written from."""

# ruff: noqa: FBT001 - parameters of tests
from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from files import conv_net, kept_net, relu_net, save
from graphs import FLOAT
from growing import Case, cases
from hypothesis import given
from verifications import VERDICTS, verification

import folding
from folding.equivalence.verdict import Check, Status, Verdict, VerdictName
from folding.junit import to_junit
from folding.plan import Plan
from folding.read_back import plan_from, report_from, verdict_from, verification_from
from folding.report import Report
from folding.show import show_plan, show_report, show_verification
from folding_server.client.agreement import fits

MODELS = Path(__file__).parent.parent / "models"


def through_json(data: dict[str, Any]) -> dict[str, Any]:
    """As a reader gets it."""
    found: dict[str, Any] = json.loads(json.dumps(data, allow_nan=False))
    return found


def shown(report: Report, capsys: pytest.CaptureFixture[str]) -> str:
    """What a person reads of a report."""
    show_report(report)
    return capsys.readouterr().out


def texts(report: Report) -> str:
    """What a person reads of a plan."""
    stream = io.StringIO()
    show_plan(report, stream)
    return stream.getvalue()


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.onnx")), ids=lambda path: path.stem)
def test_the_report_on_a_trained_model_is_the_same_again(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Text, JSON and counts, operators and culprits included."""
    report = folding.fold(path, tmp_path / "f.onnx", digests=True)

    again = report_from(through_json(report.to_dict()))

    assert again.to_dict() == report.to_dict()
    assert shown(again, capsys) == shown(report, capsys)
    assert again.plan.kept_for_strict == report.plan.kept_for_strict


@pytest.mark.parametrize("net", [conv_net, kept_net, relu_net])
@pytest.mark.parametrize("verify", [True, False])
def test_the_report_on_a_small_model_is_the_same_again(
    net: Any, verify: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Folded, kept, nothing to do; proved and not."""
    report = folding.fold(save(net(), tmp_path / "m.onnx"), verify=verify)

    again = report_from(through_json(report.to_dict()))

    assert again.to_dict() == report.to_dict()
    assert shown(again, capsys) == shown(report, capsys)


@given(cases((FLOAT,)))
def test_whatever_becomes_of_a_model_its_report_is_the_same_again(case: Case) -> None:
    """Of random models; what is kept behind what is kept included."""
    report = folding.fold_model(case.model, verify=False)[1]

    again = report_from(through_json(report.to_dict()))

    assert again.to_dict() == report.to_dict()
    assert texts(again) == texts(report)
    assert plan_from(report.plan.to_dict()).decisions == list(report.plan.decisions)


@pytest.mark.parametrize("name", VERDICTS)
def test_a_verification_is_the_same_again(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Text, JSON and JUnit, whatever the names in it are; an excused check stays excused."""
    done = verification(name)

    again = verification_from(through_json(done.to_dict()))

    assert again == done
    assert to_junit(again) == to_junit(done)
    show_verification(done)
    text = capsys.readouterr().out
    show_verification(again)
    assert capsys.readouterr().out == text


@pytest.mark.parametrize("worst", [float("inf"), float("-inf"), 0.1, 5e-324, None])
def test_the_largest_deviation_is_the_same_again(worst: float | None) -> None:
    """JSON has no infinity; the report has it all the same."""
    check = Check("outputs", Status.FAILED, "far off", worst, 1.0, "y", mismatch=("a", "b"))

    assert verdict_from(through_json(Verdict((check,)).to_dict())).checks == (check,)


def test_a_deviation_that_is_not_a_number_is_none_again() -> None:
    """No NaN is equal to another one, so it is asked for by its text."""
    check = Check("outputs", Status.FAILED, "far off", float("nan"), 1.0)

    (again,) = verdict_from(through_json(Verdict((check,)).to_dict())).checks

    assert str(again.worst) == "nan"


def test_what_was_done_to_the_source_is_the_same_again(tmp_path: Path) -> None:
    """What was asked to be kept, too."""
    source = save(conv_net(), tmp_path / "m.onnx")
    report = folding.fold(source, keep=["n"], verify=False)

    again = report_from(through_json(report.to_dict()))

    assert again.preparation.to_dict() == report.preparation.to_dict()
    assert list(again.preparation.keep) == ["n"]


@pytest.mark.parametrize(
    "spoilt",
    [{"decisions": None}, {"warnings": [1]}, {"verification": {}}, {"source": {"path": "x"}}],
    ids=lambda spoilt: next(iter(spoilt)),
)
def test_what_is_no_report_is_none(spoilt: dict[str, Any], tmp_path: Path) -> None:
    """One of the errors that the function names says so."""
    report = folding.fold(save(conv_net(), tmp_path / "m.onnx")).to_dict()

    with pytest.raises((KeyError, TypeError, ValueError)):
        report_from({**report, **spoilt})


def of_tomorrow(report: dict[str, Any]) -> dict[str, Any]:
    """The same, as a version says it that knows and tells more."""
    (decision,), (check, *checks) = report["decisions"], report["verification"]["checks"]
    prepared = {"branches": [{"node": "i", "taken": "else_branch", "more": 1}]}
    prepared["inlined"] = [{"name": "f", "calls": 1, "more": 1}]
    culprit = {"reason": "TOMORROW", "at": "a", "at_operator": "Op"}
    return {
        **report,
        "more": 1,
        "decisions": [{**decision, **culprit, "kind": "dyadic", "more": 1}],
        "operators": [
            {**told, "after": {**told["after"], "more": 1}} for told in report["operators"]
        ],
        "preparation": {**report["preparation"], **prepared},
        "verification": {
            **report["verification"],
            "checks": [{**check, "status": "postponed", "more": 1}, *checks],
            "verdict": "unproven",
        },
        "warnings": [{"code": "NEW", "at": "", "text": "so", "more": 1}],
    }


def test_a_report_of_a_newer_version_is_read_as_far_as_it_is_known(tmp_path: Path) -> None:
    """What codes mean that are new, their names have to say."""
    report = folding.fold(save(kept_net(), tmp_path / "m.onnx")).to_dict()

    told = of_tomorrow(through_json(report))
    again = report_from(told)

    assert fits(again.to_dict(), told)
    (decision,) = again.plan.decisions
    assert texts(again).splitlines()[2].startswith(f"{decision.name}: dyadic: kept: for TOMORROW, ")
    assert not again.plan.kept_for_strict
    assert again.verification.name is VerdictName.UNPROVEN
    assert again.to_dict()["warnings"] == [{"code": "NEW", "at": "", "text": "so"}]


def test_an_empty_plan_is_the_same_again() -> None:
    """Without a single operator."""
    assert plan_from(Plan([]).to_dict()).to_dict() == Plan([]).to_dict()
