"""Whole models: bodies, functions, signatures, and operators that a tool fused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files import initializer, save
from graphs import BOOL, FLOAT, INT64, Net, distance, feed_for, run
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper
from pairs import judged

import folding
from folding.equivalence.foreign import Matched, NotEstablished, check_foreign
from folding.equivalence.foreign.check import compare
from folding.equivalence.verdict import Status
from folding.modelfile import in_memory, open_model


def assert_refused(reference: ModelProto, candidate: ModelProto, *words: str) -> None:
    found = judged(reference, candidate)
    assert isinstance(found, NotEstablished), found
    assert all(word in found.why for word in words), found.why


def small() -> ModelProto:
    """Two inputs and two outputs."""
    net = Net()
    net.input("n", 3)
    net.input("n", 3, name="z")
    net.node("Relu", "x", out="y")
    net.node("Mul", "z", net.weight(3, name="w"), out="v")
    return net.model("y", "v")


# --- names and values ----------------------------------------------------------------------------
def test_values_are_told_by_both_names() -> None:
    """What matches is told, so that each place can be run by itself."""
    net, other = Net(), Net()
    for one, inner in ((net, "a"), (other, "b")):
        one.input(2, 3)
        one.node("Tanh", one.node("Relu", "x", out=inner), out="y")
    found = check_foreign(in_memory(net.model("y")), in_memory(other.model("y")))
    assert found.frame.status is found.parameters.status is Status.PASSED
    assert found.values == {"x": "x", "a": "b", "y": "y"}


def test_only_values_that_both_files_have_are_told() -> None:
    """A value that a fold changes is not told by the name that it had."""
    net = Net()
    net.input(1, 3, 6, 6)
    conv = net.node("Conv", "x", net.weight(4, 3, 3, 3), out="c")
    net.node("Relu", net.batch_norm(conv, 4, out="n"), out="y")
    model = net.model("y")
    found = judged(model, folding.fold_model(model, verify=False)[0])
    assert isinstance(found, Matched)
    assert found.values == {"x": "x", "n": "n", "y": "y"}


def test_what_is_said_of_values_does_not_count() -> None:
    """Names of nodes, doc strings, metadata and value_info are not the function."""
    model, candidate = small(), small()
    candidate.doc_string = candidate.graph.doc_string = candidate.producer_name = "other"
    candidate.graph.name = candidate.graph.node[0].name = "other"
    candidate.metadata_props.add(key="a", value="b")
    candidate.graph.value_info.append(helper.make_tensor_value_info("t", FLOAT, [1]))
    candidate.opset_import.append(helper.make_opsetid("com.unused", 1))
    assert isinstance(judged(model, candidate), Matched)


def test_a_constant_may_be_a_node_or_an_initializer() -> None:
    """Where a constant is stored does not count."""
    model, candidate = small(), small()
    (tensor,) = candidate.graph.initializer
    node = helper.make_node("Constant", [], ["w"], value=tensor)
    del candidate.graph.initializer[:]
    candidate.graph.node.insert(0, node)
    assert isinstance(judged(model, candidate), Matched)
    assert isinstance(judged(candidate, model), Matched)


def test_big_tensors_are_compared_where_they_are(tmp_path: Path) -> None:
    """Weights that are not in the skeleton are compared by their bytes, and by those alone."""
    net = Net()
    net.input(1, 3, 6, 6)
    net.node("PRelu", "x", net.weight(3, 30, 6, name="big"), out="y")
    net.inputs.clear()
    net.input(1, 3, 30, 6)
    model = net.model("y")
    candidate = ModelProto()
    candidate.CopyFrom(model)
    first, second = save(model, tmp_path / "a.onnx"), save(candidate, tmp_path / "b.onnx")
    with open_model(first) as one, open_model(second) as other:
        assert isinstance(compare(one, other), Matched)
    tensor = initializer(candidate, "big")
    array = numpy_helper.to_array(tensor).copy()
    array[2, 29, 5] += 1
    tensor.CopyFrom(numpy_helper.from_array(array, "big"))
    with open_model(first) as one, open_model(save(candidate, tmp_path / "c.onnx")) as other:
        found = check_foreign(one, other)
    assert (found.parameters.status, found.parameters.at) == (Status.FAILED, "big")


# --- signatures ----------------------------------------------------------------------------------
def test_outputs_must_have_their_names_and_order() -> None:
    """Callers take outputs by name or by place."""
    candidate = small()
    outputs = list(candidate.graph.output)
    del candidate.graph.output[:]
    candidate.graph.output.extend(reversed(outputs))
    assert_refused(small(), candidate, "outputs")


@pytest.mark.parametrize("side", ["reference", "candidate"])
def test_inputs_must_be_the_same(side: str) -> None:
    """An input that only one side has is told."""
    models = {"reference": small(), "candidate": small()}
    models[side].graph.input.append(helper.make_tensor_value_info("extra", FLOAT, [1]))
    assert_refused(models["reference"], models["candidate"], f"only the {side}", "'extra'")


@pytest.mark.parametrize(
    ("elem_type", "shape", "passes"),
    [
        (FLOAT, ["n", 3], True),
        (FLOAT, ["m", None], True),
        (FLOAT, None, True),
        (FLOAT, [2, 3], False),
        (FLOAT, ["n", 4], False),
        (FLOAT, ["n", 3, 1], False),
        (TensorProto.DOUBLE, ["n", 3], False),
    ],
)
def test_inputs_must_accept_what_they_did(
    elem_type: int, shape: list[int | str | None] | None, passes: bool  # noqa: FBT001
) -> None:  # fmt: skip
    """A candidate may accept more than the reference, never less."""
    net = Net()
    net.input("n", 3, name="x")
    net.node("Shape", "x", out="s")
    model = net.model("s")
    candidate = net.model("s")
    value = helper.make_tensor_value_info("x", elem_type, shape)
    candidate.graph.input[0].CopyFrom(value)
    assert isinstance(judged(model, candidate), Matched if passes else NotEstablished)


def with_default(value: float) -> ModelProto:
    model = small()
    tensor = numpy_helper.from_array(np.full((1, 3), value, np.float32), "z")
    model.graph.initializer.append(tensor)
    return model


@pytest.mark.parametrize("what", ["input", "output"])
def test_the_order_of_inputs_and_outputs_counts(what: str) -> None:
    """Who gives or takes them by position calls another function."""
    candidate = small()
    values = getattr(candidate.graph, what)
    values.append(values[0])
    del values[0]
    assert_refused(small(), candidate, f"the {what}s have", "another order")


def test_defaults_of_inputs_count() -> None:
    """What an input is if nobody gives it belongs to the function."""
    assert isinstance(judged(with_default(1), with_default(1)), Matched)
    assert_refused(with_default(1), with_default(2), "'z'", "default")
    assert_refused(with_default(1), small(), "'z'", "default")


def test_an_input_that_was_added_with_a_default_is_a_constant() -> None:
    """Who calls the candidate as the reference leaves it at its default."""
    candidate = small()
    candidate.graph.input.append(helper.make_tensor_value_info("w", FLOAT, [3]))
    assert isinstance(judged(small(), candidate), Matched)
    assert_refused(candidate, small(), "only the reference", "'w'")


def test_initializers_may_become_inputs_with_a_default() -> None:
    """Raising the IR version makes what was constant an input that a caller may override."""
    net = Net(ir_version=3, opset=8)
    net.input(2, 3)
    net.node("Mul", "x", net.weight(3, name="w"), out="y")
    model, candidate = net.model("y"), net.model("y")
    candidate.ir_version = 4
    assert isinstance(judged(model, candidate), Matched)


def test_an_input_that_runtimes_fix_is_not_the_one_that_a_caller_may_give() -> None:
    """Lowering the IR version makes a constant of what had a default."""
    net = Net(ir_version=3, opset=8)
    net.input(2, 3)
    net.node("Add", net.node("Mul", "x", net.weight(3, name="w")), net.weight(3, name="b"), out="y")
    candidate = net.model("y")
    model = ModelProto.FromString(candidate.SerializeToString())
    model.ir_version = 8
    model.graph.input.pop()
    assert_refused(model, candidate, "only the reference", "'w'")


def test_below_ir_4_initializers_need_not_be_inputs() -> None:
    """Tools leave them out, and runtimes take them so."""
    net = Net(ir_version=3, opset=8)
    net.input(2, 3)
    net.node("Mul", "x", net.weight(3, name="w"), out="y")
    model, candidate = net.model("y"), net.model("y")
    del candidate.graph.input[1:]
    assert isinstance(judged(model, candidate), Matched)


# --- bodies --------------------------------------------------------------------------------------
def branch(name: str, operator: str, x: str = "x") -> GraphProto:
    out = helper.make_tensor_value_info(f"{name}_out", FLOAT, None)
    return helper.make_graph([helper.make_node(operator, [x], [f"{name}_out"])], name, [], [out])


def choice(then: str, other: str, *, constant: bool | None = None, name: str = "t") -> ModelProto:
    net = Net()
    net.input(2, 3)
    flag = net.input(name="flag", elem_type=BOOL) if constant is None else ""
    flag = flag or net.store(np.array(constant), "flag", 0)
    inner = net.node("Tanh", "x", out=name)
    bodies: dict[str, Any] = {
        "then_branch": branch("a", then, inner),
        "else_branch": branch("b", other, inner),
    }
    net.node("If", flag, out="i", **bodies)
    net.node("Relu", "i", out="y")
    return net.model("y")


def test_bodies_match_with_the_values_around_them() -> None:
    """A body is compared like a graph, outer names left aside."""
    found = judged(choice("Exp", "Neg"), choice("Exp", "Neg", name="u"))
    assert isinstance(found, Matched)
    assert found.values == {"x": "x", "flag": "flag", "t": "u", "i": "i", "y": "y"}
    assert_refused(choice("Exp", "Neg"), choice("Exp", "Abs"), "Neg", "Abs")
    assert_refused(choice("Exp", "Neg"), choice("Neg", "Exp"))


def test_bodies_may_be_stored_in_another_order() -> None:
    """The attributes of a node have no order."""
    candidate = choice("Exp", "Neg")
    node = next(node for node in candidate.graph.node if node.op_type == "If")
    attributes = list(node.attribute)
    del node.attribute[:]
    node.attribute.extend(reversed(attributes))
    assert isinstance(judged(choice("Exp", "Neg"), candidate), Matched)


@pytest.mark.parametrize("taken", [True, False])
def test_a_branch_that_is_always_taken_stands_for_its_if(taken: bool) -> None:  # noqa: FBT001
    """An If with a constant condition is one of its branches."""
    net = Net()
    net.input(2, 3)
    inner = net.node("Tanh", "x")
    net.node("Relu", net.node("Exp" if taken else "Neg", inner), out="y")
    model = choice("Exp", "Neg", constant=taken)
    assert isinstance(judged(model, net.model("y")), Matched)
    assert isinstance(judged(model, choice("Exp", "Neg", constant=not taken)), NotEstablished)


def loop(operator: str, *, swaps: bool = False) -> ModelProto:
    """Two values that go round; perhaps each in the other's place."""
    value = helper.make_tensor_value_info
    names = ["p_in", "q_in"]
    given = [value("i", INT64, []), value("go", BOOL, []), *(value(n, FLOAT, None) for n in names)]
    read = list(reversed(names)) if swaps else names
    nodes = [
        helper.make_node("Identity", ["go"], ["on"]),
        helper.make_node(operator, [read[0]], ["p_out"]),
        helper.make_node("Exp", [read[1]], ["q_out"]),
    ]
    results = [value("on", BOOL, []), value("p_out", FLOAT, None), value("q_out", FLOAT, None)]
    net = Net()
    net.input(2)
    count, go = net.store(np.int64(2), elem_type=0), net.store(np.bool_(1), elem_type=0)
    body = helper.make_graph(nodes, "body", given, results)
    net.node("Loop", count, go, "x", net.node("Neg", "x"), out="p,q", body=body)
    net.node("Add", "p", "q", out="y")
    return net.model("y")


