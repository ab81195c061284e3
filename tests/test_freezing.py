"""Freezing: the Ifs that depend on a frozen input give way to the branch taken, and nothing else.

What is computed is compared bit for bit with onnxruntime on the source, to which the flag is fed.
"""

# ruff: noqa: FBT001 - parameters of tests
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from branching import FLAGS, SHAPE, Branching, random_functions
from graphs import BOOL, FLOAT, INT64, Array, Feed, Net, run
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

import folding
from folding import soundness
from folding.assignments import parse_freeze
from folding.modelfile import in_memory
from folding.preparing import Prepared, prepare

Freeze = dict[str, Any]


def frozen(model: ModelProto, **freeze: Any) -> Prepared:
    """The model with inputs frozen, which computes what the source does."""
    prepared = prepare(in_memory(model), freeze)
    proto = prepared.model.proto
    soundness.check(prepared.model, "the frozen model")
    assert not {value.name for value in proto.graph.input} & freeze.keys()
    random = np.random.default_rng(7)
    for seed in (0, 1):
        feed: Feed = {}
        for value in proto.graph.input:
            dims = [dim.dim_value or 2 for dim in value.type.tensor_type.shape.dim]
            is_flag = value.type.tensor_type.elem_type == BOOL
            drawn = random.standard_normal(dims).astype(np.float32)
            feed[value.name] = np.full(dims, bool(seed)) if is_flag else drawn
        same_bits(run(model, {**feed, **prepared.frozen}), run(proto, feed))
    return prepared


def same_bits(ones: list[Array], others: list[Array]) -> None:
    for one, other in zip(ones, others, strict=True):
        assert np.array_equal(one, other, equal_nan=True)


def branch(output: str, *nodes: NodeProto, stored: tuple[TensorProto, ...] = ()) -> GraphProto:
    values = [helper.make_tensor_value_info(output, FLOAT, None)]
    return helper.make_graph(list(nodes), output, [], values, stored)


def one(operator: str, given: str, made: str, *more: str) -> GraphProto:
    """A branch of one node."""
    return branch(made, helper.make_node(operator, [given, *more], [made], f"{made}_node"))


def flagged(**more: Any) -> Net:
    net = Net(**more)
    net.input(2, 3)
    net.input(name="training", elem_type=BOOL)
    return net


def choose(
    net: Net, flag: str, then: GraphProto, other: GraphProto, out: str = "y", name: str = "choice"
) -> str:
    return net.node("If", flag, out=out, name=name, then_branch=then, else_branch=other)


def operators(prepared: Prepared) -> list[str]:
    return [node.op_type for node in prepared.model.proto.graph.node]


@pytest.mark.parametrize(("value", "operator"), [(True, "Relu"), (False, "Neg")])
def test_the_branch_taken_stands_in_the_place_of_the_if(value: bool, operator: str) -> None:
    """The other one is gone, and the If's output has the branch's value."""
    net = flagged()
    choose(net, "training", one("Relu", "x", "t"), one("Neg", "x", "e"), out="v")
    net.node("Abs", "v", out="y")

    prepared = frozen(net.model("y"), training=value)

    assert operators(prepared) == [operator, "Abs"]
    assert list(prepared.model.proto.graph.node[0].output) == ["v"]
    assert [(b.node, b.taken[:4]) for b in prepared.done.branches] == [
        ("choice", "then" if value else "else")
    ]


def test_the_source_is_not_changed() -> None:
    """Neither its messages nor its inputs."""
    net = flagged()
    choose(net, "training", one("Relu", "x", "t"), one("Neg", "x", "e"))
    source = in_memory(net.model("y"))
    before = source.proto.SerializeToString()

    prepare(source, {"training": False})

    assert source.proto.SerializeToString() == before


def test_nothing_to_do_gives_the_very_same_model() -> None:
    """So that its bytes and its cost stay what they are."""
    net = flagged()
    choose(net, "training", one("Relu", "x", "t"), one("Neg", "x", "e"))
    source = in_memory(net.model("y"))

    assert prepare(source).model is source


def test_an_initializer_that_a_caller_may_override_is_frozen_to_another_value() -> None:
    """Its stored value does not count any more."""
    net = flagged()
    net.store(np.array(True), "training", 0)
    choose(net, "training", one("Relu", "x", "t"), one("Neg", "x", "e"))

    prepared = frozen(net.model("y"), training=False)

    assert operators(prepared) == ["Neg"]
    assert not prepared.model.proto.graph.initializer


