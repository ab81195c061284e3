"""Integers and texts are made up so that every node that reads them can use them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from files import make, save
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from folding.equivalence.kinds import Kind
from folding.equivalence.made_up import Made, made_up
from folding.modelfile import open_model

INT64, FLOAT, STRING = TensorProto.INT64, TensorProto.FLOAT, TensorProto.STRING
SHAPE: tuple[int | str, ...] = ("n", 40)


def model_of(
    nodes: Sequence[NodeProto],
    *,
    elem_type: int = INT64,
    shape: Sequence[int | str] = SHAPE,
    constants: dict[str, Any] | None = None,
    out: int = FLOAT,
    more: Sequence[Any] = (),
    **options: Any,
) -> ModelProto:
    """A model that reads an input ``i``, and maybe more."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("i", elem_type, shape), *more],
        [helper.make_tensor_value_info("y", out, None)],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in (constants or {}).items()],
    )
    return make(graph, **options)


def made(model: ModelProto, kind: Kind = Kind.NORMAL, seed: int = 0) -> Made:
    """Inputs, which the runtime has accepted."""
    found = made_up(model, (kind,), seed)
    assert isinstance(found, Made)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    session.run(None, found.arrays)
    return found


def values(model: ModelProto, kind: Kind = Kind.NORMAL) -> Any:
    """What was made up for ``i``."""
    return made(model, kind).arrays["i"]


def node(op: str, inputs: str, out: str = "y", **more: Any) -> NodeProto:
    return helper.make_node(op, inputs.split(","), [out], **more)


def table(rows: int, columns: int = 2) -> Any:
    return np.zeros((rows, columns), np.float32)


ROWS = {
    "Gather": ([node("Gather", "t,i")], {"t": table(5)}, SHAPE),
    "Gather along another axis": ([node("Gather", "t,i", axis=1)], {"t": table(9, 5)}, SHAPE),
    "Gather along an axis from the right": (
        [node("Gather", "t,i", axis=-1)],
        {"t": table(9, 5)},
        SHAPE,
    ),
    "GatherElements": ([node("GatherElements", "t,i", axis=1)], {"t": table(9, 5)}, (3, 40)),
    "GatherND": ([node("GatherND", "t,i")], {"t": table(7, 5)}, (40, 2)),
    "GatherND in a batch": (
        [node("GatherND", "t,i", batch_dims=1)],
        {"t": np.zeros((2, 5, 9), np.float32)},
        (2, 40, 1),
    ),
    "ScatterElements": (
        [node("ScatterElements", "t,i,u")],
        {"t": table(5, 40), "u": table(4, 40)},
        (4, 40),
    ),
    "OneHot": (
        [node("OneHot", "i,d,v")],
        {"d": np.array([5]), "v": np.array([0, 1], np.float32)},
        SHAPE,
    ),
    "Cast before": (
        [node("Cast", "i", "c", to=TensorProto.INT32), node("Gather", "t,c")],
        {"t": table(5)},
        SHAPE,
    ),
    "Reshape, Unsqueeze, Slice and Concat before": (
        [
            node("Reshape", "i,s", "r"),
            node("Unsqueeze", "r,z", "u"),
            node("Slice", "u,z,e,z", "l"),
            node("Concat", "l,o", "c", axis=1),
            node("Gather", "t,c"),
        ],
        {
            "t": table(5),
            "s": np.array([-1]),
            "z": np.array([0]),
            "e": np.array([9]),
            "o": np.array([[1]]),
        },
        SHAPE,
    ),
    "the shorter of two tables": (
        [node("Gather", "t,i", "g"), node("Gather", "v,i", "h"), node("Add", "g,h")],
        {"t": table(8), "v": table(5)},
        SHAPE,
    ),
    "the shorter of two tables, read first": (
        [node("Gather", "v,i", "h"), node("Gather", "t,i", "g"), node("Add", "g,h")],
        {"t": table(8), "v": table(5)},
        SHAPE,
    ),
    "GatherND by fewer numbers than the table has axes": (
        [node("GatherND", "t,i")],
        {"t": table(5, 3)},
        (40, 1),
    ),
    "OneHot whose depth is a Constant": (
        [
            helper.make_node("Constant", [], ["d"], value=numpy_helper.from_array(np.array([5]))),
            node("OneHot", "i,d,v"),
        ],
        {"v": np.array([0, 1], np.float32)},
        SHAPE,
    ),
    "a table of indices into a shorter one": (
        [node("Gather", "t,i", "g"), node("Gather", "v,g")],
        {"t": np.zeros((5, 2), np.int64), "v": table(2)},
        SHAPE,
    ),
    "a table whose length is inferred": (
        [node("Concat", "t,t2", "tt", axis=0), node("Gather", "tt,i")],
        {"t": table(3), "t2": table(2)},
        SHAPE,
    ),
}


