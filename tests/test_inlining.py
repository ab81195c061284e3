"""Inlining: functions that contain an affine give way to their nodes, all others stay."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files import read, save
from graphs import BOOL, FLOAT, Net, feed_for, run
from onnx import FunctionProto, ModelProto, NodeProto, OperatorSetIdProto, helper, numpy_helper

import folding
from folding import Folded, Kept, Reason, soundness
from folding.modelfile import in_memory, open_model
from folding.plan import Kind
from folding.preparing import Prepared, prepare

OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("my", 1)]


def function(
    name: str, nodes: Sequence[NodeProto], takes: str = "a,p", gives: str = "b", **more: Any
) -> FunctionProto:
    imports = more.pop("imports", OPSETS)
    return helper.make_function(
        "my", name, takes.split(",") if takes else [], gives.split(","), nodes, imports, **more
    )


def norm(given: str = "a", made: str = "b", **more: Any) -> NodeProto:
    """A normalisation by the one parameter that a function is given."""
    parameters = ["p"] * 4
    return helper.make_node("BatchNormalization", [given, *parameters], [made], "norm", **more)


NORM = function("Norm", [norm()])
PLAIN = function("Plain", [helper.make_node("Relu", ["a"], ["b"])], takes="a")


def conv(net: Net, out: str = "h") -> str:
    return net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out=out, name="conv")


def inlined(model: ModelProto) -> Prepared:
    """The model without its functions, which computes what the source does."""
    prepared = prepare(in_memory(model))
    soundness.check(prepared.model, "the inlined model")
    feed = feed_for(model)
    for one, other in zip(run(model, feed), run(prepared.model.proto, feed), strict=True):
        assert np.array_equal(one, other)
    return prepared


def functions(prepared: Prepared) -> list[str]:
    return [found.name for found in prepared.model.proto.functions]


def operators(prepared: Prepared) -> list[str]:
    return [node.op_type for node in prepared.model.proto.graph.node]


def test_an_affine_inside_a_function_is_folded() -> None:
    """Nodes are counted as they are without the function."""
    net = Net()
    net.node("Norm", conv(net), net.positive(4), out="y", domain="my")
    model = net.model("y", functions=[NORM])

    folded, report = folding.fold_model(model)

    assert [node.op_type for node in folded.graph.node] == ["Conv"]
    assert not folded.functions
    assert isinstance(report.plan.decisions[0].outcome, Folded)
    assert report.plan.counts["nodes_before"] == 2
    assert report.to_dict()["preparation"]["inlined"] == [{"name": "my.Norm", "calls": 1}]
    assert "beside the source as it was" in report.verification.rests_on


def test_a_function_without_an_affine_stays() -> None:
    """Also where another one goes."""
    net = Net()
    net.node("Plain", conv(net), out="v", domain="my")
    net.node("Conv", "v", net.weight(4, 4, 1), out="w")
    net.node("Norm", "w", net.positive(4), out="y", domain="my")

    prepared = inlined(net.model("y", functions=[NORM, PLAIN]))

    assert functions(prepared) == ["Plain"]
    assert operators(prepared) == ["Conv", "Plain", "Conv", "BatchNormalization"]


def test_a_model_whose_functions_have_no_affine_is_the_very_same() -> None:
    """So that its bytes and its cost stay what they are."""
    net = Net()
    net.node("Plain", conv(net), out="y", domain="my")
    source = in_memory(net.model("y", functions=[PLAIN]))

    assert prepare(source).model is source


@pytest.mark.parametrize("verify", [True, False])
def test_where_nothing_is_folded_nothing_is_inlined(tmp_path: Path, verify: bool) -> None:  # noqa: FBT001
    """The target is the source, and the reason is that of the affine where it is called."""
    net = Net()
    net.node("Norm", net.input(2, 4, 3), net.positive(4), out="y", domain="my")
    source = save(net.model("y", functions=[NORM]), tmp_path / "m.onnx")

    report = folding.fold(source, tmp_path / "f.onnx", verify=verify)

    assert (tmp_path / "f.onnx").read_bytes() == source.read_bytes()
    (decision,) = report.plan.decisions
    assert isinstance(decision.outcome, Kept)
    assert decision.outcome.reason is Reason.GRAPH_INPUT
    assert report.preparation.inlined == ()
    assert str(report.verification.name) == ("equivalent" if verify else "skipped")


def test_a_function_that_is_called_twice_has_its_own_values_each_time() -> None:
    """Names of values and of nodes are new, and both affines are folded."""
    net = Net()
    net.node("Norm", conv(net), net.positive(4), out="v", domain="my")
    net.node("Conv", "v", net.weight(4, 4, 1), out="w")
    net.node("Norm", "w", net.positive(4), out="y", domain="my")
    model = net.model(
        "y", functions=[function("Norm", [norm(made="n"), helper.make_node("Relu", ["n"], ["b"])])]
    )

    prepared = inlined(model)
    folded, _ = folding.fold_model(model)

    names = [node.name for node in prepared.model.proto.graph.node if "norm" in node.name]
    assert names == ["norm", "norm_1"]
    assert [node.op_type for node in folded.graph.node] == ["Conv", "Relu", "Conv", "Relu"]


def test_functions_in_functions_are_inlined_with_them() -> None:
    """A caller of a function with an affine has one."""
    block = function(
        "Block",
        [
            helper.make_node("Conv", ["a", "k"], ["h"]),
            helper.make_node("Norm", ["h", "p"], ["n"], domain="my"),
            helper.make_node("Plain", ["n"], ["b"], domain="my"),
        ],
        takes="a,k,p",
    )
    net = Net()
    x = net.input(2, 3, 5)
    net.node("Block", x, net.weight(4, 3, 3), net.positive(4), out="y", domain="my")
    model = net.model("y", functions=[NORM, PLAIN, block])

    prepared = inlined(model)
    folded, _ = folding.fold_model(model)

    assert functions(prepared) == ["Plain"]
    assert [node.op_type for node in folded.graph.node] == ["Conv", "Plain"]


@pytest.mark.parametrize(("given", "slope"), [({}, 0.25), ({"slope": 0.5}, 0.5)])
def test_attributes_are_those_of_the_call_else_the_defaults(
    given: dict[str, Any], slope: float
) -> None:
    """Under the name that they have in the function."""
    leaky = helper.make_node("LeakyRelu", ["n"], ["b"])
    leaky.attribute.add(name="alpha", type=1, ref_attr_name="slope")
    default = [helper.make_attribute("slope", 0.25)]
    net = Net()
    net.node("F", conv(net), net.positive(4), out="y", domain="my", **given)
    made = function("F", [norm(made="n"), leaky], attribute_protos=default)

    prepared = inlined(net.model("y", functions=[made]))

    (attribute,) = prepared.model.proto.graph.node[-1].attribute
    assert (attribute.name, attribute.f, attribute.ref_attr_name) == ("alpha", slope, "")


def test_an_attribute_that_neither_has_is_left_out() -> None:
    """Then the operator's own default counts."""
    made = norm()
    made.attribute.add(name="epsilon", type=1, ref_attr_name="eps")
    net = Net()
    net.node("F", conv(net), net.positive(4), out="y", domain="my")

    prepared = inlined(net.model("y", functions=[function("F", [made], attributes=["eps"])]))

    assert not prepared.model.proto.graph.node[-1].attribute


