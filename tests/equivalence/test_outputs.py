"""Outputs: a run of both models, which sounds for a fault and keeps still for a rounding."""

# ruff: noqa: FBT001 - parameters of tests
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from files import conv_net, initializer, make, node
from graphs import BOOL, DOUBLE, FLOAT, HALF, INT64, Net
from inprocess import compared, folded
from onnx import ModelProto, TensorProto, helper, numpy_helper

from folding.equivalence import shaken
from folding.equivalence.distance import general_bound
from folding.equivalence.noise import RATIO
from folding.equivalence.runs import Answer
from folding.equivalence.runtime import Session
from folding.equivalence.verdict import Check, Status
from folding.modelfile import in_memory

F32, F64 = np.float32, np.float64


def echo(
    elem_type: int = FLOAT, shape: list[Any] | None = None, operator: str = "Identity"
) -> ModelProto:
    """A model whose output is its input."""
    dims: list[Any] = ["n"] if shape is None else shape
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], ["y"])],
        "echo",
        [helper.make_tensor_value_info("x", elem_type, dims)],
        [helper.make_tensor_value_info("y", elem_type, dims)],
    )
    return make(graph)


def answers(values: Any, dtype: Any = None) -> ModelProto:
    """A model whose output is always the same."""
    array = np.asarray(values, dtype)
    tensor = numpy_helper.from_array(array, "k")
    graph = helper.make_graph(
        [helper.make_node("Constant", [], ["y"], value=tensor)],
        "answers",
        [],
        [helper.make_tensor_value_info("y", tensor.data_type, None)],
    )
    return make(graph)


def unmeasured(reference: ModelProto, candidate: ModelProto, **more: Any) -> Check:
    """What is said where nothing tells how large roundings are."""
    return compared(reference, candidate, measured=False, **more).outputs


# --- without a measure ---------------------------------------------------------------------------

SAME: dict[str, tuple[Any, Any, Any]] = {
    "equal": ([1, 2], [1, 2], F32),
    "a rounding": ([1, 2], [1, 2 + 2**-22], F32),
    "a rounding in float64": ([1, 2], [1, 2 + 2**-51], F64),
    "NaN in the same place": ([1, np.nan], [1, np.nan], F32),
    "infinities of the same sign": ([1, np.inf, -np.inf], [1, np.inf, -np.inf], F32),
    "a number instead of infinity": ([1, np.inf], [1, 2], F32),
    "a scalar": (1.5, 1.5, F32),
    "zeros": ([0, 0], [0, -0.0], F32),
    "integers": ([1, 2, 3], [1, 2, 3], np.int64),
    "booleans": ([True, False], [True, False], bool),
    "texts": (["a", "b"], ["a", "b"], object),
    "large numbers": ([1e300, 2e300], [1e300, 2e300], F64),
}
DIFFERENT: dict[str, tuple[Any, Any, Any]] = {
    "another number": ([1, 2], [1, 2.01], F32),
    "beyond a rounding in float64": ([1, 2], [1, 2 + 2**-30], F64),
    "a sign": ([1, 2], [1, -2], F32),
    "NaN instead of a number": ([1, 2], [1, np.nan], F32),
    "a number instead of NaN": ([1, np.nan], [1, 2], F32),
    "NaN instead of infinity": ([1, np.inf], [1, np.nan], F32),
    "the other infinity": ([1, np.inf], [1, -np.inf], F32),
    "infinity instead of a number": ([1, 2], [1, np.inf], F32),
    "NaN in another place": ([1, np.nan, np.nan], [np.nan, np.nan, 1], F32),
    "another shape": ([[1, 2]], [[1], [2]], F32),
    "another length": ([1, 2], [1, 2, 3], F32),
    "one of a hundred integers that nothing rounds": ([1] * 100, [1] * 99 + [2], np.int64),
    "half of all integers": ([1, 2, 3, 4], [1, 2, 4, 3], np.int64),
    "all decisions": ([True, False] * 9, [False, True] * 9, bool),
    "a text": (["a", "b"], ["a", "c"], object),
    "something where there was nothing": ([0, 0], [0, 1], F32),
    "large numbers": ([1e300, 2e300], [1e300, 3e300], F64),
    "numbers too large to square": ([1e200], [2e200], F64),
}


@pytest.mark.parametrize("what", SAME)
def test_this_is_no_alarm(what: str) -> None:
    one, other, dtype = SAME[what]

    check = unmeasured(answers(one, dtype), answers(other, dtype))

    assert (check.status, check.why) == (Status.PASSED, "")


