"""Small models that hang, crash or fill ONNX's shape inference do none of that here.

Each is inferred in a process of its own with little time and memory, so that a fault is a red test.
"""

from __future__ import annotations

import multiprocessing
import resource
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import pytest
from graphs import BOOL, FLOAT, INT64, Array, Net
from onnx import FunctionProto, ModelProto, TensorProto, helper

from folding import caution
from folding.bound_rules import of_operator
from folding.bounds import Bound
from folding.inference import Settled, infer
from folding.modelfile import in_memory
from folding.plan import Folded
from folding.planner import plan_model

_MEMORY = 3 << 30
_SECONDS = 10
_FORK = multiprocessing.get_context("fork")

Dims = list[int | None]
Found = tuple[str | None, dict[str, Dims | None]]


def found(model: ModelProto) -> Found:
    """Why no shapes are known, if so, and the dimensions that are."""
    receiver, sender = _FORK.Pipe(duplex=False)
    child = _FORK.Process(target=_infer, args=(model, sender), daemon=True)
    child.start()
    sender.close()
    try:
        result: Found = receiver.recv()
    except EOFError:
        child.join()
        pytest.fail(f"the process ended with {child.exitcode}")
    child.join()
    return result


def _infer(model: ModelProto, sender: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    inferred, problem = infer(in_memory(model), Settled())
    shapes: dict[str, Dims | None] = {}
    for value in inferred.graph.value_info if problem is None else ():
        kind = value.type.tensor_type
        dims = [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]
        shapes[value.name] = dims if kind.HasField("shape") else None
    sender.send((problem, shapes))


def bare(net: Net, *functions: FunctionProto, opset: int = 17) -> ModelProto:
    """The model of a net as it is written, with nothing inferred of it on the way."""
    graph = net.graph()
    domains = {node.domain for node in graph.node} | {f.domain for f in functions}
    imports = [helper.make_opsetid("", opset)]
    imports += [helper.make_opsetid(d, _VERSIONS.get(d, 1)) for d in sorted(domains - {""})]
    return helper.make_model(graph, ir_version=10, opset_imports=imports, functions=list(functions))


_VERSIONS = {"ai.onnx.ml": 5}


def chain(net: Net, operator: str, start: str, length: int, *more: str, **given: Any) -> str:
    """So many nodes in a row; the last is ``last``."""
    for index in range(length):
        name = "last" if index == length - 1 else f"v{index}"
        start = net.node(operator, start, *(more or (start,)), out=name, name=name, **given)
    return start


# --- dimensions ----------------------------------------------------------------------------------


def gathered(operator: str) -> ModelProto:
    net = Net()
    return bare(_with(net, chain(net, operator, net.input(2, 2, 1, elem_type=INT64), 40)))


def _with(net: Net, _: str) -> Net:
    return net


def unsqueezed(opset: int) -> ModelProto:
    net = Net()
    x = net.input(2)
    axes = list(range(10))
    if opset < 13:
        return bare(_with(net, chain(net, "Unsqueeze", x, 20, "", axes=axes)), opset=opset)
    return bare(_with(net, chain(net, "Unsqueeze", x, 20, net.integers(*axes))))


def reshaped_by_many() -> ModelProto:
    net = Net()
    shape = net.node("Constant", out="s", value_ints=[1] * 100_000)
    x = net.input(1)
    for index in range(1000):
        net.node("Reshape", x, shape, out=f"y{index}")
    return bare(net)


def reshaped_by_an_input(operator: str) -> ModelProto:
    net = Net()
    shape = net.input(1000, name="s", elem_type=INT64)
    inputs = [shape] if operator == "ConstantOfShape" else [net.input(1), shape]
    start = net.node(operator, *inputs, out="y", name="y")
    chain(net, "Relu", start, 30_000)
    return bare(net)


def encoded() -> ModelProto:
    net = Net()
    more = net.integers(3), net.store([0.0, 1.0])
    return bare(_with(net, chain(net, "OneHot", net.input(2, elem_type=INT64), 100, *more)))


def summed() -> ModelProto:
    net = Net()
    equation = "a->" + "a" * 100_000
    chain(net, "Relu", net.node("Einsum", net.input(2), equation=equation, out="y", name="y"), 1000)
    return bare(net)


def drawn() -> ModelProto:
    net = Net()
    chain(net, "Relu", net.node("RandomNormal", shape=[1] * 100_000, out="y", name="y"), 1000)
    return bare(net)


def looped() -> ModelProto:
    net = Net()
    count, go, inner = net.integers(3), net.store(np.array(True), elem_type=BOOL), net.input(2)
    for index in range(100):
        body = helper.make_graph(
            [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Relu", [inner], ["r"])],
            "body",
            [helper.make_value_info(n, helper.make_tensor_type_proto(t, [])) for n, t in _STATE],
            [helper.make_empty_tensor_value_info(name) for name in ("d", "r")],
        )
        inner = net.node("Loop", count, go, out=f"x{index}", name=f"x{index}", body=body)
    return bare(net)


_STATE = (("i", INT64), ("c", BOOL))


def double(operator: str = "Gather", **given: Any) -> FunctionProto:
    nodes = [
        helper.make_node(operator, ["x", "x"], ["a"], name="a", **given),
        helper.make_node(operator, ["a", "a"], ["y"], name="b", **given),
    ]
    return helper.make_function("f", "double", ["x"], ["y"], nodes, _imports())


def _imports() -> list[Any]:
    return [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]


def called() -> ModelProto:
    net = Net()
    x = net.input(2, 2, elem_type=INT64)
    for index in range(10):
        x = net.node("double", x, out=f"v{index}", domain="f")
    return bare(net, double())


def called_with_a_shape() -> ModelProto:
    """The number of dimensions is an argument of the call."""
    shape = helper.make_node("Constant", [], ["s"])
    shape.attribute.add(name="value_ints", ref_attr_name="dims", type=7)
    nodes = [shape, helper.make_node("Reshape", ["x", "s"], ["y"], name="r")]
    function = helper.make_function("f", "reshape", ["x"], ["y"], nodes, _imports(), ["dims"])
    net = Net()
    x = net.input(1)
    for index in range(300):
        net.node("reshape", x, out=f"y{index}", domain="f", dims=[1] * 10_000)
    return bare(net, function)


def unknown_operators() -> ModelProto:
    """What is not listed may have the dimensions of all its inputs."""
    net = Net()
    return bare(_with(net, chain(net, "StringConcat", net.input(2, 2, elem_type=8), 10)), opset=20)


def split_into_many() -> ModelProto:
    net = Net()
    net.node("Split", net.input(500_001, *[1] * 30), out="y" + ",v" * 500_000, name="y")
    for index, name in enumerate(net.nodes[0].output):
        net.nodes[0].output[index] = f"{name}{index}"
    return bare(net)


def squeezed() -> ModelProto:
    """Of the negative axes, inference ignores those of old operator sets."""
    net = Net()
    x = net.input(2)
    for index in range(200):
        more = net.node("Unsqueeze", x, out=f"u{index}", name=f"u{index}", axes=[0])
        x = net.node("Squeeze", more, out=f"v{index}", axes=[-1])
    return bare(net, opset=10)


DIMENSIONS: dict[str, tuple[Callable[[], ModelProto], str]] = {
    "Gather": (lambda: gathered("Gather"), "Gather node 'v4'"),
    "GatherND": (lambda: gathered("GatherND"), "GatherND node 'v4'"),
    "Unsqueeze": (lambda: unsqueezed(17), "Unsqueeze node 'v6'"),
    "Unsqueeze by attribute": (lambda: unsqueezed(11), "Unsqueeze node 'v6'"),
    "Reshape by a long constant": (reshaped_by_many, "Reshape node 'y0'"),
    "Reshape": (lambda: reshaped_by_an_input("Reshape"), "Reshape node 'y'"),
    "Expand": (lambda: reshaped_by_an_input("Expand"), "Expand node 'y'"),
    "ConstantOfShape": (
        lambda: reshaped_by_an_input("ConstantOfShape"),
        "ConstantOfShape node 'y'",
    ),
    "Squeeze": (squeezed, "Unsqueeze node 'u63'"),
    "OneHot": (encoded, "OneHot node"),
    "Einsum": (summed, "Einsum node 'y'"),
    "RandomNormal": (drawn, "RandomNormal node 'y'"),
    "Loop": (looped, "Loop node"),
    "a function": (called, "Gather node 'b'"),
    "an argument": (called_with_a_shape, "Reshape node 'r'"),
    "an operator that is not listed": (unknown_operators, "StringConcat node"),
    "outputs": (split_into_many, "Split node 'y'"),
}


@pytest.mark.parametrize("what", DIMENSIONS)
def test_too_many_dimensions_are_the_reason_why_no_shape_is_known(what: str) -> None:
    make, culprit = DIMENSIONS[what]
    problem, _ = found(make())

    assert problem is not None
    assert culprit in problem
    assert problem.endswith("may have results of more than 64 dimensions")


# --- numbers -------------------------------------------------------------------------------------


def concatenated() -> ModelProto:
    net = Net()
    net.node("Size", chain(net, "Concat", net.integers(1, 2), 40, axis=0))
    return bare(net)


def propagated_from(operator: str, *inputs: Array, **given: Any) -> ModelProto:
    """A vector of very many elements, which the Cast would write down."""
    net = Net()
    made = net.node(operator, *(net.store(value, elem_type=0) for value in inputs), **given)
    net.node("Cast", made, out="last", to=FLOAT)
    return bare(net)


def declared() -> ModelProto:
    net = Net()
    net.node("Add", net.input(1 << 40), net.input(1 << 40, name="z"), out="last")
    return bare(net)


def flattened() -> ModelProto:
    net = Net()
    flat = net.node("Reshape", net.input(1 << 20, 1 << 20), net.integers(-1))
    net.node("Squeeze", net.node("Mul", flat, flat), net.integers(), out="last")
    return bare(net)


def normalised() -> ModelProto:
    """A function of ONNX that has no inference of its own."""
    net = Net()
    net.node("MeanVarianceNormalization", net.input(1 << 40), out="last", axes=[0])
    return bare(net)


def measured() -> ModelProto:
    """The second output is a scalar, whatever the first is."""
    net = Net()
    net.node("DynamicQuantizeLinear", net.input(2, 2), out="q,scale,zero")
    net.node("Cast", net.node("Expand", "scale", net.integers(1 << 50)), out="last", to=INT64)
    return bare(net)


def multiplied() -> ModelProto:
    """The length of a vector is a product of the numbers of a shape."""
    net = Net()
    length = net.node("Shape", net.input(1 << 12))
    for _ in range(2):
        length = net.node("Mul", length, length)
    net.node("Cast", net.node("ConstantOfShape", length), out="last", to=INT64)
    return bare(net)


def _big(number: int = 1 << 50) -> Array:
    return np.array([number], np.int64)


def _scalar(number: int) -> Array:
    return np.array(number, np.int64)


NUMBERS: dict[str, Callable[[], ModelProto]] = {
    "Concat": concatenated,
    "an input": declared,
    "Range": lambda: propagated_from("Range", _scalar(0), _scalar(1 << 60), _scalar(1)),
    "Expand": lambda: propagated_from("Expand", _big(1), _big()),
    "ConstantOfShape": lambda: propagated_from("ConstantOfShape", _big()),
    "Tile": lambda: propagated_from("Tile", _big(1), _big()),
    "Pad": lambda: propagated_from("Pad", _big(1), np.array([1 << 50, 0])),
    "RandomNormal": lambda: propagated_from("RandomNormal", shape=[1 << 50]),
    "Reshape": flattened,
    "MeanVarianceNormalization": normalised,
    "a second output": measured,
    "the numbers of a shape": multiplied,
}


@pytest.mark.parametrize("what", NUMBERS)
def test_shapes_are_found_without_propagation_where_it_would_write_too_many_numbers(
    what: str,
) -> None:
    problem, shapes = found(NUMBERS[what]())

    assert problem is None
    assert "last" in shapes


# --- attributes, and types that are not known ----------------------------------------------------


def alone(operator: str, *inputs: str, opset: int = 20, **given: Any) -> ModelProto:
    """One node, whose inputs are matrices, or of no type if they are called ``u``."""
    net = Net()
    net.node("Unheard", out="u", domain="custom")
    for name in {*inputs} - {"u"}:
        net.input(2, 2, name=name, elem_type=INT64 if name == "i" else 0)
    outputs = given.pop("out", "last")
    net.node(operator, *inputs, out=outputs, name="node", **given)
    return bare(net, opset=opset)


_ZERO = helper.make_tensor("", FLOAT, [1], [0.0])
TREE: dict[str, Any] = {
    "nodes_splits": _ZERO,
    "leaf_weights": _ZERO,
    "nodes_modes": helper.make_tensor("", TensorProto.UINT8, [1], [0]),
    **{name: [1] for name in ("nodes_falseleafs", "nodes_trueleafs")},
    **{f"nodes_{name}": [0] for name in ("featureids", "falsenodeids", "truenodeids")},
    **{name: [0] for name in ("leaf_targetids", "tree_roots")},
    "n_targets": 1,
}
NODES: dict[str, Callable[[], ModelProto]] = {
    "a digit": lambda: alone("Einsum", "x", "x", equation="a1b,b->a"),
    "two dots": lambda: alone("Einsum", "x", equation="..ab->ab"),
    "two ellipses": lambda: alone("Einsum", "x", equation="...a...->a"),
    "negative batch dimensions": lambda: alone("GatherND", "x", "i", batch_dims=-5),
    "a far axis": lambda: alone("LayerNormalization", "x", "x", out="last,mean", axis=1 << 31),
    "fewer parts than outputs": lambda: alone("Split", "x", out="last,rest", num_outputs=1),
    "EyeLike": lambda: alone("EyeLike", "u", dtype=1),
    "RegexFullMatch": lambda: alone("RegexFullMatch", "u", pattern="a"),
    "DictVectorizer": lambda: alone("DictVectorizer", "u", domain="ai.onnx.ml"),
    "LabelEncoder": lambda: alone("LabelEncoder", "u", domain="ai.onnx.ml"),
    "TreeEnsemble": lambda: alone("TreeEnsemble", "u", domain="ai.onnx.ml", **TREE),
}


@pytest.mark.parametrize("what", NODES)
def test_a_node_that_crashes_or_hangs_inference_is_the_reason_why_no_shape_is_known(
    what: str,
) -> None:
    problem, _ = found(NODES[what]())

    assert problem is not None
    assert "node 'node' would crash or hang it" in problem


def _named(net: Net, kind: str, elem_type: int) -> str:
    """A matrix that has a type for certain."""
    if kind == "input":
        return net.input(2, 2, elem_type=elem_type)
    if kind == "initializer":
        return net.store(np.ones((2, 2)), elem_type=elem_type)
    return net.node("Constant", value=helper.make_tensor("", elem_type, [2, 2], [1] * 4))


TYPED: dict[str, tuple[int, dict[str, Any]]] = {
    "EyeLike": (FLOAT, {"dtype": FLOAT}),
    "LabelEncoder": (
        INT64,
        {"domain": "ai.onnx.ml", "keys_int64s": [1], "values_int64s": [2]},
    ),
    "TreeEnsemble": (FLOAT, {"domain": "ai.onnx.ml", **TREE}),
}


@pytest.mark.parametrize("kind", ["input", "initializer", "Constant"])
@pytest.mark.parametrize("operator", TYPED)
def test_a_node_that_reads_a_type_that_is_there_is_seen_by_inference(
    operator: str, kind: str
) -> None:
    """Such models lose nothing."""
    elem_type, given = TYPED[operator]
    net = Net()
    net.node(operator, _named(net, kind, elem_type), out="last", name="node", **given)
    problem, shapes = found(bare(net, opset=20))

    assert problem is None
    assert shapes["last"] == [2, 1 if operator == "TreeEnsemble" else 2]


def of_two_values(net: Net) -> str:
    """Inference fails at it, and goes on without a type."""
    return net.node("Constant", value=_ZERO, value_float=1.0)


def of_a_failure(net: Net) -> str:
    return net.node("Relu", of_two_values(net))


def of_a_function(net: Net) -> str:
    return net.node("F", domain="own")


@pytest.mark.parametrize("reads", [of_two_values, of_a_failure, of_a_function])
def test_a_type_that_inference_may_not_find_is_not_relied_on(reads: Callable[[Net], str]) -> None:
    net = Net()
    net.node("EyeLike", reads(net), out="last", name="node", dtype=FLOAT)
    nodes = [
        helper.make_node("Constant", [], ["b"], value=_ZERO),
        helper.make_node("Constant", [], ["c"], value=_ZERO, value_float=1.0),
    ]
    imports = [helper.make_opsetid("", 20)]
    function = helper.make_function("own", "F", [], ["b"], nodes, imports)
    problem, _ = found(bare(net, function, opset=20))

    assert problem is not None
    assert "node 'node' would crash or hang it" in problem


@pytest.mark.parametrize(
    "equation", ["ij,jk->ik", "ij, jk -> ik", "...ij->...ji", "ii", "ij,kl->ijkl", "...a,a...->..."]
)
def test_equations_are_read_as_ever(equation: str) -> None:
    count = equation.partition("->")[0].count(",") + 1
    problem, shapes = found(alone("Einsum", *["x"] * count, equation=equation))

    assert problem is None
    assert "last" in shapes


# --- lengths below 0 -----------------------------------------------------------------------------


def sliced(
    operator: str, *more: Any, opset: int = 18, out: str = "made", **given: Any
) -> ModelProto:
    """An image of 3 by 3, what an operator makes of it, and a Slice of its third axis."""
    net = Net()
    names = [net.store(np.asarray(value), elem_type=0) for value in more]
    made = net.node(operator, net.input(1, 1, 3, 3), *names, out=out, **given)
    net.node("Slice", made, net.integers(0), net.integers(1), net.integers(2), out="last")
    return bare(net, opset=opset)


KERNEL = np.ones((1, 1, 9, 9), np.float32)
NEGATIVE: dict[str, Callable[[], ModelProto]] = {
    "MaxPool": lambda: sliced("MaxPool", kernel_shape=[9, 9]),
    "MaxPool of kernels apart": lambda: sliced(
        "MaxPool", kernel_shape=[2, 2], strides=[2, 2], dilations=[9, 9]
    ),
    "MaxPool, SAME but for its pads": lambda: sliced(
        "MaxPool", kernel_shape=[9, 9], pads=[0] * 4, auto_pad="SAME_UPPER"
    ),
    "Conv": lambda: sliced("Conv", KERNEL, kernel_shape=[9, 9]),
    "Conv that does not say so": lambda: sliced("Conv", KERNEL),
    "ConvTranspose": lambda: sliced("ConvTranspose", KERNEL, pads=[9] * 4),
    "Pad": lambda: sliced("Pad", np.array([0, 0, -5, -5, 0, 0, 0, 0])),
    "Pad by attribute": lambda: sliced("Pad", pads=[0, 0, -5, -5, 0, 0, 0, 0], opset=10),
    "Split": lambda: sliced("Split", np.array([-5, 8]), axis=2, out="made,rest"),
    "TopK": lambda: sliced("TopK", np.array([-5]), axis=2, out="made,rest"),
    "CenterCropPad": lambda: sliced("CenterCropPad", np.array([1, 1, -8, 1])),
    "Resize": lambda: sliced(
        "Resize", np.zeros(0, np.float32), np.array([1, 1, -8, 1], np.float32)
    ),
    "RoiAlign": lambda: sliced(
        "RoiAlign", np.ones((2, 4), np.float32), np.array([0, 0]), output_height=-3
    ),
}


@pytest.mark.parametrize("what", NEGATIVE)
def test_a_slice_of_what_no_run_makes_does_not_end_the_process(what: str) -> None:
    problem, shapes = found(NEGATIVE[what]())

    assert problem is None
    assert len(shapes["last"] or ()) == 4


@pytest.mark.parametrize("what", NEGATIVE)
def test_nor_does_one_that_is_read(what: str) -> None:
    """What leads to no output is looked at apart."""
    model = NEGATIVE[what]()
    model.graph.output.append(helper.make_tensor_value_info("last", FLOAT, None))

    assert found(model)[0] is None


def test_nor_does_one_in_a_body() -> None:
    net, body = Net(), Net()
    net.node("MaxPool", net.input(1, 1, 3, 3), kernel_shape=[9, 9], out="made")
    places = body.integers(0), body.integers(1), body.integers(2)
    body.node("Slice", "made", *places, out="part")
    branch = body.graph("part")
    condition = net.input(name="condition", elem_type=BOOL)
    net.node("If", condition, then_branch=branch, else_branch=branch, out="last")

    assert found(bare(net))[0] is None


def test_a_slice_is_not_blinded_by_what_nothing_reads() -> None:
    """A fold may take that away: what is known would be more then."""
    net = Net()
    net.node("Relu", net.node("MaxPool", net.input(1, 1, 3, 3), kernel_shape=[9, 9]))
    net.node("Slice", "x", net.integers(0), net.integers(1), net.integers(2), out="last")
    net.node("Relu", "last", out="y")
    model = bare(net)
    model.graph.output.append(helper.make_tensor_value_info("y", FLOAT, None))

    assert found(model)[1]["last"] == [1, 1, 1, 3]


def test_nor_does_one_of_an_input_of_a_negative_length() -> None:
    """Some exporters write -1 for what is not known."""
    net = Net()
    places = net.integers(0), net.integers(1), net.integers(2)
    net.node("Slice", net.input(1, 1, -1, 3), *places, out="last")

    assert found(bare(net)) == (None, {"last": [1, 1, None, 3]})


def test_nor_is_an_index_counted_by_a_negative_length() -> None:
    net = Net()
    pooled = net.node("MaxPool", net.input(1, 1, 3, 3), kernel_shape=[9, 9])
    indices = net.node("Cast", pooled, to=INT64)
    net.node("GatherND", "x", indices, out="last")

    assert found(bare(net))[0] is None


@pytest.mark.parametrize(
    "given",
    [
        {"kernel_shape": [3, 3], "pads": [1] * 4},
        {"kernel_shape": [2, 2], "strides": [2, 2]},
        {"kernel_shape": [9, 9], "auto_pad": "SAME_UPPER"},
    ],
    ids=str,
)
def test_behind_a_kernel_that_fits_the_lengths_of_a_slice_are_known(given: dict[str, Any]) -> None:
    _, shapes = found(sliced("MaxPool", **given))

    assert (shapes["last"] or [])[2] == 1


# --- what is harmless ----------------------------------------------------------------------------


def test_copies_of_names_and_functions_are_counted() -> None:
    net = Net()
    names = [net.node("Relu", net.input(2), out=f"v{index}") for index in range(5000)]
    go = net.store(np.array(True), elem_type=BOOL)
    for index, name in enumerate(names):
        body = helper.make_graph(
            [helper.make_node("Relu", [name], ["r"])],
            "body",
            [],
            [helper.make_empty_tensor_value_info("r")],
        )
        net.node("If", go, out=f"w{index}", name=f"w{index}", then_branch=body, else_branch=body)
    problem, _ = found(bare(net))

    assert problem is not None
    assert problem.endswith("is one of too many bodies and calls")


def test_a_function_that_is_named_like_an_operator_is_not_guessed_about() -> None:
    function = double()
    function.domain, function.name = "", "Relu"
    net = Net()
    net.node("Relu", net.input(2), out="y", name="y")
    problem, _ = found(bare(net, function))

    assert problem is not None
    assert "Relu node 'y' calls a function that is named like an operator" in problem


def reshaped_by_its_own_shape() -> Net:
    """As exporters write ``x.reshape(x.shape[0], 6)``, with an open batch."""
    net = Net()
    x = net.input("N", 2, 3)
    batch = net.node("Gather", net.node("Shape", x), net.store(_scalar(0), elem_type=0))
    shape = net.node(
        "Concat", net.node("Unsqueeze", batch, net.integers(0)), net.integers(6), axis=0
    )
    net.node("Reshape", x, shape, out="last")
    return net


def test_shapes_are_propagated_as_ever() -> None:
    _, shapes = found(bare(reshaped_by_its_own_shape()))

    assert shapes["last"] == [None, 6]


@pytest.mark.parametrize(("start", "end"), [(0, None), (-3, 3), (0, 9)])
def test_a_part_of_a_shape_has_as_many_numbers_as_it_says(start: int, end: int | None) -> None:
    """As exporters write ``x.reshape(x.shape) * 2.0``: a rank that is not known could be any."""
    net = Net()
    shape: dict[str, Any] = {"start": start} if end is None else {"start": start, "end": end}
    x = net.input("N", 4096, 4096)
    same = net.node("Reshape", x, net.node("Shape", x, **shape))
    for _ in range(2):
        same = net.node("Mul", same, net.store(2.0))
    net.node("Relu", same, out="last")

    assert found(bare(net))[1]["last"] == [None, 4096, 4096]


@pytest.mark.parametrize("part", [(-3, 2), (0, 2), (0, None), (-1, None)])
@pytest.mark.parametrize("exact", [True, False])
def test_of_a_rank_that_is_only_the_most_no_part_has_more_numbers_than_the_bound(
    part: tuple[int, int | None], *, exact: bool
) -> None:
    """With fewer dimensions, those that are counted from the end are others."""
    start, end = part
    given: dict[str, Any] = {"start": start} if end is None else {"start": start, "end": end}
    node = helper.make_node("Shape", ["x"], ["y"], **given)
    bound = of_operator(node, [Bound(rank=4, dim=4, exact=exact)])

    counts = [len(range(rank)[start:end]) for rank in ([4] if exact else range(5))]
    assert bound.dim >= max(counts)
    assert bound.written >= max(counts)
    assert not exact or bound.dim == max(*counts, 1)


@pytest.mark.parametrize("elem_type", [FLOAT, INT64])
def test_big_constants_that_are_only_data_do_not_keep_numbers_from_being_propagated(
    elem_type: int,
) -> None:
    net = reshaped_by_its_own_shape()
    table = net.store(np.ones(1 << 21), elem_type=elem_type)
    net.node("Add", net.node("Relu", net.input(1 << 21, 2, name="z", elem_type=elem_type)), table)

    assert found(bare(net))[1]["last"] == [None, 6]


def test_a_long_constant_is_not_shown_to_inference() -> None:
    """It would be read again by each node."""
    net = Net()
    axes = net.store(np.zeros(1000), elem_type=INT64)
    x = net.input(2, 3)
    net.node("ReduceSum", x, axes, out="reduced")
    model = bare(net)
    del model.graph.initializer[0].int64_data[:]
    model.graph.initializer[0].CopyFrom(helper.make_tensor(axes, INT64, [1000], [0] * 1000))
    net.node("Relu", x, out="last")

    assert found(model)[0] is None


def test_plain_models_are_inferred_without_propagation() -> None:
    net = Net()
    x = net.node("Conv", net.input(1, 3, 5, 5), net.weight(4, 3, 3, 3))
    net.node("Relu", net.batch_norm(x, 4), out="y")

    assert not caution.check(bare(net))


def attacked(*, twice: int) -> ModelProto:
    """A convolution and its normalisation, beside a Gather that doubles dimensions."""
    net = Net()
    x = net.node("Conv", net.input(1, 3, 5, 5), net.weight(4, 3, 3, 3))
    net.node("Relu", net.batch_norm(x, 4, out="bn"), out="y")
    chain(net, "Gather", net.input(2, 2, name="z", elem_type=INT64), twice)
    model = bare(net)
    model.graph.output.add(name="y")
    return model


def test_what_needs_no_shape_is_folded_all_the_same() -> None:
    planned = plan_model(in_memory(attacked(twice=40)), {})

    assert [type(decision.outcome) for decision in planned.decisions] == [Folded]
    (warned,) = planned.warnings
    assert warned.code == "SHAPES_UNKNOWN"
    assert "Gather node 'v5'" in warned.text
