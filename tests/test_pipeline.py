"""The three functions that others call: what they return, raise and leave alone."""

from __future__ import annotations

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files import contents, conv_net, initializer, kept_net, read, relu_net, run, save, save_apart
from graphs import Net, assert_same_function
from onnx import ModelProto, TensorProto, numpy_helper

import folding
from folding import carrying, trial
from folding.equivalence import gate
from folding.equivalence.limits import RunLimits
from folding.equivalence.verdict import Check, Status, Verdict, VerdictName
from folding.errors import StorageFailed
from folding.scratch import ELEMENTS


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def verdict(status: Status) -> Verdict:
    return Verdict((Check("frame", status, "for a test"),))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return save(conv_net(), tmp_path / "m.onnx")


def test_fold_reports_the_plan_and_the_proof(source: Path) -> None:
    report = folding.fold(source)

    assert report.plan.counts["folded"] == 1
    assert report.verification.name is VerdictName.EQUIVALENT
    assert report.version == folding.__version__


class AnyPath:
    """A path that is neither text nor a Path."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


@pytest.mark.parametrize("kind", [str, Path, AnyPath])
def test_paths_may_be_of_any_kind(source: Path, kind: Any) -> None:
    folding.fold(kind(source), kind(source.with_name("f.onnx")))

    assert folding.explain(kind(source)).counts["folded"] == 1
    assert source.with_name("f.onnx").exists()


def test_a_model_in_memory_folds_to_what_its_file_folds_to(source: Path) -> None:
    folding.fold(source, source.with_name("f.onnx"))

    folded, _ = folding.fold_model(conv_net())

    assert folded == read(source.with_name("f.onnx"))


def test_a_model_in_memory_is_not_changed() -> None:
    model = conv_net()
    before = model.SerializeToString(deterministic=True)

    folding.fold_model(model)

    assert model.SerializeToString(deterministic=True) == before


def test_with_nothing_to_fold_a_model_comes_back_as_it_was() -> None:
    folded, report = folding.fold_model(relu_net())

    assert folded == relu_net()
    assert not report.plan.decisions


def test_a_big_model_in_memory_has_its_numbers_in_it() -> None:
    folded, _ = folding.fold_model(conv_net(64))

    assert len(initializer(folded, "w").raw_data) == 64 * 27 * 4
    assert initializer(folded, "w").data_location == TensorProto.DEFAULT


def test_explain_plans_what_fold_does(source: Path) -> None:
    plan = folding.explain(source)

    assert plan.decisions == folding.fold(source).plan.decisions


def test_explain_knows_what_does_not_fit(tmp_path: Path) -> None:
    model = conv_net(elem_type=TensorProto.FLOAT16)
    initializer(model, "gamma").raw_data = np.full(4, 6e4, np.float16).tobytes()
    source = save(model, tmp_path / "m.onnx")

    (decision,) = folding.explain(source).decisions

    assert isinstance(decision.outcome, folding.Kept)
    assert decision.outcome.reason is folding.Reason.OVERFLOW
    assert folding.fold(source).plan.decisions == [decision]


@pytest.mark.parametrize(
    ("status", "error"),
    [(Status.FAILED, folding.NotEquivalent), (Status.NOT_RUN, folding.Unproven)],
)
def test_without_proof_nothing_is_written_and_the_error_has_the_report(
    source: Path, monkeypatch: pytest.MonkeyPatch, status: Status, error: type[Exception]
) -> None:
    monkeypatch.setattr(gate, "verify_fold", lambda *_: verdict(status))
    before = contents(source.parent)

    with pytest.raises(error) as caught:
        folding.fold(source)

    assert contents(source.parent) == before
    report = caught.value.report  # type: ignore[attr-defined]  # both errors have one
    assert report.target is None
    assert report.verification.checks[0].why == "for a test"
    assert isinstance(caught.value, folding.FoldError)


@pytest.mark.parametrize(
    ("status", "error"),
    [(Status.FAILED, folding.NotEquivalent), (Status.NOT_RUN, folding.Unproven)],
)
def test_without_proof_no_model_is_handed_over(
    monkeypatch: pytest.MonkeyPatch, status: Status, error: type[Exception]
) -> None:
    monkeypatch.setattr(gate, "verify_fold", lambda *_: verdict(status))

    with pytest.raises(error):
        folding.fold_model(conv_net())


def test_what_is_verified_is_the_file_that_was_written(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def spy(reference: Any, candidate: Any, *_: Any) -> Verdict:
        seen.append(candidate.files[0].identity)
        return Verdict()

    monkeypatch.setattr(gate, "verify_fold", spy)

    folding.fold(source, source.with_name("f.onnx"))

    state = source.with_name("f.onnx").stat()
    assert seen == [(state.st_dev, state.st_ino)]


def test_a_disk_that_stores_something_else_is_noticed(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync
    weight = numpy_helper.to_array(initializer(folding.fold_model(conv_net())[0], "w")).tobytes()

    def corrupting(descriptor: int) -> None:
        for part in source.parent.glob(".*.part"):
            data = part.read_bytes()
            part.write_bytes(data.replace(weight, bytes(4) + weight[4:]))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", corrupting)

    with pytest.raises(folding.NotEquivalent, match="'w'"):
        folding.fold(source)
    assert list(contents(source.parent)) == ["m.onnx"]


def test_inputs_may_be_arrays_by_name(source: Path) -> None:
    report = folding.fold(source, inputs={"x": np.ones((1, 3, 5, 5), np.float32)})

    assert report.verification.inputs == "the user's inputs"


def test_inputs_that_do_not_fit_are_refused_before_anything_is_done(source: Path) -> None:
    stages: list[str] = []

    with pytest.raises(folding.BadCall):
        folding.fold(source, inputs={}, progress=stages.append)

    assert set(stages) == {"read"}


def test_progress_is_told_each_stage_when_it_begins(source: Path) -> None:
    stages: list[str] = []

    folding.fold(source, progress=stages.append)

    assert list(dict.fromkeys(stages)) == ["read", "plan", "write", "verify"]


def test_without_verification_nothing_is_run(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise AssertionError("verified")

    monkeypatch.setattr(gate, "verify_fold", fail)

    assert folding.fold(source, verify=False).verification.name is VerdictName.SKIPPED
    assert folding.fold_model(conv_net(), verify=False)[1].verification.name is VerdictName.SKIPPED


def test_no_file_is_left_open(source: Path) -> None:
    before, own = open_files(), RunLimits(seconds=60)
    for _ in range(4):
        folding.fold(source, run_limits=own)

    assert open_files() == before


def test_eight_threads_folding_at_once_write_the_same_bytes(tmp_path: Path) -> None:
    sources = [
        save(conv_net(64), tmp_path / "a.onnx"),
        save_apart(conv_net(64), tmp_path / "b.onnx"),
    ]
    (tmp_path / "out").mkdir()
    expected = []
    for number, path in enumerate(sources):
        folding.fold(path, tmp_path / f"expected{number}.onnx")
        expected.append(read(tmp_path / f"expected{number}.onnx"))

    def one(number: int) -> str:
        folding.fold(sources[number % 2], tmp_path / "out" / f"{number}.onnx")
        return str(folding.fold_model(kept_net())[1].plan)

    with ThreadPoolExecutor(8) as pool:
        plans = list(pool.map(one, range(16)))

    assert len(set(plans)) == 1
    for kind in (0, 1):
        files = [tmp_path / "out" / f"{n}.onnx" for n in range(kind, 16, 2)]
        assert all(read(file) == expected[kind] for file in files)
    assert len({(tmp_path / "out" / f"{n}.onnx").read_bytes() for n in range(0, 16, 2)}) == 1


def test_threads_that_fold_to_one_target_leave_a_complete_one(tmp_path: Path) -> None:
    source = save_apart(conv_net(64), tmp_path / "m.onnx")
    folding.fold(source, tmp_path / "f.onnx")
    expected = read(tmp_path / "f.onnx")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: folding.fold(source, tmp_path / "f.onnx"), range(8)))

    assert read(tmp_path / "f.onnx") == expected
    assert len(contents(tmp_path)) == 4


def test_two_processes_write_the_same_bytes(source: Path) -> None:
    for name, seed in (("a", "1"), ("b", "2")):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        run("fold", source, "-o", source.with_name(name), env=environment)

    assert source.with_name("a").read_bytes() == source.with_name("b").read_bytes()


def test_a_bias_of_more_numbers_than_a_work_buffer_has_is_folded() -> None:
    """It is small enough to be computed at once, and larger than the buffers it passes."""
    net = Net(elem_type=TensorProto.DOUBLE)
    hidden = net.node("MatMul", net.input(2, 1), net.weight(1, ELEMENTS + 1))
    net.batch_norm(hidden, ELEMENTS + 1, out="y")

    folded, report = folding.fold_model(net.model("y"))

    assert report.verification.name is VerdictName.EQUIVALENT
    assert [node.op_type for node in folded.graph.node] == ["MatMul", "Add"]


def test_a_report_that_fails_last_says_that_the_model_stands(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nobody takes the new target for the old one."""
    replace = os.replace

    def failing(old: Any, new: Any) -> None:
        if Path(new).name == "r.json":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        replace(old, new)

    monkeypatch.setattr(os, "replace", failing)

    with pytest.raises(StorageFailed, match=r"f\.onnx' is written, but its report is not"):
        folding.fold(
            source, source.with_name("f.onnx"), report_to=source.with_name("r.json"), verify=False
        )

    assert sorted(contents(source.parent)) == ["f.onnx", "m.onnx"]


