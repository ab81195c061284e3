"""A verification as JUnit XML: what continuous integration shows beside the results of tests.

One suite for the two models, one case for each check. A check that failed is a failure; so is the
check for whose lack nothing is proved, lest an unproven pair be shown as green; any other check
that was not run is skipped. Checks are not timed one by one, so the cases take no time and the
suite the whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from folding.equivalence.verdict import Check, Status, Verdict, VerdictName
from folding.exits import printable
from folding.show import described

if TYPE_CHECKING:
    from folding.verification import Verification


def to_junit(done: Verification) -> str:
    """The report as text. No name in it can break the XML: what is not printable is escaped."""
    verdict = done.verdict
    reference, candidate = done.reference.path or "reference", done.candidate.path or "candidate"
    suite = _element(
        "testsuite",
        name=f"fold-model verify {reference} {candidate}",
        tests=str(len(verdict.checks)),
        failures=str(sum(_is_failure(check, verdict) for check in verdict.checks)),
        errors="0",
        skipped=str(sum(_is_skipped(check, verdict) for check in verdict.checks)),
        time=f"{sum(done.seconds.values()):.3f}",
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(done):
        properties.append(_element("property", name=name, value=value))
    for check in verdict.checks:
        suite.append(_case(check, verdict, candidate))
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    text: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return text.decode() + "\n"


def _properties(done: Verification) -> Iterator[tuple[str, str]]:
    report = done.to_dict()
    yield "version", report["version"]
    yield "verdict", str(done.verdict.name)
    if done.verdict.inputs:
        yield "inputs", done.verdict.inputs
    for warning in done.verdict.warnings:
        yield warning.code, warning.text


def _case(check: Check, verdict: Verdict, candidate: str) -> ET.Element:
    case = _element("testcase", name=check.name, classname=candidate, time="0")
    if _is_failure(check, verdict):
        failure = _element("failure", message=described(check), type=str(verdict.name))
        failure.text = "\n".join((printable(described(check)), *check.mismatch))
        case.append(failure)
    elif _is_skipped(check, verdict):
        case.append(_element("skipped", message=check.why))
    return case


def _is_failure(check: Check, verdict: Verdict) -> bool:
    is_unproven = verdict.name is VerdictName.UNPROVEN
    return check.status is Status.FAILED or (is_unproven and check is verdict.failure)


def _is_skipped(check: Check, verdict: Verdict) -> bool:
    return check.status is Status.NOT_RUN and not _is_failure(check, verdict)


def _element(tag: str, **attributes: str) -> ET.Element:
    return ET.Element(tag, {key: printable(text) for key, text in attributes.items()})
