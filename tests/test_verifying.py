"""verify: two models in, a verdict out, whoever made the second."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files import conv_net, initializer, kept_net, node, put_apart, relu_net, save, save_apart
from onnx import ModelProto, helper, numpy_helper

import folding
from folding import spool
from folding.equivalence import gate
from folding.equivalence.limits import RunLimits
from folding.verification import Verification
from folding.verifying import verified


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A model and its fold."""
    source = save(conv_net(), tmp_path / "m.onnx")
    folding.fold(source, tmp_path / "f.onnx")
    return source, tmp_path / "f.onnx"


def scaled(model: ModelProto, name: str, factor: float) -> ModelProto:
    """The same model with one channel of one tensor scaled."""
    tensor = initializer(model, name)
    values = numpy_helper.to_array(tensor).copy()
    values[0] *= factor
    tensor.CopyFrom(numpy_helper.from_array(values, name))
    return model


def test_the_public_verify_gives_the_verdict(pair: tuple[Path, Path]) -> None:
    verdict = folding.verify(*pair)

    assert verdict.name == "equivalent"
    assert verdict.to_dict() == verified(*pair).to_dict()["verification"]


def test_what_fold_says_of_its_fold_is_what_verify_says(pair: tuple[Path, Path]) -> None:
    said = folding.fold(*pair).to_dict()["verification"]

    assert folding.verify(*pair).to_dict() == said


@pytest.mark.parametrize("tensor", ["w", "b"])
def test_a_channel_off_by_a_hundredth_of_a_percent_is_found_and_named(
    pair: tuple[Path, Path], tensor: str
) -> None:
    source, folded = pair
    save(scaled(ModelProto.FromString(folded.read_bytes()), tensor, 1.0001), folded)

    verdict = folding.verify(source, folded)

    assert verdict.name == "different"
    assert verdict.failure is not None
    assert verdict.failure.at == tensor


def test_another_operator_is_found(pair: tuple[Path, Path]) -> None:
    source, folded = pair
    model = ModelProto.FromString(folded.read_bytes())
    node(model, "relu").op_type = "Sigmoid"

    assert folding.verify(source, model).name == "different"


def test_what_is_no_fold_of_ours_is_not_called_different_for_that(
    pair: tuple[Path, Path],
) -> None:
    source, folded = pair
    model = ModelProto.FromString(folded.read_bytes())
    model.graph.node.append(helper.make_node("Identity", ["y"], ["z"]))
    model.graph.output[0].name = "z"
    model.graph.node[-1].output[0] = "y"
    model.graph.node[-1].input[0] = model.graph.node[-2].output[0] = "before"
    model.graph.output[0].name = "y"

    assert folding.verify(source, model).name in {"equivalent", "unproven"}


@pytest.mark.parametrize("in_memory", [(True, True), (True, False), (False, True)])
def test_models_may_be_in_memory(pair: tuple[Path, Path], in_memory: tuple[bool, bool]) -> None:
    reference, candidate = (
        ModelProto.FromString(path.read_bytes()) if is_in_memory else path
        for path, is_in_memory in zip(pair, in_memory, strict=True)
    )

    done = verified(reference, candidate)

    assert done.verdict.name == "equivalent"
    assert (done.reference.path is None, done.candidate.path is None) == in_memory
    assert done.candidate.bytes == pair[1].stat().st_size


def test_a_model_in_memory_is_not_changed_and_no_file_of_it_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    model, folded = conv_net(), folding.fold_model(conv_net())[0]
    before = model.SerializeToString()

    folding.verify(model, folded)

    assert model.SerializeToString() == before
    assert not list(tmp_path.iterdir())


def test_a_model_in_memory_that_no_file_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "_PROTOBUF_LIMIT", 100)

    with pytest.raises(folding.BadModel, match="the reference is larger than 2 GB"):
        folding.verify(conv_net(), conv_net())


def test_without_a_place_for_a_model_in_memory_that_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))

    with pytest.raises(folding.StorageFailed, match="the reference") as caught:
        folding.verify(conv_net(), conv_net())
    assert "TMPDIR" in caught.value.hint


def test_a_bad_model_in_memory_is_named_by_its_part() -> None:
    bad = conv_net()
    node(bad, "conv").op_type = "Nonsense"

    with pytest.raises(folding.BadModel, match="'the candidate'"):
        folding.verify(conv_net(), bad)


