"""Affines that a candidate still computes: what is lost between one and the next is not passed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from graphs import DOUBLE, FLOAT, HALF, Net
from onnx import ModelProto, numpy_helper
from pairs import judged

import folding
from folding.equivalence.foreign import Matched, NotEstablished
from folding.equivalence.foreign.result import Result

#: Operators, each with the number on its right: of channel 0, else one that does nothing.
Steps = list[tuple[str, float]]

LAYERS = ("Conv", "ConvTranspose", "grouped", "MatMul", "Gemm")
SMALL = 1e-5


def affines(net: Net, name: str, steps: Steps, *, is_image: bool = True) -> str:
    """Steps on channel 0 of four."""
    for operator, number in steps:
        values = np.full(4, float(operator in ("Mul", "Div")))
        values[0] = number
        shape = (4, 1, 1) if is_image else (4,)
        constant = net.store(values.reshape(shape), f"{operator} {len(net.nodes)}")
        name = net.node(operator, name, constant)
    return name


def layer(operator: str, steps: Steps, elem_type: int = FLOAT, size: float = SMALL) -> ModelProto:
    """A layer whose channel 0 has weights of some size, and affines behind it."""
    net, is_image = Net(elem_type), operator not in ("MatMul", "Gemm")
    x = net.input(1, 4, 5, 5) if is_image else net.input(2, 4)
    shape: tuple[int, ...] = (4, 4, 3, 3)
    place, groups = 0, 1
    if operator == "ConvTranspose":
        place = 1
    elif operator == "grouped":
        operator, shape, place, groups = "ConvTranspose", (4, 2, 3, 3), 1, 2
    elif not is_image:
        shape, place = (4, 4), 1
    weight = net.random.uniform(0.5, 1, shape)
    if groups == 1:
        weight[(slice(None),) * place + (0,)] *= size
    else:
        weight[:2, 0] *= size
    given = [x, net.store(weight, "w")]
    if operator != "MatMul":
        given.append(net.store([0, 100, 100, 100], "b"))
    said: dict[str, Any] = {"group": groups} if groups > 1 else {}
    name = net.node(operator, *given, out="c", **said)
    name = affines(net, name, steps, is_image=is_image)
    return net.model(net.node("Relu", name, out="y"))


def there_and_back(operator: str, number: float, times: int = 1) -> Steps:
    back = {"Add": "Sub", "Mul": "Div"}[operator]
    return [(operator, number)] * times + [(back, number)] * times


def lost(found: Result) -> bool:
    return (
        isinstance(found, NotEstablished) and found.check == "parameters" and "rounded" in found.why
    )


@pytest.mark.parametrize("operator", LAYERS)
def test_a_shift_that_hides_one_small_channel_is_not_passed(operator: str) -> None:
    """The other channels are large, and say nothing of this one."""
    found = judged(layer(operator, []), layer(operator, there_and_back("Add", 2000)))
    assert lost(found), found


@pytest.mark.parametrize("operator", [name for name in LAYERS if name != "MatMul"])
def test_a_shift_that_is_as_large_as_the_channel_is_passed(operator: str) -> None:
    """A few digits may be lost, as in any sum."""
    source = layer(operator, [], size=1)
    assert isinstance(judged(source, layer(operator, there_and_back("Add", 5), size=1)), Matched)


EXTREMES: dict[str, tuple[Steps, int]] = {
    "overflow": (there_and_back("Mul", 1e38, 2), FLOAT),
    "underflow": (there_and_back("Mul", 1e-38, 2), FLOAT),
    "little by little": (there_and_back("Mul", 1e-6, 5), FLOAT),
    "below the least normal number": ([("Mul", 1e-39), ("Div", 1e-39)], FLOAT),
    "half": (there_and_back("Mul", 60000), HALF),
    "half, downwards": (there_and_back("Mul", 1e-3), HALF),
    "double": (there_and_back("Mul", 1e200, 2), DOUBLE),
}


@pytest.mark.parametrize("what", EXTREMES)
def test_scales_that_go_far_and_come_back_are_not_passed(what: str) -> None:
    """In exact arithmetic they are 1; at run time nothing is left of the channel."""
    steps, elem_type = EXTREMES[what]
    source = layer("Conv", [], elem_type, size=1)
    assert lost(judged(source, layer("Conv", steps, elem_type, size=1)))


@pytest.mark.parametrize("number", [2.0, 0.5])
@pytest.mark.parametrize("elem_type", [FLOAT, DOUBLE, HALF])
def test_scales_that_stay_in_range_are_passed(elem_type: int, number: float) -> None:
    """Half of the type's maximum is not far below it."""
    source = layer("Conv", [], elem_type, size=1)
    candidate = layer("Conv", there_and_back("Mul", number), elem_type, size=1)
    assert isinstance(judged(source, candidate), Matched)