def test_an_if_in_a_function_that_holds_an_affine_is_frozen() -> None:
    """Inlined first, decided then; its branches have the same names each time."""
    branches: dict[str, Any] = {}
    for which, operator in (("then_branch", "Relu"), ("else_branch", "Abs")):
        nodes = [helper.make_node(operator, ["a"], ["r"]), norm("r", "last")]
        output = helper.make_tensor_value_info("last", FLOAT, None)
        branches[which] = helper.make_graph(nodes, which, [], [output])
    choice = helper.make_node("If", ["c"], ["b"], "choice", **branches)
    net = Net()
    x = conv(net)
    net.input(name="training", elem_type=BOOL)
    net.node("F", x, net.positive(4), "training", out="v", domain="my")
    net.node("Conv", "v", net.weight(4, 4, 1), out="w")
    net.node("F", "w", net.positive(4), "training", out="y", domain="my")
    model = net.model("y", functions=[function("F", [choice], takes="a,p,c")])

    inlined(model)
    folded, report = folding.fold_model(model, freeze={"training": False})

    assert "If" not in [node.op_type for node in folded.graph.node]
    assert [branch.taken for branch in report.preparation.branches] == ["else_branch"] * 2
    assert str(report.verification.name) == "equivalent"


def test_an_input_that_is_left_out_and_outputs_that_nobody_wants() -> None:
    """An empty name stays one; an output that is an input is a copy."""
    made = function(
        "F",
        [helper.make_node("Conv", ["a", "k", "bias"], ["h"]), norm("h")],
        takes="a,k,p,bias",
        gives="b,a,h",
    )
    net = Net()
    x, weight = net.input(2, 3, 5), net.weight(4, 3, 3)
    net.node("F", x, weight, net.positive(4), out="v,same,idle", domain="my")
    net.node("Relu", "v", out="y")
    net.node("Relu", "same", out="z")

    # (onnxruntime takes no function with an output that is an input.)
    prepared = prepare(in_memory(net.model("y", "z", functions=[made])))

    assert operators(prepared) == ["Conv", "BatchNormalization", "Identity", "Relu", "Relu"]
    assert list(prepared.model.proto.graph.node[0].input) == [x, weight, ""]