def test_what_only_the_other_branch_needed_goes_with_it() -> None:
    """The nodes and tensors around the If, with what is said of them."""
    net = flagged()
    net.node("Mul", "x", net.weight(3, name="w"), out="m")
    net.node("Exp", "m", out="only")
    net.node("Add", "m", net.weight(3, name="both"), out="shared")
    choose(net, "training", one("Add", "only", "t", "shared"), one("Neg", "shared", "e"))
    model = net.model("y")
    model.graph.value_info.append(helper.make_tensor_value_info("only", FLOAT, [2, 3]))

    prepared = frozen(model, training=False)

    assert operators(prepared) == ["Mul", "Add", "Neg"]
    assert not prepared.model.proto.graph.value_info


def test_what_nobody_read_before_stays() -> None:
    """A graph is not tidied for its own sake."""
    net = flagged()
    net.node("Exp", "x", out="dead")
    net.weight(3, name="idle")
    choose(net, "training", one("Relu", "x", "t"), one("Neg", "x", "e"))

    prepared = frozen(net.model("y"), training=True)

    assert operators(prepared) == ["Exp", "Relu"]
    assert [tensor.name for tensor in prepared.model.proto.graph.initializer] == ["idle"]


def test_a_flag_that_is_used_as_data_too_is_a_constant_there() -> None:
    """It stays as an initializer of its type."""
    net = flagged()
    net.node("Cast", "training", out="number", to=FLOAT)
    choose(net, "training", one("Relu", "x", "t"), one("Neg", "x", "e"), out="v")
    net.node("Add", "v", "number", out="y")

    prepared = frozen(net.model("y"), training=True)

    (tensor,) = prepared.model.proto.graph.initializer
    assert (tensor.name, tensor.data_type) == ("training", BOOL)
    assert numpy_helper.to_array(tensor) == np.array(True)


@pytest.mark.parametrize("flag", [False, True])
@pytest.mark.parametrize("lock", [False, True])
def test_an_if_in_an_if_is_decided_too(flag: bool, lock: bool) -> None:
    """Whether the inner one depends on the same flag or on another."""
    net = flagged()
    net.input(name="lock", elem_type=BOOL)
    inner = helper.make_node(
        "If", ["lock"], ["t"], then_branch=one("Relu", "h", "r"), else_branch=one("Neg", "h", "n")
    )
    before = helper.make_node("Sub", ["x", "w"], ["h"])
    net.weight(3, name="w")
    choose(net, "training", branch("t", before, inner), one("Abs", "x", "e"))

    prepared = frozen(net.model("y"), training=flag, lock=lock)

    assert operators(prepared) == (["Sub", "Relu" if lock else "Neg"] if flag else ["Abs"])


def test_an_if_whose_condition_is_not_known_stays_as_it_is() -> None:
    """Also in the branch that is taken; and one that was constant all along is left alone."""
    net = flagged()
    net.input(name="open", elem_type=BOOL)
    inner = helper.make_node(
        "If", ["open"], ["t"], then_branch=one("Relu", "x", "r"), else_branch=one("Neg", "x", "n")
    )
    choose(net, "training", branch("t", inner), one("Abs", "x", "e"), out="v")
    net.node("Constant", out="always", value=numpy_helper.from_array(np.array(True)))
    choose(net, "always", one("Exp", "v", "p"), one("Log", "v", "l"), name="other")

    prepared = frozen(net.model("y"), training=True)

    assert operators(prepared) == ["If", "Constant", "If"]
    assert len(prepared.done.branches) == 1


def test_several_outputs_of_a_branch_take_the_names_of_the_if() -> None:
    """One value for two outputs, a captured value and a stored one included."""
    net = flagged()
    stored = numpy_helper.from_array(np.ones(3, np.float32), "k")
    then = branch("t", helper.make_node("Relu", ["x"], ["t"]), stored=(stored,))
    other = branch("e", helper.make_node("Neg", ["x"], ["e"]), stored=(stored,))
    for graph in (then, other):
        graph.output.extend([graph.output[0], helper.make_tensor_value_info("k", FLOAT, [3])])
    net.node("If", "training", out="a,b,c", then_branch=then, else_branch=other)
    for name in "abc":
        net.node("Neg", name, out=f"y_{name}")

    # (onnxruntime leaves the second of two equal outputs of a branch as it finds the memory.)
    prepared = prepare(in_memory(net.model("y_a", "y_b", "y_c")), {"training": False})

    assert operators(prepared)[:2] == ["Neg", "Identity"]
    assert [tensor.name for tensor in prepared.model.proto.graph.initializer] == ["c"]
    x = np.ones((2, 3), np.float32)
    same_bits(run(prepared.model.proto, {"x": x}), [x, x, np.full(3, -1, np.float32)])