def test_what_goes_round_in_a_loop_is_told_apart() -> None:
    """The inputs of a body match by their places."""
    assert isinstance(judged(loop("Tanh"), loop("Tanh")), Matched)
    assert isinstance(judged(loop("Tanh"), loop("Relu")), NotEstablished)
    assert isinstance(judged(loop("Tanh"), loop("Tanh", swaps=True)), NotEstablished)


def nested_loops(inner_reads: str) -> ModelProto:
    """A loop in a loop, whose body reads the counter of either."""
    value = helper.make_tensor_value_info
    going = helper.make_node("Identity", ["more"], ["more_out"])
    steps = [
        going,
        helper.make_node("Cast", [inner_reads], ["step"], to=FLOAT),
        helper.make_node("Add", ["v", "step"], ["v_out"]),
    ]
    flags = value("more", BOOL, []), value("more_out", BOOL, [])
    inner = helper.make_graph(
        steps,
        "inner",
        [value("inner_i", INT64, []), flags[0], value("v", FLOAT, None)],
        [flags[1], value("v_out", FLOAT, None)],
    )
    outer = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_out"]),
            helper.make_node("Loop", ["count", "go", "w"], ["w_out"], body=inner),
        ],
        "outer",
        [value("outer_i", INT64, []), value("go", BOOL, []), value("w", FLOAT, None)],
        [value("go_out", BOOL, []), value("w_out", FLOAT, None)],
    )
    net = Net()
    net.input(2)
    net.store(np.int64(2), "count", 0)
    net.node("Loop", "count", net.store(np.bool_(1), elem_type=0), "x", out="y", body=outer)
    return net.model("y")


