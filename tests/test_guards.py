"""What would hang or crash a library is refused before any sees it; the caller may allow more."""

# ruff: noqa: FBT001 - parameters of tests
from __future__ import annotations

import time
from pathlib import Path

import pytest
from files import conv_net, run, save
from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    TypeProto,
    helper,
)

import folding
from folding import Limits, guards
from folding.errors import BadModel, ExpansionTooLarge, NestingTooDeep, RecursiveFunction
from folding.model_limits import LIMITS

DOMAIN = "local"


def call(function: str, data: str = "x", out: str = "y") -> NodeProto:
    return helper.make_node(function, [data], [out], domain=DOMAIN)


def function(name: str, *nodes: NodeProto) -> FunctionProto:
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_function(DOMAIN, name, ["x"], ["y"], list(nodes), imports)


def twice(callee: str) -> list[NodeProto]:
    return [call(callee, "x", "a"), call(callee, "a", "y")]


def model_of(nodes: list[NodeProto], functions: list[FunctionProto]) -> ModelProto:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "main",
        [value("x", TensorProto.FLOAT, [2])],
        [value("y", TensorProto.FLOAT, [2])],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, functions=functions, opset_imports=imports, ir_version=8)


def doubling(levels: int) -> ModelProto:
    """Functions that call the next one twice: 2 to the power of so many nodes."""
    functions = [function(f"f{n}", *twice(f"f{n + 1}")) for n in range(levels)]
    functions.append(function(f"f{levels}", helper.make_node("Relu", ["x"], ["y"])))
    return model_of([call("f0")], functions)


def row(levels: int) -> ModelProto:
    """Functions that each call the next one once."""
    functions = [function(f"f{n}", call(f"f{n + 1}")) for n in range(levels)]
    functions.append(function(f"f{levels}", helper.make_node("Relu", ["x"], ["y"])))
    return model_of([call("f0")], functions)


def check(model: ModelProto, limits: Limits | None = None) -> None:
    guards.check(model, "m.onnx", limits or LIMITS)


def test_functions_that_double_are_refused_at_once(tmp_path: Path) -> None:
    """26 of them hang ONNX's checker, its shape inference and onnxruntime."""
    path = save(doubling(26), tmp_path / "m.onnx")
    start = time.process_time()

    with pytest.raises(ExpansionTooLarge, match=r"m\.onnx.*100,000 nodes"):
        folding.fold(path)

    assert path.stat().st_size < 5000
    assert time.process_time() - start < 2
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize(("levels", "nodes"), [(3, 8), (5, 32)])
def test_the_limit_counts_the_nodes_that_calls_stand_for(levels: int, nodes: int) -> None:
    model = doubling(levels)
    least = next(n for n in range(1, 20 * nodes) if not _refused(model, Limits(32, n)))

    assert nodes <= least <= 5 * nodes


def _refused(model: ModelProto, limits: Limits) -> bool:
    try:
        check(model, limits)
    except ExpansionTooLarge:
        return True
    return False


def test_the_caller_may_allow_more() -> None:
    check(doubling(20), Limits(expanded_nodes=1 << 24))


def test_nodes_without_calls_are_not_limited() -> None:
    nodes = [helper.make_node("Relu", ["x"], [f"v{n}"]) for n in range(300)]

    check(model_of([*nodes, helper.make_node("Relu", ["x"], ["y"])], []), Limits(32, 1))


@pytest.mark.parametrize("length", [1, 2, 7])
def test_a_function_that_calls_itself_is_refused(length: int) -> None:
    functions = [function(f"f{n}", call(f"f{(n + 1) % length}")) for n in range(length)]

    with pytest.raises(RecursiveFunction, match="calls itself"):
        check(model_of([call("f0")], functions))


def test_recursion_through_a_body_and_without_a_call_from_outside_is_found() -> None:
    body = helper.make_graph(
        [call("f", "x", "z")],
        "body",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [2])],
    )
    loop = helper.make_node("If", ["x"], ["y"], then_branch=body, else_branch=body)

    with pytest.raises(RecursiveFunction):
        check(model_of([helper.make_node("Relu", ["x"], ["y"])], [function("f", loop)]))