# --- undo ----------------------------------------------------------------------------------------


def three_layers() -> ModelProto:
    """Three folds, the second of which is to go wrong."""
    net = Net()
    hidden = net.input(1, 3, 12, 12)
    for name, channels, size in (("a", 4, 3), ("b", 5, 4), ("c", 6, 5)):
        weight = net.weight(channels, size, 3, 3, name=f"{name}.w")
        hidden = net.node("Conv", hidden, weight, name=f"{name}.conv")
        hidden = net.node("Relu", net.batch_norm(hidden, channels, out=name))
    net.node("Relu", hidden, out="y")
    return net.model("y")


class Sabotage:
    """Folds some affines wrongly, in a way that the checks of files do not see."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *affines: str) -> None:
        self.affines, self.tried = affines, list[set[str]]()
        attempt = trial.attempt
        passed = Check("parameters", Status.PASSED)

        def attempted(model: Any, refused: Any, **given: Any) -> Any:
            done = attempt(model, refused, **given)
            self.tried.append({name for _, name in refused})
            for name in set(affines) - self.tried[-1]:
                self.spoil(done.model.proto, name)
            return done

        monkeypatch.setattr(gate, "check_parameters", lambda *_: passed)
        monkeypatch.setattr(carrying, "attempt", attempted)
        monkeypatch.setattr(trial, "attempt", attempted)

    def spoil(self, folded: ModelProto, name: str) -> None:
        """Leave the shift out. What is stored is right, but for that nobody reads it."""
        conv = next(node for node in folded.graph.node if node.name == f"{name}.conv")
        del conv.input[2]


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The frame of a spoilt fold is as it should be."""
    monkeypatch.setattr(gate, "check_frame", lambda *_: Check("frame", Status.PASSED))


