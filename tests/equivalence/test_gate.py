"""The gate: all checks of a candidate, and what they amount to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files import conv_net, initializer, kept_net, make, save
from graphs import BOOL, FLOAT, HALF, INT64, Net
from inprocess import Here, any_verdict, fold_verdict, folded, opened, run_here
from onnx import ModelProto, helper, numpy_helper

import folding
from folding.equivalence import gate
from folding.equivalence.foreign.check import Comparison, check_foreign
from folding.equivalence.gate import verify_any, verify_fold
from folding.equivalence.limits import RunLimits
from folding.equivalence.running import Wish, running
from folding.equivalence.verdict import Check, Status, Verdict, VerdictName
from folding.equivalence.worker import WorkerFailed
from folding.errors import BadCall, StorageFailed
from folding.inmemory import inlined
from folding.model_limits import LIMITS
from folding.modelfile import in_memory
from folding.plan import Kept, Reason
from folding.trial import attempt

PASSED, FAILED, NOT_RUN = Status.PASSED, Status.FAILED, Status.NOT_RUN
NAMES = ("frame", "parameters", "sites", "outputs")


def statuses(verdict: Verdict) -> list[Status]:
    assert tuple(check.name for check in verdict.checks) == NAMES
    return [check.status for check in verdict.checks]


def shifted(model: ModelProto, name: str = "b") -> ModelProto:
    """The same model with one number of a tensor changed."""
    tensor = initializer(model, name)
    values = numpy_helper.to_array(tensor).copy()
    values[0] += 1
    tensor.CopyFrom(numpy_helper.from_array(values, name))
    return model


# --- folds of ours -------------------------------------------------------------------------------


def test_a_right_fold_passes_all_four_checks() -> None:
    verdict = fold_verdict(conv_net(), folded(conv_net()))

    assert statuses(verdict) == [PASSED] * 4
    assert verdict.name is VerdictName.EQUIVALENT
    assert (verdict.seeds, verdict.guilty, verdict.warnings) == ((0,), (), ())
    assert verdict.rests_on.startswith("frame and parameters, a proof from the files; sites and")


def test_a_wrong_channel_sets_off_the_alarm_as_well() -> None:
    """Once a site has failed, the outputs say nothing more."""
    verdict = fold_verdict(conv_net(), shifted(folded(conv_net())))

    assert statuses(verdict) == [PASSED, FAILED, FAILED, NOT_RUN]
    assert verdict.checks[3].why == "a site failed"
    assert verdict.name is VerdictName.DIFFERENT
    assert verdict.guilty == ("n",)


def test_where_the_frame_differs_the_parameters_are_not_looked_at() -> None:
    candidate = folded(conv_net())
    candidate.graph.node[-1].op_type = "Sigmoid"

    verdict = fold_verdict(conv_net(), candidate)

    assert statuses(verdict) == [FAILED, NOT_RUN, PASSED, FAILED]


def test_where_nothing_is_folded_the_frame_is_looked_at_and_nothing_run() -> None:
    changed = kept_net()
    changed.graph.node[-1].op_type = "Neg"
    worker = Here()
    with opened(kept_net(), changed) as (ours, other):
        same, different = (verify_fold(ours, m, {}, run_here(worker)) for m in (ours, other))

    assert statuses(same) == [PASSED, PASSED, NOT_RUN, NOT_RUN]
    assert same.name is VerdictName.EQUIVALENT
    assert different.name is VerdictName.DIFFERENT
    assert not worker.jobs


def test_what_was_not_to_be_folded_must_still_be_there() -> None:
    """The plan is made anew, without what was refused."""
    refused = {(0, "n"): Kept(Reason.OVERFLOW, "w")}
    with opened(conv_net(), folded(conv_net()), conv_net()) as (ours, candidate, same):
        gone = verify_fold(ours, candidate, refused, run_here())
        kept = verify_fold(ours, same, refused, run_here())

    assert gone.name is VerdictName.DIFFERENT
    assert kept.name is VerdictName.EQUIVALENT


def test_of_very_many_sites_some_are_compared_and_the_noise_is_no_measure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gate, "_MOST_SITES", 2)
    net = Net()
    x = net.input(1, 3, 5, 5)
    convs = [net.node("Conv", x, net.weight(4, 3, 1, 1)) for _ in range(3)]
    model = net.model(*(net.batch_norm(conv, 4) for conv in convs))
    worker = Here()

    verdict = fold_verdict(model, folded(model), worker=worker)

    (job,) = worker.jobs
    assert (len(job.sites), len(job.skipped), job.measured) == (2, 1, False)
    assert verdict.checks[2].why == "2 of 3 compared"


def test_folds_in_bodies_are_told_not_to_be_sites_and_the_noise_is_no_measure() -> None:
    inner, net = Net(), Net()
    inner.batch_norm(inner.node("Conv", "x", inner.weight(4, 3, 3, 3)), 4, out="i")
    body = inner.graph("i")
    body.output[0].type.CopyFrom(helper.make_tensor_type_proto(FLOAT, (1, 4, 5, 5)))
    net.input(1, 3, 7, 7)
    flag = net.input(name="flag", elem_type=BOOL)
    net.node("If", flag, then_branch=body, else_branch=body, out="y")
    source, worker = net.model("y"), Here()

    with opened(source, folded(source)) as (ours, theirs):
        verdict = verify_fold(ours, theirs, {}, run_here(worker))

    (job,) = worker.jobs
    assert list(job.skipped) == ["i", "i"]
    assert not job.sites
    assert not job.measured
    assert verdict.name is VerdictName.EQUIVALENT
    assert "lie inside of bodies" in verdict.checks[2].why


def test_what_is_run_is_told_as_the_caller_wants_it() -> None:
    feeds = [{"x": np.ones((1, 3, 5, 5), np.float32)}]
    worker = Here()
    with opened(conv_net(), folded(conv_net())) as (ours, theirs):
        wanted = run_here(worker, feeds=feeds, shapes={"x": (1, 3, 5, 5)}, tolerance=1e-3)
        verdict = verify_fold(ours, theirs, {}, wanted)

    (job,) = worker.jobs
    assert (job.feeds, job.shapes, job.tolerance) == (feeds, {"x": (1, 3, 5, 5)}, 1e-3)
    assert (job.nesting, job.measured) == (LIMITS.nesting, True)
    assert [site.name for site in job.sites] == ["n"]
    assert verdict.inputs == "the user's inputs"
    assert verdict.checks[-1].why == "the tolerance is the user's"


# --- what becomes of the process -----------------------------------------------------------------


class Failing:
    """A worker that does not answer."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def call(self, *_: Any) -> Any:
        raise self.error