def test_a_call_of_a_name_in_another_domain_is_no_call() -> None:
    check(model_of([call("f")], [function("f", helper.make_node("f", ["x"], ["y"]))]))


def test_calls_within_each_other_are_limited_in_depth() -> None:
    check(row(30))

    with pytest.raises(NestingTooDeep, match="deeper than 32"):
        check(row(40))
    check(row(40), Limits(nesting=64))


def test_a_long_row_of_functions_needs_no_recursion() -> None:
    with pytest.raises(NestingTooDeep):
        check(row(5000))


def nested(levels: int, kind: int = AttributeProto.GRAPH, *, many: bool = False) -> ModelProto:
    """If bodies in one another, whatever their attributes say of their type."""
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "inner", [], [value])
    for _ in range(levels):
        node = NodeProto(op_type="If", input=["c"], output=["y"])
        held = node.attribute.add(name="then_branch", type=kind)
        (held.graphs.add() if many else held.g).CopyFrom(graph)
        graph = GraphProto(name="outer", node=[node], output=[value])
    graph.input.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, [2]))
    graph.input.append(helper.make_tensor_value_info("c", TensorProto.BOOL, []))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_bodies_within_each_other_are_limited_in_depth(tmp_path: Path) -> None:
    path = save(nested(20), tmp_path / "m.onnx")

    with pytest.raises(NestingTooDeep, match=r"m\.onnx"):
        folding.explain(path, limits=Limits(nesting=10))
    with pytest.raises(NestingTooDeep):
        check(nested(12), Limits(nesting=10))
    check(nested(12), Limits(nesting=13))


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("kind", [AttributeProto.INT, AttributeProto.GRAPH, 0])
def test_a_body_is_one_whatever_its_attribute_says_it_is(kind: int, many: bool) -> None:
    with pytest.raises(NestingTooDeep):
        check(nested(12, kind, many=many), Limits(nesting=10))


def test_types_within_each_other_are_limited_in_depth() -> None:
    model = conv_net()
    held = TypeProto()
    held.tensor_type.elem_type = TensorProto.FLOAT
    for _ in range(33):
        outer = TypeProto()
        outer.sequence_type.elem_type.CopyFrom(held)
        held = outer
    model.graph.value_info.add(name="deep").type.CopyFrom(held)

    with pytest.raises(NestingTooDeep, match="deep"):
        check(model)


def test_a_value_of_too_many_dimensions_is_refused() -> None:
    model = conv_net()
    model.graph.value_info.append(
        helper.make_tensor_value_info("wide", TensorProto.FLOAT, [1] * 40)
    )

    with pytest.raises(BadModel, match=r"'wide'.*40 dimensions"):
        check(model)


def test_a_function_that_is_there_twice_is_refused() -> None:
    relu = helper.make_node("Relu", ["x"], ["y"])

    with pytest.raises(BadModel, match="twice"):
        check(model_of([call("f")], [function("f", relu), function("f", relu)]))


def test_a_model_in_memory_is_checked_too() -> None:
    with pytest.raises(ExpansionTooLarge):
        folding.fold_model(doubling(26))
    with pytest.raises(ExpansionTooLarge):
        folding.fold_model(doubling(4), limits=Limits(expanded_nodes=3))


@pytest.mark.parametrize("verb", ["fold", "explain"])
def test_the_command_takes_the_limits(tmp_path: Path, verb: str) -> None:
    path = save(doubling(4), tmp_path / "m.onnx")

    refused = run(verb, path, "--max-expanded-nodes", "3")
    deep = run(verb, path, "--max-nesting", "2")

    assert (refused.returncode, deep.returncode) == (2, 2)
    assert refused.stderr.count("\n") == 1
    assert "--max-expanded-nodes" in refused.stderr
    assert "--max-nesting" in deep.stderr
    assert run(verb, path).returncode == 0