@pytest.mark.parametrize("side", [0, 1])
def test_a_file_that_is_not_there_is_named(pair: tuple[Path, Path], side: int) -> None:
    paths = list(pair)
    paths[side] = paths[side].with_name("nowhere.onnx")

    with pytest.raises(folding.StorageFailed, match="nowhere"):
        folding.verify(*paths)


def test_limits_on_models_hold_for_both(pair: tuple[Path, Path]) -> None:
    nested = ModelProto.FromString(pair[1].read_bytes())
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["q"])], "g", [], [])
    graph.output.append(helper.make_empty_tensor_value_info("q"))
    condition = numpy_helper.from_array(np.array(True), "cond")
    nested.graph.initializer.append(condition)
    branches: dict[str, Any] = {"then_branch": graph, "else_branch": graph}
    nested.graph.node.append(helper.make_node("If", ["cond"], ["i"], **branches))

    with pytest.raises(folding.FoldError, match="the candidate"):
        folding.verify(pair[0], nested, limits=folding.Limits(nesting=1))


def test_what_would_hang_a_library_is_refused_in_both(pair: tuple[Path, Path]) -> None:
    endless = ModelProto.FromString(pair[1].read_bytes())
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    again = helper.make_node("Again", ["a"], ["b"], domain="own")
    endless.functions.append(
        helper.make_function("own", "Again", ["a"], ["b"], [again], opset_imports=imports)
    )

    for models in ((pair[0], endless), (endless, pair[1])):
        with pytest.raises(folding.BadModel, match="calls itself"):
            folding.verify(*models)


def test_links_are_followed_in_both_if_wanted(pair: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "apart").mkdir()
    (tmp_path / "hub").mkdir()
    model = ModelProto.FromString(pair[1].read_bytes())
    save_apart(model, tmp_path / "apart" / "f.onnx")
    weights = tmp_path / "apart" / "weights.bin"
    weights.rename(tmp_path / "hub" / "blob")
    weights.symlink_to(tmp_path / "hub" / "blob")

    with pytest.raises(folding.BadModel):
        folding.verify(pair[0], tmp_path / "apart" / "f.onnx")
    verdict = folding.verify(pair[0], tmp_path / "apart" / "f.onnx", follow_links=True)
    assert verdict.name == "equivalent"


def test_the_users_inputs_are_what_it_is_run_on(pair: tuple[Path, Path]) -> None:
    feed = {"x": np.ones((1, 3, 5, 5), np.float32)}

    verdict = folding.verify(*pair, inputs=feed)

    assert verdict.inputs == "the user's inputs"


def test_inputs_that_may_be_asked_for_only_once_will_do(pair: tuple[Path, Path]) -> None:
    feed = {"x": np.ones((1, 3, 5, 5), np.float32)}

    assert folding.verify(*pair, inputs=iter([feed])).name == "equivalent"


def test_inputs_that_do_not_fit_are_refused(pair: tuple[Path, Path]) -> None:
    with pytest.raises(folding.BadCall, match="'x'"):
        folding.verify(*pair, inputs={})


def test_inputs_that_do_not_fit_are_refused_though_nothing_would_be_run(tmp_path: Path) -> None:
    source = save(relu_net(), tmp_path / "m.onnx")

    with pytest.raises(folding.BadCall, match="'x'"):
        folding.verify(source, source, inputs={})


@pytest.mark.parametrize("tolerance", [-1.0, float("nan"), float("inf")])
def test_a_tolerance_that_is_none_is_refused(pair: tuple[Path, Path], tolerance: float) -> None:
    with pytest.raises(folding.BadCall, match="tolerance is"):
        folding.verify(*pair, tolerance=tolerance)


NO_CALLS: dict[str, tuple[dict[str, Any], str]] = {
    "shapes in a list": ({"shapes": ["a"]}, "shapes are sizes by input name, not a list"),
    "one size": ({"shapes": {"x": 5}}, "the shape given for input 'x' is 5"),
    "sizes as text": ({"shapes": {"x": "1,3,5,5"}}, "for input 'x' is '1,3,5,5'"),
    "half a size": ({"shapes": {"x": [1.5, 3, 5, 5]}}, "for input 'x' is"),
    "another shape": ({"shapes": {"x": (1, 4, 5, 5)}}, "the shape given is 1x4x5x5"),
    "no input": ({"shapes": {"z": (1,)}}, "a shape is given for 'z'"),
    "a word as a tolerance": ({"tolerance": "x"}, "the tolerance is 'x'"),
    "a truth as a tolerance": ({"tolerance": True}, "the tolerance is True"),
    "no provider": ({"provider": None}, "the provider is None"),
    "a number as a library": ({"custom_ops": 3}, "custom operators is a int"),
    "a number as limits": ({"run_limits": 3}, "the limits of runs are a int"),
    "no candidate": ({"candidate": None}, "the candidate is a NoneType"),
    "bytes as a path": ({"candidate": b"f.onnx"}, "the candidate is a bytes"),
    "bytes as a reference": ({"reference": b"f.onnx"}, "the reference is a bytes"),
}