@pytest.mark.parametrize("kind", ["crash", "memory", "time", "start"])
def test_without_an_answer_the_proof_alone_is_not_enough_and_the_reason_is_told(kind: Any) -> None:
    worker = Failing(WorkerFailed(kind, "it went wrong"))

    with opened(conv_net(), folded(conv_net())) as (ours, theirs):
        verdict = verify_fold(ours, theirs, {}, run_here(worker))

    assert verdict.name is VerdictName.UNPROVEN
    assert statuses(verdict) == [PASSED, PASSED, NOT_RUN, NOT_RUN]
    assert [check.why for check in verdict.checks[2:]] == ["it went wrong"] * 2
    assert verdict.failure is not None
    assert verdict.failure.why == "it went wrong"


def test_what_the_caller_did_wrong_is_raised() -> None:
    worker = Failing(BadCall("no such provider"))

    with (
        opened(conv_net(), folded(conv_net())) as (ours, theirs),
        pytest.raises(BadCall, match="no such provider"),
    ):
        verify_fold(ours, theirs, {}, run_here(worker))


def test_where_a_file_was_changed_meanwhile_that_is_what_is_said(tmp_path: Path) -> None:
    """Whatever the process saw in it."""
    paths = save(conv_net(), tmp_path / "m.onnx"), save(folded(conv_net()), tmp_path / "f.onnx")

    for path in paths:
        with opened(*paths) as (ours, theirs):
            path.write_bytes(path.read_bytes() + b"\x12\x00")
            with pytest.raises(StorageFailed, match=f"{path.name}.*was changed"):
                verify_fold(ours, theirs, {}, run_here(Failing(BadCall("it is odd"))))