def test_names_that_two_branches_share_are_told_apart() -> None:
    """Of values and of nodes, those that bodies within see included."""
    net = flagged()
    net.input(name="open", elem_type=BOOL)

    def deep(given: str, weight: float) -> GraphProto:
        stored = numpy_helper.from_array(np.full(3, weight, np.float32), "w")
        inner = helper.make_node(
            *("If", ["open"], ["last"], "inner"),
            then_branch=one("Add", "h", "p", "w"),
            else_branch=one("Sub", "h", "p", "w"),
        )
        first = helper.make_node("Mul", [given, "w"], ["h"], "first")
        return branch("last", first, inner, stored=(stored,))

    choose(net, "training", deep("x", 2.0), deep("x", 3.0), out="v")
    choose(net, "training", deep("v", 5.0), deep("v", 7.0), out="y", name="again")

    prepared = frozen(net.model("y"), training=True)

    graph = prepared.model.proto.graph
    assert operators(prepared) == ["Mul", "If", "Mul", "If"]
    assert len({node.name for node in graph.node}) == len(graph.node)
    assert sorted(tensor.name for tensor in graph.initializer) == ["w", "w_1"]


@pytest.mark.parametrize(
    ("decide", "taken"),
    [
        (lambda net: net.node("Not", "training"), "Neg"),
        (lambda net: net.node("And", "training", net.node("Not", "training")), "Neg"),
        (lambda net: net.node("Or", "training", net.store(False, elem_type=BOOL)), "Relu"),
        (lambda net: net.node("Xor", "training", "training"), "Neg"),
        (
            lambda net: net.node(
                "Equal", net.node("Cast", "training", to=INT64), net.store(1, elem_type=INT64)
            ),
            "Relu",
        ),
        (
            lambda net: net.node("Less", net.node("Cast", "training", to=FLOAT), net.store(0.5)),
            "Neg",
        ),
        (lambda net: net.node("Identity", "training"), "Relu"),
        (
            lambda net: net.node("Squeeze", net.node("Unsqueeze", "training", net.integers(0))),
            "Relu",
        ),
        (
            lambda net: net.node(
                "Cast",
                net.node("Where", "training", *(net.store(n, elem_type=INT64) for n in (0, 1))),
                to=BOOL,
            ),
            "Neg",
        ),
    ],
)
def test_a_condition_is_computed_from_the_flag(decide: Callable[[Net], str], taken: str) -> None:
    """And the nodes that computed it go with the If."""
    net = flagged()
    choose(net, decide(net), one("Relu", "x", "t"), one("Neg", "x", "e"))

    prepared = frozen(net.model("y"), training=True)

    assert operators(prepared) == [taken]


def test_a_float_condition_is_computed_in_its_own_type() -> None:
    """In float32 0.1 * 3 is 0.3, in the numbers that folds are computed with it is not."""
    net = Net()
    net.input(2, 3)
    net.input(name="rate")
    product = net.node("Mul", "rate", net.store(3.0))
    choose(
        net, net.node("Equal", product, net.store(0.3)), one("Relu", "x", "t"), one("Neg", "x", "e")
    )

    prepared = frozen(net.model("y"), rate=0.1)

    assert operators(prepared) == ["Relu"]


def test_a_condition_that_an_if_gives_is_known_behind_it() -> None:
    """A chain of them is decided in one go."""
    net = flagged()
    truth = helper.make_tensor_value_info("q", BOOL, None)
    for number in range(3):
        flag = f"flag{number - 1}" if number else "training"
        then, other = one("Not", flag, "q"), one("Identity", flag, "q")
        for graph in (then, other):
            graph.output[0].CopyFrom(truth)
        choose(net, flag, then, other, out=f"flag{number}", name=f"if{number}")
    choose(net, "flag2", one("Relu", "x", "t"), one("Neg", "x", "e"))

    prepared = frozen(net.model("y"), training=True)

    assert operators(prepared) == ["Neg"]
    assert len(prepared.done.branches) == 4


