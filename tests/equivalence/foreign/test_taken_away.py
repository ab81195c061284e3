"""Changes of a layer that what follows takes away: no fault is told from the files alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from graphs import BOOL, FLOAT, Net
from onnx import ModelProto, helper, numpy_helper

import folding
from folding.equivalence.foreign import Different, NotEstablished
from folding.equivalence.foreign.check import compare
from folding.equivalence.foreign.result import Result
from folding.modelfile import in_memory

Change = Callable[[Any], Any]


def model(*operators: str, also: str = "", bias: float = 1.0, **attributes: Any) -> ModelProto:
    """A convolution and operators behind it, the last of which has the attributes."""
    net = Net()
    x = net.input(2, 4, 6, 6)
    name = net.node("Conv", x, net.weight(4, 4, 1, 1, name="w"), net.store([bias] * 4, "b"))
    outputs = [name] if also == "layer" else []
    for place, operator in enumerate(operators):
        given = [name]
        given += [x] if operator == "Add" else []
        if operator == "InstanceNormalization":
            given += [net.positive(4), net.weight(4)]
        said = attributes if place == len(operators) - 1 else {}
        said = {"kernel_shape": [2, 2]} if operator == "MaxPool" else said
        name = net.node(operator, *given, **said)
    return net.model(name, *outputs)


def changed(source: ModelProto, **changes: Change) -> ModelProto:
    """A copy in which some tensors hold something else."""
    copy = type(source)()
    copy.CopyFrom(source)
    for tensor in copy.graph.initializer:
        if tensor.name in changes:
            array = changes[tensor.name](numpy_helper.to_array(tensor)).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return copy


def judged(source: ModelProto, **changes: Change) -> Result:
    return compare(in_memory(source), in_memory(changed(source, **changes)))


def need_not_matter(found: Result) -> bool:
    return (
        isinstance(found, NotEstablished)
        and found.check == "parameters"
        and "need not matter" in found.why
    )


def plus_one(array: Any) -> Any:
    return array + 1


def doubled(array: Any) -> Any:
    return array * 2


def times_third(array: Any) -> Any:
    return array / np.float32(3)


def negated(array: Any) -> Any:
    return -array


def first_alone(array: Any) -> Any:
    array = array.copy()
    array[0] *= 2
    return array


@pytest.mark.parametrize(
    "operators",
    [
        ("Softmax",),
        ("LogSoftmax",),
        ("ArgMax",),
        ("Hardmax",),
        ("MaxPool", "ArgMax"),
        ("Add", "Softmax"),
    ],
)
def test_the_same_number_for_all_channels_before_a_softmax_need_not_matter(
    operators: tuple[str, ...],
) -> None:
    source = model(*operators, axis=1)
    assert need_not_matter(judged(source, b=plus_one))
    assert isinstance(judged(source, b=first_alone), Different)


@pytest.mark.parametrize("change", [doubled, times_third])
@pytest.mark.parametrize(
    "operators",
    [("ArgMax",), ("Relu", "MaxPool", "ArgMin"), ("Hardmax",), ("LpNormalization",), ("Sign",)],
)
def test_a_scale_before_the_place_of_the_largest_number_need_not_matter(
    operators: tuple[str, ...], change: Change
) -> None:
    given: dict[str, Any] = {} if operators == ("Sign",) else {"axis": 1}
    source = model(*operators, **given)
    assert need_not_matter(judged(source, w=change, b=change))


@pytest.mark.parametrize("change", [first_alone, negated])
def test_another_scale_matters_there(change: Change) -> None:
    assert isinstance(judged(model("ArgMax", axis=1), w=change, b=change), Different)


def test_a_scale_of_the_weight_alone_matters_unless_there_is_no_bias() -> None:
    assert isinstance(judged(model("ArgMax", axis=1), w=doubled), Different)
    assert need_not_matter(judged(model("ArgMax", axis=1, bias=0), w=doubled))


def test_the_sign_before_an_even_operator_need_not_matter() -> None:
    assert need_not_matter(judged(model("Abs"), w=negated, b=negated))
    assert need_not_matter(judged(model("Neg", "ReduceL2", axes=[1]), w=negated, b=negated))


def test_the_sign_before_another_operator_matters() -> None:
    assert isinstance(judged(model("Relu", "Abs"), w=negated, b=negated), Different)
    assert isinstance(judged(model("Abs"), w=doubled, b=doubled), Different)


@pytest.mark.parametrize(
    "source",
    [
        model("Sigmoid", "Softmax", axis=1),
        model("Softmax", axis=1, also="layer"),
        model("Add", "Relu", "Softmax", axis=1),
    ],
)
def test_what_reaches_an_output_on_another_way_matters(source: ModelProto) -> None:
    assert isinstance(judged(source, b=plus_one), Different)


def test_what_is_added_to_another_value_is_not_scaled_with_it() -> None:
    source = model("Add", "ArgMax", axis=1)
    assert isinstance(judged(source, w=doubled, b=doubled), Different)


def test_a_shift_before_a_pooling_and_a_normalisation_need_not_matter() -> None:
    """A normalisation by channel takes away what each channel is shifted by."""
    source = model("MaxPool", "InstanceNormalization")
    assert need_not_matter(judged(source, b=first_alone))
    assert isinstance(judged(model("Relu", "InstanceNormalization"), b=first_alone), Different)


def test_the_runs_are_left_to_say_that_such_models_agree() -> None:
    source = model("Softmax", axis=1)
    assert folding.verify(source, changed(source, b=plus_one)).name == "unproven"


def chosen(output: int, **changes: Change) -> Result:
    """The places of the largest numbers, or these numbers."""
    net = Net()
    layer = net.node("Conv", net.input(2, 4, 6, 6), net.weight(4, 4, 1, 1, name="w"))
    net.node("TopK", layer, net.integers(2), out="values,places", axis=1)
    return judged(net.model(("values", "places")[output]), **changes)


def test_a_scale_before_the_places_of_the_largest_numbers_need_not_matter() -> None:
    """Of the numbers only their order counts, and they are no output themselves."""
    assert need_not_matter(chosen(1, w=doubled))
    assert isinstance(chosen(1, w=negated), Different)
    assert isinstance(chosen(0, w=doubled), Different)


def compared(number: float, *, is_first: bool, **changes: Change) -> Result:
    net = Net()
    layer = net.node("Conv", net.input(2, 4, 6, 6), net.weight(4, 4, 1, 1, name="w"))
    given = [layer, net.store(number)]
    net.node("Greater", *(given if is_first else given[::-1]), out="y")
    return judged(net.model("y"), **changes)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_scale_before_a_comparison_with_0_need_not_matter(is_first: bool) -> None:  # noqa: FBT001
    """Only the signs of the numbers count."""
    assert need_not_matter(compared(0, is_first=is_first, w=doubled))
    assert isinstance(compared(0, is_first=is_first, w=negated), Different)
    assert isinstance(compared(0.5, is_first=is_first, w=doubled), Different)


@pytest.mark.parametrize("reads", [True, False])
def test_what_a_body_reads_shows_whatever_else_takes_it_away(*, reads: bool) -> None:
    """A scale does not matter to the place of the largest number, but to what the body gives."""
    net = Net()
    layer = net.node("Conv", net.input(2, 4, 6, 6), net.weight(4, 4, 1, 1, name="w"))
    net.node("ArgMax", layer, out="places", axis=1)
    out = helper.make_tensor_value_info("b", FLOAT, None)
    inner = helper.make_node("Relu", [layer if reads else "x"], ["b"])
    body = helper.make_graph([inner], "body", [], [out])
    flag = net.input(name="f", elem_type=BOOL)
    net.node("If", flag, then_branch=body, else_branch=body, out="y")

    found = judged(net.model("places", "y"), w=doubled)

    assert isinstance(found, Different) if reads else need_not_matter(found)
