"""What is found, as a warning of a report."""

from __future__ import annotations

import pytest
from graphs import Net
from linting import conv, image, normed

import folding
from folding.lint.finding import Code, Finding, warnings_of


@pytest.mark.parametrize("code", Code)
def test_every_code_has_a_remedy_of_its_own(code: Code) -> None:
    """A clause: it follows the cause in one sentence."""
    assert code.value[0].islower()
    assert not code.value.endswith(".")
    assert Code(code.value) is code


def test_a_finding_is_a_warning_of_one_sentence() -> None:
    """The place, the cause, the remedy."""
    found = Finding(Code.TRAINING_FLAG, "t", "it is a flag")
    warned = found.warned
    assert (warned.code, warned.at) == ("TRAINING_FLAG", "t")
    assert warned.text == f"'t': it is a flag; {Code.TRAINING_FLAG.value}"
    nowhere = Finding(Code.NORM_ABSENT, "", "it has none").warned
    assert nowhere.text.startswith("it has none; ")


def test_a_report_has_one_warning_for_each_code() -> None:
    """It names the first place and counts the rest; what is harmless is left out."""
    several = [
        Finding(Code.WRONG_AXIS, "a", "it"),
        Finding(Code.REDUNDANT_BIAS, "a", "it"),
        Finding(Code.WRONG_AXIS, "b", "it"),
        Finding(Code.NORM_ABSENT, "", "it"),
        Finding(Code.WRONG_AXIS, "c", "it"),
    ]
    first, second = warnings_of(several)
    assert (first.code, first.at, second.code) == ("WRONG_AXIS", "a", "NORM_ABSENT")
    assert first.text.endswith("(2 more places like this: see fold-model lint)")
    (two,) = warnings_of(several[:3])
    assert two.text.endswith("(1 more place like this: see fold-model lint)")


def test_folding_warns_as_explaining_does() -> None:
    """Of the graph as it was before."""
    net = Net()
    y = normed(net, net.node("Relu", conv(net, image(net))))
    model = net.model(net.node("Conv", y, net.weight(2, 4, 1, 1)))
    _, report = folding.fold_model(model)
    assert [warning.code for warning in report.warnings] == ["ACTIVATION_BEFORE_NORM"]
    assert report.plan.changes_anything