def outcomes(report: folding.Report) -> dict[str, str]:
    return {d.name: str(d.outcome) for d in report.plan.decisions}


@pytest.mark.usefixtures("unseen")
@pytest.mark.parametrize("in_memory", [False, True])
def test_a_fold_that_fails_its_site_is_kept_and_the_others_stand(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    in_memory: bool,  # noqa: FBT001
) -> None:
    """The report says so, and it is not called anything but equivalent."""
    source = three_layers()
    sabotage = Sabotage(monkeypatch, "b")

    if in_memory:
        folded, report = folding.fold_model(source)
    else:
        path = save(source, tmp_path / "m.onnx")
        report = folding.fold(path, tmp_path / "f.onnx")
        folded = read(tmp_path / "f.onnx")

    assert sabotage.tried == [set(), {"b"}]
    assert report.verification.name is VerdictName.EQUIVALENT
    assert [d.is_folded for d in report.plan.decisions] == [True, False, True]
    (decision,) = (d for d in report.plan.decisions if not d.is_folded)
    assert isinstance(decision.outcome, folding.Kept)
    assert decision.outcome.reason is folding.Reason.FAILED_ITS_RUN
    assert [node.op_type for node in folded.graph.node].count("BatchNormalization") == 1
    assert_same_function(source, folded)
    if not in_memory:
        assert list(contents(tmp_path)) == ["f.onnx", "m.onnx"]


@pytest.mark.usefixtures("unseen")
def test_folds_that_fail_are_kept_however_many_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the end nothing is left to fold, and the source is copied."""
    source = save(three_layers(), tmp_path / "m.onnx")
    Sabotage(monkeypatch, "a", "b", "c")

    report = folding.fold(source, tmp_path / "f.onnx")

    assert report.plan.counts["folded"] == 0
    assert report.verification.name is VerdictName.EQUIVALENT
    assert (tmp_path / "f.onnx").read_bytes() == source.read_bytes()


@pytest.mark.usefixtures("unseen")
def test_with_strict_what_was_undone_counts_as_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = save(three_layers(), tmp_path / "m.onnx")
    Sabotage(monkeypatch, "b")

    report = folding.fold(source, report_to=tmp_path / "r.json")

    assert report.plan.kept_for_strict == 1
    written = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    (kept,) = (d for d in written["decisions"] if d["outcome"] == "kept")
    assert (kept["name"], kept["reason"]) == ("b", "FAILED_ITS_RUN")
    assert (kept["at"], kept["text"]) == ("b", str(report.plan.decisions[1].outcome))
    assert written["verification"]["verdict"] == "equivalent"


def test_a_fold_that_fails_once_more_is_no_endless_loop(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is guilty though it was kept is not undone again."""
    checks = (Check(name, Status.PASSED) for name in ("frame", "parameters"))
    failed = Verdict((*checks, Check("sites", Status.FAILED, "it is off")), guilty=("n",))
    asked: list[Any] = []

    def verify(_: Any, __: Any, refused: Any, *___: Any) -> Verdict:
        asked.append(dict(refused))
        return failed

    monkeypatch.setattr(gate, "verify_fold", verify)

    with pytest.raises(folding.NotEquivalent, match="it is off"):
        folding.fold(source)

    assert [list(refused) for refused in asked] == [[], [(0, "n")]]
    assert list(contents(source.parent)) == ["m.onnx"]


