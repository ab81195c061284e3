"""Numbers that no input lets take part in a result: what a tool makes of them is no fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from graphs import FLOAT, HALF, Net
from onnx import ModelProto, numpy_helper

from folding.equivalence.foreign import Different, NotEstablished
from folding.equivalence.foreign.check import compare
from folding.equivalence.foreign.result import Result
from folding.modelfile import in_memory

Places = Any


def judged(build: Callable[[], ModelProto], name: str, at: Places) -> Result:
    """A model beside one in which some numbers of a tensor are others."""
    model, candidate = build(), build()
    tensor = next(tensor for tensor in candidate.graph.initializer if tensor.name == name)
    array = numpy_helper.to_array(tensor).copy()
    array[at] = array[at] * 1.5 + 1
    tensor.CopyFrom(numpy_helper.from_array(array, name))
    return compare(in_memory(model), in_memory(candidate))


def is_unseen(found: Result) -> bool:
    return isinstance(found, NotEstablished) and "need not matter" in found.why


# --- normalisations and slopes -------------------------------------------------------------------
def normalised(gamma: float = 0.0) -> ModelProto:
    """A normalisation that no layer takes, the first of whose scales is given."""
    net = Net()
    net.batch_norm(net.node("Sigmoid", net.input(2, 3, 4, 4)), 3, out="y")
    net.stored["y.gamma"][0] = gamma
    return net.model("y")


@pytest.mark.parametrize("name", ["y.mean", "y.var"])
def test_statistics_that_are_multiplied_with_0_need_not_be_right(name: str) -> None:
    """Where gamma is 0, only beta is left."""
    assert is_unseen(judged(normalised, name, 0))
    assert isinstance(judged(normalised, name, 1), Different)
    assert isinstance(judged(lambda: normalised(1e-3), name, 0), Different)


@pytest.mark.parametrize("name", ["y.gamma", "y.beta"])
def test_a_scale_and_a_shift_count_wherever_they_are(name: str) -> None:
    """A gamma of 0 that is another number makes another function."""
    assert isinstance(judged(normalised, name, 0), Different)


def sloped(*before: str) -> ModelProto:
    net = Net()
    x = net.input(2, 3, 4, 4)
    for operator in before:
        said: dict[str, Any] = {"kernel_shape": [2, 2]} if operator == "MaxPool" else {}
        x = net.node(operator, x, **said)
    net.node("PRelu", x, net.weight(3, 1, 1, name="slope"), out="y")
    return net.model("y")


@pytest.mark.parametrize("before", [("Relu",), ("Sigmoid", "MaxPool"), ("Abs", "Transpose")])
def test_the_slope_of_numbers_that_are_never_negative_need_not_be_right(
    before: tuple[str, ...],
) -> None:
    """A PRelu leaves them as they are."""
    assert is_unseen(judged(lambda: sloped(*before), "slope", 0))


@pytest.mark.parametrize("before", [("Tanh",), ("Relu", "Neg"), ("MaxPool",)])
def test_the_slope_of_numbers_that_may_be_negative_counts(before: tuple[str, ...]) -> None:
    assert isinstance(judged(lambda: sloped(*before), "slope", 0), Different)


# --- taps ----------------------------------------------------------------------------------------
def on_image(*image: int | str, operator: str = "Conv", **attributes: Any) -> ModelProto:
    """A layer with 3 by 3 taps on an image of some size."""
    net = Net()
    x = net.node("Sigmoid", net.input(1, 2, *image))
    net.node(operator, x, net.weight(2, 2, 3, 3, name="w"), out="y", **attributes)
    return net.model("y")


@pytest.mark.parametrize(
    ("image", "attributes", "unseen", "seen"),
    [
        ((1, 1), {"pads": [1] * 4}, (0, 0), (1, 1)),
        ((1, 4), {"pads": [1] * 4}, (0, 1), (1, 0)),
        ((2, 2), {"pads": [2] * 4, "dilations": [2, 2]}, (2, 1), (1, 1)),
        ((3, 3), {"pads": [0, 0, 2, 2], "strides": [3, 3]}, None, (2, 2)),
        ((2, 2), {"pads": [0, 0, 1, 1], "strides": [3, 3]}, (2, 0), (1, 1)),
    ],
)
def test_taps_that_only_meet_padding_need_not_be_right(
    image: tuple[int, ...], attributes: dict[str, Any], unseen: Any, seen: Any
) -> None:
    """They are multiplied with the zeros around an image, wherever the kernel stands."""
    every = (slice(None), slice(None))

    def build() -> ModelProto:
        return on_image(*image, **attributes)

    if unseen is not None:
        assert is_unseen(judged(build, "w", (*every, *unseen)))
    assert isinstance(judged(build, "w", (*every, *seen)), Different)


@pytest.mark.parametrize(
    ("image", "attributes"),
    [
        ((1, "width"), {"pads": [1] * 4}),
        ((1, "width"), {"auto_pad": "SAME_UPPER"}),
        ((1, 1), {"pads": [1] * 4, "operator": "ConvTranspose"}),
    ],
    ids=["open length", "padding not worked out", "transposed"],
)
def test_taps_count_where_it_is_not_known_what_they_meet(
    image: tuple[int | str, ...], attributes: dict[str, Any]
) -> None:
    place = (slice(None), slice(None), 1, 0)
    assert isinstance(judged(lambda: on_image(*image, **attributes), "w", place), Different)


# --- channels ------------------------------------------------------------------------------------
def followed(
    *between: tuple[str, dict[str, Any]],
    layer: str = "Conv",
    reader: str = "Conv",
    also: str = "",
    elem_type: int = FLOAT,
) -> ModelProto:
    """Two layers, the second of which has zeros for channel 3 of the first, and what is between."""
    net = Net(elem_type)
    if layer == "MatMul":
        y = net.node("MatMul", net.input(2, 3, 5), net.weight(5, 4, name="w"))
        y = net.node("Add", y, net.weight(4, name="b"))
    else:
        x = net.input(2, 2, 4, 4)
        shape = (4, 2, 1, 1) if layer == "Conv" else (2, 4, 1, 1)
        y = net.node(layer, x, net.weight(*shape, name="w"), net.weight(4, name="b"), out="layer")
    for operator, said in between:
        given = [net.integers(*values) for values in said.pop("also", [])]
        y = net.node(operator, y, *given, **said)
    zeros = {"Conv": (6, 4, 1, 1), "ConvTranspose": (4, 6, 1, 1), "grouped": (6, 2, 1, 1)}
    weight = net.weight(*zeros.get(reader, (4, 6)), name="next")
    values = net.stored[weight]
    if reader == "Conv":
        values[:, 3] = 0
    elif reader == "grouped":
        values[3:, 1] = 0
    else:
        values[3] = 0
    if reader == "grouped":
        y = net.node("Conv", y, weight, group=2)
    elif reader:
        y = net.node(reader, y, weight)
    net.node("Sigmoid", y, out="y")
    return net.model("y", *([also] if also else []))


POOL: tuple[str, dict[str, Any]] = ("GlobalAveragePool", {})
FLAT: tuple[str, dict[str, Any]] = ("Flatten", {})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"between": [("Relu", {})]},
        {"between": [("Relu", {}), ("MaxPool", {"kernel_shape": [2, 2]})]},
        {"between": [("Slice", {"also": [[0], [2], [2]]})]},
        {"reader": "ConvTranspose"},
        {"reader": "grouped"},
        {"layer": "ConvTranspose"},
        {"layer": "MatMul", "between": [("Relu", {})], "reader": "MatMul"},
        {"between": [POOL, FLAT], "reader": "MatMul"},
        {"between": [("Transpose", {"perm": [0, 2, 3, 1]})], "reader": "MatMul"},
        {"elem_type": HALF},
    ],
)
def test_a_channel_that_all_readers_multiply_with_0_need_not_be_right(
    options: dict[str, Any],
) -> None:
    """Tools that prune a model store zeros there, or leave behind what is no longer read."""
    options = {**options}
    between = options.pop("between", [])

    def build() -> ModelProto:
        return followed(*((operator, {**said}) for operator, said in between), **options)

    channel = {"MatMul": (slice(None), 3), "ConvTranspose": (slice(None), 3)}
    place = channel.get(options.get("layer", "Conv"), 3)
    other = channel.get(options.get("layer", "Conv"), (2,))
    other = (*other[:-1], 2)
    assert is_unseen(judged(build, "w", place))
    assert is_unseen(judged(build, "b", 3))
    assert isinstance(judged(build, "w", other), Different)
    assert isinstance(judged(build, "b", slice(2, None)), Different)


def test_a_channel_that_is_spread_over_others_counts() -> None:
    """Where a batch grows instead, the dimensions in front look as they did."""

    def build() -> ModelProto:
        net = Net()
        y = net.node("Conv", net.input("n", 2, 6), net.weight(4, 2, 1, name="w"))
        weight = net.weight(6, 4, 1)
        net.stored[weight][:, 3] = 0
        y = net.node("Reshape", net.node("Relu", y), net.integers(-1, 4, 3))
        net.node("Conv", y, weight, out="y")
        return net.model("y")

    assert isinstance(judged(build, "w", 3), Different)


def test_a_fault_beside_numbers_that_nobody_sees_is_one() -> None:
    """What is wrong in one channel is not made up for by another one that is not read."""
    model, candidate = followed(), followed()
    for name, channel in (("w", 2), ("b", 3)):
        tensor = next(tensor for tensor in candidate.graph.initializer if tensor.name == name)
        array = numpy_helper.to_array(tensor).copy()
        array[channel] = array[channel] + 1
        tensor.CopyFrom(numpy_helper.from_array(array, name))
    assert isinstance(compare(in_memory(model), in_memory(candidate)), Different)


def test_what_nobody_sees_may_be_made_up_for_where_it_is_read() -> None:
    """A channel of zeros needs no zeros where it is read."""
    model, candidate = followed(("Relu", {})), followed(("Relu", {}))
    for name, place in (("w", 3), ("b", 3), ("next", (slice(None), 3))):
        tensor = next(tensor for tensor in candidate.graph.initializer if tensor.name == name)
        array = numpy_helper.to_array(tensor).copy()
        array[place] = float(name == "next")
        tensor.CopyFrom(numpy_helper.from_array(array, name))
    assert isinstance(compare(in_memory(model), in_memory(candidate)), NotEstablished)


def test_a_channel_that_is_multiplied_with_several_numbers_counts() -> None:
    """It becomes as many channels, of which one is not read."""

    def build() -> ModelProto:
        net = Net()
        y = net.node("Conv", net.input(1, 2, 4, 4), net.weight(1, 2, 1, 1, name="w"))
        y = net.node("Mul", net.node("Sigmoid", y), net.weight(4, 1, 1))
        weight = net.weight(6, 4, 1, 1)
        net.stored[weight][:, 0] = 0
        net.node("Conv", net.node("Sigmoid", y), weight, out="y")
        return net.model("y")

    assert isinstance(judged(build, "w", 0), Different)


CUT = {"also": [[0], [3], [1]]}


@pytest.mark.parametrize(
    ("between", "unseen"),
    [
        ([("Slice", CUT)], 3),
        ([("Slice", {"also": [[1], [4], [1]]})], 0),
        ([("Slice", {"also": [[0], [4], [1], [2]]})], 1),
        ([("Gather", {"also": [[2, 0, 1]], "axis": 1})], 3),
        ([("Relu", {}), ("Slice", {"also": [[0], [2], [2]]}), ("Slice", CUT)], 3),
    ],
    ids=["at the end", "at the beginning", "every second", "picked", "behind another axis"],
)
def test_a_channel_that_is_left_out_need_not_be_right(
    between: list[tuple[str, dict[str, Any]]], unseen: int
) -> None:
    """Of what is cut off nothing is seen."""

    def build() -> ModelProto:
        return followed(*((operator, {**said}) for operator, said in between), reader="")

    assert is_unseen(judged(build, "w", unseen))
    assert isinstance(judged(build, "w", 2), Different)


@pytest.mark.parametrize(
    ("between", "options"),
    [
        ([("Softmax", {"axis": 1})], {}),
        ([("Transpose", {"perm": [0, 2, 1, 3]})], {}),
        ([], {"also": "layer"}),
        (
            [
                ("Transpose", {"perm": [0, 2, 3, 1]}),
                ("MaxPool", {"kernel_shape": [1, 2], "pads": [0, 0, 0, 1]}),
            ],
            {"reader": "MatMul"},
        ),
        (
            [("Reshape", {"also": [[4, 2, 4, 4]]}), ("Gather", {"also": [[0]], "axis": 1})],
            {"reader": ""},
        ),
        ([("Slice", {"also": [[-4], [4], [1]]})], {"reader": ""}),
        ([("Gather", {"also": [[-1, 0]], "axis": 1})], {"reader": ""}),
        ([("Gather", {"also": [[0]], "axis": 2})], {"reader": ""}),
    ],
    ids=[
        *("normalised", "another axis", "an output", "pooled with others", "moved"),
        *("all of it", "from the end", "elsewhere"),
    ],
)
def test_a_channel_counts_where_something_else_reads_it(
    between: list[tuple[str, dict[str, Any]]], options: dict[str, Any]
) -> None:
    """All that reads it must leave it out."""

    def build() -> ModelProto:
        return followed(*((operator, {**said}) for operator, said in between), **options)

    assert isinstance(judged(build, "w", 3), Different)
