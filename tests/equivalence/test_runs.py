"""Runs: what the process that runs the models does with what it is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from files import conv_net, kept_net, make, put_apart, save, save_apart
from graphs import BOOL, DOUBLE, FLOAT, INT64, Net
from inprocess import any_verdict, compared, folded, job_for, opened
from onnx import ModelProto, helper, numpy_helper

import folding
from folding.equivalence import trying
from folding.equivalence.jobs import Engine
from folding.equivalence.runs import answer
from folding.equivalence.runtime import Session
from folding.equivalence.verdict import Status
from folding.errors import BadCall


def one_node(operator: str, domain: str = "", opset: int = 17, **attributes: Any) -> ModelProto:
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], ["y"], domain=domain, **attributes)],
        "one",
        [helper.make_tensor_value_info("x", FLOAT, ["n"])],
        [helper.make_tensor_value_info("y", FLOAT, ["n"])],
    )
    imports = [helper.make_opsetid("", opset)]
    return make(graph, opset_imports=[*imports, *([helper.make_opsetid(domain, 1)] * bool(domain))])


def wide() -> ModelProto:
    model = one_node("Relu")
    for size in (1 << 20, 1 << 20):
        model.graph.input[0].type.tensor_type.shape.dim.add(dim_value=size)
    del model.graph.input[0].type.tensor_type.shape.dim[0]
    return model


NOT_RUN: dict[str, tuple[ModelProto, str]] = {
    "random": (one_node("RandomNormalLike"), "RandomNormalLike is random"),
    "Bernoulli": (one_node("Bernoulli"), "Bernoulli is random"),
    "another domain": (one_node("Magic", "my.ops"), "'my.ops'"),
    "an old operator set": (one_node("Relu", opset=6), "below 7"),
    "no kernel": (one_node("Relu", to=1), "the source does not load"),
    "an input too large": (wide(), "too many elements"),
}


@pytest.mark.parametrize("what", NOT_RUN)
def test_what_cannot_be_run_is_not_run_and_says_why(what: str) -> None:
    """The proof can do without; a warning says that it did."""
    model, why = NOT_RUN[what]

    found = compared(model, model)

    for check in (found.sites, found.outputs):
        assert (check.status, check.excused) == (Status.NOT_RUN, True)
        assert why in check.why
    assert [warning.code for warning in found.warnings] == ["OUTPUTS_NOT_RUN"]


@pytest.mark.parametrize("what", NOT_RUN)
def test_what_somebody_else_made_is_not_excused_from_the_runs(what: str) -> None:
    """Its files may match although the runtime overflows in it, which only a run can show."""
    model, why = NOT_RUN[what]

    found = compared(model, model, is_ours=False)

    for check in (found.sites, found.outputs):
        assert (check.status, check.excused) == (Status.NOT_RUN, False)
        assert why in check.why


def test_a_random_operator_in_a_body_counts_too() -> None:
    out = helper.make_tensor_value_info("r", FLOAT, ["n"])
    inner = helper.make_graph([helper.make_node("RandomUniformLike", ["x"], ["r"])], "b", [], [out])
    model = one_node("Relu")
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "flag"))
    node = helper.make_node("If", ["flag"], ["y"], then_branch=inner, else_branch=inner)
    model.graph.node[0].CopyFrom(node)

    assert "is random" in compared(model, model).outputs.why


def test_an_operator_that_is_random_in_another_domain_only_is_not_called_so() -> None:
    found = compared(*[one_node("Bernoulli", "my.ops")] * 2)

    assert found.outputs.why == "Bernoulli is an operator of the domain 'my.ops'"


def test_a_function_of_the_model_s_own_is_run() -> None:
    model = one_node("Twice", "my.ops")
    imports = [helper.make_opsetid("", 17)]
    body = [helper.make_node("Add", ["a", "a"], ["b"])]
    model.functions.append(
        helper.make_function("my.ops", "Twice", ["a"], ["b"], body, opset_imports=imports)
    )

    assert compared(model, model).outputs.status is Status.PASSED


def test_a_model_that_cannot_run_is_proved_by_the_other_checks() -> None:
    model = conv_net()
    model.graph.node[-1].op_type = "RandomNormalLike"

    report = folding.fold_model(model)[1]

    assert report.verification.name == "equivalent"
    assert report.plan.counts["folded"] == 1
    codes = [warning.code for warning in report.warnings]
    assert codes == ["RANDOM_AT_INFERENCE", "OUTPUTS_NOT_RUN"]


def test_a_bfloat16_convolution_for_which_there_is_no_kernel_is_still_proved() -> None:
    _, report = folding.fold_model(conv_net(elem_type=16))

    assert report.verification.name == "equivalent"
    assert [check.status for check in report.verification.checks[2:]] == [Status.NOT_RUN] * 2
    assert all(check.why for check in report.verification.checks[2:])


# --- inputs --------------------------------------------------------------------------------------


def test_open_dimensions_are_tried_until_the_model_runs() -> None:
    net = Net()
    net.node("MatMul", net.input("n", "m"), net.weight(32, 3), out="y")

    found = compared(net.model("y"), net.model("y"))

    assert found.outputs.status is Status.PASSED
    assert "open dimensions 32" in found.ran_on


def test_a_model_that_accepts_no_size_must_load_at_least() -> None:
    net = Net()
    net.node("MatMul", net.input("n", "m"), net.weight(31, 3), out="y")
    source, broken = net.model("y"), net.model("y")
    broken.graph.node[0].attribute.append(helper.make_attribute("nothing", 1))

    right, wrong = compared(source, source), compared(source, broken)

    for found in (right, wrong):
        assert "does not run on made-up inputs" in found.sites.why
    assert (right.outputs.status, right.outputs.excused) == (Status.NOT_RUN, True)
    assert wrong.outputs.status is Status.FAILED
    assert "the candidate does not load" in wrong.outputs.why


@pytest.mark.parametrize("is_ours", [True, False])
def test_without_any_run_only_a_fold_of_ours_is_proved_and_that_is_said(*, is_ours: bool) -> None:
    """What somebody else computes on the way, like ``W + 1e9 - 1e9``, only a run can show."""
    net = Net()
    net.node("MatMul", net.input("n", "m"), net.weight(31, 3), out="y")

    found = compared(net.model("y"), net.model("y"), is_ours=is_ours)

    for check in (found.sites, found.outputs):
        assert (check.status, check.excused) == (Status.NOT_RUN, is_ours)
        assert ("the proof from the files does not need it" in check.why) == is_ours


def test_numbers_that_cancel_in_the_candidate_are_not_proved_without_a_run() -> None:
    """The batch must be six, which is not guessed; all weights become zero when they are run."""
    source, wrong = six_rows(cancels=False), six_rows(cancels=True)
    rows = np.ones((6, 7), np.float32)

    assert any_verdict(source, wrong).name == "unproven"
    assert any_verdict(source, wrong, feeds=[{"x": rows}]).name == "different"


def six_rows(*, cancels: bool) -> ModelProto:
    net = Net()
    rows = net.node("Reshape", net.input("n", 7, name="x"), net.integers(3, 2, 7))
    weight = net.weight(7, 8, name="W")
    if cancels:
        big = net.store(1e9, name="big")
        weight = net.node("Sub", net.node("Add", weight, big), big)
    net.node("MatMul", rows, weight, out="y")
    return net.model("y")


def test_a_source_that_refuses_false_flags_is_run_with_true_ones() -> None:
    found = compared(*[picky(BOOL)] * 2)

    assert found.outputs.status is Status.PASSED
    assert "seed 1" in found.ran_on
    assert "seed 0" not in found.ran_on


def picky(elem_type: int) -> ModelProto:
    """A model that only runs if its input is true, or zero."""
    net = Net()
    flag = net.node("Cast", net.input(name="x", elem_type=elem_type), to=INT64)
    if elem_type == BOOL:
        flag = net.node("Sub", net.integers(1), flag)
    net.node("Gather", net.weight(1), flag, out="y", axis=0)
    return net.model("y")


def test_a_source_that_refuses_normal_numbers_is_run_on_others() -> None:
    """Here on those that are near to zero."""
    source = picky(FLOAT)
    scaled = helper.make_node("Mul", ["x", "hundred"], ["large"])
    source.graph.initializer.append(numpy_helper.from_array(np.array(100, np.float32), "hundred"))
    source.graph.node[0].input[0] = "large"
    source.graph.node.insert(0, scaled)

    found = compared(source, source)

    assert found.outputs.status is Status.PASSED
    assert "zeros" in found.ran_on
    assert "normal" not in found.ran_on


@pytest.mark.parametrize("alone", "abc")
def test_of_several_flags_each_is_tried_alone(alone: str) -> None:
    """Or what is never true would pass for what is true of one flag alone."""
    net, other = Net(), Net()
    for made in (net, other):
        flags = {name: made.input(name=name, elem_type=BOOL) for name in "abc"}
        rest = [made.node("Not", flag) for name, flag in flags.items() if name != alone]
        flag = made.node("And", flags[alone], made.node("And", *rest))
        if made is other:
            flag = made.node("And", flag, made.node("Not", flag))
        made.node("Cast", flag, out="y", to=FLOAT)

    found = compared(net.model("y"), other.model("y"), measured=False)

    assert found.outputs.status is Status.FAILED


def test_an_input_that_is_no_tensor_is_not_made_up() -> None:
    net = Net()
    net.node("SequenceAt", "x", net.integers(0), out="y")
    model = net.model("y")
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, None))
    model.graph.input.append(helper.make_value_info("x", kind))

    assert "'x' is no tensor" in compared(model, model).outputs.why


def test_the_shapes_that_the_user_wants_are_what_it_is_run_on() -> None:
    net = Net()
    net.node("Relu", net.input("n", "m"), out="y")

    found = compared(net.model("y"), net.model("y"), shapes={"x": (5, 7)})

    assert "'x' 5x7" in found.ran_on


def test_the_user_s_inputs_are_what_it_is_run_on_and_all_of_them() -> None:
    calm, wild = one_node("Relu"), one_node("Abs")
    fine, other = ({"x": np.array(v, np.float32)} for v in ([1, 2], [1, -2]))

    assert compared(calm, wild, feeds=[fine]).outputs.status is Status.PASSED
    assert compared(calm, wild, feeds=[fine, other]).outputs.status is Status.FAILED
    assert compared(calm, calm, feeds=[fine]).ran_on == "the user's inputs"


def test_inputs_on_which_the_source_does_not_run_are_the_caller_s_fault() -> None:
    net = Net()
    net.node("MatMul", net.input("n", "m"), net.weight(4, 3), out="y")
    feed = {"x": np.ones((2, 5), np.float32)}

    with pytest.raises(BadCall, match="the source does not run on these inputs"):
        compared(net.model("y"), net.model("y"), feeds=[feed])


def test_a_small_model_is_run_on_numbers_of_every_kind_and_a_large_one_on_normal_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few = compared(conv_net(), folded(conv_net()))
    monkeypatch.setattr(trying, "_FEW_ELEMENTS", 10)
    many = compared(conv_net(), folded(conv_net()))

    for kind in ("normal", "uniform", "zeros", "impulses", "large", "tiny"):
        assert kind in few.ran_on
    assert "normal" in many.ran_on
    assert "uniform" not in many.ran_on


def test_what_the_models_were_run_on_and_from_which_seeds_is_said() -> None:
    net = Net()
    net.input(name="flag", elem_type=BOOL)
    net.node("Where", "flag", net.input(3), net.store([1.0, 2.0, 3.0]), out="y")

    found = compared(net.model("y"), net.model("y"))

    assert found.seeds == (0, 1, 2)
    assert "seed 0" in found.ran_on
    assert "seed 1" in found.ran_on


def test_an_input_that_the_source_refuses_of_one_kind_is_left_out() -> None:
    """Integers that are no valid index, say, after the first."""
    net = Net()
    places = net.node("Cast", net.input(3, name="x"), to=INT64)
    net.node("Gather", net.weight(100), places, out="y", axis=0)
    feed_ranges = compared(net.model("y"), net.model("y"))

    assert "large" not in feed_ranges.ran_on
    assert feed_ranges.outputs.status is Status.PASSED


def test_outputs_are_not_compared_where_the_sites_overflow_and_that_is_said() -> None:
    """Whether a sum of large terms overflows is a matter of its order."""
    source = conv_net()
    near = {"x": np.full((1, 3, 5, 5), 1e38, np.float32)}
    far = {"x": np.ones((1, 3, 5, 5), np.float32)}

    alone = compared(source, folded(source), feeds=[near])
    both = compared(source, folded(source), feeds=[near, far])

    assert (alone.sites.status, alone.sites.excused) == (Status.NOT_RUN, True)
    assert (alone.outputs.status, alone.outputs.excused) == (Status.NOT_RUN, True)
    assert "overflow" in alone.outputs.why
    assert both.outputs.status is Status.PASSED
    assert both.ran_on == "the user's inputs (not its outputs, which overflow); the user's inputs"


def test_outputs_are_not_compared_where_the_sites_are_no_numbers() -> None:
    """Onnxruntime's pooling leaves NaN out, and gives the least number if there is nothing else."""
    net = Net(opset=17)
    x = net.input(1, 2, 1, 1)
    one, other = (net.node("Conv", x, net.weight(2, 2, 1, 1)) for _ in range(2))
    ratio = net.node("Div", one, other)
    factors = net.store(np.reshape([0.5, 0.25], (2, 1, 1)))
    peak = net.node("MaxPool", ratio, kernel_shape=[2, 2], pads=[0, 0, 1, 1])
    net.node("Mul", peak, factors, out="y")
    source = net.model("y")

    found = compared(source, folded(source), feeds=[{"x": np.zeros((1, 2, 1, 1), np.float32)}])

    assert (found.outputs.status, found.outputs.excused) == (Status.NOT_RUN, True)