@pytest.mark.parametrize("what", DIFFERENT)
def test_this_is_an_alarm_that_names_the_output(what: str) -> None:
    one, other, dtype = DIFFERENT[what]

    check = unmeasured(answers(one, dtype), answers(other, dtype))

    assert (check.status, check.at) == (Status.FAILED, "y")
    assert "'y'" in check.why


NOTHING: dict[str, tuple[Any, Any]] = {
    "nothing but NaN": ([np.nan] * 3, F32),
    "nothing but infinities": ([np.inf, -np.inf], F64),
    "no elements": ([], F32),
    "no integers": ([], np.int64),
}


@pytest.mark.parametrize("is_ours", [True, False])
@pytest.mark.parametrize("what", NOTHING)
def test_outputs_without_numbers_are_no_evidence(what: str, is_ours: bool) -> None:
    """The proof of a fold of ours can do without; that of somebody else's file cannot."""
    values, dtype = NOTHING[what]

    check = unmeasured(answers(values, dtype), answers(values, dtype), is_ours=is_ours)

    assert (check.status, check.excused) == (Status.NOT_RUN, is_ours)
    assert "no output has a finite number on these inputs" in check.why


@pytest.mark.parametrize("rows", [np.full((1, 3, 9, 9), np.nan, F32), np.zeros((0, 3, 9, 9), F32)])
def test_inputs_that_leave_no_numbers_are_no_evidence_of_a_fold(rows: Any) -> None:
    source = behind(("Relu", {}))
    source.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "n"

    assert outcome(source, feeds=[{"x": rows}]).status is Status.NOT_RUN


def test_one_channel_of_small_numbers_is_not_lost_in_the_others() -> None:
    """Here the first of eight is a ten-thousandth of the rest, and has the wrong sign."""
    rows = np.random.default_rng(0).normal(size=(2, 8))
    rows[:, 0] *= 1e-4
    wrong = rows * [-1, 1, 1, 1, 1, 1, 1, 1]

    assert unmeasured(answers(rows, F32), answers(wrong, F32)).status is Status.FAILED


def test_another_type_is_an_alarm() -> None:
    assert unmeasured(answers([1.0], F32), answers([1.0], F64)).status is Status.FAILED


@pytest.mark.parametrize(
    ("kind", "bound"), [(FLOAT, 2.0**-12), (DOUBLE, 2.0**-41), (HALF, 0.1), (INT64, 2.0**-12)]
)
def test_the_bound_is_that_of_the_coarsest_type_in_the_model(kind: int, bound: float) -> None:
    """At most a tenth; that of float32 where there is no float."""
    assert general_bound(echo(kind)) == bound
    assert unmeasured(echo(kind), echo(kind)).bound in (bound, None)


def test_the_weights_of_bodies_count_for_the_bound_as_well() -> None:
    model = echo()
    half = numpy_helper.from_array(np.ones(3, np.float16), "k")
    body = helper.make_graph([], "body", [], [], [half])
    model.graph.node[0].attribute.append(helper.make_attribute("then_branch", body))

    assert general_bound(model) == 0.1


# --- measured by noise ---------------------------------------------------------------------------


def behind(*operators: tuple[str, dict[str, Any]], kind: int = FLOAT) -> ModelProto:
    """A folded convolution with some operators behind it."""
    net = Net(elem_type=kind)
    hidden = net.node("Conv", net.input(1, 3, 9, 9), net.weight(4, 3, 3, 3, name="w"))
    hidden = net.batch_norm(hidden, 4, out="n")
    for operator, attributes in operators[:-1]:
        hidden = net.node(operator, hidden, **attributes)
    operator, attributes = operators[-1]
    net.node(operator, hidden, out="y", **attributes)
    return net.model("y")


def outcome(source: ModelProto, candidate: ModelProto | None = None, **more: Any) -> Check:
    return compared(source, folded(source) if candidate is None else candidate, **more).outputs


WAYS: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "Relu": (("Relu", {}),),
    "Softmax": (("Softmax", {"axis": 1}),),
    "Exp": (("Exp", {}),),
    "a mean of all": (("Relu", {}), ("ReduceMean", {"keepdims": 0})),
    "a pool": (("MaxPool", {"kernel_shape": [3, 3]}),),
    "a norm": (("LpNormalization", {"axis": 1}),),
}


@pytest.mark.parametrize("what", WAYS)
def test_noise_arrives_through_what_is_behind_the_fold(what: str) -> None:
    """And the fold's own rounding stays well below four times of it."""
    check = outcome(behind(*WAYS[what]))

    assert (check.status, check.why, check.bound) == (Status.PASSED, "", RATIO)
    assert (check.worst or 0) <= RATIO