@pytest.mark.parametrize("case", ROWS)
def test_indices_are_all_those_of_the_table(case: str) -> None:
    nodes, constants, shape = ROWS[case]
    model = model_of(nodes, constants=constants, shape=shape)

    assert set(np.unique(values(model))) == set(range(5))
    assert (values(model, Kind.ZEROS) == 0).all()
    assert (values(model, Kind.LARGE) == 4).all()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_what_is_a_count_and_an_index_is_both(order: tuple[int, int]) -> None:
    nodes = [node("Gather", "t,i", "g"), node("Tile", "t,i")]
    model = model_of([nodes[i] for i in order], constants={"t": table(5)}, shape=(2,))

    assert set(values(model, Kind.ZEROS)) == {1}
    assert set(values(model, Kind.LARGE)) == {2}


def test_a_table_of_one_row_is_only_asked_for_it() -> None:
    model = model_of([node("Gather", "t,i")], constants={"t": table(1)})

    assert not values(model).any()


def test_rows_of_an_activation_follow_from_the_shapes_of_the_inputs() -> None:
    x = helper.make_tensor_value_info("x", FLOAT, ["k", "m"])
    model = model_of([node("Relu", "x", "r"), node("Gather", "r,i", axis=1)], more=[x])

    found = made_up(model, (Kind.NORMAL,), 0, open_size=8)

    assert isinstance(found, Made)
    assert set(np.unique(found.arrays["i"])) == set(range(8))


def test_indices_into_a_table_of_unknown_length_are_0() -> None:
    x = helper.make_tensor_value_info("x", FLOAT, [3, 3])
    nodes = [node("NonZero", "x", "z"), node("Gather", "z,i", axis=1)]
    model = model_of(nodes, more=[x], out=INT64)

    assert not values(model).any()


def test_indices_are_followed_into_bodies() -> None:
    body = helper.make_graph(
        [node("Gather", "t,i", "b")], "b", [], [helper.make_tensor_value_info("b", FLOAT, None)]
    )
    flag = helper.make_tensor_value_info("f", TensorProto.BOOL, [])
    branch = helper.make_node("If", ["f"], ["y"], then_branch=body, else_branch=body)
    model = model_of([branch], constants={"t": table(5)}, more=[flag])

    assert set(np.unique(values(model))) == set(range(5))


def test_indices_are_followed_into_functions() -> None:
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    function = helper.make_function(
        "mine", "Embed", ["a", "b"], ["c"], [node("Gather", "a,b", "c")], imports[:1]
    )
    call = node("Embed", "t,i", domain="mine")
    model = model_of([call], constants={"t": table(5)}, functions=[function], opset_imports=imports)

    assert set(np.unique(values(model))) == set(range(5))
    assert len(model.functions) == 1


def test_tables_need_not_be_read_to_know_their_length(tmp_path: Path) -> None:
    model = model_of([node("Gather", "t,i")], constants={"t": table(5, 400)})

    with open_model(save(model, tmp_path / "m.onnx")) as opened:
        assert opened.proto.graph.initializer[0].data_location == TensorProto.EXTERNAL
        found = made_up(opened.proto, (Kind.LARGE,), 0)

    assert isinstance(found, Made)
    assert (found.arrays["i"] == 4).all()


COUNTS = {
    "Tile": ([node("Tile", "t,i")], {"t": table(2)}, (2,), {1, 2}),
    "ConstantOfShape": ([node("ConstantOfShape", "i")], {}, (8,), {1, 2}),
    "Expand": ([node("Expand", "t,i")], {"t": table(2)}, (2,), {1}),
    "ReduceSum": ([node("ReduceSum", "t,i")], {"t": table(2)}, (1,), {1}),
    "TopK": (
        [helper.make_node("TopK", ["t", "i"], ["y", "z"])],
        {"t": table(2, 1)},
        (1,),
        {1},
    ),
    "Slice": (
        [node("Slice", "t,z,i")],
        {"t": table(2), "z": np.zeros(2, np.int64)},
        (2,),
        {1, 2},
    ),
}


@pytest.mark.parametrize("case", COUNTS)
def test_shapes_counts_and_axes_are_small_and_positive(case: str) -> None:
    nodes, constants, shape, allowed = COUNTS[case]
    model = model_of(nodes, constants=constants, shape=shape)

    assert set(np.unique(values(model))) <= allowed


@pytest.mark.parametrize(
    ("elem_type", "low", "high"),
    [
        *((INT64, 0, 1), (TensorProto.INT32, 0, 1), (TensorProto.UINT16, 0, 1)),
        *((TensorProto.UINT8, 0, 255), (TensorProto.INT8, -128, 127)),
    ],
)
def test_usual_integers_are_0_or_1_and_bytes_are_any(elem_type: int, low: int, high: int) -> None:
    model = model_of([node("Cast", "i", to=FLOAT)], elem_type=elem_type, shape=(100, 100))

    found = values(model)

    assert (found.min(), found.max()) == (low, high)
    assert found.dtype == helper.tensor_dtype_to_np_dtype(elem_type)


