"""Verdict: what the checks amount to."""

from __future__ import annotations

import math

import pytest

from folding.equivalence.verdict import Check, Status, Verdict, VerdictName

PASSED, FAILED, NOT_RUN = Status.PASSED, Status.FAILED, Status.NOT_RUN
EQUIVALENT, DIFFERENT = VerdictName.EQUIVALENT, VerdictName.DIFFERENT
UNPROVEN, SKIPPED = VerdictName.UNPROVEN, VerdictName.SKIPPED

#: frame, parameters, outputs
TABLE = [
    (PASSED, PASSED, PASSED, EQUIVALENT),
    (PASSED, PASSED, NOT_RUN, EQUIVALENT),
    (PASSED, PASSED, FAILED, DIFFERENT),
    (PASSED, FAILED, PASSED, DIFFERENT),
    (PASSED, FAILED, NOT_RUN, DIFFERENT),
    (PASSED, NOT_RUN, PASSED, UNPROVEN),
    (PASSED, NOT_RUN, NOT_RUN, UNPROVEN),
    (PASSED, NOT_RUN, FAILED, DIFFERENT),
    (FAILED, PASSED, PASSED, DIFFERENT),
    (FAILED, NOT_RUN, PASSED, DIFFERENT),
    (FAILED, NOT_RUN, NOT_RUN, DIFFERENT),
    (NOT_RUN, PASSED, PASSED, UNPROVEN),
    (NOT_RUN, NOT_RUN, NOT_RUN, UNPROVEN),
    (NOT_RUN, FAILED, PASSED, DIFFERENT),
]


def verdict(*statuses: Status) -> Verdict:
    names = ("frame", "parameters", "outputs")
    return Verdict(tuple(Check(n, s, why=n) for n, s in zip(names, statuses, strict=True)))


@pytest.mark.parametrize(("frame", "parameters", "outputs", "expected"), TABLE)
def test_the_checks_amount_to_this_verdict(
    frame: Status, parameters: Status, outputs: Status, expected: VerdictName
) -> None:
    assert verdict(frame, parameters, outputs).name is expected


def test_no_check_at_all_is_what_the_user_wanted() -> None:
    assert Verdict().name is SKIPPED


@pytest.mark.parametrize("missing", ["frame", "parameters"])
def test_without_one_of_the_two_that_prove_it_nothing_is_proved(missing: str) -> None:
    checks = tuple(Check(n, PASSED) for n in ("frame", "parameters", "outputs") if n != missing)

    assert Verdict(checks).name is UNPROVEN


def test_the_first_check_that_failed_decided() -> None:
    failure = verdict(NOT_RUN, FAILED, FAILED).failure

    assert failure is not None
    assert failure.name == "parameters"


def test_where_all_passed_none_decided() -> None:
    assert verdict(PASSED, PASSED, PASSED).failure is None


@pytest.mark.parametrize("worst", [math.inf, math.nan])
def test_a_deviation_that_is_no_number_is_null_in_json(worst: float) -> None:
    assert Check("parameters", FAILED, worst=worst, bound=1.0).to_dict()["worst"] is None


def test_what_is_not_known_is_null_in_json() -> None:
    found = Check("frame", PASSED).to_dict()

    assert found == {
        "name": "frame",
        "status": "passed",
        "why": None,
        "worst": None,
        "bound": None,
        "at": None,
    }
