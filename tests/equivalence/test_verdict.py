"""Verdict: what the checks amount to."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from folding.equivalence.verdict import Check, Status, Verdict, VerdictName

PASSED, FAILED, NOT_RUN = Status.PASSED, Status.FAILED, Status.NOT_RUN
EQUIVALENT, DIFFERENT = VerdictName.EQUIVALENT, VerdictName.DIFFERENT
UNPROVEN, SKIPPED = VerdictName.UNPROVEN, VerdictName.SKIPPED

#: frame, parameters, outputs
TABLE = [
    (PASSED, PASSED, PASSED, EQUIVALENT),
    (PASSED, PASSED, NOT_RUN, UNPROVEN),
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


def runs(sites: Check, outputs: Check) -> Verdict:
    """A verdict with a complete proof, and two runs."""
    return Verdict((Check("frame", PASSED), Check("parameters", PASSED), sites, outputs))


SITES, OUTPUTS = Check("sites", PASSED), Check("outputs", PASSED)
LATE, IDLE = (Check("sites", NOT_RUN, "for a test", excused=flag) for flag in (False, True))


@pytest.mark.parametrize(
    ("sites", "outputs", "expected"),
    [
        (SITES, OUTPUTS, EQUIVALENT),
        (IDLE, OUTPUTS, EQUIVALENT),
        (IDLE, replace(IDLE, name="outputs"), EQUIVALENT),
        (LATE, OUTPUTS, UNPROVEN),
        (SITES, replace(LATE, name="outputs"), UNPROVEN),
        (replace(SITES, status=FAILED), OUTPUTS, DIFFERENT),
        (IDLE, replace(OUTPUTS, status=FAILED), DIFFERENT),
    ],
)
def test_a_run_may_be_missing_for_a_reason_that_the_proof_can_do_without(
    sites: Check, outputs: Check, expected: VerdictName
) -> None:
    """And for no other: a process that crashed leaves the verdict open."""
    assert runs(sites, outputs).name is expected


def test_an_excuse_is_none_for_what_proves_it() -> None:
    frame = Check("frame", NOT_RUN, excused=True)

    assert Verdict((frame, Check("parameters", PASSED), SITES, OUTPUTS)).name is UNPROVEN


def test_what_was_missing_decided_unless_it_is_excused() -> None:
    assert runs(LATE, OUTPUTS).failure is LATE
    assert runs(IDLE, OUTPUTS).failure is None
    assert runs(LATE, replace(OUTPUTS, status=FAILED)).failure == replace(OUTPUTS, status=FAILED)


RESTS: dict[str, tuple[Verdict, str]] = {
    "all": (
        replace(runs(SITES, OUTPUTS), inputs="normal, seed 0"),
        "frame and parameters, a proof from the files; sites and outputs on normal, seed 0",
    ),
    "no run": (
        runs(IDLE, replace(IDLE, name="outputs")),
        "frame and parameters, a proof from the files",
    ),
    "runs alone": (
        Verdict((Check("frame", NOT_RUN), Check("parameters", NOT_RUN), SITES, OUTPUTS)),
        "sites and outputs on some inputs",
    ),
    "half of the proof": (
        Verdict((Check("frame", PASSED), Check("parameters", NOT_RUN), IDLE, OUTPUTS)),
        "outputs on some inputs",
    ),
    "a failure": (runs(replace(SITES, status=FAILED), OUTPUTS), "sites, which failed"),
    "nothing": (
        Verdict((Check("frame", NOT_RUN), Check("parameters", NOT_RUN), IDLE, LATE)),
        "nothing: no check could be made",
    ),
    "no check": (Verdict(), "nothing: no check was made"),
}


@pytest.mark.parametrize("what", RESTS)
def test_it_is_said_what_a_verdict_rests_on(what: str) -> None:
    """Half of a proof is none."""
    verdict, expected = RESTS[what]

    assert verdict.rests_on == expected
    assert verdict.to_dict()["rests_on"] == expected


def test_the_seeds_and_the_inputs_are_in_json() -> None:
    found = replace(runs(SITES, OUTPUTS), inputs="normal, seed 0", seeds=(0, 1)).to_dict()

    assert (found["inputs"], found["seeds"]) == ("normal, seed 0", [0, 1])


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
        "not_finite": None,
        "bound": None,
        "at": None,
        "excused": False,
        "mismatch": [],
    }