@pytest.mark.parametrize("number", [2.0**10, 2.0**-10, 16.0, 1 / 16])
@pytest.mark.parametrize("elem_type", [FLOAT, DOUBLE, HALF])
def test_scales_that_go_further_than_the_reference_are_not_passed(
    elem_type: int, number: float
) -> None:
    """The candidate has Inf where the reference has numbers, or 0 where it has small ones."""
    source = layer("Conv", [], elem_type, size=1)
    assert lost(judged(source, layer("Conv", there_and_back("Mul", number), elem_type, size=1)))


def unfolded(scale: float, elem_type: int, *, is_folded: bool) -> ModelProto:
    """A scale behind a layer, or in it."""
    net = Net(elem_type)
    weight = net.random.integers(1, 9, (4, 4, 3, 3)).astype(np.float64)
    weight *= scale if is_folded else 1.0
    name = net.node("Conv", net.input(1, 4, 7, 7), net.store(weight))
    name = affines(net, name, [] if is_folded else [("Mul", scale)])
    if not is_folded:
        net.stored["Mul 1"][:] = scale
    return net.model(net.node("Relu", name, out="y"))


@pytest.mark.parametrize(
    ("elem_type", "scale", "expected"),
    [
        (FLOAT, 2.0**-15, Matched),
        (FLOAT, 2.0**-17, NotEstablished),
        (FLOAT, 2.0**17, NotEstablished),
        (DOUBLE, 2.0**-120, Matched),
        (DOUBLE, 2.0**-130, NotEstablished),
        (HALF, 0.25, Matched),
        (HALF, 0.125, NotEstablished),
    ],
)
def test_a_scale_taken_out_of_a_layer_may_take_an_eighth_of_the_range(
    elem_type: int, scale: float, expected: type
) -> None:
    """The layer's own result is that much larger, or smaller."""
    pair = (unfolded(scale, elem_type, is_folded=is_folded) for is_folded in (True, False))
    found = judged(*pair)
    assert isinstance(found, expected), found


def test_of_scales_that_make_up_for_each_other_the_wrong_one_must_not_be_folded() -> None:
    """What is left of them begins, or ends, far from what the reference has."""

    def half_folded(inner: float, steps: Steps) -> ModelProto:
        net = Net()
        weight = net.random.uniform(0.5, 1, (4, 4, 3, 3)) * inner
        name = net.node("Conv", net.input(1, 4, 7, 7), net.store(weight, "w"))
        name = affines(net, name, steps)
        for array in list(net.stored.values())[1:]:
            array[:] = array[0]
        return net.model(net.node("Relu", name, out="y"))

    source = half_folded(1, [("Mul", 2.0**-60), ("Mul", 2.0**60)])
    assert isinstance(judged(source, half_folded(2.0**-60, [("Mul", 2.0**60)])), Matched)
    assert lost(judged(source, half_folded(2.0**60, [("Mul", 2.0**-60)])))
    before = [("Mul", 2.0**-60)] * 2 + [("Mul", 2.0**60)] * 2
    assert lost(judged(source, half_folded(1, before)))