def test_the_counters_of_nested_loops_are_told_apart() -> None:
    """Inputs of bodies match only those of the body that stands in the same place."""
    assert isinstance(judged(nested_loops("inner_i"), nested_loops("inner_i")), Matched)
    assert isinstance(judged(nested_loops("outer_i"), nested_loops("outer_i")), Matched)
    assert_refused(nested_loops("inner_i"), nested_loops("outer_i"), "stands for two values")


def test_a_name_that_hides_another_is_not_followed() -> None:
    """Runtimes read such a name differently."""
    model = choice("Exp", "Neg")
    node = next(node for node in model.graph.node if node.op_type == "If")
    body = node.attribute[0].g
    body.node.insert(0, helper.make_node("Abs", ["x"], ["y"]))
    assert_refused(model, model, "in a body")


def with_function(operator: str) -> ModelProto:
    net = Net()
    net.input(2, 3)
    net.node("Own", "x", out="y")
    net.nodes[0].domain = "local"
    body = [helper.make_node(operator, ["a"], ["b"])]
    imports = [helper.make_opsetid("", 17)]
    function = helper.make_function("local", "Own", ["a"], ["b"], body, imports)
    return net.model("y", functions=[function])


def test_functions_must_be_the_same() -> None:
    """A function of the model is compared as it is stored."""
    assert isinstance(judged(with_function("Relu"), with_function("Relu")), Matched)
    assert_refused(with_function("Relu"), with_function("Tanh"), "function")