@pytest.mark.parametrize("what", NO_CALLS)
def test_a_call_that_means_nothing_is_refused_in_words(pair: tuple[Path, Path], what: str) -> None:
    given, text = NO_CALLS[what]

    with pytest.raises(folding.BadCall, match=re.escape(text)):
        folding.verify(**{"reference": pair[0], "candidate": pair[1], **given})


def test_sizes_of_shapes_may_be_numpy_s(pair: tuple[Path, Path]) -> None:
    shapes = {"x": np.array([1, 3, 5, 5])}

    assert folding.verify(*pair, shapes=shapes).name == "equivalent"  # type: ignore[arg-type]


def test_a_provider_is_looked_for_though_nothing_would_be_run(tmp_path: Path) -> None:
    source = save(relu_net(), tmp_path / "m.onnx")

    with pytest.raises(folding.BadCall, match="no provider 'NoSuchProvider'"):
        folding.verify(source, source, provider="NoSuchProvider")


def test_inputs_that_nothing_was_run_on_are_said_not_to_have_been_run(tmp_path: Path) -> None:
    source = save(relu_net(), tmp_path / "m.onnx")
    [value] = relu_net().graph.input
    shape = [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
    feed = {value.name: np.ones(shape, np.float32)}

    (given,) = folding.verify(source, source, inputs=feed).warnings

    assert given.code == "INPUTS_NOT_RUN"
    assert given.text == "nothing was run on the inputs given: nothing was folded"
    assert not folding.verify(source, source).warnings


def test_a_file_that_is_changed_meanwhile_is_noticed(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = gate.verify_any

    def slow(*words: Any) -> Any:
        verdict = compared(*words)
        pair[1].write_bytes(pair[1].read_bytes() + b"\x12\x00")
        return verdict

    monkeypatch.setattr(gate, "verify_any", slow)

    with pytest.raises(folding.StorageFailed, match="was changed"):
        folding.verify(*pair)


def test_nothing_is_written_without_being_asked(pair: tuple[Path, Path]) -> None:
    before = sorted(pair[0].parent.iterdir())

    folding.verify(*pair)

    assert sorted(pair[0].parent.iterdir()) == before


def test_both_reports_are_written_whatever_the_verdict(pair: tuple[Path, Path]) -> None:
    folder = pair[0].parent
    other = save(kept_net(), folder / "k.onnx")

    done = verified(other, pair[1], report_to=folder / "r.json", junit_to=folder / "j.xml")

    assert done.verdict.name != "equivalent"
    assert json.loads((folder / "r.json").read_text()) == done.to_dict()
    assert "<failure" in (folder / "j.xml").read_text()


def test_digests_are_computed_if_wanted(pair: tuple[Path, Path]) -> None:
    wanted, unwanted = (verified(*pair, digests=flag) for flag in (True, False))

    def digests(done: Verification) -> set[int]:
        return {len(file.sha256 or "") for file in (done.reference, done.candidate)}

    assert digests(wanted) == {64}
    assert digests(unwanted) == {0}


def test_progress_is_told_each_stage(pair: tuple[Path, Path]) -> None:
    stages: list[str] = []

    folding.verify(*pair, progress=stages.append)

    assert stages == list(verified(*pair).seconds) == ["read", "verify"]


# --- the process that runs the models ------------------------------------------------------------


def test_a_run_that_takes_too_long_leaves_the_verdict_open_and_says_why(
    pair: tuple[Path, Path],
) -> None:
    verdict = folding.verify(*pair, run_limits=RunLimits(seconds=1e-3))

    assert verdict.name == "unproven"
    assert verdict.failure is not None
    assert "took longer than 0.001 s" in verdict.failure.why
    assert verdict.rests_on == "frame and parameters, a proof from the files"


def test_a_process_that_crashes_leaves_the_verdict_open_and_says_why(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "_ANSWER", "misbehaviour:crash_on")

    verdict = folding.verify(*pair, run_limits=RunLimits(seconds=60))

    assert verdict.name == "unproven"
    assert verdict.failure is not None
    assert verdict.failure.why.startswith("the process that ran the models ")


def test_a_provider_that_is_not_there_is_the_caller_s_fault(pair: tuple[Path, Path]) -> None:
    with pytest.raises(folding.BadCall, match="no provider 'NoExecutionProvider'"):
        folding.verify(*pair, provider="NoExecutionProvider")


@pytest.mark.parametrize("tolerance", [0.0, 1e-3])
def test_a_tolerance_is_reported_as_the_user_s(pair: tuple[Path, Path], tolerance: float) -> None:
    """It is for the outputs alone, so that even none at all does not hide what was proved."""
    outputs = folding.verify(*pair, tolerance=tolerance).to_dict()["checks"][-1]

    assert outputs["bound"] == tolerance
    assert "the tolerance is the user's" in outputs["why"]


def test_the_shapes_that_the_user_wants_are_run(tmp_path: Path) -> None:
    source = conv_net()
    source.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    source.graph.output[0].type.tensor_type.ClearField("shape")
    folded, _ = folding.fold_model(source, verify=False)

    verdict = folding.verify(source, folded, shapes={"x": (1, 3, 11, 5)})

    assert "'x' 1x3x11x5" in verdict.inputs


def test_no_temporary_file_is_left_after_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    candidate, _ = folding.fold_model(conv_net(), verify=False)

    with pytest.raises(folding.BadCall):
        folding.verify(conv_net(), candidate, provider="NoExecutionProvider")

    assert not list(tmp_path.iterdir())


def test_a_candidate_in_several_files_is_compared(pair: tuple[Path, Path]) -> None:
    model = ModelProto.FromString(pair[1].read_bytes())
    for number, tensor in enumerate(model.graph.initializer):
        put_apart(tensor, pair[1].parent, f"data/{number}.bin")

    verdict = folding.verify(pair[0], save(model, pair[1]))

    assert verdict.name == "equivalent"
    assert [str(check.status) for check in verdict.checks] == ["passed"] * 4


def test_paths_that_are_not_utf_8_are_as_good_as_others(tmp_path: Path) -> None:
    folder = tmp_path / "ordner-\udcff"
    folder.mkdir()
    source = save_apart(conv_net(64), folder / "m.onnx")
    folding.fold(source, folder / "f\udcfe.onnx", verify=False)

    verdict = folding.verify(source, folder / "f\udcfe.onnx")

    assert [str(check.status) for check in verdict.checks] == ["passed"] * 4


def others_fold(*, wrong: bool) -> ModelProto:
    """A fold by somebody who names everything otherwise, and rounds a little otherwise."""
    model, _ = folding.fold_model(conv_net(), verify=False)
    for name in ("w", "b"):
        tensor = initializer(model, name)
        values = numpy_helper.to_array(tensor) * np.float32(1 + 2**-23)
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), f"their_{name}"))
    conv, relu = model.graph.node
    conv.name, conv.input[1:], conv.output[0] = "Conv_0", ["their_w", "their_b"], "Conv_0_out"
    relu.input[0] = "Conv_0_out"
    return scaled(model, "their_w", 1.001) if wrong else model