def endless() -> ModelProto:
    """A loop that never ends, behind a fold."""
    body = Net()
    body.inputs += [
        helper.make_tensor_value_info("i", INT64, []),
        helper.make_tensor_value_info("go", BOOL, []),
        helper.make_tensor_value_info("state", FLOAT, None),
    ]
    body.node("Identity", "go", out="on")
    body.node("Cos", "state", out="next")
    inner = body.graph("on", "next")
    for value, kind in zip(inner.output, (BOOL, FLOAT), strict=True):
        value.type.CopyFrom(helper.make_tensor_type_proto(kind, [] if kind == BOOL else None))
    net = Net()
    net.node("Conv", net.input(1, 3, 5, 5), net.weight(4, 3, 3, 3), out="c")
    net.batch_norm("c", 4, out="n")
    forever = net.integers(1 << 62, name="forever")
    net.stored["forever"] = net.stored["forever"].reshape(())
    net.node("Loop", forever, "", "n", out="y", body=inner)
    return net.model("y")


def greedy() -> ModelProto:
    """What wants 4 TB, behind a fold."""
    net = Net()
    net.node("Conv", net.input(1, 3, 5, 5), net.weight(4, 3, 3, 3), out="c")
    net.node("Relu", net.batch_norm("c", 4), out="r")
    shape = net.integers(1 << 20, 1 << 20)
    many = net.node("ConstantOfShape", shape)
    net.node("Add", net.node("ReduceMax", many, keepdims=0), "r", out="y")
    return net.model("y")