@pytest.mark.parametrize("what", WAYS)
def test_a_rewired_edge_is_an_alarm_where_all_sites_pass(what: str) -> None:
    source = behind(("Sigmoid", {}), *WAYS[what])
    candidate = folded(source)
    node_of(candidate, "Sigmoid").op_type = "Tanh"

    found = compared(source, candidate)

    assert found.sites.status is Status.PASSED
    assert found.outputs.status is Status.FAILED
    assert "times what rounding explains" in found.outputs.why
    assert found.outputs.at == "y"


def node_of(model: ModelProto, operator: str) -> Any:
    return next(found for found in model.graph.node if found.op_type == operator)


def saturated(operator: str) -> ModelProto:
    """Activations that are far beyond where the operator still moves."""
    source = behind((operator, {"axis": 1} if operator == "Softmax" else {}))
    scale = 1e4 * np.array([1, 2, 3, 4])
    for name, values in (("n.gamma", 0 * scale), ("n.beta", scale)):
        initializer(source, name).raw_data = values.astype(F32).tobytes()
    return source


@pytest.mark.parametrize("operator", ["Softmax", "Tanh", "Sigmoid"])
def test_a_saturated_output_is_said_to_be_no_evidence(operator: str) -> None:
    check = outcome(saturated(operator))

    assert check.status is Status.PASSED
    assert check.why == "insensitive to the folds: 'y'"


def test_a_saturated_output_that_differs_is_an_alarm_nevertheless() -> None:
    source = saturated("Tanh")
    candidate = folded(source)
    node_of(candidate, "Tanh").op_type = "Softsign"

    check = outcome(source, candidate)

    assert check.status is Status.FAILED
    assert "'y' differs, where rounding in the folds changes nothing" in check.why


def test_an_output_that_is_sensitive_to_some_inputs_is_evidence() -> None:
    """Zeros say little of a fold without shift; other inputs do."""
    assert outcome(behind(("Relu", {}))).why == ""


def test_an_output_that_no_fold_leads_to_is_said_to_be_no_evidence() -> None:
    source = behind(("Relu", {}))
    source.graph.node.append(helper.make_node("Abs", ["x"], ["z"]))
    source.graph.output.append(helper.make_tensor_value_info("z", FLOAT, [1, 3, 9, 9]))

    check = outcome(source)

    assert check.status is Status.PASSED
    assert check.why == "insensitive to the folds: 'z'"


def test_what_an_index_is_made_from_is_compared_in_its_place() -> None:
    """One flipped decision of a tie says nothing; another scale of the logits does."""
    source = behind(("Sigmoid", {}), ("ArgMax", {"axis": 1}))
    candidate = folded(source)
    node_of(candidate, "Sigmoid").op_type = "HardSigmoid"

    right, wrong = outcome(source), outcome(source, candidate)

    assert (right.status, right.at) == (Status.PASSED, node_of(source, "Sigmoid").output[0])
    assert wrong.status is Status.FAILED
    assert "behind which is 'y'" in wrong.why


def test_another_decision_from_the_same_floats_is_noticed() -> None:
    """What no rounding flips must be the same."""
    source = behind(("Sigmoid", {}), ("ArgMax", {"axis": 1}))
    candidate = folded(source)
    node_of(candidate, "ArgMax").op_type = "ArgMin"

    check = outcome(source, candidate)

    assert check.status is Status.FAILED
    assert "which noise does not change" in check.why


def test_roundings_that_flip_decisions_are_no_alarm() -> None:
    """Here every score is a tie of many."""
    source = behind(("Relu", {}), ("ReduceSum", {"keepdims": 0}), ("Floor", {}))
    scores = folded(source)
    bias = next(t for t in scores.graph.initializer if t.name == scores.graph.node[0].input[2])
    values = numpy_helper.to_array(bias) * F32(1 + 2**-22)
    bias.CopyFrom(numpy_helper.from_array(values.astype(F32), bias.name))

    assert outcome(source, scores).status is Status.PASSED