def test_roundings_of_the_least_numbers_arrive_though_what_all_share_is_taken_away() -> None:
    """A normalisation takes the mean away, and makes numbers of what is next to nothing."""
    net = Net(DOUBLE, opset=17)
    hidden = net.node("MatMul", net.weight(2, 2), net.input(2, 3))
    scaled = net.node("Mul", hidden, net.weight(2, 1))
    net.node("LayerNormalization", scaled, net.weight(3), out="y")
    source = net.model("y")
    tiny = np.random.default_rng(0).normal(size=(20, 2, 3)) * 2.3e-308

    for x in tiny:
        found = compared(source, folded(source), feeds=[{"x": x}])
        assert found.outputs.status is not Status.FAILED, found.outputs


# --- engines -------------------------------------------------------------------------------------


def test_a_provider_that_is_not_there_is_the_caller_s_fault_and_those_that_are_are_named() -> None:
    with pytest.raises(BadCall, match="no provider 'NoExecutionProvider'") as caught:
        compared(conv_net(), conv_net(), engine=Engine("NoExecutionProvider"))

    assert "CPUExecutionProvider" in caught.value.hint


def test_the_provider_runs_the_candidate_and_the_cpu_the_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, Any]] = []

    class Spied(Session):
        def __init__(self, model: Any, proto: Any = None, *, engine: Any, **more: Any) -> None:
            asked.append((Path(model.path).name, engine.provider))
            super().__init__(model, proto, engine=Engine(custom_ops=engine.custom_ops), **more)

    monkeypatch.setattr("folding.equivalence.sessions.Session", Spied)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPU...", "Own"])

    compared(conv_net(), folded(conv_net()), engine=Engine("Own"))

    assert set(asked) == {("0.onnx", "CPUExecutionProvider"), ("1.onnx", "Own")}