BAD: dict[str, tuple[Callable[[], ModelProto], RunLimits, str]] = {
    "time": (endless, RunLimits(seconds=2), "took longer than 2 s"),
    "memory": (greedy, RunLimits(memory=1 << 30), "needed more memory than"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_model_that_wants_too_much_costs_the_verdict_and_not_the_caller(
    what: str, tmp_path: Path
) -> None:
    build, limits, why = BAD[what]
    source = save(build(), tmp_path / "m.onnx")
    target = save(folded(build()), tmp_path / "f.onnx")

    with (
        opened(source, target) as (ours, theirs),
        running(Wish(run_limits=limits), ours.proto, LIMITS.nesting) as run,
    ):
        verdict = verify_fold(ours, theirs, {}, run)

    assert verdict.name is VerdictName.UNPROVEN
    assert statuses(verdict)[:2] == [PASSED] * 2
    assert why in verdict.checks[2].why


# --- candidates of others ------------------------------------------------------------------------


def renamed(model: ModelProto) -> ModelProto:
    """The same model with its inner values under other names."""
    inner = {name for node in model.graph.node for name in node.output} - {"y"}
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [f"their_{name}" if name in inner else name for name in names]
    return model


def test_a_fold_of_ours_is_seen_to_be_one() -> None:
    worker = Here()
    with opened(conv_net(), folded(conv_net())) as (ours, theirs):
        verdict = verify_any(ours, theirs, run_here(worker))

    assert statuses(verdict) == [PASSED] * 4
    assert worker.jobs[0].measured


def test_a_fold_of_ours_that_kept_what_does_not_fit_is_seen_to_be_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The numbers are computed to see what was kept for them."""
    source = conv_net(elem_type=HALF)
    initializer(source, "gamma").raw_data = np.full(4, 6e4, np.float16).tobytes()
    candidate, report = folding.fold_model(source, verify=False)
    assert report.plan.counts["kept"] == 1
    monkeypatch.setattr(gate, "check_foreign", None)

    assert any_verdict(source, candidate).name is VerdictName.EQUIVALENT


def test_a_fold_that_calls_values_otherwise_is_matched_up_and_run() -> None:
    worker = Here()
    with opened(conv_net(), renamed(folded(conv_net()))) as (ours, theirs):
        verdict = verify_any(ours, theirs, run_here(worker))

    assert verdict.name is VerdictName.EQUIVALENT
    assert statuses(verdict) == [PASSED] * 4
    (job,) = worker.jobs
    assert job.values["n"] == "their_n"
    assert [site.after.output for site in job.sites] == ["their_n"]


def test_a_wrong_fold_under_other_names_is_found_and_named_as_in_the_reference() -> None:
    verdict = any_verdict(conv_net(), renamed(shifted(folded(conv_net()))))

    assert verdict.name is VerdictName.DIFFERENT
    assert verdict.guilty == ("n",)
    assert "'n', folded into 'conv', is off" in verdict.checks[2].why


def test_sites_are_matched_by_name_where_the_frame_is_not_established(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frame, parameters = (Check(name, NOT_RUN, "nobody knows") for name in NAMES[:2])
    unknown = Comparison(frame, parameters, {})
    monkeypatch.setattr(gate, "check_foreign", lambda *_: unknown)
    right, wrong = folded(conv_net()), shifted(folded(conv_net()))
    for model in (right, wrong):
        model.graph.node[-1].name = "theirs"
        model.graph.node.append(helper.make_node("Identity", ["n"], ["unread"]))

    verdicts = [any_verdict(conv_net(), model) for model in (right, wrong)]

    assert [verdict.name for verdict in verdicts] == [
        *(VerdictName.UNPROVEN, VerdictName.DIFFERENT),
    ]
    assert statuses(verdicts[0]) == [NOT_RUN, NOT_RUN, PASSED, PASSED]
    assert verdicts[0].rests_on.startswith("sites and outputs on ")
    assert verdicts[1].guilty == ("n",)


def test_another_model_altogether_is_no_crash() -> None:
    """Not even where it has other inputs and outputs."""
    net = Net()
    net.node("Relu", net.input(2, 3, name="image"), out="z")

    for pair in ((conv_net(), net.model("z")), (net.model("z"), conv_net())):
        verdict = any_verdict(*pair)
        assert verdict.name is not VerdictName.EQUIVALENT
        assert len(verdict.checks) == 4


def test_the_reference_itself_is_equivalent_to_itself() -> None:
    """Whatever could be folded: it is byte for byte the same, so nothing need be run."""
    verdict = any_verdict(conv_net(), conv_net())

    assert verdict.name is VerdictName.EQUIVALENT
    assert statuses(verdict) == [PASSED, PASSED, NOT_RUN, NOT_RUN]


def test_a_fold_of_ours_that_left_some_is_one_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its numbers did not fit, or it failed where it was run; the others are held to our bound."""
    net = Net()
    value = net.input(1, 3, 9, 9)
    for name in ("first", "second"):
        value = net.batch_norm(net.node("Conv", value, net.weight(3, 3, 3, 3)), 3, out=name)
        value = net.node("Relu", value, out=f"{name} relu")
    source = net.model(value)
    left = {(0, "first"): Kept(Reason.FAILED_ITS_RUN, "first")}
    candidate = inlined(attempt(in_memory(source), left).model).proto
    monkeypatch.setattr(gate, "check_foreign", lambda *_: pytest.fail("taken for another tool's"))

    verdict = any_verdict(source, candidate)

    assert statuses(verdict) == [PASSED] * 4
    assert [node.op_type for node in candidate.graph.node].count("BatchNormalization") == 1


def test_a_model_without_anything_to_fold_is_compared_without_a_run() -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "plain",
        [helper.make_tensor_value_info("x", FLOAT, [3])],
        [helper.make_tensor_value_info("y", FLOAT, [3])],
    )

    assert statuses(any_verdict(make(graph), make(graph))) == [PASSED, PASSED, NOT_RUN, NOT_RUN]


# --- files that cannot be matched ----------------------------------------------------------------


def doubled_branches(operator: str) -> ModelProto:
    """2 x in one of two ways that no check knows to be the same, and two layers behind it."""
    net = Net()
    x = net.input("n", 3, 5, 5)
    addend = x if operator == "Add" else net.store([2.0])
    both = net.node(operator, x, addend, out="doubled")
    for branch in "ab":
        layer = net.node("Conv", both, net.weight(4, 3, 3, 3), out=f"conv_{branch}")
        net.node("Relu", net.batch_norm(layer, 4, out=f"bn_{branch}"), out=f"y_{branch}")
    return net.model("y_a", "y_b")


def test_values_that_swapped_their_names_are_not_blamed_where_the_outputs_agree() -> None:
    """Sites of a file that could not be matched are found by name, which may mean another value."""
    swapped = {"bn_a": "bn_b", "bn_b": "bn_a"}
    candidate = folded(doubled_branches("Add"))
    for node in candidate.graph.node:
        for names in (node.input, node.output):
            names[:] = [swapped.get(name, name) for name in names]

    verdict = any_verdict(doubled_branches("Mul"), candidate)

    assert statuses(verdict) == [NOT_RUN, NOT_RUN, NOT_RUN, PASSED]
    assert "differs, or is another value" in verdict.checks[2].why
    assert verdict.name is VerdictName.UNPROVEN
    assert verdict.guilty == ()


@pytest.mark.parametrize("batch", [1, 2])
def test_a_batch_size_that_a_small_candidate_fixes_is_noticed(batch: int) -> None:
    candidate = doubled_branches("Mul")
    shape = np.array([batch, 3, 5, 5], np.int64)
    candidate.graph.initializer.append(numpy_helper.from_array(shape, "fixed"))
    candidate.graph.node[0].input[0] = "reshaped"
    candidate.graph.node.insert(0, helper.make_node("Reshape", ["x", "fixed"], ["reshaped"]))

    verdict = any_verdict(doubled_branches("Mul"), candidate)

    assert verdict.name is VerdictName.DIFFERENT
    assert "the candidate does not run" in verdict.checks[3].why


# --- names that a tool gave to other values ------------------------------------------------------


def decided(*, is_theirs: bool) -> ModelProto:
    """A decision and an activation behind a layer; ``same`` is the layer's value, or Relu's."""
    net = Net()
    layer = net.node("MatMul", net.input(2, 6), net.weight(6, 6), out="layer")
    passed = layer if is_theirs else net.node("Identity", layer, out="same")
    net.node("ArgMax", passed, axis=1, out="y")
    active = net.node("Relu", passed, out="same" if is_theirs else "active")
    net.node("Sigmoid", active, out="z")
    model = net.model("y", "z")
    model.graph.output[0].type.tensor_type.elem_type = INT64
    return model


def test_a_name_that_means_another_value_of_a_matched_file_is_not_compared() -> None:
    """Which value is which is what the match says; a tool may give any name to any value."""
    verdict = any_verdict(decided(is_theirs=False), decided(is_theirs=True))

    assert statuses(verdict) == [PASSED, PASSED, NOT_RUN, PASSED]
    assert verdict.name is VerdictName.EQUIVALENT
    assert verdict.checks[3].worst == 0.0


def test_what_a_decision_is_made_from_is_still_compared_where_its_name_is_gone() -> None:
    """The value behind an Identity is known by the name of the one before it."""
    found = check_foreign(*(in_memory(decided(is_theirs=is_theirs)) for is_theirs in (False, True)))

    assert (found.values["same"], found.values["active"]) == ("layer", "same")


def test_numbers_that_no_input_shows_are_neither_proved_nor_blamed() -> None:
    """A tool may store what it likes where nobody reads it."""
    models = []
    for slope in (0.25, 0.5):
        net = Net()
        net.node("PRelu", net.node("Relu", net.input(2, 3)), net.store([slope] * 3), out="y")
        models.append(net.model("y"))

    verdict = any_verdict(*models)

    assert verdict.name is VerdictName.UNPROVEN
    assert verdict.failure is not None
    assert verdict.failure.why.endswith("is not what the reference requires, which need not matter")
