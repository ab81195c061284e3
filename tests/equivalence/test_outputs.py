"""Outputs: a run of both models, which sounds for a fault and keeps still for a rounding."""

# ruff: noqa: ARG005 - stand-ins take what they stand in for
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from files import conv_net, initializer, make, save
from onnx import ModelProto, TensorProto, helper, numpy_helper

import folding
from folding.equivalence import outputs
from folding.equivalence.gate import verify_fold
from folding.equivalence.outputs import check_outputs
from folding.equivalence.runtime import Session
from folding.equivalence.verdict import Check, Status, VerdictName
from folding.errors import BadCall
from folding.modelfile import in_memory

FLOAT = TensorProto.FLOAT
#: No terms of a shift cancel.
SLACK = 1.0


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


def compared(reference: ModelProto, candidate: ModelProto, **more: Any) -> Check:
    return check_outputs(in_memory(reference), in_memory(candidate), more.get("inputs"), SLACK)[0]


F32, F64 = np.float32, np.float64
SAME: dict[str, tuple[Any, Any, Any]] = {
    "equal": ([1, 2], [1, 2], F32),
    "a rounding": ([1, 2], [1, 2 + 2**-22], F32),
    "a rounding in float64": ([1, 2], [1, 2 + 2**-51], F64),
    "NaN in the same place": ([1, np.nan], [1, np.nan], F32),
    "infinities of the same sign": ([1, np.inf, -np.inf], [1, np.inf, -np.inf], F32),
    "nothing but NaN": ([np.nan] * 3, [np.nan] * 3, F32),
    "no elements": ([], [], F32),
    "a scalar": (1.5, 1.5, F32),
    "zeros": ([0, 0], [0, -0.0], F32),
    "integers": ([1, 2, 3], [1, 2, 3], np.int64),
    "booleans": ([True, False], [True, False], bool),
    "texts": (["a", "b"], ["a", "b"], object),
    "one of a hundred decisions": ([0] * 100, [0] * 99 + [1], np.int64),
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

    check = compared(answers(one, dtype), answers(other, dtype))

    assert (check.status, check.why) == (Status.PASSED, "")


@pytest.mark.parametrize("what", DIFFERENT)
def test_this_is_an_alarm_that_names_the_output(what: str) -> None:
    one, other, dtype = DIFFERENT[what]

    check = compared(answers(one, dtype), answers(other, dtype))

    assert (check.status, check.at) == (Status.FAILED, "y")
    assert "'y'" in check.why


def test_another_type_is_an_alarm() -> None:
    assert compared(answers([1.0], F32), answers([1.0], F64)).status is Status.FAILED


def test_the_bound_is_that_of_the_coarsest_type_in_the_model() -> None:
    half = TensorProto.FLOAT16

    one, other = compared(echo(), echo()), compared(echo(half), echo(half))

    assert one.bound == 2.0**-12
    assert one.bound < (other.bound or 0) < 1


def test_a_folded_model_that_does_not_run_is_an_alarm() -> None:
    check = compared(echo(), echo(operator="Cast"))

    assert check.status is Status.FAILED
    assert "does not run" in check.why


def one_node(operator: str, domain: str = "", opset: int = 17, **attributes: Any) -> ModelProto:
    model = echo()
    node = helper.make_node(operator, ["x"], ["y"], domain=domain, **attributes)
    model.graph.node[0].CopyFrom(node)
    if domain:
        model.opset_import.append(helper.make_opsetid(domain, 1))
    model.opset_import[0].version = opset
    return model


NOT_RUN: dict[str, tuple[ModelProto, str]] = {
    "random": (one_node("RandomNormalLike"), "RandomNormalLike is random"),
    "Bernoulli": (one_node("Bernoulli"), "Bernoulli is random"),
    "another domain": (one_node("Magic", "my.ops"), "'my.ops'"),
    "an old operator set": (one_node("Relu", opset=6), "below 7"),
    "no kernel": (one_node("Relu", to=1), "the source does not load"),
    "an input too large": (echo(shape=[1 << 20, 1 << 20]), "too large"),
}


@pytest.mark.parametrize("what", NOT_RUN)
def test_what_cannot_be_run_is_not_run_and_says_why(what: str) -> None:
    model, why = NOT_RUN[what]

    check = compared(model, model)

    assert check.status is Status.NOT_RUN
    assert why in check.why


def test_a_random_operator_in_a_body_counts_too() -> None:
    out = helper.make_tensor_value_info("r", FLOAT, ["n"])
    inner = helper.make_graph([helper.make_node("RandomUniformLike", ["x"], ["r"])], "b", [], [out])
    model = echo()
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "flag"))
    node = helper.make_node("If", ["flag"], ["y"], then_branch=inner, else_branch=inner)
    model.graph.node[0].CopyFrom(node)

    assert compared(model, model).status is Status.NOT_RUN


