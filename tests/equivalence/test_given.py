"""The user's own inputs are taken only if they fit, and then as they are."""

# ruff: noqa: FBT001 - parameters of tests
from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from files import conv_net, make
from onnx import ModelProto, TensorProto, helper

from folding.equivalence import given
from folding.equivalence.feeds import Feed, Inputs
from folding.errors import BadCall, FoldError

SHAPE = (1, 3, 5, 5)
GOOD = np.zeros(SHAPE, np.float32)


@pytest.fixture
def net() -> ModelProto:
    return conv_net()


def load(inputs: Inputs, model: ModelProto) -> Feed:
    """The only set of inputs there is."""
    [feed] = given.load(inputs, model)
    return feed


def one_input(elem_type: int, shape: list[int | str]) -> ModelProto:
    value = helper.make_tensor_value_info("x", elem_type, shape)
    return make(helper.make_graph([], "g", [value], []))


def test_arrays_by_name_are_taken(net: ModelProto) -> None:
    assert load({"x": GOOD}, net)["x"] is GOOD


@pytest.mark.parametrize("array", [GOOD.astype(np.float64), GOOD.astype(np.int32)])
def test_another_type_is_refused(net: ModelProto, array: Any) -> None:
    with pytest.raises(BadCall, match=r"'x' is float32.*(float64|int32)"):
        load({"x": array}, net)


@pytest.mark.parametrize(
    "shape", [(1, 3, 5), (1, 3, 5, 6), (1, 3, 5, 4), (2, 3, 5, 5), (1, 3, 5, 5, 1), ()]
)
def test_another_shape_is_refused(net: ModelProto, shape: tuple[int, ...]) -> None:
    with pytest.raises(BadCall, match="'x' is 1x3x5x5"):
        load({"x": np.zeros(shape, np.float32)}, net)


def test_an_open_dimension_takes_any_size(net: ModelProto) -> None:
    net.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "n"

    assert len(load({"x": np.zeros((7, 3, 5, 5), np.float32)}, net)["x"]) == 7


def test_an_unknown_shape_takes_any_array(net: ModelProto) -> None:
    net.graph.input[0].type.tensor_type.ClearField("shape")

    assert load({"x": np.zeros((7, 2), np.float32)}, net)["x"].shape == (7, 2)


def test_a_missing_input_is_named(net: ModelProto) -> None:
    with pytest.raises(BadCall, match="lack 'x'"):
        load({}, net)


def test_an_unknown_input_is_named_with_those_there_are(net: ModelProto) -> None:
    with pytest.raises(BadCall, match="no input 'z'") as caught:
        load({"x": GOOD, "z": GOOD}, net)

    assert "x" in caught.value.hint


def test_an_initializer_that_is_an_input_may_be_left_out_or_given(net: ModelProto) -> None:
    net.graph.input.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, [4]))

    assert list(load({"x": GOOD}, net)) == ["x"]
    assert list(load({"x": GOOD, "b": np.ones(4, np.float32)}, net)) == ["x", "b"]


def test_an_input_that_is_no_tensor_cannot_be_given_as_an_array(net: ModelProto) -> None:
    sequence = helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None)
    net.graph.input.append(sequence)

    with pytest.raises(FoldError, match="'s'"):
        load({"x": GOOD, "s": GOOD}, net)


def test_a_dimension_of_no_positive_size_takes_any(net: ModelProto) -> None:
    net.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1

    assert len(load({"x": np.zeros((7, 3, 5, 5), np.float32)}, net)["x"]) == 7


def test_an_input_of_no_known_type_is_refused_by_name() -> None:
    with pytest.raises(BadCall, match="'x' is no tensor"):
        load({"x": GOOD}, one_input(TensorProto.UNDEFINED, [1]))


@pytest.mark.parametrize("values", [[[1.0], [2.0, 3.0]], [1.0], "a", None, b"a"])
def test_what_is_no_array_of_the_type_is_refused_by_name(net: ModelProto, values: Any) -> None:
    with pytest.raises(BadCall, match="'x'"):
        load({"x": values}, net)