def test_an_if_in_a_loop_is_decided() -> None:
    """The loop stays."""
    net = flagged()
    inner = helper.make_node(
        *("If", ["training"], ["state_out"]),
        then_branch=one("Relu", "state", "t"),
        else_branch=one("Neg", "state", "e"),
    )
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), inner],
        "body",
        [
            helper.make_tensor_value_info("step", INT64, []),
            helper.make_tensor_value_info("go", BOOL, []),
            helper.make_tensor_value_info("state", FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", BOOL, []),
            helper.make_tensor_value_info("state_out", FLOAT, None),
        ],
    )
    net.node("Loop", net.store(3, elem_type=INT64), "", "x", out="y", body=body)

    prepared = frozen(net.model("y"), training=False)

    (loop,) = prepared.model.proto.graph.node
    assert [node.op_type for node in loop.attribute[0].g.node] == ["Identity", "Neg"]


def test_a_name_in_a_body_that_hides_the_flag_is_not_the_flag() -> None:
    """The If there depends on the body's own value."""
    net = flagged()
    net.input(name="open", elem_type=BOOL)
    shadow = helper.make_node("Not", ["open"], ["training"])
    inner = helper.make_node(
        *("If", ["training"], ["t"]),
        then_branch=one("Relu", "x", "r"),
        else_branch=one("Neg", "x", "n"),
    )
    choose(net, "open", branch("t", shadow, inner), one("Abs", "x", "e"))
    model = net.model("y")

    prepared = prepare(in_memory(model), {"training": True})

    assert not prepared.done.branches


def test_below_ir_4_what_is_frozen_or_moved_is_a_constant_node() -> None:
    """There every initializer would have to be an input."""
    net = flagged(ir_version=3, opset=8)
    stored = numpy_helper.from_array(np.ones((2, 3), np.float32), "k")
    then = branch("t", helper.make_node("Add", ["x", "k"], ["t"]), stored=(stored,))
    choose(net, "training", then, one("Neg", "x", "e"), out="v")
    net.node("Cast", "training", out="number", to=FLOAT)
    net.node("Add", "v", "number", out="y")
    model = net.model("y")

    prepared = prepare(in_memory(model), {"training": True})

    assert operators(prepared) == ["Constant", "Constant", "Add", "Cast", "Add"]
    soundness.check(prepared.model, "m")
    x = np.ones((2, 3), np.float32)
    same_bits(run(prepared.model.proto, {"x": x}), [x + 2])


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("make", [lambda seed: Branching(seed).model(), random_functions])
def test_random_models_compute_the_same(make: Callable[[int], ModelProto], seed: int) -> None:
    """Whatever is nested, shared, captured or called, and whatever is frozen."""
    model = make(seed)

    for freeze in ({}, {"training": True}, {"training": False, "frozen": True}):
        frozen(model, **freeze)
    everything = frozen(model, **dict.fromkeys(FLAGS, True))

    assert "If" not in operators(everything)
    assert SHAPE == [2, 3]


WRONG: list[tuple[Freeze, str]] = [
    ({"nonsense": True}, "no input 'nonsense' to freeze"),
    ({"w": 1.0}, "no input 'w' to freeze"),
    ({"training": 2}, "'training' is bool, which 2 is not"),
    ({"training": 1.0}, "'training' is bool"),
    ({"training": "yes"}, "'training' is bool"),
    ({"training": ["true"]}, "'training' is bool"),
    ({"count": "true"}, "'count' is int64"),
    ({"training": [True, False]}, r"'training' is a scalar, the value for it is \(2,\)"),
    ({"x": True}, "'x' is float32"),
    ({"x": 1e300}, "'x' is float32"),
    ({"x": [[1.0], [2.0, 3.0]]}, "no value for input 'x'|'x' is float32"),
    ({"count": 1.5}, "'count' is int64"),
    ({"count": 10**30}, "'count' is int64"),
    ({"count": [0] * 2000}, "frozen to 2000 numbers"),
    ({"text": "a"}, "'text' is text"),
    ({"list": 1}, "'list' is no tensor"),
]