def test_numbers_in_attributes_are_not_taken_for_their_places(tmp_path: Path) -> None:
    """A big tensor in an attribute is in no skeleton: its bytes are read."""
    paths = []
    for number in (1, 2):
        net = Net()
        net.input(2, 3)
        big = numpy_helper.from_array(np.full(1000, number, np.float32))
        net.node("Own", "x", table=big, out="y")
        net.nodes[0].domain = "com.example"
        paths.append(save(net.model("y"), tmp_path / f"{number}.onnx"))
    with open_model(paths[0]) as one, open_model(paths[1]) as other:
        assert isinstance(compare(one, other), NotEstablished)


@pytest.mark.parametrize("count", [10, 4000])
def test_numbers_of_half_a_byte_are_compared(count: int, tmp_path: Path) -> None:
    """Weights of four bits are the same bytes, in the skeleton or out of it."""
    paths: list[Path] = []
    for number in (1, 1, 2):
        net = Net(opset=21, ir_version=10)
        net.input(count)
        net.store(np.float32(0.5), "scale")
        values = np.full(count, number, np.int8)
        net.node("Mul", "x", net.node("DequantizeLinear", "q", "scale"), out="y")
        net.store(values, "q", TensorProto.INT4)
        paths.append(save(net.model("y"), tmp_path / f"{len(paths)}.onnx"))
    with open_model(paths[0]) as one, open_model(paths[1]) as same, open_model(paths[2]) as other:
        assert isinstance(compare(one, same), Matched)
        assert isinstance(compare(one, other), NotEstablished)


