"""What stands behind an If goes into both of its branches, or into neither."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import (
    BOOL,
    DOUBLE,
    FLOAT,
    HALF,
    TOLERANCES,
    TYPES,
    Net,
    Result,
    distance,
    feed_for,
    fold,
    fold_unverified,
    refusal,
    run,
)
from onnx import GraphProto, ModelProto
from oracle import evaluate

import folding
from folding.equivalence.verdict import Status
from folding.plan import Folded, Kept, Reason
from folding.protos import graphs


def body(prefix: str, *steps: str, x: str = "x", gives: str = "", kind: int = FLOAT) -> GraphProto:
    """A body whose nodes stand one behind the other; ``gives`` are its outputs, or the last."""
    net = Net(kind, seed=len(prefix))
    for place, step in enumerate(steps):
        x = _step(net, step, x, f"{prefix}{place}")
    return net.graph(*(gives.split(",") if gives else [x]))


def _step(net: Net, step: str, x: str, out: str) -> str:
    if step == "norm":
        return net.batch_norm(x, 4, out)
    more: list[str] = []
    given: dict[str, Any] = {"name": f"{step}_{out}"}
    if step in ("Conv", "biased"):
        more.append(net.weight(4, 3, 3, name=f"{out}.w"))
    elif step in ("MatMul", "Gemm"):
        more.append(net.weight(3, 4, name=f"{out}.w"))
    elif step == "Transpose":
        given["perm"] = [0, 2, 1]
    if step in ("biased", "Gemm"):
        more.append(net.weight(4, name=f"{out}.b"))
    return net.node("Conv" if step == "biased" else step, x, *more, out=out, **given)


def two(prefix: str) -> GraphProto:
    """A body with two layers side by side."""
    net = Net(seed=len(prefix))
    for name in "ab":
        net.node("Conv", "x", net.weight(4, 3, 3, name=f"{prefix}{name}w"), out=prefix + name)
    return net.graph(f"{prefix}a", f"{prefix}b")


def start(*shape: int, kind: int = FLOAT, **given: Any) -> Net:
    net = Net(kind, **given)
    net.input(*(shape or (2, 3, 5)))
    net.input(name="condition", elem_type=BOOL)
    return net


def branched(then: GraphProto, other: GraphProto, *shape: int, kind: int = FLOAT) -> Net:
    """An If whose outputs are ``h`` and ``g``."""
    net = start(*shape, kind=kind)
    out = ",".join("hg"[: len(then.output)])
    net.node("If", "condition", out=out, name="if", then_branch=then, else_branch=other)
    return net


def normed(then: GraphProto, other: GraphProto, *shape: int, kind: int = FLOAT) -> ModelProto:
    """An If with a batch normalisation behind it."""
    net = branched(then, other, *shape, kind=kind)
    net.batch_norm("h", 4, "y")
    return net.model("y")


def assert_same(result: Result) -> None:
    """Whichever branch is taken: by the definition, and in onnxruntime where it has the kernels."""
    before, after = result.source, result.model
    kind = before.graph.input[0].type.tensor_type.elem_type
    for taken in (True, False):
        feed = feed_for(before) | {"condition": np.array(taken)}
        pairs = [*zip(evaluate(before, feed), evaluate(after, feed), strict=True)]
        if kind == FLOAT:
            pairs += zip(run(before, feed), run(after, feed), strict=True)
        assert all(distance(one, other) <= TOLERANCES[kind] for one, other in pairs)


def operators(model: ModelProto) -> list[list[str]]:
    """Those of each graph, the main one first."""
    return [[node.op_type for node in graph.node] for graph in graphs(model)]


def assert_folded(model: ModelProto, *names: str) -> Result:
    """All these affines are folded, into the same function; a second time changes nothing."""
    result = fold(model)

    assert all(result.decision(name).is_folded for name in names), str(result.plan)
    assert_same(result)
    again, _ = folding.fold_model(result.model)
    assert again.SerializeToString() == result.model.SerializeToString()
    return result


# --- where it folds -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*TYPES, HALF])
@pytest.mark.parametrize("steps", [("Conv",), ("biased",), ("biased", "Identity")])
def test_both_branches_take_an_affine_in(kind: int, steps: tuple[str, ...]) -> None:
    """Each into its own layer, with or without a bias, and over what stands behind that."""
    model = normed(body("t", *steps, kind=kind), body("else", "Conv", kind=kind), kind=kind)

    result = assert_folded(model, "y")

    assert result.into("y") == ("if",)
    assert operators(result.model)[0] == ["If"]


@pytest.mark.parametrize("kind", [FLOAT, DOUBLE])
def test_the_layers_may_be_of_other_kinds(kind: int) -> None:
    """Each of them is asked by its own rule."""
    other = body("else", "MatMul", "Transpose", kind=kind)
    net = branched(body("t", "Conv", kind=kind), other, 2, 3, 3, kind=kind)
    net.node("Mul", "h", net.weight(4, 1), out="m")
    net.node("Add", "m", net.weight(4, 1), out="y")

    result = assert_folded(net.model("y"), "y")

    assert operators(result.model) == [["If"], ["MatMul", "Add", "Transpose"], ["Conv"]]


def test_two_dense_layers_take_it_in() -> None:
    """Their channels are on the last axis."""
    assert_folded(normed(body("t", "Gemm"), body("else", "Gemm"), 2, 3), "y")


def test_what_a_branch_gives_has_a_new_name_then() -> None:
    """In the body, and in the report; what the If makes has the name of the affine."""
    result = assert_folded(normed(body("t", "Conv"), body("else", "Conv", "Identity")), "y")

    given = {value.name for graph in graphs(result.model)[1:] for value in graph.output}
    assert given == {"t0_folded", "else1_folded"}
    assert result.plan.changed_values == {
        "t0": "t0_folded",
        "else0": "else0_folded",
        "else1": "else1_folded",
    }
    assert list(result.model.graph.node[0].output) == ["y"]


def test_an_affine_within_a_branch_is_folded_with_it() -> None:
    """The layer takes both in, and so says the report."""
    model = normed(body("t", "biased", "norm"), body("else", "Conv", "norm"))

    result = assert_folded(model, "y", "t1", "else1")

    assert result.into("t1") == ("biased_t0",)


def test_an_affine_that_could_not_be_folded_in_its_branch_goes_with_one_from_outside() -> None:
    """Together they fit the type."""
    net = Net(HALF)
    net.node("Conv", "x", net.store(np.full((4, 3, 3), 300), name="w"), out="v", name="layer")
    net.node("Mul", "v", net.store(np.full((4, 1), 300), name="m"), out="t")
    outer = branched(net.graph("t"), body("else", "Conv", kind=HALF), kind=HALF)
    outer.node("Mul", "h", outer.store(np.full((4, 1), 1 / 256), name="s"), out="y")

    result = fold(outer.model("y"))

    assert [decision.is_folded for decision in result.plan.decisions] == [True, True]
    assert result.into("t") == ("layer",)
    assert operators(result.model) == [["If"], ["Conv"], ["Conv"]]


def test_branches_within_branches_take_it_in() -> None:
    """All of them."""
    inner = Net()
    bodies = {"then_branch": body("t", "Conv"), "else_branch": body("tt", "biased")}
    inner.node("If", "condition", out="i", name="inner", **bodies)

    result = assert_folded(normed(inner.graph("i"), body("else", "Conv")), "y")

    assert operators(result.model) == [["If"], ["Conv"], ["If"], ["Conv"], ["Conv"]]


def test_several_go_in_one_after_the_other() -> None:
    """A second one comes to the values that the first one has changed."""
    net = branched(body("t", "Conv"), body("else", "Conv"))
    net.batch_norm("h", 4, "n")
    net.node("Relu", "n", out="r")
    net.node("Mul", "r", net.positive(4, 1), out="y")

    result = assert_folded(net.model("y"), "n", "y")

    assert operators(result.model) == [["If", "Relu"], ["Conv"], ["Conv"]]


def test_an_if_may_be_one_of_several_that_take_it_in() -> None:
    """Here a sum of one with what a layer makes."""
    net = branched(body("t", "Conv"), body("else", "Conv"))
    net.node("Conv", "x", net.weight(4, 3, 3), out="v", name="layer")
    net.node("Add", "h", "v", out="s")
    net.batch_norm("s", 4, "y")

    result = assert_folded(net.model("y"), "y")

    assert result.into("y") == ("if", "layer")


def test_each_output_of_an_if_takes_its_own_in() -> None:
    """Here both come from one layer each."""
    net = branched(two("t"), two("else"))
    net.batch_norm("h", 4, "y")
    net.batch_norm("g", 4, "z")

    assert_folded(net.model("y", "z"), "y", "z")


def test_a_weight_of_the_graph_around_is_changed_in_both() -> None:
    """It goes when nobody reads it any more."""
    net = start()
    net.weight(4, 3, 3, name="w")
    bodies: dict[str, Any] = {}
    for which in ("then", "else"):
        within = Net()
        within.node("Conv", "x", "w", out=which)
        bodies[f"{which}_branch"] = within.graph(which)
    net.node("If", "condition", out="h", **bodies)
    net.batch_norm("h", 4, "y")

    result = assert_folded(net.model("y"), "y")

    assert not result.tensors


def test_a_shift_that_the_branches_cannot_take_stays_behind_the_if() -> None:
    """Where that saves a node: the scale goes into both."""
    net = branched(body("t", "Conv", "Relu"), body("else", "Conv"))
    net.node("Mul", "h", net.positive(4, 1), out="m")
    net.node("Add", "m", net.weight(4, 1), out="y")

    result = assert_folded(net.model("y"), "y")

    assert result.decision("y").is_partial
    assert operators(result.model)[0] == ["If", "Add"]


def test_affines_that_turn_the_order_around_go_together() -> None:
    """Neither passes the Relu alone, and both are no other numbers than one."""
    net = Net()
    net.node("Conv", "x", net.weight(4, 3, 3, name="w"), out="v", name="layer")
    net.node("Relu", "v", out="r")
    net.node("Mul", "r", net.store(-net.random.uniform(1, 2, (4, 1)), name="m"), out="t")
    outer = branched(net.graph("t"), body("else", "Conv"))
    outer.node("Mul", "h", outer.store(-outer.random.uniform(1, 2, (4, 1))), out="y")

    result = assert_folded(outer.model("y"), "t", "y")

    assert result.into("t") == ("layer",)


# --- what is in the way ---------------------------------------------------------------------------


REFUSED: dict[str, tuple[GraphProto, GraphProto, Reason, str]] = {
    "one that takes nothing in": (
        body("t", "Conv"),
        body("else", "Conv", "Sigmoid"),
        Reason.NO_RULE,
        "Sigmoid_else1",
    ),
    "another axis": (
        body("t", "Conv"),
        body("else", "MatMul", "Identity"),
        Reason.NOT_OUTPUT_CHANNELS,
        "MatMul_else0",
    ),
    "a value that another node of the branch reads": (
        body("t", "Conv", "Identity", gives="t0,t1"),
        body("else", "Conv", "Identity", gives="else0,else1"),
        Reason.FORKED,
        "else0",
    ),
    "a value from outside": (
        body("t", "Identity", x="v"),
        body("else", "Conv"),
        Reason.OUTER_VALUE,
        "v",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_goes_into_all_branches_or_none(case: str) -> None:
    """The reason names what is in the way, in the first of the branches that refuse."""
    then, other, reason, at = REFUSED[case]
    net = branched(then, other, 2, 3, 4 if reason is Reason.OUTER_VALUE else 3)
    net.node("Conv", "x", net.weight(4, 3, 3), out="v")
    net.batch_norm("h", 4, "y")
    net.nodes.insert(0, net.nodes.pop(1))

    assert refusal(net.model("y", "v")) == (reason, at)


def test_a_value_that_a_branch_gives_twice_stays() -> None:
    """The other output of the If would be another one."""
    then, other = body("t", "Conv", gives="t0,t0"), body("else", "Conv", gives="else0,else0")
    net = branched(then, other)
    net.batch_norm("g", 4, "y")

    assert refusal(net.model("h", "y")) == (Reason.GRAPH_OUTPUT, "else0")


def test_a_value_that_a_body_within_the_branch_reads_stays() -> None:
    """It sees it, too."""
    inner = Net(seed=3)
    inner.node("Conv", "x", inner.weight(4, 3, 3, name="w"), out="v")
    bodies: dict[str, Any] = {
        f"{which}_branch": body(which, "Identity", x="v") for which in ("then", "else")
    }
    inner.node("If", "condition", out="i", **bodies)
    net = branched(inner.graph("v", "i"), body("other", "Conv", "Sigmoid", gives="other0,other1"))
    net.batch_norm("h", 4, "y")
    model = net.model("y", "g")
    then = next(a for a in model.graph.node[0].attribute if a.name == "then_branch")
    alone = next(a for a in model.graph.node[0].attribute if a.name == "else_branch")
    alone.g.CopyFrom(then.g)

    assert refusal(model) == (Reason.CAPTURED, "v")


def test_a_branch_that_hides_a_name_takes_nothing_in() -> None:
    """Runtimes do not agree on what it stands for."""
    net = Net()
    net.node("Conv", "x", net.weight(4, 3, 3, name="spare"), out="k")
    outer = branched(net.graph("k"), body("else", "Conv"))
    outer.batch_norm("h", 4, "y")
    outer.node("Conv", "x", outer.weight(4, 3, 3, name="spare"), out="z")

    assert refusal(outer.model("y", "z")) == (Reason.HIDDEN_NAME, "k")


@pytest.mark.parametrize(
    ("outputs", "reason"), [("y,h", Reason.GRAPH_OUTPUT), ("y,r", Reason.FORKED)]
)
def test_what_others_see_of_an_if_stays(outputs: str, reason: Reason) -> None:
    """As behind any node."""
    net = branched(body("t", "Conv"), body("else", "Conv"))
    net.batch_norm("h", 4, "y")
    net.node("Relu", "h", out="r")

    assert refusal(net.model(*outputs.split(","))) == (reason, "h")


def test_ways_from_two_outputs_are_not_followed() -> None:
    """They might come to one layer within; so an If is entered once by each fold."""
    net = branched(two("t"), two("else"))
    net.node("Add", "h", "g", out="s")
    net.batch_norm("s", 4, "y")

    assert refusal(net.model("y")) == (Reason.TOO_MANY_WAYS, "if")


def test_a_fold_leaves_no_more_nodes() -> None:
    """Each of two matrix products would need an Add."""
    then, other = (body(p, "MatMul", "Transpose") for p in ("t", "else"))

    assert refusal(normed(then, other, 2, 3, 3)) == (Reason.MORE_NODES, "if")


def test_a_number_goes_into_no_branch() -> None:
    """It is taken in where that costs nothing; here two layers would change for one node."""
    net = branched(body("t", "Conv"), body("else", "Conv"))
    net.node("Mul", "h", net.store(0.5), out="y")
    model = net.model("y")

    result = fold(model)

    assert not result.plan.decisions
    assert result.model.SerializeToString() == model.SerializeToString()


@pytest.mark.parametrize("value", [3.0, 300.0])
def test_numbers_that_do_not_fit_in_one_branch_stay_outside_of_both(value: float) -> None:
    """What was folded within a branch stays folded."""
    net = Net(HALF)
    net.node("Conv", "x", net.store(np.full((4, 3, 3), 300), name="w"), out="v", name="layer")
    net.node("Mul", "v", net.store([[1], [2], [3], [1]], name="m"), out="t")
    outer = branched(body("else", "Conv", kind=HALF), net.graph("t"), kind=HALF)
    outer.node("Mul", "h", outer.store(np.full((4, 1), value), name="s"), out="y")

    result = fold_unverified(outer.model("y"))

    assert result.into("t") == ("layer",)
    kept = result.decision("y").outcome
    fits = value < 100
    assert isinstance(kept, Folded) if fits else result.kept("y") == (Reason.OVERFLOW, "w")
    assert operators(result.model) == [["If"] if fits else ["If", "Mul"], ["Conv"], ["Conv"]]


def test_copies_for_two_branches_may_not_grow_the_file() -> None:
    """Unless it is asked for; then the affine outside is the one that goes in."""
    net = start(1, 60, 3)
    net.weight(60, 60, 1, name="w")
    bodies: dict[str, Any] = {}
    for which in ("then", "else"):
        within = Net()
        within.node("Conv", "x", "w", out=which)
        bodies[f"{which}_branch"] = within.graph(which)
    net.node("If", "condition", out="h", name="if", **bodies)
    net.batch_norm("h", 60, "y")
    model = net.model("y")

    assert refusal(model) == (Reason.COPIES, "w")
    folded, report = folding.fold_model(model, allow_growth=True)
    assert report.plan.decisions[0].is_folded
    assert_same(Result(model, folded, report.plan))


def test_what_is_to_be_kept_stays() -> None:
    """Outside of the branches; and within one it is in the way."""
    model = normed(body("t", "Conv", "norm"), body("else", "Conv"))

    _, report = folding.fold_model(model, keep=["y"])
    kept = {d.name: d.outcome for d in report.plan.decisions if isinstance(d.outcome, Kept)}
    assert kept == {"y": Kept(Reason.ASKED_TO_KEEP, "y")}

    _, report = folding.fold_model(model, keep=["t1"])
    kept = {d.name: d.outcome for d in report.plan.decisions if isinstance(d.outcome, Kept)}
    assert (kept["y"].reason, kept["y"].at) == (Reason.BEHIND_KEPT, "t1")


def test_what_a_loop_gives_stays() -> None:
    """Its last state comes from its first one, too, and goes around again."""
    net = Net()
    net.input(2, 4, 5)
    within = Net()
    for name, kind in (("i", 7), ("go", BOOL), ("state", FLOAT)):
        within.input(*((2, 4, 5) if kind == FLOAT else ()), name=name, elem_type=kind)
    within.node("Identity", "go", out="going")
    within.node("Conv", "state", within.weight(4, 4, 1, name="w"), out="v")
    trips, go = net.store(2, elem_type=7), net.store(np.array(True), elem_type=0)
    graph = within.graph("going", "v")
    for value, kind in zip(graph.output, (BOOL, FLOAT), strict=True):
        value.type.tensor_type.elem_type = kind
    net.node("Loop", trips, go, "x", out="h", name="loop", body=graph)
    net.batch_norm("h", 4, "y")

    assert fold(net.model("y")).kept("y")[0] in (Reason.NO_RULE, Reason.AXIS_UNCERTAIN)


# --- the price ------------------------------------------------------------------------------------


def test_below_ir_4_a_weight_that_a_body_reads_too_leaves_no_room_for_another() -> None:
    """Each folded one would be a node more, where the fold saves but one."""
    net = start(2, 3, ir_version=3, opset=9)
    bodies: dict[str, Any] = {}
    for which in ("then", "else"):
        net.node("MatMul", "x", net.weight(3, 4, name=f"{which}.w"), out=f"{which}.v", name=which)
        within = Net()
        within.node("MatMul", "x", f"{which}.w", out=which)
        bodies[f"{which}_branch"] = within.graph(which)
    net.node("Add", "then.v", "else.v", out="s")
    net.node("Mul", "s", net.weight(4), out="y")
    net.node("If", "condition", out="z", **bodies)

    assert refusal(net.model("y", "z")) == (Reason.OLD_IR, "then")


def test_below_ir_4_a_parameter_that_a_body_reads_too_sets_no_room_free() -> None:
    """So what the Add behind a matrix product holds would be a node more."""
    net = start(2, 3, ir_version=3, opset=9)
    net.node("MatMul", "x", net.weight(3, 4), out="v", name="layer")
    net.batch_norm("v", 4, "y")
    within = Net()
    within.node("Sum", *(f"y.{which}" for which in ("gamma", "beta", "mean", "var")), out="s")
    other = Net()
    other.node("Neg", "y.mean", out="e")
    bodies: dict[str, Any] = {"then_branch": within.graph("s"), "else_branch": other.graph("e")}
    net.node("If", "condition", out="z", **bodies)

    assert refusal(net.model("y", "z")) == (Reason.OLD_IR, "layer")


def test_what_was_too_dear_for_an_if_is_tried_again_when_its_branches_have_changed() -> None:
    """A fold within a branch leaves an Add there, which takes the shift from outside."""
    one, other = Net(), Net(seed=1)
    scaled = one.node("Mul", one.node("Relu", "x"), one.weight(4, name="s"))
    shifted = one.node("Add", scaled, one.weight(4, name="t"))
    one.node("MatMul", shifted, one.weight(4, 3, name="w"), out="one")
    other.node("MatMul", other.node("Sigmoid", "x"), other.weight(4, 3, name="v"), out="other")
    net = start(2, 4)
    bodies: dict[str, Any] = {"then_branch": one.graph("one"), "else_branch": other.graph("other")}
    net.node("If", "condition", out="h", name="if", **bodies)
    net.batch_norm("h", 3, "y", epsilon=1e-3)

    result = fold(net.model("y"))

    assert result.into("y") == ("if",)
    assert fold(result.model).model.SerializeToString() == result.model.SerializeToString()
    assert_same(result)


# --- the proof ------------------------------------------------------------------------------------


def test_the_folded_model_is_known_as_a_fold_of_ours(tmp_path: Any) -> None:
    """By whoever compares the two files later."""
    model = normed(body("t", "Conv"), body("else", "Conv", "norm"))
    result = fold(model)
    source, target = tmp_path / "m.onnx", tmp_path / "f.onnx"
    source.write_bytes(model.SerializeToString())
    target.write_bytes(result.model.SerializeToString())

    verdict = folding.verify(source, target)

    assert (verdict.name, verdict.checks[0].status) == ("equivalent", Status.PASSED)