def test_weights_that_one_scale_brings_back_are_not_passed() -> None:
    """The layer itself overflows before it is scaled."""
    found = judged(layer("MatMul", [], size=1), layer("MatMul", [("Mul", 1e-30)], size=1e30))
    assert lost(found)


def through(steps: Steps, rest: Steps, between: Iterable[str]) -> ModelProto:
    """A convolution, affines, operators that a scale goes through, affines."""
    net = Net()
    name = net.node("Conv", net.input(1, 4, 7, 7), net.weight(4, 4, 3, 3), net.weight(4))
    name = affines(net, name, steps)
    for operator in between:
        said: dict[str, Any] = {"kernel_shape": [2, 2]} if operator.endswith("Pool") else {}
        name = net.node(operator, name, **said)
    return net.model(net.node("Sigmoid", affines(net, name, rest), out="y"))


@pytest.mark.parametrize("between", [("Relu",), ("MaxPool",), ("Relu", "AveragePool"), ("Neg",)])
def test_what_stands_between_the_scales_hides_nothing(between: tuple[str, ...]) -> None:
    """A chain may be taken apart by what lets scales pass."""
    up, down = [("Mul", 1e38)] * 2, [("Div", 1e38)] * 2
    found = judged(through([], [], between), through(up, down, between))
    assert isinstance(found, NotEstablished)


def test_scales_before_a_layer_are_looked_at_too() -> None:
    def before(steps: Steps) -> ModelProto:
        net = Net()
        name = affines(net, net.input(1, 4, 7, 7), steps)
        return net.model(net.node("Conv", name, net.weight(4, 4, 3, 3), out="y"))

    assert lost(judged(before([]), before(there_and_back("Mul", 1e-38, 2))))


@pytest.mark.parametrize("steps", [there_and_back("Mul", 1e38, 2), there_and_back("Add", 2000)])
def test_a_layer_that_is_read_twice_is_looked_at_too(steps: Steps) -> None:
    """No fold takes such an affine in; a rule sees through it."""

    def twice(steps: Steps) -> ModelProto:
        net = Net()
        weight = net.random.uniform(0.5, 1, (4, 4, 3, 3))
        weight[0] *= SMALL
        bias = net.store([0, 100, 100, 100])
        name = net.node("Conv", net.input(1, 4, 7, 7), net.store(weight), bias)
        net.node("Sigmoid", name, out="z")
        return net.model(net.node("Relu", affines(net, name, steps), out="y"), "z")

    assert lost(judged(twice([]), twice(steps)))


@pytest.mark.parametrize(
    "steps", [there_and_back("Mul", 1e38, 2), there_and_back("Add", 2000), [("Mul", 1e-30)]]
)
def test_what_the_reference_does_itself_is_no_fault_of_the_candidate(steps: Steps) -> None:
    """Whether all of it is left, or nothing."""
    source = layer("Conv", steps)
    assert isinstance(judged(source, layer("Conv", steps)), Matched)
    if steps[0] != ("Mul", 1e-30):
        assert isinstance(judged(source, layer("Conv", [])), Matched)


def test_the_same_scales_in_another_order_are_the_candidate_s_own() -> None:
    """A reference that goes up and down stays in range; all up and then all down does not."""
    source = layer("Conv", there_and_back("Mul", 1e30) * 2)
    assert lost(judged(source, layer("Conv", there_and_back("Mul", 1e30, 2))))


