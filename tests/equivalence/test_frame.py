"""Frame: whatever differs outside of a fold's own numbers is found, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files import conv_net, initializer, make, node, norm_constants, norm_node, save
from graphs import Net
from inprocess import fold_verdict, planned_fold, planned_frame
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

import folding
from folding import edits
from folding.draft import Draft
from folding.equivalence.frame import check_frame
from folding.equivalence.verdict import Check, Status, VerdictName
from folding.modelfile import in_memory
from folding.planner import plan_model, untouched

Fault = Callable[[ModelProto], Any]


def constant(name: str, *shape: int, seed: int = 0) -> TensorProto:
    values = np.random.default_rng([seed, *map(ord, name)]).normal(size=shape)
    return numpy_helper.from_array(values.astype(np.float32), name)


def norms(*prefixes: str, channels: int = 4) -> list[TensorProto]:
    rng = np.random.default_rng(5)
    return [t for p in prefixes for t in norm_constants(p, channels, np.float32, rng)]


def body(name: str, shift: str, *, folds: bool) -> Any:
    out = helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, None)
    inner = [
        helper.make_node("Conv", ["x", f"{name}_w"], [f"{name}_c"], name=f"{name}_conv"),
        norm_node("if_", f"{name}_c", f"{name}_n")
        if folds
        else helper.make_node("Relu", [f"{name}_c"], [f"{name}_n"]),
        helper.make_node("Pow", [f"{name}_n", shift], [f"{name}_out"], name=f"{name}_pow"),
    ]
    stored = [constant(f"{name}_w", 4, 3, 1, 1), constant(shift, 1)]
    return helper.make_graph(inner, name, [], [out], stored)


def net(*, folds_in_bodies: bool = False) -> ModelProto:
    """Folds of all shapes beside nodes that no fold touches.

    Two convolutions alike; two matrix products, which get an Add each; one weight that a folded
    and an unfolded convolution share; an If, perhaps with a fold in each branch.
    """
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["c1"], name="conv1", pads=[0, 0, 0, 0]),
        norm_node("one_", "c1", "n1"),
        helper.make_node("LeakyRelu", ["n1"], ["r1"], name="leaky", alpha=0.1),
        helper.make_node("Conv", ["x", "w2"], ["c2"], name="conv2", pads=[0, 0, 0, 0]),
        norm_node("two_", "c2", "n2"),
        helper.make_node("Sigmoid", ["n2"], ["r2"], name="sigmoid"),
        helper.make_node("Add", ["r1", "r2"], ["s"], name="sum"),
        helper.make_node("Pow", ["s", "k"], ["p"], name="pow"),
        helper.make_node("MatMul", ["u", "m1"], ["h1"], name="dense1"),
        norm_node("three_", "h1", "g1"),
        helper.make_node("MatMul", ["u", "m2"], ["h2"], name="dense2"),
        norm_node("four_", "h2", "g2"),
        helper.make_node("Sum", ["g1", "g2"], ["g"], name="dense_sum"),
        helper.make_node("Conv", ["x", "shared"], ["e1"], name="plain"),
        helper.make_node("Conv", ["x", "shared"], ["c3"], name="copied"),
        norm_node("five_", "c3", "e2"),
        helper.make_node("Sum", ["e1", "e2"], ["e"], name="shared_sum"),
        helper.make_node(
            "If",
            ["flag"],
            ["i"],
            name="if",
            then_branch=body("then", "then_k", folds=folds_in_bodies),
            else_branch=body("else", "else_k", folds=folds_in_bodies),
        ),
        helper.make_node("Constant", [], ["big"], name="big", value=constant("v", 600)),
        helper.make_node("Shape", ["big"], ["size"], name="shape"),
    ]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 5, 5]),
        helper.make_tensor_value_info("u", TensorProto.FLOAT, [2, 4]),
        helper.make_tensor_value_info("flag", TensorProto.BOOL, []),
    ]
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in "pgei"]
    outputs += [helper.make_tensor_value_info("big", TensorProto.FLOAT, [600])]
    outputs += [helper.make_tensor_value_info("size", TensorProto.INT64, [1])]
    stored = [
        *(constant(name, 4, 3, 1, 1) for name in ("w1", "w2", "shared")),
        *(constant(name, 4, 4) for name in ("m1", "m2", "spare")),
        constant("k", 1),
        constant("four", 4),
        *norms("one_", "two_", "three_", "four_", "five_", "if_"),
    ]
    graph = helper.make_graph(nodes, "frame", inputs, outputs, stored, "of tests")
    # Somebody reads what only a fault would take away.
    graph.node.append(helper.make_node("Sum", ["spare", "four"], ["spares"], name="spares"))
    graph.output.append(helper.make_tensor_value_info("spares", TensorProto.FLOAT, [4, 4]))
    model = make(graph)
    helper.set_model_props(model, {"licence": "free"})
    return model


def checked(fault: Fault) -> Check:
    reference, candidate, drafts = planned_fold(net())
    before = candidate.SerializeToString()
    fault(candidate)
    assert candidate.SerializeToString() != before, "the fault changed nothing"
    return check_frame(reference, in_memory(candidate), drafts)


def test_the_right_fold_of_all_shapes_passes() -> None:
    reference, candidate, drafts = planned_fold(net())

    check = check_frame(reference, in_memory(candidate), drafts)

    assert (check.status, check.why) == (Status.PASSED, "")
    assert len([n for n in candidate.graph.node if n.op_type == "Add"]) == 3
    assert len(initializer(candidate, "shared_folded").raw_data) == 4 * 3 * 4


def test_the_right_fold_of_bodies_passes() -> None:
    reference, candidate, drafts = planned_fold(net(folds_in_bodies=True))

    check = check_frame(reference, in_memory(candidate), drafts)

    assert (check.status, check.why) == (Status.PASSED, "")
    inner = {found.op_type for found in branch(candidate).node}
    assert inner == {"Conv", "Pow"}


# --- faults outside of the folds -----------------------------------------------------------------


def attribute(model: ModelProto, of: str, name: str) -> Any:
    return next(a for a in node(model, of).attribute if a.name == name)


def set_name(value: Any, name: str) -> None:
    value.name = name


def set_input(model: ModelProto, of: str, slot: int, name: str) -> None:
    node(model, of).input[slot] = name


def set_operator(model: ModelProto, of: str, operator: str) -> None:
    node(model, of).op_type = operator


def flip(tensor: TensorProto) -> None:
    """Change one bit of one number."""
    data = bytearray(tensor.raw_data)
    data[0] ^= 1
    tensor.raw_data = bytes(data)


def drop(sequence: Any, name: str) -> None:
    (place,) = (i for i, value in enumerate(sequence) if value.name == name)
    del sequence[place]


def branch(model: ModelProto, place: int = 0) -> Any:
    return node(model, "if").attribute[place].g


def set_alpha(model: ModelProto) -> None:
    attribute(model, "leaky", "alpha").f = 0.2


def move(model: ModelProto, name: str, place: int) -> None:
    copy = NodeProto()
    copy.CopyFrom(node(model, name))
    drop(model.graph.node, name)
    model.graph.node.insert(place, copy)


def retype(tensor: TensorProto) -> None:
    tensor.data_type = TensorProto.INT32


def reshape(tensor: TensorProto) -> None:
    del tensor.dims[:]
    tensor.dims.extend([2, 2])


def swap_bodies(model: ModelProto) -> None:
    one, other = node(model, "if").attribute
    one.name, other.name = other.name, one.name


OUTSIDE: dict[str, Fault] = {
    "another operator": lambda m: set_operator(m, "sigmoid", "Tanh"),
    "another domain": lambda m: setattr(node(m, "sigmoid"), "domain", "other"),
    "another node name": lambda m: set_name(node(m, "sigmoid"), "renamed"),
    "an attribute changed": set_alpha,
    "an attribute dropped": lambda m: node(m, "leaky").ClearField("attribute"),
    "an attribute added": lambda m: node(m, "pow").attribute.add(name="new", type=2, i=1),
    "a doc string changed": lambda m: setattr(node(m, "pow"), "doc_string", "new"),
    "an edge rewired": lambda m: set_input(m, "sigmoid", 0, "n1"),
    "operands swapped": lambda m: node(m, "sum").input.reverse(),
    "an operand dropped": lambda m: node(m, "dense_sum").input.pop(),
    "an operand added": lambda m: node(m, "dense_sum").input.append("spare"),
    "another constant read": lambda m: set_input(m, "pow", 1, "four"),
    "a node dropped": lambda m: drop(m.graph.node, "sum"),
    "a node added": lambda m: m.graph.node.add(op_type="Neg", input=["k"], output=["k2"]),
    "nodes in another order": lambda m: move(m, "sum", 0),
    "a byte of a tensor": lambda m: flip(initializer(m, "k")),
    "a byte of a shared tensor": lambda m: flip(initializer(m, "shared")),
    "a byte of a Constant": lambda m: flip(attribute(m, "big", "value").t),
    "the type of a tensor": lambda m: retype(initializer(m, "k")),
    "the shape of a tensor": lambda m: reshape(initializer(m, "four")),
    "the doc string of a tensor": lambda m: setattr(initializer(m, "k"), "doc_string", "new"),
    "a tensor dropped": lambda m: drop(m.graph.initializer, "k"),
    "a tensor renamed": lambda m: set_name(initializer(m, "k"), "renamed"),
    "a tensor added": lambda m: m.graph.initializer.append(constant("new", 3)),
    "an input's name": lambda m: set_name(m.graph.input[0], "renamed"),
    "an input's type": lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 10),
    "an input's shape": lambda m: m.graph.input[0].type.tensor_type.ClearField("shape"),
    "an input dropped": lambda m: drop(m.graph.input, "u"),
    "an input added": lambda m: m.graph.input.add(name="new"),
    "an output renamed": lambda m: set_name(m.graph.output[0], "s"),
    "an output dropped": lambda m: drop(m.graph.output, "g"),
    "an output added": lambda m: m.graph.output.add(name="s"),
    "outputs in another order": lambda m: m.graph.output.reverse(),
    "the name of the graph": lambda m: set_name(m.graph, "renamed"),
    "the doc string of the graph": lambda m: m.graph.ClearField("doc_string"),
    "metadata of the graph": lambda m: m.graph.metadata_props.add(key="a", value="b"),
    "a quantization annotation added": lambda m: m.graph.quantization_annotation.add(
        tensor_name="p"
    ),
    "a sparse tensor added": lambda m: m.graph.sparse_initializer.add(),
    "an opset changed": lambda m: setattr(m.opset_import[0], "version", 18),
    "an opset added": lambda m: m.opset_import.add(domain="other", version=1),
    "the IR version": lambda m: setattr(m, "ir_version", 9),
    "the producer": lambda m: setattr(m, "producer_name", "another"),
    "metadata changed": lambda m: setattr(m.metadata_props[0], "value", "another"),
    "metadata dropped": lambda m: m.ClearField("metadata_props"),
    "a function added": lambda m: m.functions.add(name="f", domain="d"),
    "a type stated that is false": lambda m: m.graph.value_info.append(
        helper.make_tensor_value_info("s", TensorProto.INT64, [1])
    ),
    "a node of a body": lambda m: set_name(branch(m).node[-1], "renamed"),
    "an edge of a body": lambda m: branch(m).node[-1].input.reverse(),
    "a tensor of a body": lambda m: flip(branch(m).initializer[1]),
    "the name of a body": lambda m: set_name(branch(m), "renamed"),
    "the output of a body": lambda m: set_name(branch(m).output[0], "then_c"),
    "a body dropped": lambda m: node(m, "if").attribute.pop(),
    "bodies swapped": swap_bodies,
}


@pytest.mark.parametrize("fault", OUTSIDE)
def test_a_fault_outside_of_the_folds_is_found(fault: str) -> None:
    check = checked(OUTSIDE[fault])

    assert check.status is Status.FAILED
    assert check.why


# --- faults inside of the folds ------------------------------------------------------------------


def set_pads(model: ModelProto) -> None:
    attribute(model, "conv1", "pads").ints[0] = 1


def new_add(model: ModelProto, place: int) -> NodeProto:
    """One of the Adds that hold the shift of a matrix product."""
    return [n for n in model.graph.node if n.op_type == "Add" and n.name != "sum"][place]


def swap_inputs(one: NodeProto, other: NodeProto, slot: int) -> None:
    one.input[slot], other.input[slot] = other.input[slot], one.input[slot]


def swap_outputs(one: NodeProto, other: NodeProto) -> None:
    one.output[0], other.output[0] = other.output[0], one.output[0]


def fork(model: ModelProto) -> None:
    """A node reads what the matrix product computes now, which the Add has yet to shift."""
    set_input(model, "dense_sum", 0, node(model, "dense1").output[0])


def show(model: ModelProto) -> None:
    model.graph.output[1].name = node(model, "dense1").output[0]


def put_back(model: ModelProto) -> None:
    """A normalisation stands there again, behind the layer that has taken it in."""
    node(model, "conv1").output[0] = "c1"
    place = list(model.graph.node).index(node(model, "conv1"))
    model.graph.node.insert(place + 1, norm_node("one_", "c1", "n1"))
    stored = {t.name: t for t in net().graph.initializer}
    model.graph.initializer.extend(stored[f"one_{n}"] for n in ("gamma", "beta", "mean", "var"))


INSIDE: dict[str, Fault] = {
    "an attribute of a layer": set_pads,
    "an attribute added to a layer": lambda m: node(m, "conv1").attribute.add(name="g", type=2),
    "another operator": lambda m: set_operator(m, "conv1", "ConvInteger"),
    "another name": lambda m: set_name(node(m, "conv1"), "renamed"),
    "another domain": lambda m: setattr(node(m, "conv1"), "domain", "other"),
    "another data input": lambda m: set_input(m, "dense1", 0, "flag"),
    "data behind another value": lambda m: set_input(m, "conv2", 0, "n1"),
    "another layer's weight": lambda m: swap_inputs(node(m, "conv1"), node(m, "conv2"), 1),
    "another layer's bias": lambda m: swap_inputs(node(m, "conv1"), node(m, "conv2"), 2),
    "the weight before the fold": lambda m: set_input(m, "copied", 1, "shared"),
    "no bias": lambda m: node(m, "conv1").input.pop(),
    "an empty bias": lambda m: set_input(m, "conv1", 2, ""),
    "another constant as bias": lambda m: set_input(m, "conv1", 2, "four"),
    "a further input": lambda m: node(m, "conv1").input.append("four"),
    "a matrix product the other way round": lambda m: node(m, "dense1").input.reverse(),
    "outputs swapped": lambda m: swap_outputs(node(m, "conv1"), node(m, "conv2")),
    "an Add that subtracts": lambda m: setattr(new_add(m, 0), "op_type", "Sub"),
    "an Add of another constant": lambda m: new_add(m, 0).input.__setitem__(1, "four"),
    "an Add of itself": lambda m: new_add(m, 0).input.__setitem__(1, new_add(m, 0).input[0]),
    "an Add of constants alone": lambda m: new_add(m, 0).input.__setitem__(
        0, new_add(m, 0).input[1]
    ),
    "an Add without a shift": lambda m: new_add(m, 0).input.pop(),
    "shifts swapped": lambda m: swap_inputs(new_add(m, 0), new_add(m, 1), 1),
    "data of the Adds swapped": lambda m: swap_inputs(new_add(m, 0), new_add(m, 1), 0),
    "outputs of the Adds swapped": lambda m: swap_outputs(new_add(m, 0), new_add(m, 1)),
    "the Add dropped": lambda m: drop(m.graph.node, new_add(m, 0).name),
    "a fork that reads an unfinished value": fork,
    "an output that shows an unfinished value": show,
    "an output dropped": lambda m: node(m, "conv1").output.pop(),
    "an output added": lambda m: node(m, "conv1").output.append("more"),
    "a normalisation put back": put_back,
    "the doc string of a folded tensor": lambda m: setattr(
        initializer(m, "w1"), "doc_string", "new"
    ),
}


@pytest.mark.parametrize("fault", INSIDE)
def test_a_fault_inside_of_the_folds_is_found(fault: str) -> None:
    assert checked(INSIDE[fault]).status is Status.FAILED


# --- faults of the plan itself, which the folded model then has too ------------------------------

PlanFault = Callable[[Draft], Any]


def planned(draft: Draft, name: str) -> NodeProto:
    """A node as the plan leaves it, by its name."""
    return next(n for n in draft.nodes.values() if n is not None and n.name == name)


def rename(draft: Draft, name: str) -> None:
    """The unfinished value between a matrix product and its Add."""
    planned(draft, "dense1").output[0] = planned(draft, "g1_norm").input[0] = name


def overtake(draft: Draft) -> None:
    """The matrix product itself makes what others read, and nobody reads the Add."""
    rename(draft, "g1")
    planned(draft, "g1_norm").output[0] = "unread"


PLANS: dict[str, PlanFault] = {
    "an attribute": lambda d: planned(d, "conv1").attribute[0].ints.__setitem__(0, 1),
    "another name": lambda d: set_name(planned(d, "conv1"), "renamed"),
    "another data input": lambda d: planned(d, "dense1").input.__setitem__(0, "flag"),
    "another constant": lambda d: planned(d, "copied").input.__setitem__(1, "spare"),
    "another layer's weight": lambda d: swap_inputs(planned(d, "conv1"), planned(d, "conv2"), 1),
    "outputs swapped": lambda d: swap_outputs(planned(d, "conv1"), planned(d, "conv2")),
    "data of the Adds swapped": lambda d: swap_inputs(
        planned(d, "g1_norm"), planned(d, "g2_norm"), 0
    ),
    "outputs of the Adds swapped": lambda d: swap_outputs(
        planned(d, "g1_norm"), planned(d, "g2_norm")
    ),
    "an unfinished value under the name of the finished one": overtake,
    "one data for both Adds": lambda d: planned(d, "g2_norm").input.__setitem__(
        0, planned(d, "g1_norm").input[0]
    ),
    "an unfinished value under a name that is read": lambda d: rename(d, "spare"),
    "an unfinished value under a name that a body reads": lambda d: rename(d, "x"),
    "an unfinished value under the name of an output": lambda d: rename(d, "spares"),
    "a claim on a node that is no affine": lambda d: d.nodes.__setitem__(2, None),
}


@pytest.mark.parametrize("fault", PLANS)
def test_a_fault_of_the_plan_itself_is_found(fault: str) -> None:
    assert planned_frame(net(), PLANS[fault]).status is Status.FAILED


def test_a_plan_that_lets_a_gemm_scale_its_bias_is_found() -> None:
    model = conv_net(8)
    del model.graph.node[0], model.graph.input[0], model.graph.output[0]
    model.graph.input.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 5]))
    model.graph.output.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 8]))
    initializer(model, "w").CopyFrom(constant("w", 5, 8))
    gemm = helper.make_node("Gemm", ["x", "w", "b"], ["c"], name="gemm", beta=0.5)
    model.graph.node.insert(0, gemm)

    wrong = planned_frame(model, lambda d: setattr(planned(d, "gemm").attribute[0], "f", 0.5))

    assert planned_frame(model).status is Status.PASSED
    assert wrong.status is Status.FAILED


@pytest.mark.parametrize("rest", [2, 1])
def test_a_plan_that_loses_an_input_is_found(rest: int) -> None:
    def lose(draft: Draft) -> None:
        del planned(draft, "conv").input[rest:]

    assert planned_frame(conv_net(), lose).status is Status.FAILED


IN_BODIES: dict[str, Fault] = {
    "another name": lambda m: set_name(branch(m).node[0], "renamed"),
    "another bias": lambda m: branch(m).node[0].input.__setitem__(2, "c1_bias"),
    "no bias": lambda m: branch(m).node[0].input.pop(),
    "weights of the other branch": lambda m: swap_inputs(
        branch(m).node[0], branch(m, 1).node[0], 1
    ),
}


@pytest.mark.parametrize("fault", IN_BODIES)
def test_a_fault_in_a_fold_of_a_body_is_found(fault: str) -> None:
    reference, candidate, drafts = planned_fold(net(folds_in_bodies=True))
    IN_BODIES[fault](candidate)

    assert check_frame(reference, in_memory(candidate), drafts).status is Status.FAILED


def test_the_check_names_the_node_that_differs() -> None:
    check = checked(set_alpha)

    assert check.at == "leaky"
    assert "'leaky'" in check.why


def test_the_check_names_the_tensor_that_differs() -> None:
    check = checked(lambda m: flip(initializer(m, "k")))

    assert check.at == "k"
    assert "'k'" in check.why


def test_another_type_where_one_was_stated_is_found() -> None:
    model = net()
    model.graph.value_info.append(
        helper.make_tensor_value_info("s", TensorProto.FLOAT, [1, 4, 5, 5])
    )
    reference, candidate, drafts = planned_fold(model)
    right = check_frame(reference, in_memory(candidate), drafts)
    (stated,) = (value for value in candidate.graph.value_info if value.name == "s")
    stated.type.tensor_type.shape.dim[0].dim_value = 2

    wrong = check_frame(reference, in_memory(candidate), drafts)

    assert right.status is Status.PASSED
    assert (wrong.status, wrong.at) == (Status.FAILED, "s")


def test_without_a_fold_a_model_is_its_own_frame() -> None:
    model = net()
    reference = in_memory(model)
    nothing = plan_model(in_memory(ModelProto()), {}).drafts
    drafts = [nothing[0]] * 3

    assert check_frame(reference, in_memory(model), drafts).status is Status.PASSED


# --- what goes into the branches of an If ---------------------------------------------------------


def behind_an_if() -> ModelProto:
    made = Net()
    made.input(2, 3, 5)
    made.input(name="flag", elem_type=TensorProto.BOOL)
    bodies: dict[str, Any] = {}
    for which in ("then", "else"):
        within = Net()
        within.node("Conv", "x", within.weight(4, 3, 3, name=f"{which}_w"), out=f"{which}_v")
        within.node("Identity", f"{which}_v", out=which)
        bodies[f"{which}_branch"] = within.graph(which)
    made.node("If", "flag", out="h", name="if", **bodies)
    made.batch_norm("h", 4, "y")
    return made.model("y")


@pytest.mark.parametrize("left", [(), (0,), (1,), (2,), (0, 1), (1, 2)])
def test_what_an_if_makes_is_another_value_if_and_only_if_that_of_its_branches_is(
    left: tuple[int, ...],
) -> None:
    """A fold is found that leaves the graph around, or one of the branches, as it was."""
    reference = in_memory(behind_an_if())
    drafts, plain = plan_model(reference, {}).drafts, untouched(reference)
    mixed = [plain[i] if i in left else draft for i, draft in enumerate(drafts)]
    candidate, _ = edits.apply(reference, mixed)

    check = check_frame(reference, candidate, mixed)

    assert (check.status, check.at) == ((Status.FAILED, "if") if left else (Status.PASSED, ""))


def test_a_branch_that_gives_another_of_its_values_is_found() -> None:
    """Here what its layer makes, instead of what stands behind that."""
    reference, candidate, drafts = planned_fold(behind_an_if())
    body = next(a.g for n in candidate.graph.node for a in n.attribute if a.name == "then_branch")
    body.output[0].name = body.node[0].output[0]

    check = check_frame(reference, in_memory(candidate), drafts)

    assert check.status is Status.FAILED


# --- big tensors, which are compared in their files ----------------------------------------------


CHANNELS = 300  # The parameters of a normalisation are more than a kilobyte each.


def big_net(channels: int) -> ModelProto:
    """Big constants everywhere: before, behind and inside of what a fold takes away."""
    model = conv_net(channels)
    del model.graph.node[:]
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 8
    rng = np.random.default_rng(7)
    k = numpy_helper.from_array(rng.normal(size=(8, channels, 3, 3)).astype(np.float32), "v")
    names = ["gamma", "beta", "mean", "var"]
    stored = {name: initializer(model, name) for name in names}
    constants = [helper.make_node("Constant", [], [n], name=n, value=t) for n, t in stored.items()]
    for name in names:
        drop(model.graph.initializer, name)
    model.graph.initializer.append(numpy_helper.from_array(rng.normal(size=999), "unread"))
    model.graph.node.extend(
        [
            *constants,
            helper.make_node("Conv", ["x", "w", "b"], ["c"], name="conv"),
            norm_node("", "c", "n"),
            helper.make_node("Constant", [], ["k"], name="k", value=k),
            helper.make_node("Max", ["n", "k"], ["h"], name="max"),
            helper.make_node("Clamp", ["h"], ["y"], name="local", domain="here"),
        ]
    )
    inner = [
        helper.make_node("Constant", [], ["l"], value=k),
        helper.make_node("Min", ["a", "l"], ["z"], name="min"),
    ]
    opset = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("here", "Clamp", ["a"], ["z"], inner, opset))
    model.opset_import.append(helper.make_opsetid("here", 1))
    return model


def verdict_on(tmp_path: Path, channels: int, fault: Fault | None) -> Any:
    """What is said of a fold, on files, after something was done to the folded one."""
    source = save(big_net(channels), tmp_path / "m.onnx")
    folding.fold(source, tmp_path / "f.onnx", verify=False)
    if fault is not None:
        candidate = ModelProto.FromString((tmp_path / "f.onnx").read_bytes())
        fault(candidate)
        save(candidate, tmp_path / "f.onnx")
    return fold_verdict(source, tmp_path / "f.onnx")


@pytest.mark.parametrize("channels", [4, CHANNELS])
def test_a_right_fold_with_big_constants_in_nodes_and_functions_is_equivalent(
    tmp_path: Path, channels: int
) -> None:
    verdict = verdict_on(tmp_path, channels, None)

    assert (verdict.name, verdict.failure) == (VerdictName.EQUIVALENT, None)


BIG: dict[str, Fault] = {
    "a Constant": lambda m: flip(attribute(m, "k", "value").t),
    "an initializer": lambda m: flip(initializer(m, "unread")),
    "the doc string of an initializer": lambda m: setattr(
        initializer(m, "unread"), "doc_string", "new"
    ),
    "a Constant of a function": lambda m: flip(m.functions[0].node[0].attribute[0].t),
}


@pytest.mark.parametrize("channels", [4, CHANNELS])
@pytest.mark.parametrize("where", BIG)
def test_a_byte_of_a_big_tensor_is_not_overlooked(
    tmp_path: Path, where: str, channels: int
) -> None:
    frame = verdict_on(tmp_path, channels, BIG[where]).checks[0]

    assert frame.status is Status.FAILED


# --- what goes over a carrier ---------------------------------------------------------------------


def carried_down() -> ModelProto:
    made = Net()
    made.batch_norm(made.input(2, 4, 5), 4, "n")
    made.node("Identity", "n", out="i", name="carrier")
    made.node("Conv", "i", made.weight(3, 4, 2), out="y", name="layer")
    return made.model("y")


def keep_name(draft: Draft) -> None:
    """The carrier makes another value than before under the name that it had."""
    planned(draft, "layer").input[0] = planned(draft, "carrier").output[0] = "i"


def test_another_value_under_its_old_name_is_found() -> None:
    wrong = planned_frame(carried_down(), keep_name)

    assert planned_frame(carried_down()).status is Status.PASSED
    assert wrong.status is Status.FAILED
    assert "lets a value go on as another one" in wrong.why