def test_a_sequence_of_arrays_is_compared() -> None:
    """Of arrays of several shapes, too."""
    net = Net()
    hidden = net.node("Conv", net.input(1, 3, 9, 9), net.weight(4, 3, 3, 3))
    net.node("Relu", net.batch_norm(hidden, 4), out="h")
    net.node("SplitToSequence", "h", net.integers(1, 3), out="y", axis=1)
    source = net.model("h")
    kind = helper.make_tensor_type_proto(FLOAT, None)
    source.graph.output[0].CopyFrom(
        helper.make_value_info("y", helper.make_sequence_type_proto(kind))
    )
    candidate = folded(source)
    node_of(candidate, "Relu").op_type = "Abs"

    assert outcome(source).status is Status.PASSED
    assert outcome(source, candidate).status is Status.FAILED


def test_a_double_model_is_held_to_the_roundings_of_its_type() -> None:
    net = Net(elem_type=DOUBLE)
    hidden = net.node("Gemm", net.input(2, 8), net.weight(8, 4), net.weight(4))
    net.node("Relu", net.batch_norm(hidden, 4, out="n"), out="y")
    source = net.model("y")
    candidate = folded(source)
    candidate.graph.node.insert(1, helper.make_node("Cast", ["n"], ["s"], to=FLOAT))
    candidate.graph.node.insert(2, helper.make_node("Cast", ["s"], ["d"], to=DOUBLE))
    candidate.graph.node[3].input[0] = "d"

    assert outcome(source).status is Status.PASSED
    assert outcome(source, candidate).status is Status.FAILED


def test_a_half_model_may_round_as_coarsely_as_its_type() -> None:
    assert outcome(behind(("Relu", {}), kind=HALF)).status is Status.PASSED


# --- the user's tolerance ------------------------------------------------------------------------


@pytest.mark.parametrize(("tolerance", "passes"), [(0.02, True), (0.005, False), (0.0, False)])
def test_the_user_s_tolerance_is_used_and_said_to_be_the_user_s(
    tolerance: float, passes: bool
) -> None:
    one, other = answers([1.0, 1.0], F32), answers([1.01, 1.01], F32)

    check = compared(one, other, tolerance=tolerance).outputs

    assert check.status is (Status.PASSED if passes else Status.FAILED)
    assert check.bound == tolerance
    assert "the tolerance is the user's" in check.why


def test_with_a_tolerance_of_the_user_s_own_no_noise_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any) -> Any:
        raise AssertionError("noise")

    monkeypatch.setattr(shaken, "with_noise", fail)
    source = behind(("Relu", {}))

    assert outcome(source, tolerance=1e-3).status is Status.PASSED


# --- whose fault it is ---------------------------------------------------------------------------


def broken_when_optimised() -> ModelProto:
    """Onnxruntime fuses the normalisation into the product, along the wrong axis."""
    net = Net()
    hidden = net.node("MatMul", net.input(4, 8), net.weight(8, 8))
    hidden = net.node("Mul", hidden, net.weight(8), out="n")
    hidden = net.node("MatMul", net.node("Relu", hidden), net.weight(8, 4))
    hidden = net.node("Transpose", hidden, perm=[1, 0])
    net.node("Relu", net.batch_norm(hidden, 4), out="y")
    return net.model("y")


class Faulty(Session):
    """A runtime that computes something else, for some models, when it optimises."""

    wrong: Callable[[Any, bool], bool]

    def __init__(self, model: Any, proto: Any = None, *, optimised: bool, **more: Any) -> None:
        super().__init__(model, proto, optimised=optimised, **more)
        self.offset = 1.0 if type(self).wrong(model, optimised) else 0.0

    def run(self, feed: Any) -> list[Any]:
        return [value + np.float32(self.offset) for value in super().run(feed)]


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> type[Faulty]:
    kind = type("Runtime", (Faulty,), {})
    monkeypatch.setattr("folding.equivalence.sessions.Session", kind)
    return kind


def is_candidate(model: Any) -> bool:
    return str(model.path).endswith("1.onnx")


def both(**more: Any) -> Answer:
    return compared(echo(), echo(), feeds=[{"x": np.ones(3, F32)}], **more)


def test_where_the_source_changes_by_optimisation_too_the_runtime_is_blamed(
    runtime: type[Faulty],
) -> None:
    runtime.wrong = staticmethod(lambda _, optimised: optimised)

    found = both()

    assert found.outputs.status is Status.PASSED
    assert [(w.code, w.at) for w in found.warnings] == [("RUNTIME_OPTIMISER_DIFFERS", "y")]


def test_where_only_the_folded_model_changes_by_optimisation_it_is_an_alarm(
    runtime: type[Faulty],
) -> None:
    runtime.wrong = staticmethod(lambda model, optimised: optimised and is_candidate(model))

    found = both()

    assert found.outputs.status is Status.FAILED
    assert "under onnxruntime's graph optimisation, but not without it" in found.outputs.why
    assert not found.warnings