def test_a_library_that_is_none_is_the_caller_s_fault(tmp_path: Path) -> None:
    library = tmp_path / "ops.so"
    library.write_bytes(b"no library")

    for model in (conv_net(), one_node("Magic", "my.ops")):
        with pytest.raises(BadCall, match=r"ops\.so' is no library of custom operators"):
            compared(model, model, engine=Engine(custom_ops=str(library)))


def test_a_shape_that_the_source_does_not_take_is_the_caller_s_fault() -> None:
    model = conv_net()
    model.graph.input[0].type.tensor_type.shape.dim[1].Clear()

    with pytest.raises(BadCall, match="does not run on these inputs"):
        compared(model, folded(model), shapes={"x": (1, 5, 5, 5)})


# --- files ---------------------------------------------------------------------------------------


def test_an_answer_is_plain_data() -> None:
    """The process that asked must not have to trust it."""
    with opened(conv_net(), folded(conv_net())) as (ours, theirs):
        found = answer(job_for(ours, theirs))

    assert json.loads(json.dumps(found)) == found
    assert [check[:2] for check in found["checks"]] == [["sites", "passed"], ["outputs", "passed"]]


def test_models_in_several_files_are_run(tmp_path: Path) -> None:
    """The candidate in two of them, below the folder."""
    source = save_apart(conv_net(16), tmp_path / "m.onnx")
    candidate = folded(conv_net(16))
    for number, tensor in enumerate(candidate.graph.initializer):
        put_apart(tensor, tmp_path, f"data/{number}.bin")

    found = compared(source, save(candidate, tmp_path / "f.onnx"))

    assert (found.sites.status, found.outputs.status) == (Status.PASSED, Status.PASSED)