@pytest.mark.parametrize(
    ("elem_type", "most"),
    [(INT64, 2**31), (TensorProto.INT32, 2**15), (TensorProto.UINT16, 2**8)],
)
@pytest.mark.parametrize("kind", [Kind.UNIFORM, Kind.LARGE])
def test_integers_of_which_any_will_do_are_of_all_magnitudes(
    elem_type: int, most: int, kind: Kind
) -> None:
    """Their squares are still of that type."""
    model = model_of([node("Cast", "i", to=FLOAT)], elem_type=elem_type, shape=(100, 100))

    found = values(model, kind).astype(float)

    assert most / 2 <= found.max() <= most
    assert np.median(abs(found)) < most / 8
    assert (found.min() < -most / 2) == (elem_type != TensorProto.UINT16)


CHOOSING: dict[str, Sequence[NodeProto]] = {
    "a table behind arithmetic": [node("Add", "i,o", "s"), node("Gather", "t,s")],
    "a table behind a float": [
        node("Cast", "i", "f", to=FLOAT),
        node("Floor", "f", "r"),
        node("Cast", "r", "s", to=INT64),
        node("Gather", "t,s"),
    ],
    "a divisor": [node("Div", "o,i", "s"), node("Cast", "s", to=FLOAT)],
    "places that are scattered to": [node("ScatterElements", "t,i,u")],
    "another domain's operator": [node("Mine", "i", domain="mine")],
}


@pytest.mark.parametrize("case", CHOOSING)
@pytest.mark.parametrize("kind", [Kind.UNIFORM, Kind.LARGE])
def test_integers_that_choose_something_stay_small(case: str, kind: Kind) -> None:
    """Wherever behind them that is."""
    constants = {"t": table(2, 4), "o": np.array([1]), "u": table(2, 4)}
    model = model_of(CHOOSING[case], constants=constants, shape=(2, 4))

    found = made_up(model, (kind,), 0)

    assert isinstance(found, Made)
    assert set(np.unique(found.arrays["i"])) <= {0, 1}


def test_integers_that_a_body_reads_stay_small() -> None:
    body = helper.make_graph(
        [node("Gather", "t,s", "b")], "b", [], [helper.make_tensor_value_info("b", FLOAT, None)]
    )
    flag = helper.make_tensor_value_info("f", TensorProto.BOOL, [])
    branch = helper.make_node("If", ["f"], ["y"], then_branch=body, else_branch=body)
    model = model_of(
        [node("Neg", "i", "s"), branch], constants={"t": table(2)}, more=[flag], shape=(3,)
    )

    assert set(np.unique(values(model, Kind.LARGE))) <= {0, 1}


def test_integers_that_a_body_gives_back_stay_small() -> None:
    """Who reads what it gives may choose by them."""
    body = helper.make_graph(
        [node("Identity", "i", "b")], "b", [], [helper.make_tensor_value_info("b", INT64, None)]
    )
    flag = helper.make_tensor_value_info("f", TensorProto.BOOL, [])
    branch = helper.make_node("If", ["f"], ["s"], then_branch=body, else_branch=body)
    model = model_of(
        [branch, node("Gather", "t,s")], constants={"t": table(2)}, more=[flag], shape=(3,)
    )

    assert set(np.unique(values(model, Kind.LARGE))) <= {0, 1}


def encoder(**attributes: Any) -> ModelProto:
    """A LabelEncoder behind an Identity."""
    nodes = [node("Identity", "i", "k"), node("LabelEncoder", "k", domain="ai.onnx.ml")]
    nodes[1].attribute.extend(helper.make_attribute(*item) for item in attributes.items())
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 2)]
    elem_type = STRING if "keys_strings" in attributes else INT64
    return model_of(nodes, elem_type=elem_type, out=INT64, opset_imports=imports)


def test_texts_are_keys_of_what_looks_them_up() -> None:
    found = values(encoder(keys_strings=["dog", "cat"], values_int64s=[1, 2]))

    assert set(found.reshape(-1)) == {"dog", "cat"}
    assert found.dtype == object
    assert found.shape == (2, 40)


def test_numbers_looked_up_are_keys() -> None:
    model = encoder(keys_int64s=[40, 7], values_strings=["a", "b"])
    model.graph.output[0].type.tensor_type.elem_type = STRING

    assert set(values(model).reshape(-1)) == {40, 7}


def test_numbers_looked_up_as_text_are_numbers() -> None:
    model = encoder(keys_strings=["1", "cat"], values_int64s=[1, 2])
    model.graph.input[0].type.tensor_type.elem_type = INT64
    model.graph.node[0].CopyFrom(node("Cast", "i", "k", to=STRING))

    assert set(np.unique(values(model))) == {0, 1}


def test_other_texts_are_a_letter() -> None:
    model = model_of([node("Identity", "i")], elem_type=STRING, out=STRING)

    assert set(values(model).reshape(-1)) == {"a"}


def test_a_model_whose_shapes_cannot_be_inferred_gets_inputs_all_the_same() -> None:
    nodes = [node("Relu", "t", "r"), node("Gather", "r,i"), node("Mine", "r", "q", domain="mine")]
    model = model_of(nodes, constants={"t": table(3)})

    found = made_up(model, (Kind.NORMAL,), 0)

    assert isinstance(found, Made)
    assert not found.arrays["i"].any()