def test_where_the_folded_model_differs_without_optimisation_nobody_else_is_blamed(
    runtime: type[Faulty],
) -> None:
    runtime.wrong = staticmethod(lambda model, optimised: optimised or is_candidate(model))

    found = both()

    assert found.outputs.status is Status.FAILED
    assert "optimisation" not in found.outputs.why
    assert not found.warnings


def test_onnxruntime_is_blamed_for_what_it_gets_wrong_in_the_source_and_its_fold() -> None:
    found = compared(broken_when_optimised(), folded(broken_when_optimised()))

    assert found.outputs.status is Status.PASSED
    assert found.sites.status is Status.PASSED
    assert [(w.code, w.at) for w in found.warnings] == [("RUNTIME_OPTIMISER_DIFFERS", "y")]


def test_a_folded_model_that_does_not_run_is_an_alarm() -> None:
    check = compared(echo(), echo(operator="Cast")).outputs

    assert check.status is Status.FAILED
    assert "does not run" in check.why


def test_a_folded_model_that_loses_an_output_is_an_alarm() -> None:
    source = behind(("Relu", {}))
    candidate = folded(source)
    candidate.graph.output[0].name = candidate.graph.node[-1].output[0] = "z"

    check = compared(source, candidate).outputs

    assert (check.status, check.at) == (Status.FAILED, "y")
    assert check.why == "the candidate has no output 'y'"


def test_after_an_alarm_the_candidate_is_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []

    class Counted(Session):
        def __init__(self, model: Any, *models: Any, **more: Any) -> None:
            super().__init__(model, *models, **more)
            self.is_candidate = is_candidate(model) and self.outputs == ["y"]

        def run(self, feed: Any) -> Any:
            runs.append("y" if self.is_candidate else "")
            return super().run(feed)

    monkeypatch.setattr("folding.equivalence.sessions.Session", Counted)
    source = behind(("Relu", {}))
    candidate = folded(source)
    node_of(candidate, "Relu").op_type = "Abs"
    feed = {"x": np.random.default_rng(1).normal(size=(1, 3, 9, 9)).astype(F32)}

    for feeds in ([feed], [feed] * 3):
        runs.clear()
        assert compared(source, candidate, feeds=feeds).outputs.status is Status.FAILED
        assert runs.count("y") == 1


def test_the_names_of_nodes_do_not_matter() -> None:
    source = conv_net()
    candidate = folded(source)
    node(candidate, "relu").name = ""

    assert outcome(source, candidate).status is Status.PASSED


def test_types_that_numpy_does_not_have_are_not_measured_and_not_passed_over() -> None:
    """Onnxruntime has no kernels for them here, so the proof must do."""
    source = conv_net(elem_type=TensorProto.BFLOAT16)

    check = compared(in_memory(source).proto, folded(source)).outputs

    assert (check.status, check.excused) == (Status.NOT_RUN, True)


def test_flags_are_tried_both_ways() -> None:
    """What only runs when a flag is true differs."""
    yes, no, net = Net(), Net(), Net()
    net.node("Relu", net.input(2, 3), out="h")
    yes.node("Sigmoid", "h", out="i")
    no.node("Neg", "h", out="j")
    bodies = yes.graph("i"), no.graph("j")
    for body in bodies:
        body.output[0].type.CopyFrom(helper.make_tensor_type_proto(FLOAT, (2, 3)))
    flag = net.input(name="flag", elem_type=BOOL)
    net.node("If", flag, then_branch=bodies[0], else_branch=bodies[1], out="y")
    source, candidates = net.model("y"), [net.model("y"), net.model("y")]
    for number, candidate in enumerate(candidates):
        branch = candidate.graph.node[-1].attribute[number].g
        branch.node[0].op_type = "Tanh"

    for candidate in candidates:
        check = compared(source, candidate, measured=False).outputs
        assert check.status is Status.FAILED
    assert compared(source, source, measured=False).seeds == (0, 1, 2)


def test_an_output_that_is_another_value_too_is_compared_as_what_it_is() -> None:
    """Not as if it had been decided: a number may be off by what is allowed."""
    models = []
    for more in (0.0, 2.0**-16):
        net = Net()
        net.node("MatMul", net.input(5, 8), net.store(np.eye(8) * (1 + more)), out="inner")
        net.node("Identity", "inner", out="y")
        models.append(net.model("y"))
    check = unmeasured(*models, values={"y": "inner"})
    assert (check.status, check.at) == (Status.PASSED, "y"), check.why
