"""Flags that steer by other means than an If: modes of dropouts, comparisons, and choices."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from graphs import BOOL, INT64, Net
from linting import codes, conv, image, lints, normed

from folding.lint.finding import Finding

from .test_flags import FLAG


def dropped(net: Net, mode: str) -> list[Finding]:
    """The lints of a Dropout whose mode is computed from an input."""
    out = net.node("Dropout", conv(net, image(net)), net.store(0.5), mode)
    return lints(net.model(net.node("Relu", out)))


def inverted_truth(net: Net) -> str:
    return net.node("Not", net.input(name="flag", elem_type=BOOL))


def compared_integer(net: Net) -> str:
    return net.node("Equal", net.input(name="flag", elem_type=INT64), net.integers(7))


def cast_number(net: Net) -> str:
    return net.node("Cast", net.input(name="flag"), to=BOOL)


@pytest.mark.parametrize(
    ("make", "value"),
    [(inverted_truth, "true"), (compared_integer, "0"), (cast_number, "0.0")],
)
def test_the_mode_of_a_dropout_may_be_computed_from_a_flag(
    make: Callable[[Net], str], value: str
) -> None:
    """By a Not, by comparing a number, or by making a truth of one."""
    net = Net()
    (found,) = dropped(net, make(net))
    assert (found.code.name, found.at) == (FLAG, "flag")
    assert f"--freeze flag={value} " in found.remedy


def chosen(net: Net, *, moving: bool) -> str:
    """A normalisation whose variance a Where takes from the batch, or from elsewhere."""
    y = conv(net, image(net))
    flag = net.input(name="flag", elem_type=BOOL)
    batch = net.node("ReduceMean", net.node("Mul", y, y), axes=[0, 2, 3])
    own = net.positive(1, 4, 1, 1)
    other = batch if moving else net.positive(1, 4, 1, 1)
    spread = net.node("Where", flag, other, own)
    return net.node("Div", y, net.node("Sqrt", net.node("Add", spread, net.store(1e-5))))


def test_a_flag_may_choose_statistics_by_a_where() -> None:
    """The ones not chosen are none of the model; a choice between constants is the caller's."""
    net = Net()
    (found,) = lints(net.model(net.node("Relu", chosen(net, moving=True))))
    assert (found.code.name, found.at) == (FLAG, "flag")
    other = Net()
    assert codes(other.model(other.node("Relu", chosen(other, moving=False)))) == []


def test_a_normalisation_that_a_flag_did_not_choose_is_not_called_unread() -> None:
    """Something reads it where the flag is set otherwise."""
    net = Net()
    y = conv(net, image(net))
    flag = net.input(name="flag", elem_type=BOOL)
    assert codes(net.model(net.node("Where", flag, normed(net, y), normed(net, y)))) == []


def test_numbers_that_decide_nothing_about_training_are_silent() -> None:
    """A mode between two ways of which neither trains."""
    net = Net()
    y = conv(net, image(net))
    flag = net.input(name="mode", elem_type=INT64)
    taken = net.node("Where", net.node("Less", flag, net.integers(3)), y, net.node("Neg", y))
    assert codes(net.model(net.node("Relu", taken))) == []


def test_a_flag_is_found_beside_what_is_always_in_training() -> None:
    """It is one for training if more of the model trains with it."""
    net = Net()
    y = net.node("Dropout", conv(net, image(net)), net.store(0.5), net.store(True, "", 0))
    flag = net.input(name="flag", elem_type=BOOL)
    out = net.node("Dropout", net.node("Relu", y), net.store(0.5), flag)
    found = sorted(one.code.name for one in lints(net.model(out)))
    assert found == ["RANDOM_AT_INFERENCE", FLAG]


def test_flags_of_both_senses_are_told_apart() -> None:
    """One that is true at inference, beside one that is false then."""
    net = Net()
    y = net.node("Dropout", conv(net, image(net)), net.store(0.5), inverted_truth(net))
    other = net.input(name="train", elem_type=BOOL)
    found = lints(net.model(net.node("Dropout", net.node("Relu", y), net.store(0.5), other)))
    assert sorted(one.remedy.split()[4] for one in found) == ["flag=true", "train=false"]


def test_flags_may_have_to_be_set_together() -> None:
    """Where inference is what two of them say, each alone changes nothing."""
    net = Net()
    flags = [net.input(name=name, elem_type=BOOL) for name in ("one", "two")]
    found = dropped(net, net.node("Not", net.node("And", *flags)))
    assert sorted(one.remedy.split()[4] for one in found) == ["one=true", "two=true"]


def test_other_flags_are_left_false_where_something_always_trains() -> None:
    """What they choose when they are true is the caller's."""
    net = Net()
    y = conv(net, image(net))
    flag = net.input(name="flag", elem_type=BOOL)
    y = normed(net, net.node("Where", flag, net.node("Relu", y), y))
    out = net.node("Dropout", y, net.store(0.5), net.store(True, "", 0))
    assert codes(net.model(net.node("Tanh", out))) == ["RANDOM_AT_INFERENCE"]
