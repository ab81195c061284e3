"""Sameness: a prepared model is told from its source by nothing but what it computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from branching import Branching, random_functions
from graphs import BOOL, FLOAT, INT64, Net
from onnx import GraphProto, ModelProto, helper, numpy_helper

import folding
from folding.equivalence.sameness import check_preparation
from folding.equivalence.verdict import Check, Status
from folding.modelfile import Model, in_memory
from folding.preparing import Prepared, prepare

FREEZES: list[dict[str, Any]] = [{}, {"training": True}, {"training": False, "frozen": True}]


def check(prepared: Prepared) -> Check:
    return check_preparation(prepared.source, prepared.model, prepared.frozen)


@pytest.mark.parametrize("freeze", FREEZES)
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("make", [lambda seed: Branching(seed).model(), random_functions])
def test_what_was_prepared_is_the_same(
    make: Callable[[int], ModelProto], seed: int, freeze: dict[str, Any]
) -> None:
    """Whatever was inlined, frozen, spliced, renamed and swept."""
    prepared = prepare(in_memory(make(seed)), freeze)

    assert check(prepared) == Check("preparation", Status.PASSED)


def source() -> Model:
    """A frozen If, an If that stays, and a function that is inlined."""
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    for flag in ("training", "open"):
        net.input(name=flag, elem_type=BOOL)
    value = helper.make_tensor_value_info("t", FLOAT, None)
    stored = numpy_helper.from_array(np.full((2, 4, 3), 3, np.float32), "k")
    inner: dict[str, Any] = {
        f"{which}_branch": helper.make_graph(
            [helper.make_node(operator, ["s"], ["t"])], which, [], [value]
        )
        for which, operator in (("then", "Relu"), ("else", "Abs"))
    }
    nodes = [
        helper.make_node("Sub", ["v", "k"], ["s"]),
        helper.make_node("If", ["open"], ["t"], "inner", **inner),
    ]
    branches: dict[str, Any] = {
        "then_branch": helper.make_graph(nodes, "then", [], [value], [stored]),
        "else_branch": helper.make_graph(
            [helper.make_node("Exp", ["v"], ["t"])], "else", [], [value]
        ),
    }
    net.node("If", "training", out="w", name="outer", **branches)
    net.node("F", "w", net.positive(4), out="y", domain="my")
    leaky = helper.make_node("LeakyRelu", ["n"], ["b"])
    leaky.attribute.add(name="alpha", type=1, ref_attr_name="slope")
    norm = helper.make_node("BatchNormalization", ["a", *["p"] * 4], ["n"])
    function = helper.make_function(
        *("my", "F", ["a", "p"], ["b"], [norm, leaky], [helper.make_opsetid("", 17)]),
        attribute_protos=[helper.make_attribute("slope", 0.25)],
    )
    return in_memory(net.model("y", functions=[function]))


def swap(model: ModelProto) -> None:
    """The other order of what Sub reads."""
    node = next(n for n in model.graph.node if n.op_type == "Sub")
    node.input[:] = node.input[::-1]


def forget(model: ModelProto) -> None:
    """No attribute where the function has a default."""
    node = next(n for n in model.graph.node if n.op_type == "LeakyRelu")
    del node.attribute[:]


def exchange(model: ModelProto) -> None:
    """The branches of the If that stays."""
    node = next(n for n in model.graph.node if n.op_type == "If")
    one, other = node.attribute
    one.name, other.name = other.name, one.name


def alter(model: ModelProto) -> None:
    """Another number in a tensor that moved."""
    (tensor,) = (t for t in model.graph.initializer if t.name == "k")
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + 1, "k"))


def cross(model: ModelProto) -> None:
    """A body that reads another value."""
    node = next(n for n in model.graph.node if n.op_type == "If")
    node.attribute[0].g.node[0].input[0] = "v"


def update(model: ModelProto) -> None:
    """Another operator set."""
    model.opset_import[0].version = 18


def rename(model: ModelProto) -> None:
    """Another output."""
    model.graph.output[0].name = "s"


def drop(model: ModelProto) -> None:
    """An input less."""
    del model.graph.input[1]


def retype(model: ModelProto) -> None:
    """Another shape of an output."""
    model.graph.output[0].type.tensor_type.shape.Clear()


def reshape(model: ModelProto) -> None:
    """Another shape of an input."""
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 7


FAULTS = [swap, forget, exchange, alter, cross, update, rename, drop, retype, reshape]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault: Callable[[ModelProto], None]) -> None:
    """One that the names do not show."""
    prepared = prepare(source(), {"training": True})
    assert check(prepared).status is Status.PASSED
    assert [n.op_type for n in prepared.model.proto.graph.node][1:3] == ["Sub", "If"]

    fault(prepared.model.proto)

    found = check(prepared)
    assert found.status is Status.FAILED
    assert found.why


@pytest.mark.parametrize(
    ("operator", "opset", "status"),
    [
        ("Relu", 17, Status.PASSED),
        ("Relu", 18, Status.PASSED),
        ("ReduceMax", 17, Status.PASSED),
        ("ReduceMax", 18, Status.FAILED),
        ("Mish", 18, Status.FAILED),
        ("Relu", 10_000, Status.FAILED),
    ],
)
def test_an_operator_is_the_same_in_operator_sets_that_have_the_same_version_of_it(
    operator: str, opset: int, status: Status
) -> None:
    """What ONNX does not know yet may be another one."""
    node = helper.make_node(operator, ["a"], ["b"])
    imports = [helper.make_opsetid("", opset)]
    function = helper.make_function("my", "F", ["a"], ["b"], [node], imports)
    call, inlined = Net(), Net()
    call.node("F", call.input(2, 3), out="y", domain="my")
    inlined.node(operator, inlined.input(2, 3), out="y")
    before, after = call.model("y", functions=[function]), inlined.model("y")
    after.opset_import.add(domain="my", version=1)
    after.graph.output[0].CopyFrom(before.graph.output[0])

    found = check_preparation(in_memory(before), in_memory(after), {})

    assert found.status is status


def test_the_other_branch_is_another_function() -> None:
    """The value that was frozen decides."""
    prepared = prepare(source(), {"training": True})

    found = check_preparation(prepared.source, prepared.model, {"training": np.array(False)})

    assert (found.status, found.at) == (Status.FAILED, "y")


def test_it_is_part_of_the_verdict() -> None:
    """A proof from the files, beside those of the fold."""
    _, report = folding.fold_model(source().proto, freeze={"training": False})

    verdict = report.verification
    assert verdict.checks[0] == Check("preparation", Status.PASSED)
    assert verdict.rests_on.startswith("preparation, frame and parameters, a proof from the files")


def test_without_a_preparation_there_is_no_such_check() -> None:
    """What was not done needs no proof."""
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.batch_norm("v", 4, "y")

    _, report = folding.fold_model(net.model("y"))

    assert [check.name for check in report.verification.checks][:2] == ["frame", "parameters"]


def compared(before: ModelProto, after: ModelProto) -> Status:
    return check_preparation(in_memory(before), in_memory(after), {}).status


def loops(read: str) -> ModelProto:
    """A loop in a loop, whose body reads its own state ``b``, or that of the outer one, ``a``."""

    def body(name: str, nodes: list[Any], *values: tuple[str, int]) -> GraphProto:
        infos = [helper.make_tensor_value_info(n, kind, None) for n, kind in values]
        return helper.make_graph(nodes, name, infos[:3], infos[3:])

    flags, states = ("c", BOOL), ("b", FLOAT)
    inner = [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Neg", [read], ["z"])]
    within = body("inner", inner, ("j", INT64), flags, states, ("d", BOOL), ("z", FLOAT))
    outer = [
        helper.make_node("Identity", ["k"], ["l"]),
        helper.make_node("Loop", ["times", "k", "a"], ["r"], body=within),
    ]
    around = body(
        "outer", outer, ("i", INT64), ("k", BOOL), ("a", FLOAT), ("l", BOOL), ("r", FLOAT)
    )
    net = Net()
    net.input(2, 3)
    times, on = net.store(np.array(3), "times", INT64), net.store(np.array(1), "on", BOOL)
    net.node("Loop", times, on, "x", body=around, out="y")
    return net.model("y")


def test_the_state_of_a_loop_is_not_that_of_the_loop_around_it() -> None:
    assert compared(loops("b"), loops("b")) is Status.PASSED
    assert compared(loops("b"), loops("a")) is Status.FAILED


def test_an_operator_that_is_asked_for_more_outputs_may_be_another_one() -> None:
    """Before version 14, that makes a normalisation one in training."""
    plain, training = (Net(opset=9) for _ in range(2))
    for net, out in ((plain, "y"), (training, "y,mean,var,m,v")):
        norm = [net.store(np.ones(4), name) for name in ("gamma", "beta", "mean_", "var_")]
        net.node("BatchNormalization", net.input(2, 4, 5), *norm, out=out)

    assert compared(plain.model("y"), training.model("y")) is Status.FAILED


@pytest.mark.parametrize(("version", "status"), [(3, Status.PASSED), (8, Status.FAILED)])
def test_a_condition_that_nobody_can_override_is_known(version: int, status: Status) -> None:
    """Before version 4, initializers are inputs in name alone."""
    out = helper.make_tensor_value_info("b", FLOAT, None)
    branches: dict[str, Any] = {
        f"{which}_branch": helper.make_graph(
            [helper.make_node(operator, ["x"], ["b"])], which, [], [out]
        )
        for which, operator in (("then", "Relu"), ("else", "Abs"))
    }
    chosen, taken = (Net(opset=8, ir_version=version) for _ in range(2))
    for net in (chosen, taken):
        net.input(2, 3)
        net.store(np.array(1), "flag", BOOL)
        if version > 3:
            net.input(name="flag", elem_type=BOOL)
    chosen.node("If", "flag", out="y", **branches)
    taken.node("Relu", "x", out="y")

    assert compared(chosen.model("y"), taken.model("y")) is status


def test_another_text_is_another_value() -> None:
    models = []
    for text in ("a", "b"):
        net = Net()
        net.input(2, 3)
        net.node("Identity", "text", out="y")
        model = net.model("y")
        model.graph.initializer.append(numpy_helper.from_array(np.array([text], object), "text"))
        models.append(model)

    assert compared(models[0], models[0]) is Status.PASSED
    assert compared(*models) is Status.FAILED