# --- fused operators -----------------------------------------------------------------------------
def convolution(*inputs: str, activation: str = "", opset: int = 17, **said: Any) -> Net:
    """A net with x, a weight and a bias, and a FusedConv on them if there is an activation."""
    net = Net(opset=opset)
    net.input(1, 3, 6, 6)
    net.weight(3, 3, 3, 3, name="w")
    net.weight(3, name="b")
    if inputs:
        net.node("FusedConv", *inputs, activation=activation, pads=[1] * 4, out="f", **said)
        net.nodes[-1].domain = "com.microsoft"
        net.node("Exp", "f", out="y")
    return net


FUSED: dict[str, tuple[Callable[[], Net], Callable[[Net, str], str]]] = {
    "Relu": (
        lambda: convolution("x", "w", "b", activation="Relu"),
        lambda net, conv: net.node("Relu", conv),
    ),
    "LeakyRelu": (
        lambda: convolution("x", "w", "b", activation="LeakyRelu", activation_params=[0.25]),
        lambda net, conv: net.node("LeakyRelu", conv, alpha=0.25),
    ),
    "Clip": (
        lambda: convolution("x", "w", "b", activation="Clip", activation_params=[0.0, 6.0]),
        lambda net, conv: net.node("Clip", conv, net.store(0.0), net.store(6.0)),
    ),
    "old Clip": (
        lambda: convolution(
            "x", "w", "b", activation="Clip", activation_params=[0.0, 6.0], opset=10
        ),
        lambda net, conv: net.node("Clip", conv, min=0.0, max=6.0),
    ),
    "sum": (
        lambda: convolution("x", "w", "b", "x", activation="Relu"),
        lambda net, conv: net.node("Relu", net.node("Add", conv, "x")),
    ),
}


@pytest.mark.parametrize("kind", FUSED)
def test_a_fused_convolution_is_what_it_stands_for(kind: str) -> None:
    """A FusedConv of onnxruntime is written out."""
    fused, behind = FUSED[kind]
    candidate = fused()
    plain = convolution(opset=candidate.opset)
    conv = plain.node("Conv", "x", "w", "b", pads=[1] * 4)
    plain.node("Exp", behind(plain, conv), out="y")
    models = plain.model("y"), candidate.model("y")
    feed = feed_for(models[0])
    assert distance(run(models[0], feed)[0], run(models[1], feed)[0]) < 1e-5
    assert isinstance(judged(*models), Matched)
    other = convolution(opset=candidate.opset)
    other.node("Exp", other.node("Conv", "x", "w", "b", pads=[1] * 4), out="y")
    assert isinstance(judged(other.model("y"), models[1]), NotEstablished)


def test_an_activation_that_is_not_known_is_not_seen_through() -> None:
    """A fused operator stays as it is if nobody knows what it does."""
    candidate = convolution("x", "w", "b", activation="Unheard").model("y")
    plain = convolution()
    plain.node("Exp", plain.node("Conv", "x", "w", "b", pads=[1] * 4), out="y")
    assert_refused(plain.model("y"), candidate, "FusedConv")
    assert isinstance(judged(candidate, candidate), Matched)


def test_a_fused_gemm_is_what_it_stands_for() -> None:
    """A FusedGemm of onnxruntime is written out."""
    net, other = Net(), Net()
    for one in (net, other):
        one.input("n", 5)
        one.weight(5, 4, name="w")
        one.weight(4, name="b")
    product = net.node("Add", net.node("MatMul", "x", "w"), "b")
    net.node("Softmax", net.node("Elu", product, alpha=0.5), axis=-1, out="y")
    fused = other.node("FusedGemm", "x", "w", "b", activation="Elu", activation_alpha=0.5)
    other.nodes[-1].domain = "com.microsoft"
    other.node("Softmax", fused, axis=1, out="y")
    models = net.model("y"), other.model("y")
    feed = feed_for(models[0])
    assert distance(run(models[0], feed)[0], run(models[1], feed)[0]) < 1e-5
    assert isinstance(judged(*models), Matched)


def test_an_input_of_a_body_has_a_place_where_it_has_no_name() -> None:
    """What a body is given has another name in each file, so it is told by where it stands."""
    found = judged(loop("Identity"), loop("Relu"))
    assert isinstance(found, NotEstablished)
    assert found.why == "where the reference has input 2 of a body, the candidate has Relu 'p_out'"
