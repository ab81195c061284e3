"""Reports made again of their JSON: the same text, verdict and JSON as those that were sent.

A report has the warnings of its parts as one list; the parts that are made of it have none of
their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from folding.equivalence.verdict import Check, Status, Verdict
from folding.plan import Decision, Folded, Kept, Kind, Plan, Reason, Tally, Warned
from folding.preparation import Branch, Inlined, Preparation
from folding.report import FileFacts, Report
from folding.verification import Verification

#: What ``json.loads`` makes of an object.
Json = Mapping[str, Any]


def report_from(data: Json) -> Report:
    """The report that a ``Report.to_dict`` is of.

    Raises:
        KeyError: or TypeError, or ValueError: it is none, or of a version with other fields.
    """
    return Report(
        data["version"],
        _file(data["source"]),
        None if data["target"] is None else _file(data["target"]),
        plan_from({**data, "warnings": ()}),
        verdict_from(data["verification"]),
        _warnings(data),
        dict(data["seconds"]),
        _preparation(data["preparation"]),
    )


def verification_from(data: Json) -> Verification:
    """The verification that a ``Verification.to_dict`` is of; raises as ``report_from``."""
    return Verification(
        _file(data["reference"]),
        _file(data["candidate"]),
        verdict_from(data["verification"], _warnings(data)),
        dict(data["seconds"]),
        data["version"],
    )


def plan_from(data: Json) -> Plan:
    """The plan that a ``Plan.to_dict`` is of; raises as ``report_from``."""
    return Plan(
        [_decision(decision) for decision in data["decisions"]],
        {changed["name"]: changed["new_name"] for changed in data["changed_values"]},
        {
            found["operator"]: (Tally(**found["before"]), Tally(**found["after"]))
            for found in data["operators"]
        },
        _warnings(data),
    )


def verdict_from(data: Json, warnings: tuple[Warned, ...] = ()) -> Verdict:
    """The verdict that a ``Verdict.to_dict`` is of; raises as ``report_from``."""
    return Verdict(
        tuple(map(_check, data["checks"])),
        data["inputs"] or "",
        warnings,
        tuple(data["seeds"]),
        tuple(data["guilty"]),
    )


def _decision(data: Json) -> Decision:
    kept = None
    if data["reason"] is not None:
        kept = _kept(data, data["below"] and _kept(data["below"]))
    into = tuple(data["into"])
    outcome = Folded(into, data["into_operator"], kept) if into or kept is None else kept
    return Decision(data["name"], Kind(data["kind"]), tuple(data["nodes"]), outcome)


def _kept(culprit: Json, below: Kept | None = None) -> Kept:
    return Kept(Reason[culprit["reason"]], culprit["at"], culprit["at_operator"], below)


def _check(data: Json) -> Check:
    not_finite = data["not_finite"]
    return Check(
        data["name"],
        Status(data["status"]),
        data["why"] or "",
        data["worst"] if not_finite is None else float(not_finite),
        data["bound"],
        data["at"] or "",
        data["excused"],
        tuple(data["mismatch"]),
    )


def _preparation(data: Json) -> Preparation:
    return Preparation(
        {frozen["name"]: frozen["value"] for frozen in data["frozen"]},
        tuple(Branch(**branch) for branch in data["branches"]),
        tuple(Inlined(**function) for function in data["inlined"]),
        tuple(data["keep"]),
    )


def _file(data: Json) -> FileFacts:
    return FileFacts(data["path"], data["bytes"], data["sha256"])


def _warnings(data: Json) -> tuple[Warned, ...]:
    return tuple(Warned(**warning) for warning in data["warnings"])