def test_a_bfloat16_convolution_for_which_there_is_no_kernel_is_still_proved() -> None:
    _, report = folding.fold_model(conv_net(elem_type=TensorProto.BFLOAT16))

    assert report.verification.name is VerdictName.EQUIVALENT
    assert report.verification.checks[-1].status is Status.NOT_RUN
    assert report.verification.checks[-1].why


def test_a_model_that_cannot_run_is_proved_by_the_other_checks() -> None:
    model = conv_net()
    model.graph.node[-1].op_type = "RandomNormalLike"

    report = folding.fold_model(model)[1]

    assert report.verification.name is VerdictName.EQUIVALENT
    assert report.plan.counts["folded"] == 1


def test_open_dimensions_are_tried_until_the_model_runs() -> None:
    model = echo(shape=["n", "m"])
    weight = numpy_helper.from_array(np.ones((32, 3), F32), "w")
    model.graph.initializer.append(weight)
    model.graph.node[0].CopyFrom(helper.make_node("MatMul", ["x", "w"], ["y"]))

    check, ran_on, _ = check_outputs(in_memory(model), in_memory(model), None, SLACK)

    assert check.status is Status.PASSED
    assert "32" in ran_on


def test_the_user_s_inputs_are_what_it_is_run_on() -> None:
    calm, wild = echo(operator="Relu"), echo(operator="Abs")

    fine = compared(calm, wild, inputs={"x": np.array([1, 2], F32)})
    wrong = compared(calm, wild, inputs={"x": np.array([1, -2], F32)})

    assert fine.status is Status.PASSED
    assert wrong.status is Status.FAILED


def test_the_report_says_what_it_was_run_on() -> None:
    feed = {"x": np.zeros(3, F32)}

    given = check_outputs(in_memory(echo()), in_memory(echo()), feed, SLACK)[1]
    drawn = check_outputs(in_memory(echo()), in_memory(echo()), None, SLACK)[1]

    assert given == "the user's inputs"
    assert "seed 0" in drawn


def test_inputs_that_do_not_fit_are_the_caller_s_fault() -> None:
    with pytest.raises(BadCall, match="'x'"):
        compared(echo(), echo(), inputs={"x": np.zeros(3, F64)})


# --- whose fault it is ---------------------------------------------------------------------------


class Faulty:
    """A runtime that computes something else, for some models, when it optimises."""

    wrong: Callable[[Any, bool], bool]

    def __init__(self, model: Any, *, optimised: bool) -> None:
        self.outputs = ["y"]
        self.offset = 1.0 if type(self).wrong(model, optimised) else 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, feed: Any) -> list[Any]:
        return [feed["x"] + np.float32(self.offset)]


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> type[Faulty]:
    kind = type("Runtime", (Faulty,), {})
    monkeypatch.setattr(outputs, "Session", kind)
    return kind


def test_where_the_source_changes_by_optimisation_too_the_runtime_is_blamed(
    runtime: type[Faulty],
) -> None:
    runtime.wrong = staticmethod(lambda model, optimised: optimised)

    check, _, warnings = check_outputs(in_memory(echo()), in_memory(echo()), None, SLACK)

    assert check.status is Status.PASSED
    assert [warning.code for warning in warnings] == ["RUNTIME_OPTIMISER_DIFFERS"]