def test_a_fold_of_somebody_else_s_is_compared_by_what_it_is() -> None:
    verdict = folding.verify(conv_net(), others_fold(wrong=False))

    assert verdict.name == "equivalent"
    assert [str(check.status) for check in verdict.checks] == ["passed"] * 4


def test_a_wrong_fold_of_somebody_else_s_is_found_and_named_as_in_the_reference() -> None:
    verdict = folding.verify(conv_net(), others_fold(wrong=True))

    assert verdict.name == "different"
    assert verdict.guilty == ("n",)
    assert "'n', folded into 'conv'" in verdict.checks[2].why


def test_what_somebody_leaves_to_be_computed_is_no_proof_where_digits_are_lost() -> None:
    """Weights to which a large number is added, and from which it is taken away again."""
    candidate = others_fold(wrong=False)
    large = numpy_helper.from_array(np.array(1e5, np.float32), "large")
    candidate.graph.initializer.append(large)
    for operator, data, out in (("Sub", "more", "rounded"), ("Add", "their_w", "more")):
        candidate.graph.node.insert(0, helper.make_node(operator, [data, "large"], [out]))
    node(candidate, "Conv_0").input[1] = "rounded"

    verdict = folding.verify(conv_net(), candidate)

    assert verdict.name != "equivalent"
    assert [str(check.status) for check in verdict.checks[:2]] == ["passed", "not_run"]
    assert "the candidate computes" in verdict.checks[1].why
