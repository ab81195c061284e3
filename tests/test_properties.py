"""Whatever the graph: it stays the same function, and nothing changes that need not."""

from __future__ import annotations

import numpy as np
from graphs import BFLOAT, DOUBLE, FLOAT, HALF, distance, run
from growing import Case, cases, feeds, other_batches
from hypothesis import event, given, reject
from onnx import GraphProto, ModelProto, checker, numpy_helper
from onnxruntime.capi import onnxruntime_pybind11_state as ort
from oracle import evaluate

import folding
from folding.errors import BadCall
from folding.plan import Decision, Kept, Reason
from folding.protos import graphs

#: A fault of a rule is of the size of the output; what a chain of layers makes of roundings is not.
TOLERANCES: dict[int, float] = {DOUBLE: 1e-7, FLOAT: 2e-2, HALF: 0.5, BFLOAT: 2.0}
#: What onnxruntime says of models that it has no kernels for, and of feeds that do not fit.
_CANNOT_RUN = (
    ort.Fail,
    ort.InvalidArgument,
    ort.InvalidGraph,
    ort.NotImplemented,
    ort.RuntimeException,
)
#: Below it a new constant is a node.
_CONSTANTS_ARE_TENSORS = 4


def fold(model: ModelProto) -> tuple[ModelProto, list[Decision]]:
    folded, report = folding.fold_model(model, verify=False)
    return folded, list(report.plan.decisions)


def count(model: ModelProto) -> int:
    return sum(len(graph.node) for graph in graphs(model))


def made(graph: GraphProto) -> dict[str, bytes]:
    """Every node by its first output."""
    return {node.output[0]: node.SerializeToString() for node in graph.node}


@given(cases((DOUBLE, DOUBLE, FLOAT, HALF, BFLOAT)))
def test_a_folded_model_is_the_same_function_by_definition(case: Case) -> None:
    folded, decisions = fold(case.model)
    for decision in decisions:
        event(f"{decision.kind}: {decision.to_dict()['reason'] or 'FOLDED'}")

    for feed in feeds(case):
        before, after = evaluate(case.model, feed), evaluate(folded, feed)
        for one, other in zip(before, after, strict=True):
            assert distance(one, other) <= TOLERANCES[case.elem_type]


@given(cases((FLOAT,)))
def test_a_folded_model_is_the_same_function_in_onnxruntime(case: Case) -> None:
    folded, _ = fold(case.model)

    for feed in (*feeds(case), *other_batches(case)):
        try:
            before = run(case.model, feed)
        except _CANNOT_RUN:
            continue
        for one, other in zip(before, run(folded, feed), strict=True):
            finite = np.isfinite(one)  # The least of nothing, in another batch, is infinite.
            assert (one[~finite] == other[~finite]).all()
            assert distance(one[finite], other[finite]) <= TOLERANCES[case.elem_type]


@given(cases())
def test_a_folded_model_passes_its_own_verification(case: Case) -> None:
    try:
        _, report = folding.fold_model(case.model, inputs=[case.feed])
    except BadCall:  # The source itself does not run.
        reject()

    assert report.verification.name == "equivalent"
    reasons = {decision.to_dict()["reason"] for decision in report.plan.decisions}
    assert Reason.FAILED_ITS_RUN.name not in reasons


@given(cases())
def test_every_affine_has_exactly_one_decision(case: Case) -> None:
    _, decisions = fold(case.model)

    nodes = [node for decision in decisions for node in decision.nodes]
    assert len(nodes) == len(set(nodes))
    assert set(case.counted) <= set(nodes)
    assert len({decision.name for decision in decisions}) == len(decisions)
    assert all(decision.name == decision.nodes[-1] for decision in decisions)
    kept = [decision.outcome for decision in decisions if isinstance(decision.outcome, Kept)]
    assert all(outcome.below is None or outcome.below.below is None for outcome in kept)


@given(cases())
def test_nodes_and_tensors_that_no_fold_touches_are_as_they_were(case: Case) -> None:
    folded, _ = fold(case.model)

    for before, after in zip(graphs(case.model), graphs(folded), strict=True):
        nodes, tensors = made(before), {t.name: t for t in before.initializer}
        same = {name for name, node in made(after).items() if nodes.get(name) == node}
        for node in after.node:
            if node.output[0] not in same:
                continue
            for name in set(node.input) & set(tensors):
                twin = next(t for t in after.initializer if t.name == name)
                assert twin.SerializeToString() == tensors[name].SerializeToString()


@given(cases())
def test_the_signature_and_everything_around_the_graph_stay(case: Case) -> None:
    folded, _ = fold(case.model)

    bare = []
    for model in (case.model, folded):
        copy = ModelProto()
        copy.CopyFrom(model)
        for graph in graphs(copy):
            for name in ("node", "initializer", "value_info"):
                graph.ClearField(name)
        bare.append(copy.SerializeToString(deterministic=True))
    assert bare[0] == bare[1]


@given(cases())
def test_there_are_never_more_nodes_nor_other_operators(case: Case) -> None:
    folded, decisions = fold(case.model)

    kinds = [{n.op_type for graph in graphs(m) for n in graph.node} for m in (case.model, folded)]
    may_come = {"Add"} | ({"Constant"} if case.model.ir_version < _CONSTANTS_ARE_TENSORS else set())
    assert kinds[1] <= kinds[0] | may_come
    assert count(folded) <= count(case.model)
    assert any(d.is_folded for d in decisions) or folded == case.model


@given(cases())
def test_folding_twice_changes_nothing(case: Case) -> None:
    folded, _ = fold(case.model)

    again, decisions = fold(folded)

    assert not any(decision.is_folded for decision in decisions)
    assert again.SerializeToString() == folded.SerializeToString()


@given(cases())
def test_the_same_model_gives_the_same_bytes(case: Case) -> None:
    before = case.model.SerializeToString(deterministic=True)

    one, other = fold(case.model)[0], fold(case.model)[0]

    assert one.SerializeToString() == other.SerializeToString()
    assert case.model.SerializeToString(deterministic=True) == before


@given(cases())
def test_the_onnx_checker_accepts_the_folded_model(case: Case) -> None:
    folded, _ = fold(case.model)

    checker.check_model(folded, full_check=True)


@given(cases((FLOAT, HALF)))
def test_no_folded_number_is_infinite_or_not_a_number(case: Case) -> None:
    folded, _ = fold(case.model)

    for graph in graphs(folded):
        for tensor in graph.initializer:
            assert np.isfinite(numpy_helper.to_array(tensor).astype(np.float64)).all()
