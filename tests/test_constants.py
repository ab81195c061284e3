"""Constants are recognised through the operators that exporters write, without changing a graph."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from graphs import (
    BOOL,
    FLOAT,
    HALF,
    INT64,
    Net,
    assert_same_function,
    distance,
    feed_for,
    fold,
    fold_unverified,
    run,
)
from onnx import TensorProto, helper, numpy_helper

from folding.constant_ops import Value
from folding.constants import Constants
from folding.doubled import Doubled
from folding.expressions import MOST_BYTES, Budget, evaluate
from folding.graph import index
from folding.modelfile import in_memory
from folding.planner import plan_model
from folding.settling import settled

INT32 = TensorProto.INT32


def constants(net: Net, output: str, elem_type: int = FLOAT) -> Constants:
    graph = net.graph(output)
    graph.output[0].type.CopyFrom(helper.make_tensor_type_proto(elem_type, None))
    imports = [helper.make_opsetid("", net.opset)]
    model = in_memory(helper.make_model(graph, ir_version=net.ir_version, opset_imports=imports))
    return Constants(model, index(model)[0][0], None)


def value(net: Net, name: str = "k", elem_type: int = FLOAT) -> Any:
    """The value as an array; a float one must have come through float64."""
    found: Value | None = constants(net, name, elem_type).value(name)
    assert found is not None
    return found.high + found.low if isinstance(found, Doubled) else found


A = np.array([[1.5, -2.0, 3.0], [0.25, 5.0, -6.0]])
B = np.array([2.0, -4.0, 0.5])

FLOAT_CASES: list[tuple[str, list[Any], dict[str, Any], Any]] = [
    ("Add", [A, B], {}, A + B),
    ("Sub", [A, B], {}, A - B),
    ("Mul", [A, B], {}, A * B),
    ("Div", [A, B], {}, A / B),
    ("Neg", [A], {}, -A),
    ("Sqrt", [A * A], {}, abs(A)),
    ("Reciprocal", [B], {}, 1 / B),
    ("Pow", [A, np.array(2.0)], {}, A**2),
    ("Pow", [A, np.array(1.0)], {}, A),
    ("Pow", [A * A, np.array(0.5)], {}, abs(A)),
    ("Pow", [B, np.array(-1.0)], {}, 1 / B),
    ("Pow", [A * A, np.array(-0.5)], {}, 1 / abs(A)),
    ("Abs", [A], {}, abs(A)),
    ("Clip", [A, np.array(-1.0), np.array([2.0])], {}, np.clip(A, -1, 2)),
    ("Exp", [A], {}, np.exp(A)),
    ("Log", [A * A], {}, np.log(A * A)),
    ("MatMul", [A, B], {}, A @ B),
    ("MatMul", [A.T, A], {}, A.T @ A),
    ("Max", [A, B, np.array(1.0)], {}, np.maximum(np.maximum(A, B), 1)),
    ("Min", [A, B], {}, np.minimum(A, B)),
    ("ReduceProd", [A], {"axes": [1], "keepdims": 0}, A.prod(1)),
    ("Sigmoid", [A], {}, 1 / (1 + np.exp(-A))),
    ("Softplus", [A], {}, np.log1p(np.exp(A))),
    ("Tanh", [A], {}, np.tanh(A)),
    ("Tile", [A, np.array([2, 1])], {}, np.concatenate([A, A])),
    ("Identity", [A], {}, A),
    ("Transpose", [A], {}, A.T),
    ("Transpose", [A], {"perm": [0, 1]}, A),
    ("Reshape", [A, np.array([3, -1])], {}, A.reshape(3, 2)),
    ("Flatten", [A], {"axis": 0}, A.reshape(1, 6)),
    ("Unsqueeze", [B, np.array([0, -1])], {}, B.reshape(1, 3, 1)),
    ("Squeeze", [B.reshape(1, 3, 1), np.array([0, 2])], {}, B),
    ("Expand", [B, np.array([2, 1])], {}, np.broadcast_to(B, (2, 3))),
    ("Concat", [A, A], {"axis": 1}, np.concatenate([A, A], 1)),
    ("Concat", [A, A], {"axis": -2}, np.concatenate([A, A], 0)),
    ("Gather", [A, np.array([2, -3])], {"axis": 1}, A[:, [2, 0]]),
    ("Gather", [A, np.array(1)], {}, A[1]),
    ("Slice", [A, np.array([1]), np.array([9]), np.array([-1])], {}, A[:, 1:]),
    (
        "Slice",
        [A, np.array([-1]), np.array([-(2**31)]), np.array([1]), np.array([-1])],
        {},
        A[:, ::-1],
    ),
    ("Slice", [B, np.array([-9]), np.array([-12]), np.array([0]), np.array([-1])], {}, B[:1]),
    ("Cast", [A], {"to": TensorProto.DOUBLE}, A),
    ("Cast", [np.array([0.1])], {"to": HALF}, np.array([0.1]).astype(np.float16).astype(float)),
    ("Cast", [np.array([3, -4])], {"to": FLOAT}, np.array([3.0, -4.0])),
]


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes", "expected"), FLOAT_CASES, ids=lambda v: str(v)[:20]
)
def test_floats_are_evaluated_in_float64(
    operator: str, inputs: list[Any], attributes: dict[str, Any], expected: Any
) -> None:
    net = Net(TensorProto.DOUBLE)
    names = [net.store(v, elem_type=None if v.dtype.kind == "f" else 0) for v in inputs]
    net.node(operator, *names, out="k", **attributes)

    found = value(net, elem_type=attributes.get("to", TensorProto.DOUBLE))

    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-15)


INTEGER_CASES: list[tuple[str, list[Any], dict[str, Any], Any]] = [
    ("Add", [[7, -7], [2, 2]], {}, [9, -5]),
    ("Sub", [[7, -7], [2, 2]], {}, [5, -9]),
    ("Mul", [[7, -7], [2, 2]], {}, [14, -14]),
    ("Div", [[7, -7], [2, 2]], {}, [3, -3]),
    ("Div", [[2**62 + 3], [1]], {}, [2**62 + 3]),
    ("Mod", [[7, -7], [3, 3]], {}, [1, 2]),
    ("Mod", [[7, -7], [-3, -3]], {}, [-2, -1]),
    ("Neg", [[7, -7]], {}, [-7, 7]),
    ("Abs", [[7, -7]], {}, [7, 7]),
    ("Clip", [[7, -7], -2, 5], {}, [5, -2]),
    ("Max", [[7, -7], [2, 2]], {}, [7, 2]),
    ("Min", [[7, -7], [2, 2]], {}, [2, -7]),
    ("ReduceProd", [[7, -7]], {"keepdims": 0}, -49),
    ("Tile", [[7, -7], [2]], {}, [7, -7, 7, -7]),
    ("Range", [2, 9, 3], {}, [2, 5, 8]),
    ("Range", [5, 0, -2], {}, [5, 3, 1]),
    ("Cast", [[1, -2]], {"to": TensorProto.INT32}, [1, -2]),
]


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes", "expected"), INTEGER_CASES, ids=lambda v: str(v)[:20]
)
def test_integers_are_evaluated_in_their_own_type(
    operator: str, inputs: list[Any], attributes: dict[str, Any], expected: Any
) -> None:
    net = Net()
    names = [net.store(np.array(v, np.int64), elem_type=0) for v in inputs]
    net.node(operator, *names, out="k", **attributes)

    found = value(net, elem_type=attributes.get("to", INT64))

    assert found.dtype.kind == "i"
    assert found.tolist() == expected


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        ({"value_float": 0.5}, 0.5),
        ({"value_floats": [0.5, 1.5]}, [0.5, 1.5]),
        ({"value_int": 3}, 3),
        ({"value_ints": [3, 4]}, [3, 4]),
        ({"value": numpy_helper.from_array(np.array([[2.5]], np.float32))}, [[2.5]]),
    ],
)
def test_every_form_of_a_constant_node_is_read(attribute: dict[str, Any], expected: Any) -> None:
    net = Net()
    net.node("Constant", out="k", **attribute)

    found = value(net, elem_type=INT64 if "int" in next(iter(attribute)) else FLOAT)

    assert found.tolist() == expected


@pytest.mark.parametrize("fill", [None, np.array([0.25], np.float32), np.array([7])])
def test_a_constant_of_shape_is_filled(fill: Any) -> None:
    net = Net()
    given: dict[str, Any] = {} if fill is None else {"value": numpy_helper.from_array(fill)}
    net.node("ConstantOfShape", net.integers(2, 3), out="k", **given)

    found = value(net, elem_type=INT64 if fill is not None and fill.dtype.kind == "i" else FLOAT)

    np.testing.assert_array_equal(found, np.full((2, 3), 0 if fill is None else fill[0]))


def test_the_static_dimensions_of_a_shape_are_constants() -> None:
    net = Net()
    net.node("Shape", net.input("n", 3, 5), out="s")
    net.node("Gather", "s", net.integers(1, 2), out="k")

    assert value(net, elem_type=INT64).tolist() == [3, 5]


@pytest.mark.parametrize("taken", [[0], [0, 1]])
def test_an_open_dimension_of_a_shape_is_no_constant(taken: list[int]) -> None:
    net = Net()
    net.node("Shape", net.input("n", 3, 5), out="s")
    net.node("Gather", "s", net.integers(*taken), out="k")

    assert "k" not in constants(net, "k", INT64)


def test_a_slice_of_a_shape_and_a_shape_of_a_part_are_constants() -> None:
    net = Net()
    net.node("Shape", net.input("n", 3, 5), out="s")
    net.node("Slice", "s", net.integers(1), net.integers(3), out="k")
    net.node("Shape", "x", out="m", start=-2)

    assert value(net, elem_type=INT64).tolist() == [3, 5]


@pytest.mark.parametrize("operator", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize("size", [1, 3])
def test_the_shape_of_a_part_is_known_behind_a_layer_whose_weight_is_computed(
    size: int, operator: str
) -> None:
    """As it is behind one whose weight is stored, if a kernel leaves something of any image."""
    net = Net()
    weight = net.weight(4, 4, size)
    scaled = net.node("Div", weight, net.node("ReduceL2", weight, axes=[1, 2]))
    layer = net.node(operator, net.input(2, 4, 5), scaled)
    part = net.node("Slice", layer, net.integers(0), net.integers(2), net.integers(1))
    net.node("Mul", part, net.weight(2, 1), out="y")
    model = net.model("y")

    result = fold(model)

    is_known = size == 1 or operator == "ConvTranspose"
    assert [d.is_folded for d in result.plan.decisions] == [is_known]
    assert fold(result.model).model == result.model


def test_a_dimension_is_followed_through_moves_and_casts_to_integers() -> None:
    """As the exporter of TensorFlow writes the last axis of a product."""
    net = Net()
    net.node("Shape", net.input("n", "t", 8), out="s")
    turned = net.node("Gather", "s", net.integers(1, 0, 2))
    short = net.node("Cast", net.node("Identity", turned), to=INT32)
    one = net.store(np.array([1], np.int32), elem_type=0)
    joined = net.node("Concat", one, short, axis=0)
    last = net.node("Slice", joined, net.integers(3), net.integers(4))
    net.node("Unsqueeze", net.node("Squeeze", last, net.integers(0)), net.integers(0), out="k")

    found = value(net, elem_type=INT32)

    assert found.tolist() == [8]
    assert found.dtype == np.int32


def test_a_norm_goes_down_through_a_reshape_whose_sizes_are_computed_so() -> None:
    """The product of the last axes of a recurrent layer, as TensorFlow writes it."""
    net = Net()
    net.node("Mul", net.node("Sigmoid", net.input("t", "n", 8)), net.weight(8), out="y")
    turned = net.node("Gather", net.node("Shape", "y"), net.integers(1, 0, 2))
    short = net.node("Cast", turned, to=INT32)
    parts = []
    for places in ((0, 1), (2,)):
        sizes = net.node("Gather", short, net.integers(*places))
        size = net.node("ReduceProd", sizes, axes=[0], keepdims=0)
        parts.append(net.node("Unsqueeze", size, net.integers(0)))
    joined = net.node("Cast", net.node("Concat", *parts, axis=0), to=INT64)
    rows = net.node("Reshape", net.node("Transpose", "y", perm=[1, 0, 2]), joined)
    model = net.model(net.node("MatMul", rows, net.weight(8, 3)))

    result = fold(model)

    assert "Mul" not in result.operators
    feed = feed_for(model)
    assert distance(run(model, feed)[0], run(result.model, feed)[0]) < 1e-5


@pytest.mark.parametrize(
    ("operator", "given"),
    [("Cast", {"to": TensorProto.UINT8}), ("Cast", {"to": FLOAT}), ("Neg", {}), ("Reshape", {})],
)
def test_a_dimension_is_not_followed_through_what_computes(
    operator: str, given: dict[str, Any]
) -> None:
    """A size that is not known would become a number like any other."""
    net = Net()
    net.node("Shape", net.input("n", 3), out="s")
    more = [net.integers(2)] if operator == "Reshape" else []
    net.node("Gather", net.node(operator, "s", *more, **given), net.integers(0, 1), out="k")

    assert "k" not in constants(net, "k", given.get("to", INT64))


def test_two_open_dimensions_do_not_make_a_known_one() -> None:
    """Their product is not that of what stands for them."""
    net = Net()
    net.node("Shape", net.input("n", "t", 8), out="s")
    short = net.node("Cast", "s", to=INT64)
    first = net.node("Gather", short, net.integers(0, 1))
    net.node("ReduceProd", first, out="k", axes=[0], keepdims=0)

    assert "k" not in constants(net, "k", INT64)


@pytest.mark.parametrize("part", ["indices", "data"])
def test_where_an_element_of_a_shape_is_taken_must_be_known(part: str) -> None:
    net = Net()
    net.node("Shape", net.input(1, 3), out="s")
    place = net.input(1, name="i", elem_type=INT64)
    names = ["s", place] if part == "indices" else [place, "s"]
    net.node("Gather", *names, out="k")

    assert "k" not in constants(net, "k", INT64)


def test_what_is_longer_than_any_shape_is_not_followed() -> None:
    """It is evaluated like any other constant, within the same memory."""
    for batch, is_constant in ((2, True), ("n", False)):
        net = Net()
        net.node("Shape", net.input(batch, 3), out="s")
        net.node("Gather", "s", net.integers(*[1] * 65), out="k")

        assert ("k" in constants(net, "k", INT64)) == is_constant


def test_all_that_says_what_a_slice_takes_of_a_shape_must_be_known() -> None:
    """Its steps, too: without any they are 1."""
    net = Net()
    net.node("Shape", net.input(2, 3, 4), out="s")
    steps = net.input(1, name="steps", elem_type=INT64)
    net.node("Slice", "s", net.integers(0), net.integers(3), net.integers(0), steps, out="k")

    assert "k" not in constants(net, "k", INT64)


def test_a_shape_that_picks_from_itself_must_be_known() -> None:
    """Which of its numbers are not known does not say which ones are picked."""
    for batch, is_constant in ((1, True), ("n", False)):
        net = Net()
        net.node("Shape", net.input(batch, 2, 1), out="s")
        net.node("Gather", "s", "s", out="k")

        assert ("k" in constants(net, "k", INT64)) == is_constant


def test_the_size_of_a_static_value_is_a_constant() -> None:
    net = Net()
    net.node("Size", net.input(2, 3, 5), out="k")

    assert int(value(net, elem_type=INT64)) == 30


@pytest.mark.parametrize("operator", ["Erf", "Sin", "Where"])
def test_other_operators_are_not_evaluated(operator: str) -> None:
    net = Net()
    inputs = [net.store(np.ones(3))]
    if operator == "Where":
        inputs = [net.store(np.ones(3, bool), elem_type=0), *inputs, *inputs]
    net.node(operator, *inputs, out="k")

    assert "k" not in constants(net, "k")


def test_an_initializer_that_is_also_an_input_is_no_constant() -> None:
    net = Net()
    net.node("Neg", net.store(np.ones(3), "c"), out="k")
    net.input(3, name="c")

    assert "c" not in constants(net, "k")
    assert "k" not in constants(net, "k")


def test_below_ir_4_it_is_one() -> None:
    net = Net(ir_version=3)
    net.node("Neg", net.store(np.ones(3), "c"), out="k")
    net.input(3, name="c")

    assert value(net).tolist() == [-1, -1, -1]


def test_what_a_known_operator_makes_of_run_time_data_is_no_constant() -> None:
    net = Net()
    net.node("Mul", net.input(3), net.store(np.ones(3)), out="k")

    assert "k" not in constants(net, "k")


def test_an_operator_of_another_domain_is_not_evaluated() -> None:
    net = Net()
    net.node("Neg", net.store(np.ones(3)), out="k", domain="somewhere")

    assert "k" not in constants(net, "k")


def test_a_constant_of_a_million_elements_is_the_biggest() -> None:
    net = Net()
    net.node("Expand", net.store(1.0), net.integers(1 << 20), out="a")
    net.node("Expand", net.store(1.0), net.integers((1 << 20) + 1), out="b")

    found = constants(net, "a")

    assert found.doubled("a") is not None
    assert found.doubled("b") is None


def test_a_stored_tensor_is_seen_through_moves_without_being_read() -> None:
    net = Net()
    net.node("Transpose", net.store(A, "w"), out="t")
    net.node("Reshape", "t", net.integers(2, 3), out="k")

    found = constants(net, "k")
    stored = found.stored("k")

    assert stored is not None
    assert stored.tensor.name == "w"
    assert stored.dims == (2, 3)
    np.testing.assert_array_equal(found.load(stored), A.T.reshape(2, 3))


def test_a_computed_constant_is_no_stored_tensor() -> None:
    net = Net()
    net.node("Neg", net.store(A), out="k")

    assert constants(net, "k").stored("k") is None


def test_a_narrowing_cast_is_no_mere_move() -> None:
    net = Net(TensorProto.DOUBLE)
    net.node("Cast", net.store(A), out="k", to=FLOAT)

    assert constants(net, "k").stored("k") is None


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul", "Div"])
def test_operands_that_are_aligned_by_old_rules_are_left_to_the_runtime(operator: str) -> None:
    """Below operator set 7 an attribute says along which axis."""
    net = Net(opset=6)
    square, row = net.store(np.ones((2, 2))), net.store(np.array([1.0, 2.0]))
    net.node(operator, square, row, out="k", axis=0, broadcast=1)

    assert constants(net, "k").value("k") is None


def test_a_division_of_integers_by_zero_is_left_to_the_runtime() -> None:
    net = Net()
    net.node("Div", net.integers(1), net.integers(0), out="k")

    assert constants(net, "k", INT64).value("k") is None


def test_an_index_out_of_range_is_left_to_the_runtime() -> None:
    net = Net()
    net.node("Gather", net.store(np.ones(3)), net.integers(3), out="k")

    assert constants(net, "k").value("k") is None


def test_the_parameters_that_tensorflow_computes_fold() -> None:
    """Keras writes gamma * rsqrt(var + eps) and beta - mean * that, all of it constant."""
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node("Add", net.positive(4, name="var"), net.store(1e-3), out="spread")
    net.node("Sqrt", "spread", out="root")
    net.node("Reciprocal", "root", out="inverse")
    net.node("Mul", "inverse", net.weight(4), out="flat")
    net.node("Mul", net.weight(4), "flat", out="moved")
    net.node("Sub", net.weight(4), "moved", out="shift")
    net.node("Reshape", "flat", net.integers(1, 4, 1), out="scale3")
    net.node("Reshape", "shift", net.integers(1, 4, 1), out="shift3")
    net.node("Mul", "v", "scale3", out="w")
    net.node("Add", "w", "shift3", out="y")
    model = net.model("y")

    result = fold(model)

    assert result.operators == ["Conv"]
    assert [array.shape for array in result.tensors.values()] == [(4, 3, 3), (4,)]
    assert_same_function(model, result.model)


def test_bodies_see_the_constants_around_them() -> None:
    body = Net()
    body.node("Conv", "x", "w", out="v")
    body.node("Mul", "v", "scale", out="b")
    other = Net()
    other.node("Conv", "x", "w", out="o")
    net = Net()
    net.input(2, 3, 5)
    net.weight(4, 3, 3, name="w")
    net.node("Neg", net.weight(4, 1), out="scale")
    condition = net.input(name="c", elem_type=BOOL)
    net.node("If", condition, out="y", then_branch=body.graph("b"), else_branch=other.graph("o"))
    model = net.model("y")

    result = fold(model)

    assert result.into("b") == ("v",)
    assert_same_function(model, result.model)


def test_a_flatten_of_an_unknown_shape_is_not_evaluated() -> None:
    body = [
        helper.make_node("Constant", [], ["c"], value_ints=[0, 1]),
        helper.make_node("Flatten", ["c"], ["i"], axis=0),
        helper.make_node("Shape", ["a"], ["s"]),
        helper.make_node("Gather", ["s", "i"], ["b"]),
    ]
    imports = [helper.make_opsetid("", 17)]
    function = helper.make_function("my", "Sizes", ["a"], ["b"], body, imports)
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.batch_norm("v", 4, "y")
    net.node("Sizes", "y", out="z", domain="my")

    result = fold_unverified(net.model("y", functions=[function]))

    assert result.decision("y").is_folded


@pytest.mark.parametrize("perm", [[0, 1, 2], [0, 0], [0, 5]])
def test_a_weight_behind_a_transpose_that_does_not_fit_it_is_no_constant(perm: list[int]) -> None:
    net = Net()
    net.node("Transpose", net.weight(3, 4), out="w", perm=perm)
    net.node("MatMul", net.input(2, 3), "w", out="v")
    net.node("Mul", "v", net.weight(4), out="y")
    found = constants(net, "y")

    assert found.stored("w") is None
    assert settled(found).shapes == {}


def expression(operator: str, *inputs: Any, dims: tuple[int, ...] = (), **given: Any) -> Any:
    """What one operator makes of integers, or of floats."""
    node = helper.make_node(operator, ["x"] * len(inputs), ["y"], **given)
    return evaluate(node, list(inputs), dims)


LONG = np.zeros(1 << 11, np.int64)
WIDE = np.zeros(1 << 20, np.int64)

TOO_BIG: dict[str, tuple[Any, ...]] = {
    "Add": (LONG[:, None], LONG[None]),
    "Div": (LONG[:, None], LONG[None] + 1),
    "Mod": (LONG[:, None], LONG[None] + 1),
    "Mul": (Doubled.exact(LONG[:, None] * 1.0), Doubled.exact(LONG[None] * 1.0)),
    "Concat": (WIDE, WIDE),
    "Gather": (LONG[:, None] + np.zeros(2, np.int64), LONG.repeat(300)),
    "MatMul": (Doubled.exact(LONG[:, None] * 1.0), Doubled.exact(LONG[None] * 1.0)),
    "Max": (LONG[:, None], LONG[None]),
    "Min": (LONG[:, None], LONG[None]),
    "Range": (np.array(0), np.array(1 << 60), np.array(1)),
    "Tile": (LONG, np.array([1 << 40])),
}


@pytest.mark.parametrize("operator", TOO_BIG)
def test_no_operator_makes_millions_of_numbers_out_of_few(operator: str) -> None:
    """There is never an array of them."""
    tracemalloc.start()
    assert expression(operator, *TOO_BIG[operator], axis=0) is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 22


@pytest.mark.parametrize("operator", ["ConstantOfShape", "Expand"])
def test_nor_is_a_shape_of_millions_filled(operator: str) -> None:
    assert expression(operator, np.zeros(1, np.int64), dims=(1 << 40, 1 << 40)) is None


@pytest.mark.parametrize("operator", ["ConstantOfShape", "Expand", "Reshape"])
def test_a_shape_of_a_negative_length_is_none(operator: str) -> None:
    assert expression(operator, np.zeros(1, np.int64), dims=(-1, -1)) is None


def test_a_big_weight_may_change_its_order() -> None:
    weight = np.arange(1 << 21).reshape(2, 1 << 20)

    found = expression("Gather", weight, np.array([1, 0]), axis=0)

    assert (found == weight[::-1]).all()


def test_integers_overflow_in_silence_as_in_a_runtime(recwarn: pytest.WarningsRecorder) -> None:
    least = np.array([-(2**63)])

    assert expression("Div", least, np.array([-1])).tolist() == [-(2**63)]
    assert expression("Mul", least, np.array([2])).tolist() == [0]
    assert expression("Mod", least, np.array([-1])).tolist() == [0]
    assert not recwarn.list


def test_a_range_keeps_the_type_and_every_digit_of_its_numbers() -> None:
    found = expression("Range", np.array(2**62 + 1), np.array(2**62 + 4), np.array(2))

    assert found.tolist() == [2**62 + 1, 2**62 + 3]
    assert expression("Range", *map(np.asarray, np.array([3, 0, -1], np.int32))).dtype == np.int32


# --- memory --------------------------------------------------------------------------------------


def added(count: int) -> Net:
    """A chain of additions of a million integers each."""
    net = Net()
    name = net.store(np.arange((1 << 20) - 16), elem_type=0)
    for number in range(count):
        name = net.node("Add", name, net.integers(number))
    net.node("Identity", name, out="k")
    return net


def test_what_is_evaluated_takes_no_more_memory_than_it_may() -> None:
    """However long the chain is; then the constant is none that is known."""
    short, long = (constants(added(count), "k", INT64) for count in (3, 60))
    tracemalloc.start()
    try:
        assert short.value("k") is not None
        assert long.value("k") is None
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 2 * MOST_BYTES


def test_views_of_what_nobody_else_keeps_take_memory_too() -> None:
    """As stored integers do, which are views of the bytes that were read; their parts do not."""
    budget = Budget()
    whole = budget.take(np.frombuffer(bytes(MOST_BYTES - 8), np.int64))
    assert isinstance(whole, np.ndarray)

    assert budget.take(whole.reshape(-1, 1)) is not None
    assert budget.take(whole) is not None
    assert budget.take(np.frombuffer(bytes(8), np.int64)) is not None
    assert budget.take(np.frombuffer(bytes(8), np.int64)) is None


def test_small_constants_are_known_beside_one_that_takes_too_much() -> None:
    """They find room where it did not."""
    net = added(60)
    net.node("Add", net.integers(1, 2), net.integers(3, 4), out="small")
    found = constants(net, "k", INT64)

    assert found.value("k") is None
    small = found.value("small")
    assert isinstance(small, np.ndarray)
    assert small.tolist() == [4, 6]


@pytest.mark.parametrize("count", [0, 2])
def test_the_scopes_of_a_model_share_the_memory(count: int) -> None:
    """Or as many functions would take as much of it each."""
    net = added(count)
    body = helper.make_node("Identity", ["a"], ["b"])
    imports = [helper.make_opsetid("", net.opset), helper.make_opsetid("own", 1)]
    function = helper.make_function("own", "F", ["a"], ["b"], [body], imports[:1])
    model = helper.make_model(
        net.graph("k"), functions=[function], ir_version=8, opset_imports=imports
    )

    first, second = (draft.constants.budget for draft in plan_model(in_memory(model), {}).drafts)

    assert first is second
