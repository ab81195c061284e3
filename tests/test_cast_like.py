"""A CastLike takes the numbers of its first input, and of its second only the type."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import (
    DOUBLE,
    FLOAT,
    HALF,
    INT64,
    TYPES,
    Net,
    assert_same_function,
    fold,
    fold_unverified,
)
from onnx import ModelProto, TensorProto, helper

from folding.constants import Constants
from folding.graph import index
from folding.modelfile import in_memory
from folding.plan import Reason


def exported(elem_type: int = FLOAT, *, before: bool = False) -> Net:
    """A Conv whose bias is written as an exporter does: zeros like the input, as many as needed."""
    net = Net(elem_type, opset=20)
    data = net.input("n", 3, 4, 4)
    data = net.batch_norm(data, 3, "b") if before else data
    net.weight(2, 3, 1, 1, name="w")
    net.node("Expand", net.node("Shape", "w", start=0, end=1), net.integers(1), out="dims")
    net.node("CastLike", net.store(0, elem_type=INT64), data, out="zero")
    net.node("Expand", "zero", "dims", out="bias")
    net.node("Conv", data, "w", "bias", out="v")
    return net


def constants(model: ModelProto) -> Constants:
    loaded = in_memory(model)
    return Constants(loaded, index(loaded)[0][0], None)


@pytest.mark.parametrize("elem_type", [*TYPES, HALF])
def test_a_bias_like_the_data_is_a_constant(elem_type: int) -> None:
    """What computed it goes with it."""
    net = exported(elem_type)
    model = net.model(net.batch_norm("v", 2, "y"))

    result = fold(model)

    assert result.into("y") == ("v",)
    assert result.operators == ["Conv"]
    assert_same_function(model, result.model)


@pytest.mark.parametrize("elem_type", TYPES)
def test_an_affine_goes_into_a_layer_whose_bias_has_the_type_of_its_data(elem_type: int) -> None:
    """Who asks for the type of a value does not see that it changes."""
    model = exported(elem_type, before=True).model("v")

    result = fold(model)

    assert result.into("b") == ("v",)
    assert result.operators == ["Conv"]
    assert_same_function(model, result.model)


def test_a_value_goes_on_as_another_one_before_those_who_ask_for_its_type() -> None:
    """They ask the one that takes its place, and still make the same."""
    net = Net(opset=20)
    net.node("Conv", net.input(2, 3, 4, 4), net.weight(3, 3, 1, 1), out="a")
    net.node("Mul", "a", net.weight(3, 1, 1), out="b")
    net.node("CastLike", net.input(3, 1, 1, name="k", elem_type=INT64), "b", out="c")
    net.node("Mul", net.node("Sigmoid", "b"), "c", out="y")
    model = net.model("y")

    result = fold(model)

    assert result.into("b") == ("a",)
    assert result.operators == ["Conv", "CastLike", "Sigmoid", "Mul"]
    assert_same_function(model, result.model)


def test_one_that_casts_a_value_to_its_own_type_sees_the_value() -> None:
    net = Net(opset=20)
    net.node("Mul", net.input(2, 3), net.weight(3), out="b")
    net.node("CastLike", "b", "b", out="c")
    net.node("Gemm", "b", net.weight(3, 3), out="d")
    net.node("Concat", "c", "d", out="y", axis=1)
    model = net.model("y")

    result = fold_unverified(model)

    assert not result.decision("b").is_folded
    assert_same_function(model, result.model)


def test_a_type_is_enough_without_a_shape() -> None:
    net = Net(opset=20)
    net.input(name="x")
    net.inputs[0].type.tensor_type.ClearField("shape")
    net.node("CastLike", net.store([1.5, 2.5], elem_type=DOUBLE), "x", out="k")
    found = constants(net.model("k")).doubled("k")

    assert found is not None
    assert found.high.tolist() == [1.5, 2.5]


def test_numbers_are_rounded_to_a_narrower_type() -> None:
    net = Net(HALF, opset=20)
    net.node("CastLike", net.store([0.1], elem_type=FLOAT), net.input(2, 3), out="k")
    found = constants(net.model("k")).doubled("k")

    assert found is not None
    assert found.high.tolist() == [float(np.float16(0.1))]


def test_integers_become_floats() -> None:
    net = Net(opset=20)
    net.node("CastLike", net.integers(3, -4), net.input(2, 3), out="k")
    found = constants(net.model("k")).doubled("k")

    assert found is not None
    assert found.high.tolist() == [3.0, -4.0]


def test_a_stored_tensor_is_seen_through_a_cast_to_its_own_type() -> None:
    net = Net(opset=20)
    net.node("CastLike", net.weight(2, 3, name="w"), net.input(2, 3), out="k")
    stored = constants(net.model("k")).stored("k")

    assert stored is not None
    assert stored.tensor.name == "w"


def test_numbers_that_come_at_run_time_are_no_constant() -> None:
    net = Net(opset=20)
    net.node("CastLike", net.input(2, 3), net.weight(3), out="k")

    assert "k" not in constants(net.model("k"))


def test_a_type_that_is_not_known_is_none() -> None:
    """Nobody but the runtime knows what an operator of somebody else's makes."""
    net = Net(opset=20)
    net.node("Own", net.input(2, 3), out="a", domain="own")
    net.node("CastLike", net.store(0.0), "a", out="k")

    assert "k" not in constants(net.model("k"))


def test_nor_is_one_that_the_file_merely_says_of_a_value() -> None:
    net = Net(opset=20)
    net.node("Own", net.input(2, 3), out="a", domain="own")
    net.node("CastLike", net.store(0.0), "a", out="k")
    model = net.model("k")
    model.graph.value_info.append(helper.make_tensor_value_info("a", FLOAT, [2, 3]))

    assert "k" not in constants(model)


def test_a_type_that_is_not_evaluated_makes_no_number() -> None:
    net = Net(opset=20)
    kind = TensorProto.FLOAT8E4M3FN
    net.node("CastLike", net.store([0.1]), net.input(2, 3, elem_type=kind), out="k")

    assert constants(net.model("k")).value("k") is None


def test_an_operator_of_that_name_of_somebody_elses_is_another() -> None:
    net = Net(opset=20)
    net.node("CastLike", net.store(0.0), net.input(2, 3), out="k", domain="own")

    assert "k" not in constants(net.model("k"))


def test_a_bias_of_an_open_size_is_computed_at_run_time() -> None:
    net = Net(opset=20)
    net.input(2, 3, 4, 4)
    net.node("CastLike", net.store(0.0), "x", out="zero")
    net.node("Expand", "zero", net.input(1, name="size", elem_type=INT64), out="bias")
    net.node("Conv", "x", net.weight(2, 3, 1, 1), "bias", out="v")
    result = fold_unverified(net.model(net.batch_norm("v", 2, "y")))

    assert result.kept("y") == (Reason.RUNTIME_BIAS, "v")