def test_an_array_that_cannot_be_read_is_named_with_its_own_message(net: ModelProto) -> None:
    class Remote:
        def __array__(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("call .cpu() first")

    with pytest.raises(BadCall, match=r"'x' is no array: call \.cpu\(\) first"):
        load({"x": Remote()}, net)


def test_bytes_of_a_type_that_numpy_lacks_are_read_as_that_type() -> None:
    numbers = np.array([1.5, -2.0], ml_dtypes.bfloat16)
    model = one_input(TensorProto.BFLOAT16, [2])

    taken = load({"x": numbers.view("V2")}, model)["x"]

    assert taken.dtype == numbers.dtype
    np.testing.assert_array_equal(taken, numbers)


def test_bytes_are_not_taken_for_numbers_that_numpy_has() -> None:
    with pytest.raises(BadCall, match="'x' is float16"):
        load({"x": np.zeros(2, "V2")}, one_input(TensorProto.FLOAT16, [2]))


def test_text_is_taken_as_objects() -> None:
    model = one_input(TensorProto.STRING, [2])

    assert load({"x": ["a", "bc"]}, model)["x"].tolist() == ["a", "bc"]
    assert load({"x": np.array(["a", "b"])}, model)["x"].dtype == object


@pytest.mark.parametrize("values", [[1.0, 2.0], np.array(["a", 1], object), [b"a", b"b"]])
def test_other_things_than_text_are_refused(values: Any) -> None:
    with pytest.raises(BadCall, match="'x' is text"):
        load({"x": values}, one_input(TensorProto.STRING, [2]))


def test_a_function_may_return_one_set(net: ModelProto) -> None:
    assert load(lambda: {"x": GOOD}, net)["x"] is GOOD


@pytest.mark.parametrize("as_function", [True, False])
def test_several_sets_are_taken_in_order(net: ModelProto, as_function: bool) -> None:
    several = [{"x": GOOD + 1}, {"x": GOOD + 2}]

    feeds = given.load((lambda: several) if as_function else several, net)

    assert [feed["x"].flat[0] for feed in feeds] == [1.0, 2.0]


def test_an_iterator_may_fill_one_array_again(net: ModelProto) -> None:
    def refilled() -> Iterator[Feed]:
        array = GOOD.copy()
        for number in range(3):
            array[...] = number
            yield {"x": array}

    assert [feed["x"].flat[0] for feed in given.load(refilled, net)] == [0.0, 1.0, 2.0]


def test_a_function_that_raises_is_quoted(net: ModelProto) -> None:
    def broken() -> Feed:
        raise KeyError("no such picture")

    with pytest.raises(BadCall, match=r"failed: 'no such picture'"):
        given.load(broken, net)


def test_an_iterator_that_raises_is_quoted_with_its_place(net: ModelProto) -> None:
    def broken() -> Iterator[Feed]:
        yield {"x": GOOD}
        raise OSError("no such picture")

    with pytest.raises(BadCall, match=r"inputs\[1\] failed: no such picture"):
        given.load(broken, net)


def test_a_fault_in_a_later_set_says_in_which(net: ModelProto) -> None:
    with pytest.raises(BadCall, match=r"inputs\[1\]: the inputs lack 'x'"):
        given.load([{"x": GOOD}, {}], net)


@pytest.mark.parametrize("value", [None, 3, "i.npz", GOOD, b"x"])
def test_a_function_that_returns_no_arrays_by_name_is_refused(net: ModelProto, value: Any) -> None:
    with pytest.raises(BadCall, match=f"not a {type(value).__name__}"):
        given.load(lambda: value, net)


@pytest.mark.parametrize("value", [3, "x", [GOOD]])
def test_a_set_that_is_no_mapping_is_refused(net: ModelProto, value: Any) -> None:
    with pytest.raises(BadCall, match=r"inputs\[1\] is a"):
        given.load([{"x": GOOD}, value], net)


def test_no_set_at_all_is_refused(net: ModelProto) -> None:
    with pytest.raises(BadCall, match="no inputs"):
        given.load([], net)


def test_an_iterator_without_end_is_stopped(net: ModelProto) -> None:
    taken = count()

    with pytest.raises(BadCall, match="more than 1024"):
        given.load(({"x": GOOD + number} for number in taken), net)
    assert next(taken) == 1025


def test_a_set_of_none_in_the_middle_is_refused_and_does_not_end_them(net: ModelProto) -> None:
    with pytest.raises(BadCall, match=r"inputs\[1\] is a NoneType"):
        given.load([{"x": GOOD}, None, {"x": GOOD}], net)  # type: ignore[list-item]