def test_operator_sets_that_only_the_function_imports_are_imported() -> None:
    """Else its nodes would be of no known domain."""
    contrib = [*OPSETS, helper.make_opsetid("com.microsoft", 1)]
    gelu = helper.make_node("Gelu", ["n"], ["b"], domain="com.microsoft")
    net = Net()
    net.node("F", conv(net), net.positive(4), out="y", domain="my")

    prepared = inlined(
        net.model("y", functions=[function("F", [norm(made="n"), gelu], imports=contrib)])
    )

    assert {o.domain: o.version for o in prepared.model.proto.opset_import}["com.microsoft"] == 1


@pytest.mark.parametrize("opset", [15, 16, 18])
def test_a_function_of_another_operator_set_is_inlined_if_its_operators_are_the_same(
    opset: int,
) -> None:
    """The version of each of them counts, those in its bodies included."""
    imports = [helper.make_opsetid("", opset)]
    net = Net()
    net.node("Norm", conv(net), net.positive(4), out="y", domain="my")

    model = net.model("y", functions=[function("Norm", [norm()], imports=imports)])

    prepared = inlined(model)
    folded, report = folding.fold_model(model)

    assert operators(prepared) == ["Conv", "BatchNormalization"]
    assert [node.op_type for node in folded.graph.node] == ["Conv"]
    assert str(report.verification.name) == "equivalent"
    assert {o.domain: o.version for o in prepared.model.proto.opset_import}[""] == 17


def choice(operator: str) -> NodeProto:
    """An If with an operator in a body, where ONNX's checker does not look for versions."""
    bodies: dict[str, Any] = {
        f"{branch}_branch": helper.make_graph(
            [helper.make_node(operator, ["n"], ["t"])],
            branch,
            [],
            [helper.make_tensor_value_info("t", FLOAT, None)],
        )
        for branch in ("then", "else")
    }
    return helper.make_node("If", ["p"], ["b"], **bodies)


@pytest.mark.parametrize(
    ("nodes", "imported"),
    [
        pytest.param(
            [norm(made="n"), choice("ReduceMax")], helper.make_opsetid("", 18), id="other version"
        ),
        pytest.param([norm(made="n"), choice("Mish")], helper.make_opsetid("", 18), id="later"),
        pytest.param([norm()], helper.make_opsetid("", 10_000), id="not known yet"),
        pytest.param(
            [norm(made="n"), helper.make_node("G", ["n"], ["b"], domain="net")],
            helper.make_opsetid("net", 2),
            id="of another maker",
        ),
    ],
)
def test_a_function_of_another_operator_set_cannot_be_inlined(
    nodes: list[NodeProto], imported: OperatorSetIdProto
) -> None:
    """Its affine stays, with the reason in a warning, and is one that --strict minds."""
    net = Net()
    net.node("Norm", conv(net), net.positive(4), out="y", domain="my")
    imports = [imported] if not imported.domain else [*OPSETS, imported]
    model = net.model("y", functions=[function("Norm", nodes, imports=imports)])
    model.opset_import.add(domain="net", version=1)

    folded, report = folding.fold_model(model, verify=False)

    assert folded.SerializeToString() == model.SerializeToString()
    (decision,) = report.plan.decisions
    assert isinstance(decision.outcome, Kept)
    assert decision.outcome.reason is Reason.IN_FUNCTION
    assert decision.kind is Kind.BATCH_NORM
    assert decision.counts_for_strict
    assert [(w.code, w.at) for w in report.warnings] == [("NOT_INLINED", "my.Norm")]
    assert "other operator sets" in report.warnings[0].text