@pytest.mark.parametrize(("freeze", "message"), WRONG)
def test_what_cannot_be_frozen_is_said(freeze: Freeze, message: str) -> None:
    """With the name and the type, before anything is planned."""
    net = flagged()
    net.weight(3, name="w")
    net.input(None, name="count", elem_type=INT64)
    net.input(name="text", elem_type=TensorProto.STRING)
    net.node("Relu", "x", out="y")
    model = net.model("y")
    model.graph.input.append(
        helper.make_tensor_sequence_value_info("list", FLOAT, None),
    )

    with pytest.raises(folding.BadCall, match=message) as raised:
        prepare(in_memory(model), freeze)

    assert raised.value.hint


def test_a_second_time_the_input_is_gone() -> None:
    """Freezing it again is an error, not a silent success."""
    net = flagged()
    choose(net, "training", one("Relu", "x", "t"), one("Neg", "x", "e"))
    once = prepare(in_memory(net.model("y")), {"training": False})

    with pytest.raises(folding.BadCall, match="no input 'training'"):
        prepare(once.model, {"training": False})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("flag=true", True),
        ("flag=False", False),
        ("flag= 0", 0),
        ("flag=-1.5e-3", -1.5e-3),
        ("flag=[1, 2]", [1, 2]),
        ("scope/flag:0=true", True),
        ("a=b=1", 1),
    ],
)
def test_values_are_written_as_in_json_in_whatever_case(text: str, value: object) -> None:
    """A name may have a = in it."""
    assert parse_freeze(text) == (text.rpartition("=")[0], value)


def test_a_text_in_quotes_keeps_its_case() -> None:
    """Only words such as True may be written either way."""
    assert parse_freeze('phase="Test"') == ("phase", "Test")


@pytest.mark.parametrize("text", ["flag", "=true", "flag=", "flag=yes", "flag=[1", "flag=nan"])
def test_what_is_no_value_is_refused(text: str) -> None:
    """With what can be given."""
    with pytest.raises(folding.BadCall):
        parse_freeze(text)


@pytest.mark.parametrize("value", [True, [True]])
def test_a_scalar_is_taken_for_a_single_element(value: object) -> None:
    """Some exporters give their flags the shape 1."""
    net = Net()
    net.input(2, 3)
    net.input(1, name="training", elem_type=BOOL)
    choose(net, net.node("Squeeze", "training"), one("Relu", "x", "t"), one("Neg", "x", "e"))

    assert operators(frozen(net.model("y"), training=value)) == ["Relu"]


@pytest.mark.parametrize(("text", "operator"), [("true", "Relu"), ("False", "Neg")])
def test_a_truth_value_may_be_given_as_text(text: str, operator: str) -> None:
    """As at the command line, in whatever case."""
    net = flagged()
    choose(net, "training", one("Relu", "x", "t"), one("Neg", "x", "e"))

    assert operators(frozen(net.model("y"), training=text)) == [operator]


def test_what_a_caller_may_still_override_is_not_known() -> None:
    """Its stored value is but a default."""
    net = flagged()
    net.input(name="other", elem_type=BOOL)
    net.store(np.array(True), "other", 0)
    either = net.node("Or", "training", "other")
    choose(net, either, one("Relu", "x", "t"), one("Neg", "x", "e"))

    prepared = prepare(in_memory(net.model("y")), {"training": False})

    assert operators(prepared) == ["Or", "If"]


def test_functions_that_only_the_other_branch_called_go_with_it() -> None:
    """Those that are called elsewhere stay."""
    net = flagged()
    imports = [helper.make_opsetid("", 17)]
    functions = [
        helper.make_function(
            *("my", name, ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], imports)
        )
        for name in ("Left", "Right")
    ]
    branches = []
    for name in ("Left", "Right"):
        node = helper.make_node(name, ["x"], [name.lower()], domain="my")
        branches.append(branch(name.lower(), node))
    choose(net, "training", branches[0], branches[1])
    model = net.model("y", functions=functions)
    model.opset_import.append(helper.make_opsetid("my", 1))

    prepared = frozen(model, training=False)

    assert [function.name for function in prepared.model.proto.functions] == ["Right"]


def test_below_opset_7_operands_are_aligned_by_other_rules() -> None:
    """So their condition is not computed."""
    net = flagged(opset=6)
    both = net.node("And", "training", "training", broadcast=1)
    choose(net, both, one("Relu", "x", "t"), one("Neg", "x", "e"))

    prepared = prepare(in_memory(net.model("y")), {"training": False})

    assert operators(prepared) == ["And", "If"]
