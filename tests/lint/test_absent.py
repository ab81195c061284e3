"""Normalisations that were asked for, and do nothing."""

from __future__ import annotations

from graphs import BOOL, Net
from linting import codes, conv, image, lints, normed

ABSENT = "NORM_ABSENT"


def test_a_normalisation_that_nothing_reads_is_found() -> None:
    """The model goes past it."""
    net = Net()
    y = conv(net, image(net))
    dead = normed(net, y)
    (found,) = lints(net.model(net.node("Relu", y)))
    assert (found.code.name, found.at) == (ABSENT, dead)


def test_a_flag_without_anything_to_switch_is_found() -> None:
    """As where the layers were never put through the normalisation."""
    net = Net()
    y = conv(net, image(net))
    net.input(name="training", elem_type=BOOL)
    (found,) = lints(net.model(net.node("Relu", y)))
    assert (found.code.name, found.at) == (ABSENT, "training")


def test_a_flag_that_something_was_folded_behind_is_silent() -> None:
    """With a normalisation the flag was only frozen; an array of truth values is no flag."""
    net = Net()
    net.input(name="training", elem_type=BOOL)
    assert codes(net.model(net.node("Relu", normed(net, conv(net, image(net)))))) == []
    mask = Net()
    mask.input("N", 7, name="mask", elem_type=BOOL)
    assert codes(mask.model(mask.node("Relu", conv(mask, image(mask))))) == []
    read = Net()
    read.input(name="training", elem_type=BOOL)
    assert codes(read.model(read.node("Relu", conv(read, image(read))), "training")) == []