def test_a_norm_in_a_function_on_statistics_of_the_run_is_live() -> None:
    """Those that the function computes, not those that it is given."""
    mean = helper.make_node("ReduceMean", ["a"], ["m"], axes=[0, 2], keepdims=0)
    live = helper.make_node("BatchNormalization", ["a", "p", "p", "m", "p"], ["b"])
    net = Net()
    net.node("Plain", conv(net), out="y", domain="my")
    model = net.model("y", functions=[PLAIN, function("Norm", [mean, live])])

    (decision,) = folding.fold_model(model)[1].plan.decisions

    assert decision.outcome == Kept(Reason.IN_FUNCTION, "b")
    assert decision.kind is Kind.LIVE_NORM


def test_a_function_that_nobody_calls_stays_as_it_is() -> None:
    """There is no place for its nodes."""
    net = Net()
    net.node("Relu", conv(net), out="y")
    model = net.model("y", functions=[NORM])
    model.opset_import.append(helper.make_opsetid("my", 1))

    folded, _ = folding.fold_model(model)

    assert folded.SerializeToString() == model.SerializeToString()


@pytest.mark.parametrize("calls", [1, 3])
def test_large_constants_of_functions_are_not_copied(tmp_path: Path, calls: int) -> None:
    """One call takes them along, wherever they are stored; several would grow the model."""
    weight = np.random.default_rng(1).normal(size=(4, 4, 30)).astype(np.float32)
    tensor = numpy_helper.from_array(weight, "k")
    nodes = [
        helper.make_node("Constant", [], ["k"], value=tensor),
        helper.make_node("Conv", ["a", "k"], ["h"], pads=[15, 14]),
        norm("h"),
    ]
    net = Net()
    value, parameter = net.input(2, 4, 31), net.positive(4)
    for number in range(calls):
        value = net.node("F", value, parameter, out=f"y{number}", domain="my")
    path = save(net.model(value, functions=[function("F", nodes)]), tmp_path / "m.onnx")

    report = folding.fold(path, tmp_path / "f.onnx")

    assert str(report.verification.name) == "equivalent"
    if calls == 1:
        assert report.plan.counts["folded"] == 1
        assert (tmp_path / "f.onnx").stat().st_size < 1.1 * path.stat().st_size
    else:
        assert (tmp_path / "f.onnx").read_bytes() == path.read_bytes()
        assert [warning.code for warning in report.warnings] == ["NOT_INLINED"]


def test_an_empty_function_does_no_harm() -> None:
    """It hands on what it is given."""
    net = Net()
    net.node("Same", conv(net), out="v", domain="my")
    net.node("Norm", "v", net.positive(4), out="y", domain="my")
    empty = function("Same", [], takes="a", gives="a")

    prepared = prepare(in_memory(net.model("y", functions=[NORM, empty])))

    assert operators(prepared) == ["Conv", "Same", "BatchNormalization"]


def test_the_skeleton_keeps_its_tokens(tmp_path: Path) -> None:
    """Big weights stay where they are while functions are inlined."""
    net = Net()
    x = net.input(2, 3, 5)
    net.node("Conv", x, net.weight(200, 3, 3, name="w"), out="h")
    net.node("Norm", "h", net.positive(200), out="y", domain="my")
    path = save(net.model("y", functions=[NORM]), tmp_path / "m.onnx")

    with open_model(path) as source:
        prepared = prepare(source)

        assert prepared.model.tokens() == source.tokens()
        weight = prepared.model.proto.graph.initializer[0]
        assert np.array_equal(prepared.model.array(weight), net.stored["w"])


