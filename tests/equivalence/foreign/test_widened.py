"""Candidates that compute in float32 where the reference computes in float16, and the reverse."""

from __future__ import annotations

import pytest
from graphs import BFLOAT, FLOAT, HALF, Net
from inprocess import any_verdict
from onnx import ModelProto
from pairs import judged

from folding.equivalence.foreign import Different, Matched


def net_of(
    *between: str,
    elem_type: int = HALF,
    is_wide: bool = False,
    is_stored_wide: bool = False,
    factor: float = 1.0,
) -> ModelProto:
    """A convolution, a normalisation and more, all of it in a type or in float32 between casts."""
    net = Net(elem_type)
    kind = FLOAT if is_wide else elem_type

    def constant(name: str) -> str:
        if is_wide and not is_stored_wide:
            return net.node("Cast", name, to=FLOAT)
        if is_wide:
            return net.store(net.stored.pop(name), name, elem_type=FLOAT)
        return name

    x = net.input(1, 3, 6, 6)
    x = net.node("Cast", x, to=FLOAT) if is_wide else x
    weight, bias = net.weight(4, 3, 3, 3, name="w"), net.weight(4, name="b")
    net.stored["w"] = (net.stored["w"] * factor).astype(net.stored["w"].dtype)
    norm = [net.weight(4, name=name) for name in ("gamma", "beta", "mean")]
    norm.append(net.positive(4, name="variance"))
    y = net.node("Conv", x, constant(weight), constant(bias))
    y = net.node("BatchNormalization", y, *map(constant, norm))
    for operator in ("Relu", *between):
        y = net.node(operator, y)
    if kind != elem_type:
        y = net.node("Cast", y, to=elem_type)
    return net.model(net.node("Identity", y, out="y"))


@pytest.mark.parametrize("elem_type", [HALF, BFLOAT])
@pytest.mark.parametrize("is_stored_wide", [False, True])
def test_a_candidate_may_compute_in_a_wider_type(elem_type: int, is_stored_wide: bool) -> None:  # noqa: FBT001
    """As onnxruntime does that has no kernel for the type; its constants may be converted, too."""
    wide = net_of("Sigmoid", elem_type=elem_type, is_wide=True, is_stored_wide=is_stored_wide)
    assert isinstance(judged(net_of("Sigmoid", elem_type=elem_type), wide), Matched)


def test_values_of_another_type_are_not_compared_with_each_other() -> None:
    """Those in between have no counterpart, but the outputs have."""
    verdict = any_verdict(net_of("Sigmoid"), net_of("Sigmoid", is_wide=True))
    assert verdict.name == "equivalent", verdict


def test_a_candidate_may_not_compute_in_a_narrower_type() -> None:
    """It may overflow where the reference has good reasons for the wider one."""
    assert not isinstance(judged(net_of(is_wide=True), net_of()), Matched)
    assert isinstance(judged(net_of(is_wide=True), net_of(is_wide=True)), Matched)


@pytest.mark.parametrize("operator", ["Ceil", "Floor", "Round", "Sign", "ThresholdedRelu"])
def test_what_a_rounding_decides_is_not_seen_through(operator: str) -> None:
    wide = net_of(operator, is_wide=True)
    assert not isinstance(judged(net_of(operator), wide), Matched)


@pytest.mark.parametrize("factor", [1.02, -1.0])
def test_other_numbers_in_a_wider_type_are_still_other_numbers(factor: float) -> None:
    wide = net_of(is_wide=True, factor=factor)
    assert isinstance(judged(net_of(), wide), Different)


@pytest.mark.parametrize("wrong", range(6))
def test_each_reader_of_a_weight_that_is_converted_for_it_is_compared(wrong: int) -> None:
    """One of many has another weight."""
    narrow, wide = Net(HALF), Net(HALF)
    for number in range(6):
        x = narrow.input(2, 4, name=f"x{number}")
        narrow.node("MatMul", x, "w", out=f"y{number}")
        w = wide.node("Cast", "v" if number == wrong else "w", to=FLOAT)
        x = wide.node("Cast", wide.input(2, 4, name=x), to=FLOAT)
        wide.node("Cast", wide.node("MatMul", x, w), out=f"y{number}", to=HALF)
    for net in (narrow, wide):
        net.weight(4, 3, name="w")
    wide.store(wide.stored["w"].astype(float) * 1.01, "v")
    outputs = [f"y{number}" for number in range(6)]
    assert isinstance(judged(narrow.model(*outputs), wide.model(*outputs)), Different)


@pytest.mark.parametrize(("number", "passes"), [(1.5, True), (1.5 + 2.0**-13, False)])
def test_numbers_that_the_narrow_type_has_not_are_others(number: float, passes: bool) -> None:  # noqa: FBT001
    narrow, wide = Net(HALF), Net(HALF)
    narrow.node("Max", narrow.input(2, 3), narrow.store(1.5, "c"), out="y")
    x = wide.node("Cast", wide.input(2, 3), to=FLOAT)
    most = wide.node("Max", x, wide.store(number, "c", elem_type=FLOAT))
    wide.node("Cast", most, to=HALF, out="y")
    assert isinstance(judged(narrow.model("y"), wide.model("y")), Matched) == passes


def test_a_long_way_between_two_conversions_is_seen_through_at_once() -> None:
    """However many operators there are."""
    many = ["Relu", "Sigmoid"] * 600
    assert isinstance(judged(net_of(*many), net_of(*many, is_wide=True)), Matched)
