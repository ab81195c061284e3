"""Reports made again of their JSON: the same text, verdict and JSON as those that were sent.

A report has the warnings of its parts as one list; the parts that are made of it have none of
their own. Of a report of a newer version, what this one does not know is left out, and a kind, a
reason or a status is what it is called there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from enum import StrEnum
from typing import Any, TypeVar

from folding.equivalence.verdict import Check, Status, Verdict
from folding.plan import Decision, Folded, Kept, Kind, Plan, Reason, Tally, Warned
from folding.preparation import Branch, Inlined, Preparation
from folding.report import FileFacts, Report
from folding.verification import Verification

#: What ``json.loads`` makes of an object.
Json = Mapping[str, Any]

E = TypeVar("E", bound=StrEnum)
_TALLY, _WARNED = ([part.name for part in fields(kind)] for kind in (Tally, Warned))


def report_from(data: Json) -> Report:
    """The report that a ``Report.to_dict`` is of.

    Raises:
        KeyError: or TypeError, or ValueError: it is none, or lacks what this version knows.
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
            found["operator"]: (
                Tally(**_only(_TALLY, found["before"])),
                Tally(**_only(_TALLY, found["after"])),
            )
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
    stays = kept is not None and {*into} <= {*data["nodes"]}
    folded = Folded(into, data["into_operator"], kept, stays)
    outcome = folded if into or kept is None else kept
    return Decision(data["name"], _known(Kind, data["kind"]), tuple(data["nodes"]), outcome)


def _kept(culprit: Json, below: Kept | None = None) -> Kept:
    code = culprit["reason"]
    reason = Reason.__members__.get(code) or _other(
        Reason, code, f"for {code}, a reason that a newer version of fold-model has"
    )
    return Kept(reason, culprit["at"], culprit["at_operator"], below)


def _known(kind: type[E], value: str) -> E:
    try:
        return kind(value)
    except ValueError:
        return _other(kind, value, value)


def _other(kind: type[E], name: str, value: str) -> E:
    """What is no member, as one that equals none."""
    other = str.__new__(kind, value)
    other._name_, other._value_ = name, value
    return other


def _only(names: Iterable[str], data: Json) -> dict[str, Any]:
    return {name: data[name] for name in names}


def _check(data: Json) -> Check:
    not_finite = data["not_finite"]
    return Check(
        data["name"],
        _known(Status, data["status"]),
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
        tuple(Branch(**_only(Branch._fields, branch)) for branch in data["branches"]),
        tuple(Inlined(**_only(Inlined._fields, function)) for function in data["inlined"]),
        tuple(data["keep"]),
    )


def _file(data: Json) -> FileFacts:
    return FileFacts(data["path"], data["bytes"], data["sha256"])


def _warnings(data: Json) -> tuple[Warned, ...]:
    return tuple(Warned(**_only(_WARNED, warning)) for warning in data["warnings"])