def test_where_only_the_folded_model_changes_by_optimisation_it_is_an_alarm(
    runtime: type[Faulty],
) -> None:
    reference, candidate = in_memory(echo()), in_memory(echo())
    runtime.wrong = staticmethod(lambda model, optimised: optimised and model is candidate)

    check, _, warnings = check_outputs(reference, candidate, None, SLACK)

    assert check.status is Status.FAILED
    assert not warnings


def test_where_the_folded_model_differs_without_optimisation_nobody_else_is_blamed(
    runtime: type[Faulty],
) -> None:
    reference, candidate = in_memory(echo()), in_memory(echo())
    runtime.wrong = staticmethod(lambda model, optimised: optimised or model is candidate)

    check, _, warnings = check_outputs(reference, candidate, None, SLACK)

    assert check.status is Status.FAILED
    assert not warnings


# --- memory --------------------------------------------------------------------------------------


def test_without_memory_for_a_run_the_models_are_not_said_to_differ(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(outputs, "Session", full)

    report = folding.fold_model(conv_net())[1]

    assert report.verification.name is VerdictName.EQUIVALENT
    assert "memory" in report.verification.checks[-1].why
    assert [warning.code for warning in report.warnings] == ["OUTPUTS_NOT_RUN"]


def test_each_session_is_gone_before_the_next_one_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[int] = []
    most: list[int] = []

    class Counted(Session):
        def __init__(self, model: Any, *, optimised: bool) -> None:
            alive.append(1)
            most.append(len(alive))
            super().__init__(model, optimised=optimised)

        def close(self) -> None:
            alive.pop()
            super().close()

    monkeypatch.setattr(outputs, "Session", Counted)

    assert compared(echo(operator="Abs"), echo(operator="Neg")).status is Status.FAILED
    assert compared(echo(), echo()).status is Status.PASSED
    assert most == [1] * 5
    assert not alive


def test_inputs_are_run_once_for_each_session(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[Any] = []

    class Counted(Session):
        def run(self, feed: Any) -> Any:
            runs.append(feed)
            return super().run(feed)

    monkeypatch.setattr(outputs, "Session", Counted)

    assert compared(echo(), echo()).status is Status.PASSED
    assert len(runs) == 3


# --- with the other checks -----------------------------------------------------------------------


def test_a_wrong_channel_sets_off_the_alarm_as_well() -> None:
    source = conv_net()
    folded, _ = folding.fold_model(source)
    bias = initializer(folded, "b")
    values = numpy_helper.to_array(bias).copy()
    values[0] += 1
    bias.raw_data = values.tobytes()

    verdict = verify_fold(in_memory(source), in_memory(folded), {}, None)

    assert verdict.name is VerdictName.DIFFERENT
    assert [check.status for check in verdict.checks] == [
        Status.PASSED,
        Status.FAILED,
        Status.FAILED,
    ]


def test_where_the_frame_differs_the_parameters_are_not_looked_at() -> None:
    source = conv_net()
    folded, _ = folding.fold_model(source)
    folded.graph.node[-1].op_type = "Sigmoid"

    verdict = verify_fold(in_memory(source), in_memory(folded), {}, None)

    assert [check.status for check in verdict.checks[:2]] == [Status.FAILED, Status.NOT_RUN]


def test_where_nothing_is_folded_the_frame_is_looked_at_still() -> None:
    changed = echo(operator="Neg")

    same = verify_fold(in_memory(echo()), in_memory(echo()), {}, None)
    other = verify_fold(in_memory(echo()), in_memory(changed), {}, None)

    assert same.name is VerdictName.EQUIVALENT
    assert other.name is VerdictName.DIFFERENT


def test_files_are_run_as_models_in_memory_are(tmp_path: Path) -> None:
    report = folding.fold(save(conv_net(16), tmp_path / "m.onnx"))

    assert report.verification.name is VerdictName.EQUIVALENT
    assert report.verification.checks[-1].status is Status.PASSED
