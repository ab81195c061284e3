"""Made-up inputs: of the model's types and shapes, or the user's, in sizes until one fits."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
import pytest
from files import conv_net, make
from onnx import ModelProto, TensorProto, helper, numpy_helper

from folding.equivalence.kinds import KINDS, Kind
from folding.equivalence.made_up import Made, candidates, made_up
from folding.errors import BadCall

FLOAT, BOOL = TensorProto.FLOAT, TensorProto.BOOL
NORMAL = (Kind.NORMAL,)
Dims = Sequence[int | str | None]


def reading(elem_type: int = FLOAT, **inputs: Dims) -> ModelProto:
    """A model with inputs of those shapes, which does nothing."""
    values = [helper.make_tensor_value_info(n, elem_type, dims) for n, dims in inputs.items()]
    return make(helper.make_graph([], "g", values, []))


def shapes_of(made: Made | str) -> dict[str, tuple[int, ...]]:
    assert isinstance(made, Made)
    return {name: array.shape for name, array in made.arrays.items()}


def tried(model: ModelProto, kinds: Sequence[Kind] = NORMAL, **more: Any) -> list[Any]:
    """The shapes of x that are tried."""
    return [shapes_of(made)["x"] for made in candidates(model, kinds, 0, **more)]


def test_what_is_made_up_says_what_it_is() -> None:
    made = made_up(reading(x=["n", 3]), NORMAL, 7)

    assert isinstance(made, Made)
    assert (made.label, made.kind, made.seed) == (
        "normal, seed 7, open dimensions 2",
        "normal",
        7,
    )


def test_without_open_dimensions_the_label_has_none() -> None:
    made = made_up(reading(x=[1, 3]), (Kind.TINY,), 0)

    assert isinstance(made, Made)
    assert made.label == "tiny, seed 0"


def test_two_inputs_of_one_shape_are_not_the_same_numbers() -> None:
    made = made_up(reading(x=[4, 4], y=[4, 4]), NORMAL, 0)

    assert isinstance(made, Made)
    assert (made.arrays["x"] != made.arrays["y"]).any()


def test_one_seed_makes_the_same_numbers_each_time() -> None:
    one, other = (made_up(reading(x=[4, 4]), NORMAL, 0) for _ in range(2))

    assert isinstance(one, Made)
    assert isinstance(other, Made)
    np.testing.assert_array_equal(one.arrays["x"], other.arrays["x"])


def test_inputs_are_made_up_without_the_runtime() -> None:
    code = "import sys, folding.equivalence.made_up; sys.exit('onnxruntime' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_initializers_are_not_made_up() -> None:
    model = reading(x=[1], w=[1])
    model.graph.initializer.append(numpy_helper.from_array(np.ones(1, np.float32), "w"))

    assert list(shapes_of(made_up(model, NORMAL, 0))) == ["x"]


def test_open_dimensions_are_tried_in_several_sizes_and_the_batch_in_two() -> None:
    assert tried(reading(x=["n", 3, "h"])) == [
        *((2, 3, 2), (1, 3, 1), (2, 3, 8), (2, 3, 32), (2, 3, 224)),
        *((1, 3, 8), (1, 3, 32), (1, 3, 224)),
    ]


def test_the_same_shapes_are_tried_once() -> None:
    assert tried(reading(x=["n", 3])) == [(2, 3), (1, 3)]
    assert tried(reading(x=[5, 3])) == [(5, 3)]


@pytest.mark.parametrize("dims", [[None, None, None], ["", "", ""], [-1, 0, -5]])
def test_dimensions_without_a_name_are_open_each_for_itself(dims: Dims) -> None:
    assert tried(reading(x=dims))[2] == (2, 8, 8)


def test_dimensions_of_one_name_have_one_size() -> None:
    model = reading(x=["s", "n", 3], m=["n", "s", "h"])

    for made in candidates(model, NORMAL, 0):
        shapes = shapes_of(made)
        assert shapes["x"][:2] == shapes["m"][1::-1]


def test_an_input_of_no_known_shape_is_a_scalar() -> None:
    model = reading(x=[1])
    model.graph.input[0].type.tensor_type.ClearField("shape")

    assert tried(model) == [()]


def test_a_model_that_takes_only_one_size_is_reached() -> None:
    """A Reshape to [1, 3 * 32 * 32] behind open dimensions."""
    shape = numpy_helper.from_array(np.array([1, 3 * 32 * 32]), "s")
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["x", "s"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [shape],
    )
    session = onnxruntime.InferenceSession(make(graph).SerializeToString())

    def accepted() -> str:
        for made in candidates(make(graph), NORMAL, 0):
            assert isinstance(made, Made)
            try:
                session.run(None, made.arrays)
            except onnxruntime.capi.onnxruntime_pybind11_state.Fail:
                continue
            return made.label
        return ""

    assert accepted() == "normal, seed 0, open dimensions 32, leading ones 1"


def test_kinds_share_an_open_batch() -> None:
    made = next(candidates(reading(x=["n", 50]), KINDS, 0))

    assert isinstance(made, Made)
    assert made.kind == "mixed"
    assert made.label.startswith("mixed (normal, uniform, zeros, impulses, large, tiny), seed 0")
    assert made.arrays["x"].shape == (6, 50)
    assert not made.arrays["x"][2].any()
    assert np.abs(made.arrays["x"][4]).max() > 2.0**42


@pytest.mark.parametrize(
    ("batch", "kind", "label"),
    [
        (1, "normal", "normal, seed 0"),
        (2, "mixed", "mixed (normal, uniform), seed 0"),
        (8, "mixed", "mixed (normal, uniform, zeros, impulses, large, tiny), seed 0"),
    ],
)
def test_a_fixed_batch_takes_as_many_kinds_as_it_has_entries(
    batch: int, kind: str, label: str
) -> None:
    made = made_up(reading(x=[batch, 50]), KINDS, 0)

    assert isinstance(made, Made)
    assert (made.kind, made.label) == (kind, label)


@pytest.mark.parametrize(
    ("elem_type", "dims"),
    [(FLOAT, []), (FLOAT, [1, 8]), (TensorProto.FLOAT8E5M2, ["n", 8])],
)
def test_what_has_no_entries_to_share_is_of_one_kind(elem_type: int, dims: Dims) -> None:
    made = made_up(reading(elem_type, x=dims), KINDS, 0)

    assert isinstance(made, Made)
    assert made.kind == "normal"


def test_a_model_without_floats_is_of_one_kind() -> None:
    made = made_up(reading(TensorProto.INT64, x=["n", 50]), KINDS, 0)

    assert isinstance(made, Made)
    assert made.kind == "normal"


def test_booleans_are_false_then_true_then_both() -> None:
    model = reading(BOOL, x=[100])
    zero, one, two = (made_up(model, NORMAL, seed) for seed in range(3))

    assert isinstance(zero, Made)
    assert isinstance(one, Made)
    assert isinstance(two, Made)
    assert not zero.arrays["x"].any()
    assert one.arrays["x"].all()
    assert 0 < two.arrays["x"].mean() < 1


def test_every_element_type_is_made_up_or_refused_by_name() -> None:
    for elem_type in TensorProto.DataType.values():
        made = made_up(reading(elem_type, x=["n", 3]), KINDS, 0)
        if elem_type == TensorProto.UNDEFINED:
            assert made == "input 'x' is no tensor of a known type, so it cannot be made up"
            continue
        assert isinstance(made, Made)
        assert made.arrays["x"].dtype == helper.tensor_dtype_to_np_dtype(elem_type)


@pytest.mark.parametrize(
    "value",
    [
        helper.make_tensor_sequence_value_info("s", FLOAT, None),
        helper.make_value_info(
            "s", helper.make_optional_type_proto(helper.make_tensor_type_proto(FLOAT, [1]))
        ),
        helper.make_sparse_tensor_value_info("s", FLOAT, [1]),
    ],
)
def test_what_is_no_tensor_is_not_made_up_and_named(value: Any) -> None:
    model = reading(x=["n"])
    model.graph.input.append(value)

    found = list(candidates(model, NORMAL, 0))

    assert found == ["input 's' is no tensor of a known type, so it cannot be made up"]


def test_inputs_too_large_are_not_made_up_and_named() -> None:
    assert made_up(reading(x=[1 << 40]), NORMAL, 0) == (
        "input 'x' has too many elements to be made up"
    )


def test_the_user_s_shape_is_taken() -> None:
    made = made_up(reading(x=["n", 3, "h", "h"]), NORMAL, 0, shapes={"x": (1, 3, 64, 64)})

    assert isinstance(made, Made)
    assert made.arrays["x"].shape == (1, 3, 64, 64)
    assert made.label == "normal, seed 0, 'x' 1x3x64x64"
    assert len(tried(reading(x=["n", 3]), shapes={"x": (5, 3)})) == 1


def test_the_user_s_shape_of_one_input_settles_the_names_in_another() -> None:
    model = reading(x=["n", "s"], m=["s", "n"])

    assert shapes_of(made_up(model, NORMAL, 0, shapes={"x": (5, 7)}))["m"] == (7, 5)


def test_the_user_s_sizes_of_dimensions_without_a_name_may_differ() -> None:
    assert tried(reading(x=[None, None]), shapes={"x": (2, 3)}) == [(2, 3)]


def test_a_shape_for_an_input_of_no_known_shape_is_taken() -> None:
    model = reading(x=[1])
    model.graph.input[0].type.tensor_type.ClearField("shape")

    assert tried(model, shapes={"x": (2, 3)}) == [(2, 3)]


@pytest.mark.parametrize(
    "shape", [(1, 4, 5), (1, 3), (1, 3, 5, 1), (), (0, 3, 5), (-1, 3, 5), (1.0, 3, 5)]
)
def test_a_shape_that_contradicts_the_model_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadCall, match="input 'x'"):
        made_up(reading(x=["n", 3, 5]), NORMAL, 0, shapes={"x": shape})


def test_shapes_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(BadCall, match=r"'n' of input 'y' both 2 and 3"):
        made_up(reading(x=["n"], y=["n"]), NORMAL, 0, shapes={"x": [2], "y": [3]})


def test_a_shape_for_no_input_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadCall, match="'z', which is no input") as caught:
        made_up(conv_net(), NORMAL, 0, shapes={"z": [2]})

    assert "x" in caught.value.hint