def test_what_was_undone_stays_undone_when_another_fold_fails_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A layer that feeds others that were kept may be judged otherwise."""
    proof = tuple(Check(name, Status.PASSED) for name in ("frame", "parameters"))
    failed = Check("sites", Status.FAILED, "it is off")
    verdicts = [Verdict((*proof, failed), guilty=(name,)) for name in "ac"] + [Verdict(proof)]
    asked: list[set[str]] = []

    def verify(_: Any, __: Any, refused: Any, *___: Any) -> Verdict:
        asked.append({name for _, name in refused})
        return verdicts[len(asked) - 1]

    monkeypatch.setattr(gate, "verify_fold", verify)

    report = folding.fold(save(three_layers(), tmp_path / "m.onnx"))

    assert asked == [set(), {"a"}, {"a", "c"}]
    assert [d.is_folded for d in report.plan.decisions] == [False, True, False]


def test_a_fold_is_not_undone_for_what_the_files_say(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a number is not the one that was planned, the whole file is not what it should be."""
    checks = (
        Check("frame", Status.PASSED),
        Check("parameters", Status.FAILED, "a number is wrong"),
        Check("sites", Status.FAILED, "it is off"),
    )
    monkeypatch.setattr(gate, "verify_fold", lambda *_: Verdict(checks, guilty=("n",)))

    with pytest.raises(folding.NotEquivalent, match="a number is wrong"):
        folding.fold(source)


# --- the process that runs the models ------------------------------------------------------------


def test_a_run_that_takes_too_long_leaves_the_verdict_open_and_nothing_written(
    source: Path,
) -> None:
    before = contents(source.parent)

    with pytest.raises(folding.Unproven, match=r"took longer than 0\.001 s"):
        folding.fold(source, run_limits=RunLimits(seconds=1e-3))

    assert contents(source.parent) == before


def test_a_provider_that_is_not_there_is_the_caller_s_fault(source: Path) -> None:
    with pytest.raises(folding.BadCall, match="no provider 'NoExecutionProvider'"):
        folding.fold(source, provider="NoExecutionProvider")

    assert list(contents(source.parent)) == ["m.onnx"]


def test_a_tolerance_is_reported_as_the_user_s(source: Path) -> None:
    checks = folding.fold(source, tolerance=1e-3).verification.checks

    assert "the tolerance is the user's" in checks[-1].why


def test_no_temporary_file_of_a_model_in_memory_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    folding.fold_model(conv_net())

    assert not list(tmp_path.iterdir())


def test_no_process_is_left(source: Path) -> None:
    def children() -> set[str]:
        found = Path("/proc/self/task").glob("*/children")
        return {child for task in found for child in task.read_text().split()}

    before, own = children(), RunLimits(seconds=60)
    folding.fold(source, run_limits=own)
    with pytest.raises(folding.BadCall):
        folding.fold(source, provider="NoExecutionProvider", run_limits=own)

    assert children() <= before


@pytest.mark.parametrize("layout", list(folding.Layout))
def test_a_candidate_in_several_files_is_run_before_any_has_its_name(
    tmp_path: Path, layout: folding.Layout
) -> None:
    source = save_apart(conv_net(64), tmp_path / "m.onnx")

    report = folding.fold(source, tmp_path / "f.onnx", layout=layout)

    assert [str(check.status) for check in report.verification.checks] == ["passed"] * 4


@pytest.mark.parametrize("apart", [False, True])
def test_paths_that_are_not_utf_8_are_as_good_as_others(tmp_path: Path, *, apart: bool) -> None:
    folder = tmp_path / "ordner-\udcff"
    folder.mkdir()
    source = (save_apart if apart else save)(conv_net(64), folder / "m\udcfe.onnx")

    report = folding.fold(source, folder / "f\udcfd.onnx")

    assert [str(check.status) for check in report.verification.checks] == ["passed"] * 4