def test_a_fold_of_inlined_functions_is_verified_as_one_of_ours(tmp_path: Path) -> None:
    """With the source as it is, functions and all."""
    net = Net()
    net.node("Norm", conv(net), net.positive(4), out="y", domain="my")
    source = save(net.model("y", functions=[NORM]), tmp_path / "m.onnx")
    folding.fold(source, tmp_path / "f.onnx", verify=False)

    verdict = folding.verify(source, tmp_path / "f.onnx")

    assert str(verdict.name) == "equivalent"
    assert [check.name for check in verdict.checks if str(check.status) == "passed"] == [
        *("preparation", "frame", "parameters", "sites", "outputs"),
    ]


def test_a_wrong_number_in_what_was_inlined_is_found(tmp_path: Path) -> None:
    """As in any other candidate."""
    net = Net()
    net.node("Norm", conv(net), net.positive(4), out="y", domain="my")
    source = save(net.model("y", functions=[NORM]), tmp_path / "m.onnx")
    folded, _ = folding.fold_model(read(source), verify=False)
    weight = folded.graph.initializer[0]
    numbers = numpy_helper.to_array(weight) * np.float32(1.001)
    weight.CopyFrom(numpy_helper.from_array(numbers, weight.name))

    verdict = folding.verify(source, folded)

    assert str(verdict.name) == "different"


def test_names_in_the_bodies_of_a_function_are_new_ones() -> None:
    """They would hide those of the graph that it is called in."""
    branches: dict[str, Any] = {}
    for which in ("then_branch", "else_branch"):
        nodes = [helper.make_node("Relu", ["a"], ["v"]), norm("v", "w")]
        output = helper.make_tensor_value_info("w", FLOAT, None)
        branches[which] = helper.make_graph(nodes, which, [], [output])
    choice = helper.make_node("If", ["c"], ["b"], "choice", **branches)
    net = Net()
    conv(net, "v")
    net.node("Relu", "v", out="w")
    flag = net.input(name="open", elem_type=BOOL)
    net.node("F", "w", net.positive(4), flag, out="y", domain="my")

    prepared = inlined(net.model("y", functions=[function("F", [choice], takes="a,p,c")]))

    made = [
        name
        for attribute in prepared.model.proto.graph.node[-1].attribute
        for node in attribute.g.node
        for name in node.output
    ]
    assert not {"v", "w"} & set(made)
    assert len(set(made)) == len(made) == 4


def call_with_a_body() -> tuple[NodeProto, FunctionProto]:
    """A function that hands on a body which it is given, as an attribute."""
    choice = helper.make_node("If", ["c"], ["i"])
    for which in ("then_branch", "else_branch"):
        choice.attribute.add(name=which, type=5, ref_attr_name="body")
    made = function("F", [choice, norm("i")], takes="c,p", attributes=["body"])
    output = helper.make_tensor_value_info("t", FLOAT, None)
    body = helper.make_graph([helper.make_node("Relu", ["v"], ["t"])], "body", [], [output])
    return helper.make_node("F", ["open", "p0"], ["y"], domain="my", body=body), made


def call_with_too_much() -> tuple[NodeProto, FunctionProto]:
    """One value more than the function takes."""
    return helper.make_node("Norm", ["v", "p0", "v"], ["y"], domain="my"), NORM


def call_without_a_result() -> tuple[NodeProto, FunctionProto]:
    """A function that does not make what it gives."""
    made = function("F", [norm(made="n")], gives="b")
    return helper.make_node("F", ["v", "p0"], ["y"], domain="my"), made


@pytest.mark.parametrize("make", [call_with_a_body, call_with_too_much, call_without_a_result])
def test_a_call_that_cannot_be_replaced_stays(make: Any) -> None:
    """With a warning; what is wrong with it is the runtime's to say."""
    call, made = make()
    net = Net()
    conv(net, "v")
    net.positive(4, name="p0")
    net.input(name="open", elem_type=BOOL)
    net.nodes.append(call)
    graph = net.graph("y")
    model = helper.make_model(graph, opset_imports=OPSETS, functions=[made], ir_version=8)

    prepared = prepare(in_memory(model))

    assert prepared.is_source
    assert [warning.code for warning in prepared.warnings] == ["NOT_INLINED"]
