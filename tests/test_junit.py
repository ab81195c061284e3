"""JUnit XML: what continuous integration reads of a verification."""

from __future__ import annotations

import re
from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest
from verifications import VERDICTS, verification

from folding.equivalence.verdict import Status
from folding.junit import to_junit

#: What the readers of Jenkins, GitLab, Azure and CircleCI agree on: each element's attributes that
#: must be there, those that may be, and the children that it may have, in this order.
RULES: dict[str, tuple[set[str], set[str], list[str]]] = {
    "testsuites": (set(), {"name", "tests", "failures", "errors", "time"}, ["testsuite"]),
    "testsuite": (
        {"name", "tests", "failures", "errors", "skipped", "time"},
        {"timestamp", "hostname", "id", "package"},
        ["properties", "testcase", "system-out", "system-err"],
    ),
    "properties": (set(), set(), ["property"]),
    "property": ({"name", "value"}, set(), []),
    "testcase": ({"name", "classname", "time"}, set(), ["skipped", "failure"]),
    "skipped": ({"message"}, set(), []),
    "failure": ({"message", "type"}, set(), []),
}


def parsed(name: str) -> ET.Element:
    return ET.fromstring(to_junit(verification(name)).encode())  # noqa: S314 - our own text


def suite(name: str) -> ET.Element:
    (found,) = parsed(name)
    return found


@pytest.mark.parametrize("name", VERDICTS)
def test_every_element_is_one_that_readers_know(name: str) -> None:
    for element in parsed(name).iter():
        needed, allowed, children = RULES[element.tag]
        assert needed <= set(element.keys()) <= needed | allowed
        order = [children.index(child.tag) for child in element]
        assert order == sorted(order)


@pytest.mark.parametrize("name", VERDICTS)
def test_the_root_and_its_one_suite_are_where_readers_look(name: str) -> None:
    assert parsed(name).tag == "testsuites"
    assert suite(name).tag == "testsuite"


@pytest.mark.parametrize("name", VERDICTS)
def test_there_is_one_case_for_each_check(name: str) -> None:
    cases = suite(name).findall("testcase")

    assert len(cases) == len(VERDICTS[name])
    assert len({(case.get("classname"), case.get("name")) for case in cases}) == len(cases)
    assert all(len(case) <= 1 for case in cases)


@pytest.mark.parametrize("name", VERDICTS)
def test_the_counts_are_those_of_the_cases(name: str) -> None:
    found = suite(name)

    assert int(found.get("tests", "")) == len(found.findall("testcase"))
    assert int(found.get("failures", "")) == len(found.findall("testcase/failure"))
    assert int(found.get("skipped", "")) == len(found.findall("testcase/skipped"))
    assert found.get("errors") == "0"


@pytest.mark.parametrize("name", VERDICTS)
def test_times_are_decimal_numbers(name: str) -> None:
    times = [element.get("time") for element in parsed(name).iter() if "time" in element.attrib]

    assert Decimal(times[0] or "") == Decimal("0.75")
    assert all(re.fullmatch(r"\d+(\.\d+)?", time or "") for time in times)


@pytest.mark.parametrize("name", VERDICTS)
def test_it_is_green_just_where_the_models_are_equivalent(name: str) -> None:
    is_green = not suite(name).findall("testcase/failure")

    assert is_green == (verification(name).verdict.name == "equivalent")


def test_a_failure_says_where_by_how_much_and_why() -> None:
    (failure,) = suite("different").findall("testcase[@name='parameters']/failure")

    expected = "parameters: failed at 'w' (worst 7.25 of 1): a number is wrong"
    assert (failure.get("message"), failure.text) == (expected, expected)
    assert failure.get("type") == "different"


def test_the_check_that_could_not_be_made_is_the_failure_of_an_unproven_pair() -> None:
    (failure,) = suite("unproven").findall("testcase/failure")

    assert "it was rewritten" in failure.get("message", "")
    assert failure.get("type") == "unproven"


@pytest.mark.parametrize("name", ["not run", "different", "unproven"])
def test_another_check_that_was_not_run_is_skipped_and_says_why(name: str) -> None:
    (skipped,) = suite(name).findall("testcase[@name='outputs']/skipped")

    assert skipped.get("message") == "Bernoulli is random"


def test_the_verdict_the_inputs_and_warnings_are_properties() -> None:
    found = {p.get("name"): p.get("value") for p in suite("different").iter("property")}

    assert found["verdict"] == "different"
    assert found["inputs"] == "normal, seed 0"
    assert found["A_WARNING"] == "mind this: normal, seed 0"


def test_what_was_not_run_has_no_inputs() -> None:
    done = verification("not run")
    object.__setattr__(done.verdict, "inputs", "")

    assert 'name="inputs"' not in to_junit(done)


def test_both_models_are_named() -> None:
    assert suite("equivalent").get("name") == "fold-model verify a.onnx b.onnx"
    assert {case.get("classname") for case in suite("equivalent").iter("testcase")} == {"b.onnx"}


def test_hostile_names_are_escaped_and_every_character_is_legal() -> None:
    text = to_junit(verification("hostile"))

    assert all(c == "\n" or c.isprintable() for c in text)
    message = suite("hostile").findall("testcase/failure")[0].get("message", "")
    assert r"\n\x1b[2J\x00<&" in message
    assert r"\ud800\ufffe]]>" in message


def test_the_text_is_utf_8_and_says_so() -> None:
    text = to_junit(verification("equivalent"))

    assert text.startswith("<?xml version='1.0' encoding='utf-8'?>\n")
    assert text.endswith("</testsuites>\n")


def test_the_verdicts_here_have_every_status() -> None:
    assert {check.status for checks in VERDICTS.values() for check in checks} == set(Status)