def test_affines_put_behind_a_fold_of_ours_are_not_proved() -> None:
    """The sites of the fold pass, but say nothing of another layer."""
    net = Net()
    name = net.node("Conv", net.input(1, 4, 7, 7), net.weight(4, 4, 3, 3, name="first"))
    name = net.node("Relu", net.batch_norm(name, 4, out="n"))
    weight = net.random.uniform(0.5, 1, (4, 4, 1, 1))
    weight[0] *= SMALL
    net.node("Conv", name, net.store(weight), net.store([0, 100, 100, 100]), out="head")
    source = net.model(net.node("Relu", "head", out="y"))
    candidate = folding.fold_model(source, verify=False)[0]
    more = Net()
    candidate.graph.node[-1].input[0] = affines(more, "head", there_and_back("Add", 200))
    last = candidate.graph.node.pop()
    candidate.graph.node.extend([*more.nodes, last])
    candidate.graph.initializer.extend(
        numpy_helper.from_array(array, name) for name, array in more.stored.items()
    )
    assert folding.verify(source, candidate).name == "unproven"


def test_a_shift_behind_a_normalisation_is_looked_at_too() -> None:
    """It is left in the normalisation's own constants."""

    def normalised(steps: Steps) -> ModelProto:
        net = Net()
        numbers = [net.store([first, 100, 100, 100]) for first in (SMALL, 0)]
        name = net.node("LayerNormalization", net.input(2, 4), *numbers)
        return net.model(net.node("Relu", affines(net, name, steps, is_image=False), out="y"))

    steps = [("Mul", 2.0), *there_and_back("Add", 30), ("Div", 2.0)]
    assert lost(judged(normalised([]), normalised(steps)))
    assert isinstance(judged(normalised([]), normalised([("Mul", 2.0), ("Div", 2.0)])), Matched)


@pytest.mark.parametrize("operator", ["Conv", "MatMul", "Gemm"])
def test_shifts_between_scales_are_looked_at_too(operator: str) -> None:
    """What is left of all of them is only a scale."""
    steps = [("Mul", 2.0), *there_and_back("Add", 2000)]
    assert lost(judged(layer(operator, steps[:1]), layer(operator, steps)))


@pytest.mark.parametrize("operator", LAYERS)
def test_shifts_as_small_as_every_channel_are_passed(operator: str) -> None:
    """Several that are written in another way, as tools do that compute some of them."""
    source = layer(operator, [("Add", 3), ("Mul", 2), ("Add", 1)], size=1)
    candidate = layer(operator, [("Add", 3), ("Mul", 2), ("Add", 0.5), ("Add", 0.5)], size=1)
    assert isinstance(judged(source, candidate), Matched)


def test_shifts_that_are_small_beside_large_channels_alone_are_not_passed() -> None:
    steps = [("Mul", 2.0), *there_and_back("Add", 10)]
    found = judged(layer("MatMul", steps[:1]), layer("MatMul", steps))
    assert lost(found)


def test_shifts_as_large_as_the_scale_are_looked_at_too() -> None:
    """All numbers are the same one, in all channels."""

    def everywhere(operators: Iterable[str]) -> ModelProto:
        net = Net()
        weight = net.random.uniform(0.5, 1, (4, 4, 3, 3))
        weight[0] *= SMALL
        name = net.node("Conv", net.input(1, 4, 7, 7), net.store(weight))
        for operator in operators:
            name = net.node(operator, name, net.store(np.full((4, 1, 1), 1e4)))
        return net.model(net.node("Relu", name, out="y"))

    assert lost(judged(everywhere(["Mul"]), everywhere(["Mul", "Add", "Sub"])))


def test_shifts_before_a_layer_are_looked_at_beside_its_inputs() -> None:
    """Its channels are large, its inputs are not."""

    def before(steps: Steps) -> ModelProto:
        net = Net()
        weight = net.store(net.random.uniform(500, 1000, (4, 4, 3, 3)))
        name = affines(net, net.input(1, 4, 7, 7), steps)
        return net.model(net.node("Conv", name, weight, out="y"))

    steps = [("Mul", 2.0), *there_and_back("Add", 500)]
    assert lost(judged(before(steps[:1]), before(steps)))
    steps = [("Mul", 2.0), *there_and_back("Add", 1.5)]
    assert isinstance(judged(before(steps[:1]), before(steps)), Matched)