@pytest.mark.parametrize("apart", [False, True])
def test_models_are_run_whatever_their_paths_are(tmp_path: Path, *, apart: bool) -> None:
    """Names of files are bytes, and need not be UTF-8."""
    folder = tmp_path / "ordner-\udcff-\u00e4"
    folder.mkdir()
    keep = save_apart if apart else save
    source = keep(conv_net(64), folder / "m\udcfe.onnx")
    target = folder / "f\udcfd.onnx"
    folding.fold(source, target, verify=False)

    found = compared(source, target)

    assert (found.sites.status, found.outputs.status) == (Status.PASSED, Status.PASSED)


def test_what_cannot_be_folded_is_compared_all_the_same() -> None:
    found = compared(kept_net(), kept_net())

    assert found.sites.why == "nothing was folded"
    assert found.outputs.status is Status.PASSED


def test_open_dimensions_of_different_names_get_different_sizes_if_the_source_takes_them() -> None:
    """Who confuses one with the other makes a model of another function."""

    def along(axis: int) -> ModelProto:
        net = Net()
        x = net.node("Add", net.input("n", "m", 3), net.input("n", 1, "k", name="z"))
        size = net.node("Gather", net.node("Shape", x), net.integers(axis), axis=0)
        net.node("Mul", x, net.node("Cast", size, to=FLOAT), out="y")
        return net.model("y")

    found = compared(along(0), along(0))
    assert "'x' 2x3x3" in found.ran_on
    assert found.outputs.status is Status.PASSED
    assert any_verdict(along(0), along(1)).name == "different"


def test_a_source_whose_dimensions_must_be_equal_is_run_on_such() -> None:
    net = Net()
    net.node("Add", net.input("n", "m"), net.input("m", "n", name="z"), out="y")
    found = compared(net.model("y"), net.model("y"))
    assert found.outputs.status is Status.PASSED
    assert "'x' 2x4" not in found.ran_on


@pytest.mark.parametrize("is_small", [True, False])
@pytest.mark.parametrize("what", ["squares", "rests"])
def test_integers_of_which_any_will_do_are_large_and_negative_too(
    what: str, monkeypatch: pytest.MonkeyPatch, *, is_small: bool
) -> None:
    """0 and 1 are their own squares, and have the same rests."""
    models = []
    for is_wrong in (False, True):
        net = Net()
        x = net.input(8, elem_type=INT64)
        if what == "squares":
            net.node("Identity", x, out="y") if is_wrong else net.node("Mul", x, x, out="y")
        else:
            net.node("Mod", x, net.integers(9 if is_wrong else 7), out="y")
        models.append(net.model("y"))
    if not is_small:
        monkeypatch.setattr(trying, "_FEW_ELEMENTS", -1)
    assert any_verdict(*models).name == "different"
    assert any_verdict(models[0], models[0]).name == "equivalent"
