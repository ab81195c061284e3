"""The files a fold leaves: the old pair or the new pair, whatever happens to the run."""

# ruff: noqa: S607 - unshare is the system's
from __future__ import annotations

import contextlib
import fcntl
import filecmp
import functools
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from files import command, contents, conv_net, read, save, save_apart
from onnx import ModelProto, numpy_helper

import folding
from folding import Layout, superseded, waiting
from folding.errors import BadCall, StorageFailed
from folding.locations import locations
from folding.modelfile import open_model
from folding.protos import entries_of, tensors
from folding.target import check_target

APART, SINGLE = Layout.EXTERNAL_DATA, Layout.SINGLE_FILE
KEY = "0123456789ab"


def fold(source: Path, target: Path, layout: Layout = APART) -> folding.Report:
    """Without verification, which is not what is tested here."""
    return folding.fold(source, target, layout=layout, verify=False)


@functools.cache
def nets() -> tuple[ModelProto, ModelProto]:
    """Two models that differ in their numbers."""
    return conv_net(16, seed=1), conv_net(16, seed=2)


@pytest.fixture
def one(tmp_path: Path) -> Path:
    return save(nets()[0], tmp_path / "one.onnx")


@pytest.fixture
def two(tmp_path: Path) -> Path:
    return save(nets()[1], tmp_path / "two.onnx")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def data_of(path: Path) -> str:
    """The one file in which a model keeps its data."""
    stored = ModelProto.FromString(path.read_bytes())
    (name,) = {entries_of(t)["location"] for t in tensors(stored) if t.external_data}
    return name


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


# --- data that nobody needs any more -------------------------------------------------------------


@pytest.mark.parametrize("layout", [APART, SINGLE])
@pytest.mark.parametrize("name", ["f.onnx", "f", "f.model"])
def test_the_data_of_the_old_model_goes_with_it(
    one: Path, two: Path, out: Path, name: str, layout: Layout
) -> None:
    """Once the new one stands, whatever it is called and wherever its own data is."""
    fold(one, out / name)
    old = data_of(out / name)

    fold(two, out / name, layout)

    assert old not in contents(out)
    assert len(contents(out)) == (2 if layout is APART else 1)
    expected = folding.fold_model(nets()[1], verify=False)[0]
    assert loaded(out / name) == expected


def loaded(path: Path) -> ModelProto:
    """A model with all its data in it, as if it had never been elsewhere."""
    model = read(path)
    for tensor in tensors(model):
        tensor.ClearField("data_location")
    return model


@pytest.mark.parametrize("name", ["f.onnx", "f", "f.onnx.bak"])
def test_the_same_fold_again_keeps_its_data(one: Path, out: Path, name: str) -> None:
    """It is the old model's data and the new one's."""
    fold(one, out / name)
    before = contents(out)

    fold(one, out / name)

    assert contents(out) == before


@pytest.mark.parametrize("name", ["other.onnx", "other", "other.ONNX", "other.onnx.bak"])
def test_data_that_a_neighbour_needs_stays(one: Path, two: Path, out: Path, name: str) -> None:
    """Whatever the neighbour is called."""
    fold(one, out / "f.onnx")
    fold(one, out / name)
    data = data_of(out / "f.onnx")

    fold(two, out / "f.onnx")

    assert data in contents(out)
    assert data_of(out / name) == data


def test_data_that_a_link_to_a_neighbour_needs_stays(
    tmp_path: Path, one: Path, two: Path, out: Path
) -> None:
    """The model may be in another folder and only linked here."""
    fold(one, out / "f.onnx")
    data = data_of(out / "f.onnx")
    shutil.copy(out / "f.onnx", tmp_path / "elsewhere")
    (out / "link.onnx").symlink_to("../elsewhere")

    fold(two, out / "f.onnx")

    assert data in contents(out)


def test_beside_a_model_that_cannot_be_read_no_data_is_removed(
    one: Path, two: Path, out: Path
) -> None:
    """It may need it."""
    fold(one, out / "f.onnx")
    data = data_of(out / "f.onnx")
    (out / "broken.onnx").write_bytes((out / "f.onnx").read_bytes()[:-1])

    fold(two, out / "f.onnx")

    assert data in contents(out)


def test_files_that_are_no_models_keep_no_data(one: Path, two: Path, out: Path) -> None:
    """Not even pipes, which nobody may open, and folders called like models."""
    fold(one, out / "f.onnx")
    data = data_of(out / "f.onnx")
    (out / "README.md").write_text(f"The weights are in {data}.\n")
    (out / "empty").touch()
    os.mkfifo(out / "pipe.onnx")
    (out / "folder.onnx").mkdir()
    (out / "nowhere.onnx").symlink_to("nothing")

    fold(two, out / "f.onnx")

    assert not (out / data).exists()


def test_the_source_s_own_data_stays(tmp_path: Path, one: Path, two: Path) -> None:
    """Even where it is the old target's, too, and under another name in another folder."""
    fold(one, tmp_path / "f.onnx")
    data = data_of(tmp_path / "f.onnx")
    (tmp_path / "in").mkdir()
    os.link(tmp_path / data, tmp_path / "in" / data)
    source = Path(shutil.copy(tmp_path / "f.onnx", tmp_path / "in" / "m.onnx"))

    fold(source, tmp_path / "f.onnx", SINGLE)

    assert (tmp_path / data).samefile(tmp_path / "in" / data)


def test_data_that_is_not_named_by_us_stays(two: Path, out: Path) -> None:
    """It was there before us, whoever's it is."""
    save_apart(conv_net(16), out / "f.onnx", "mine.data")
    (out / f"weights-{KEY}0123.data").touch()

    fold(two, out / "f.onnx")

    assert {"mine.data", f"weights-{KEY}0123.data"} < contents(out).keys()


def test_the_source_s_data_is_never_replaced(tmp_path: Path) -> None:
    """Not even where somebody gave it the very name that the target's data needs."""
    fold(save_apart(conv_net(16), tmp_path / "m.onnx", "w.bin"), tmp_path / "f.onnx")
    name = data_of(tmp_path / "f.onnx")
    for path in tmp_path.iterdir():
        path.unlink()
    source = save_apart(conv_net(16), tmp_path / "m.onnx", name)
    before = contents(tmp_path)

    with pytest.raises(StorageFailed, match=f"something else has the name.*'{name}'"):
        fold(source, tmp_path / "f.onnx")

    assert contents(tmp_path) == before


def test_other_data_under_the_name_of_the_data_is_never_replaced(one: Path, out: Path) -> None:
    """It may be another model's."""
    fold(one, out / "f.onnx")
    name = data_of(out / "f.onnx")
    (out / name).write_bytes(b"other")
    before = contents(out)

    with pytest.raises(StorageFailed, match=f"something else has the name.*{name}"):
        fold(one, out / "f.onnx")

    assert contents(out) == before


OWN = f"weights-{KEY}0123.data"


@pytest.mark.parametrize("name", [OWN, OWN.upper()])
def test_a_target_cannot_have_a_name_for_data(one: Path, out: Path, name: str) -> None:
    """Its own data could need it; nor can the report."""
    for target, note in ((name, "r.json"), ("f.onnx", name)):
        with pytest.raises(BadCall, match="a name for external data"):
            folding.fold(one, out / target, report_to=out / note)

    assert not contents(out)


@pytest.mark.parametrize("name", ["f.onnx", "r.json"])
def test_the_inputs_are_not_replaced(one: Path, out: Path, name: str) -> None:
    """Neither by the target nor by the report."""
    with (out / name).open("wb") as file:
        np.savez(file, x=np.zeros((1, 3, 5, 5), "f4"))
    os.link(out / name, out / "i.npz")
    before = contents(out)

    for inputs in (out / name, out / "i.npz"):
        with pytest.raises(BadCall, match=f"{name}' is the file of the inputs too"):
            folding.fold(one, out / "f.onnx", inputs=inputs, report_to=out / "r.json")

    assert contents(out) == before


def test_a_file_is_closed_before_it_is_removed(
    one: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows refuses it otherwise."""
    fold(one, out / "f.onnx")
    unlink, removed = os.unlink, []

    def checked(path: Any, **more: Any) -> None:
        found = Path(path).stat()
        for link in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):
                assert not os.path.samestat(link.stat(), found)
        removed.append(path)
        unlink(path, **more)

    monkeypatch.setattr(os, "unlink", checked)

    fold(one, out / "f.onnx")

    assert removed


# --- what dead runs left -------------------------------------------------------------------------


HOLD = """
import sys
from pathlib import Path
from folding.waiting import Waiting
file = Waiting(Path(sys.argv[1]))
print(file.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def held(out: Path) -> Iterator[subprocess.Popen[str]]:
    """A run to f.onnx that is still alive."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, out / "f.onnx"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        yield running
        running.kill()


def test_what_a_dead_run_left_goes_and_what_a_live_one_has_stays(
    one: Path, out: Path, held: subprocess.Popen[str]
) -> None:
    """The next run to the same target sees to it."""
    assert held.stdout is not None
    path = Path(held.stdout.readline().strip())
    assert path.parent == out

    fold(one, out / "f.onnx", SINGLE)
    assert sorted(contents(out)) == [path.name, "f.onnx"]

    held.kill()
    held.wait()
    fold(one, out / "f.onnx", SINGLE)
    assert sorted(contents(out)) == ["f.onnx"]


OTHERS = [
    f".g.onnx.{KEY}.part",
    f"f.onnx.{KEY}.part",
    f".f.onnx.{KEY}.data",
    ".f.onnx.part",
    ".f.onnx.download.part",
    f".f.onnx.{KEY}0.part",
    f".f.onnx.{KEY}.part.bak",
]


@pytest.mark.parametrize("name", OTHERS)
def test_nothing_else_is_removed(one: Path, out: Path, name: str) -> None:
    """Only names that a run to this target gives."""
    (out / name).write_bytes(b"mine")

    fold(one, out / "f.onnx", SINGLE)

    assert contents(out)[name] == b"mine"


@pytest.mark.parametrize("name", ["[f].onnx", "f*.onnx", "f?.onnx"])
def test_a_name_that_is_a_pattern_is_only_a_name(one: Path, out: Path, name: str) -> None:
    """It matches itself and nothing else."""
    ours, other = f".{name}.{KEY}.part", f".f.onnx.{KEY}.part"
    for path in (ours, other):
        (out / path).touch()

    fold(one, out / name, SINGLE)

    assert sorted(contents(out)) == sorted([other, name])


LEFT = f".f.onnx.{KEY}.part"


def test_what_a_run_reads_may_be_called_like_that(one: Path, two: Path, out: Path) -> None:
    """The source, its data and the inputs, be it like what the target or the report leaves."""
    note, x = out / "r.json", np.zeros((1, 3, 5, 5), "f4")
    source = out / f".r.json.{KEY}.part"
    save_apart(conv_net(16), source, LEFT)
    with (out / f".f.onnx.{KEY[::-1]}.part").open("wb") as file:
        np.savez(file, x=x)
    before = contents(out)

    folding.fold(source, out / "f.onnx", inputs=out / f".f.onnx.{KEY[::-1]}.part", report_to=note)

    assert before.items() < contents(out).items()


def test_a_pipe_among_them_is_not_waited_for(one: Path, out: Path) -> None:
    """Nor is a folder or a link touched, and what stands behind them goes all the same."""
    os.mkfifo(out / f".f.onnx.{'0' * 12}.part")
    (out / f".f.onnx.{'1' * 12}.part").mkdir()
    (out / f".f.onnx.{'2' * 12}.part").symlink_to(one)
    (out / f".f.onnx.{'3' * 12}.part").touch()

    fold(one, out / "f.onnx", SINGLE)

    assert sorted(name[8] for name in leftovers(out)) == ["0", "1", "2"]


def test_one_that_cannot_be_removed_does_not_save_the_others(
    one: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be another user's."""
    names = [f".f.onnx.{digit * 12}.part" for digit in "0123456789"]
    for name in names:
        (out / name).touch()
    unlink = os.unlink

    def refusing(path: Any, **more: Any) -> None:
        if Path(path).name == names[5]:
            raise PermissionError(1, "Operation not permitted")
        unlink(path, **more)

    monkeypatch.setattr(os, "unlink", refusing)

    fold(one, out / "f.onnx", SINGLE)

    assert sorted(contents(out)) == [names[5], "f.onnx"]


@pytest.mark.parametrize("length", [250, 200, 60])
@pytest.mark.parametrize("character", ["x", "ü", "権"])
def test_a_target_may_have_the_longest_name_there_is(
    one: Path, out: Path, character: str, length: int
) -> None:
    """Those of the files that wait for it are no longer."""
    name = character * (length // len(character.encode())) + ".onnx"
    (out / f".{name[:50]}.{KEY}.part").touch()

    fold(one, out / name, SINGLE)

    assert sorted(contents(out)) == [name]


# --- the folder and the mode ---------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o600, 0o444, 0o755])
@pytest.mark.parametrize("layout", [APART, SINGLE])
def test_the_mode_of_the_old_target_is_that_of_the_new(
    one: Path, out: Path, layout: Layout, mode: int
) -> None:
    """And of its data."""
    (out / "f.onnx").touch()
    (out / "f.onnx").chmod(mode)

    fold(one, out / "f.onnx", layout)

    assert {path.stat().st_mode & 0o777 for path in out.iterdir()} == {mode}


@pytest.fixture
def locked(out: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Somebody holds the folder, and nobody waits for it for long."""
    monkeypatch.setattr("folding.target.PATIENCE", 0.1)
    held = os.open(out, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    yield
    os.close(held)


@pytest.mark.usefixtures("locked")
def test_a_folder_that_somebody_holds_for_good_is_not_waited_for_for_ever(
    one: Path, out: Path
) -> None:
    """``flock FOLDER fold-model fold ...`` does."""
    fold(one, out / "f.onnx", SINGLE)

    assert list(contents(out)) == ["f.onnx"]


def test_without_the_lock_no_data_is_removed(
    one: Path, two: Path, out: Path, request: pytest.FixtureRequest
) -> None:
    """Whoever has it may be about to name it."""
    fold(one, out / "f.onnx")
    data = data_of(out / "f.onnx")
    request.getfixturevalue("locked")

    fold(two, out / "f.onnx", SINGLE)

    assert sorted(contents(out)) == ["f.onnx", data]


@pytest.mark.parametrize("is_there", [True, False])
def test_without_the_lock_no_model_is_kept_that_has_its_data_apart(
    one: Path, out: Path, request: pytest.FixtureRequest, *, is_there: bool
) -> None:
    """Whoever has it may be about to remove that data, the same for both."""
    if is_there:
        fold(one, out / "f.onnx")
    before = contents(out)
    request.getfixturevalue("locked")

    with pytest.raises(StorageFailed, match="another program has locked its folder"):
        fold(one, out / "f.onnx")

    assert contents(out) == before


def test_what_takes_long_is_done_before_the_folder_is_locked(
    one: Path, two: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Big data is compared and neighbours are read while other runs may rename."""
    for name in ("f.onnx", "g.onnx"):
        fold(one, out / name)
    fold(two, out / "h.onnx")
    calls: list[str] = []

    def free(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            folder = os.open(out, os.O_RDONLY)
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(folder)
            calls.append(name)
            return real(*arguments)

        return call

    monkeypatch.setattr(superseded, "locations", free("read", locations))
    monkeypatch.setattr(filecmp, "_do_cmp", free("compare", getattr(filecmp, "_do_cmp")))  # noqa: B009

    fold(two, out / "f.onnx")
    fold(two, out / "g.onnx")

    assert {*calls} == {"read", "compare"}
    assert sorted(contents(out)) == ["f.onnx", "g.onnx", "h.onnx", data_of(out / "h.onnx")]


def test_data_that_goes_before_the_folder_is_locked_is_written_again(
    one: Path, two: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run to the same target may just have been keeping another model."""
    fold(one, out / "f.onnx")
    before = contents(out)
    compare = filecmp.cmp

    def late(*arguments: Any, **more: Any) -> bool:
        monkeypatch.undo()
        fold(two, out / "f.onnx")
        return compare(*arguments, **more)

    monkeypatch.setattr(filecmp, "cmp", late)

    fold(one, out / "f.onnx")

    assert contents(out) == before


@pytest.mark.parametrize("old", [None, SINGLE, APART])
@pytest.mark.parametrize("layout", [SINGLE, APART])
def test_only_a_run_with_data_to_write_or_remove_waits_for_long(
    one: Path,
    two: Path,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    layout: Layout,
    old: Layout | None,
) -> None:
    """The others need no lock, and a report never asks for one."""
    if old is not None:
        fold(two, out / "f.onnx", old)
    lock = waiting.lock
    waits: list[float] = []

    def watched(descriptor: int, seconds: float = 0.0) -> Any:
        waits.append(seconds)
        return lock(descriptor, seconds)

    monkeypatch.setattr(waiting, "lock", watched)

    folding.fold(one, out / "f.onnx", layout=layout, verify=False, report_to=out / "report.json")
    folding.explain(one)

    has_data = APART in (layout, old)
    assert [s for s in waits if s] == [waiting.PATIENCE if has_data else waiting.A_MOMENT]
    assert waiting.PATIENCE > 10 * waiting.A_MOMENT


def test_runs_wait_for_each_other_before_they_rename(one: Path, out: Path) -> None:
    """What another does to the folder takes a moment only."""
    held = os.open(out, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with subprocess.Popen(command("fold", one, "-o", out / "f.onnx", "--no-verify")) as running:
        while not leftovers(out):
            time.sleep(0.01)
        time.sleep(0.2)
        assert not (out / "f.onnx").exists()
        os.close(held)

    assert running.returncode == 0
    assert list(contents(out)) == ["f.onnx"]


def test_a_link_to_an_open_file_is_no_target(one: Path, out: Path) -> None:
    """As /dev/stdout is one: root would put the model in its place."""
    with (out / "file").open("wb") as file, open_model(one) as model:
        (out / "stdout").symlink_to(f"/proc/self/fd/{file.fileno()}")

        with pytest.raises(BadCall, match="no regular file"):
            check_target(out / "stdout", model)


# --- runs that die -------------------------------------------------------------------------------

#: Does what lines on its standard input tell it, each in processes of its own that are started at
#: once, and answers with their exit codes. Loading the library once for all saves a minute.
WORKSHOP = """
import json, os, random, signal, sys, time
from pathlib import Path
import folding, folding.digests, folding.pipeline, onnx.shape_inference
from folding import Layout

CALLS = ("open", "pwrite", "copy_file_range", "fsync", "replace", "unlink", "chmod", "close")

def before_each(action):
    def wrap(name):
        real = getattr(os, name)
        def call(*arguments, **named):
            action()
            return real(*arguments, **named)
        setattr(os, name, call)
    for name in CALLS:
        wrap(name)

def dying(left):
    def count():
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return count

def work(job):
    draw = random.Random(job.get("jitter"))
    if "jitter" in job:
        before_each(lambda: draw.random() < 0.5 and time.sleep(draw.random() / 200))
    if "calls" in job:
        before_each(dying(job["calls"]))
    folding.fold(job["source"], job["target"], layout=Layout(job["layout"]), verify=False)

def begin(job):
    pid = os.fork()
    if not pid:
        code = 1
        try:
            work(job)
            code = 0
        except BaseException as error:
            print(repr(error), file=sys.stderr)
        finally:
            os._exit(code)
    return pid

for line in sys.stdin:
    jobs = json.loads(line)
    began = [begin(job) for job in jobs]
    for job, pid in zip(jobs, began):
        if "seconds" in job:
            time.sleep(job["seconds"])
            os.kill(pid, signal.SIGKILL)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in began]
    print(json.dumps(codes), flush=True)
"""

Work = Callable[..., list[int]]


@pytest.fixture(scope="module")
def work() -> Iterator[Work]:
    """Folds in processes of their own: each job is a source, a target, a layout and its fate."""
    with subprocess.Popen(
        [sys.executable, "-c", WORKSHOP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as shop:
        assert shop.stdin is not None
        assert shop.stdout is not None

        def ask(*jobs: dict[str, Any]) -> list[int]:
            print(json.dumps(jobs, default=str), file=shop.stdin, flush=True)
            assert shop.stdout is not None
            return list(json.loads(shop.stdout.readline()))

        yield ask
        shop.stdin.close()


def job(source: Path, target: Path, layout: Layout, **fate: float) -> dict[str, Any]:
    return {"source": source, "target": target, "layout": layout, **fate}


class Fates:
    """A target that is one model's until a run makes it another's, or dies of it."""

    def __init__(self, folder: Path, one: Path, two: Path, layouts: Sequence[Layout]) -> None:
        self.target = folder / "out" / "f.onnx"
        self.source, self.layout = two, layouts[1]
        self.old, self.new = folder / "old", folder / "new"
        for place, source, layout in zip((self.old, self.new), (one, two), layouts, strict=True):
            place.mkdir()
            fold(source, place / "f.onnx", layout)
        self.models = [loaded(place / "f.onnx") for place in (self.old, self.new)]

    def begin(self) -> None:
        """Let the old pair stand, and nothing else."""
        shutil.rmtree(self.target.parent)
        shutil.copytree(self.old, self.target.parent)

    def job(self, **fate: float) -> dict[str, Any]:
        return job(self.source, self.target, self.layout, **fate)

    def assert_whole(self) -> bool:
        """The old pair or the new pair is there, and runs; whether it is the new one."""
        found = loaded(self.target)
        assert found in self.models
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        onnxruntime.InferenceSession(self.target, options, providers=["CPUExecutionProvider"])
        return found == self.models[1]

    def assert_clean(self, work: Work) -> None:
        """The next run leaves the new pair, and beside it at most the old one's data.

        That is what a run leaves which dies between the last two things it does: the target is the
        new model, and nobody knows any more what the old one was.
        """
        assert work(self.job()) == [0]
        assert self.assert_whole()
        found, new, old = (contents(f) for f in (self.target.parent, self.new, self.old))
        assert new.items() <= found.items() <= (old | new).items()


LAYOUTS = [(APART, APART), (APART, SINGLE), (SINGLE, APART), (SINGLE, SINGLE)]


@pytest.mark.parametrize("layouts", LAYOUTS)
def test_a_run_that_dies_at_any_call_leaves_the_old_pair_or_the_new(
    tmp_path: Path, out: Path, one: Path, two: Path, layouts: tuple[Layout, Layout], work: Work
) -> None:
    """Before each system call that changes something, one after the other."""
    fates = Fates(tmp_path, one, two, layouts)
    kept: list[bool] = []
    for calls in range(1000):
        fates.begin()
        if work(fates.job(calls=calls)) == [0]:
            break
        kept.append(fates.assert_whole())
        if calls % 5 == 0 or kept[-1]:
            fates.assert_clean(work)

    assert len(kept) > 10
    assert kept == sorted(kept)
    assert contents(out) == contents(fates.new)


def larger(seed: int) -> ModelProto:
    """Four megabytes that are only copied, and some that are folded."""
    model = conv_net(2000, seed=seed)
    unread = np.random.default_rng(seed).normal(size=1 << 20).astype("f4")
    model.graph.initializer.append(numpy_helper.from_array(unread, "unread"))
    return model


@pytest.mark.parametrize("layout", [APART, SINGLE])
def test_a_run_that_dies_at_any_moment_leaves_the_old_pair_or_the_new(
    tmp_path: Path, out: Path, layout: Layout, work: Work
) -> None:
    """Also in the middle of a system call, of a model that takes a while."""
    one, two = (save(larger(seed), tmp_path / f"{seed}.onnx") for seed in (1, 2))
    fates = Fates(tmp_path, one, two, (layout, layout))
    fates.begin()
    start = time.perf_counter()
    work(fates.job())
    takes, draw = time.perf_counter() - start, random.Random(3)  # noqa: S311 - no secret

    for _ in range(15):
        fates.begin()
        work(fates.job(seconds=draw.random() * takes))
        fates.assert_whole()
    fates.assert_clean(work)


# --- rivals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("layouts", LAYOUTS)
def test_two_runs_at_once_leave_the_pair_of_one_of_them(
    out: Path, one: Path, two: Path, layouts: tuple[Layout, Layout], work: Work
) -> None:
    """Twenty times, each pausing at other moments; nothing else is left."""
    target = out / "f.onnx"
    expected = [folding.fold_model(net, verify=False)[0] for net in nets()]
    for number in range(20):
        jobs = [
            job(source, target, layout, jitter=number * 2 + place)
            for place, (source, layout) in enumerate(zip((one, two), layouts, strict=True))
        ]
        assert work(*jobs) == [0, 0]
        names = {data_of(target)} if layouts[expected.index(loaded(target))] is APART else set()
        assert set(contents(out)) == names | {"f.onnx"}


@pytest.mark.parametrize("layout", [APART, SINGLE])
def test_four_runs_of_one_fold_leave_its_pair(
    tmp_path: Path, out: Path, one: Path, layout: Layout, work: Work
) -> None:
    """They share the name of the data, too."""
    (tmp_path / "alone").mkdir()
    fold(one, tmp_path / "alone" / "f.onnx", layout)
    for number in range(6):
        jobs = [job(one, out / "f.onnx", layout, jitter=number * 4 + i) for i in range(4)]
        assert work(*jobs) == [0] * 4
        assert contents(out) == contents(tmp_path / "alone")
        if number % 2:
            (out / "f.onnx").unlink()


# --- disks that are full -------------------------------------------------------------------------


IN_SMALL_PLACE = """
import json, os, subprocess, sys
place, words = sys.argv[1], json.loads(sys.argv[2])
with open(place + "/f.onnx", "w") as out:
    out.write("old")
found = subprocess.run(words, capture_output=True, text=True)
names = {name: os.path.getsize(os.path.join(place, name)) for name in os.listdir(place)}
print(json.dumps([found.returncode, found.stderr, names]))
"""


def in_a_small_place(place: Path, size: int, *words: str | Path) -> tuple[int, str, dict[str, int]]:
    """Run the command with a file system of so many bytes at a place: code, errors, what is there.

    It is mounted for this command alone.
    """
    code = ["sh", "-c", 'mount -t tmpfs -o size=$0 tmpfs "$1" && shift && exec "$@"']
    inside = [sys.executable, "-c", IN_SMALL_PLACE, str(place), json.dumps(command(*words))]
    found = subprocess.run(
        ["unshare", "--mount", *code, str(size), str(place), *inside],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if found.returncode:
        pytest.skip(f"no small file system can be mounted here: {found.stderr.strip()}")
    returned, said, names = json.loads(found.stdout)
    return returned, said, names


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A model of half a megabyte, one tensor of which is not folded."""
    model = conv_net(16)
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1 << 17, "f4"), "unread"))
    return save(model, tmp_path / "wide.onnx")


@pytest.mark.parametrize("option", ["--external-data", "--single-file"])
@pytest.mark.parametrize("size", [16 << 10, 256 << 10])
def test_a_full_disk_leaves_the_old_target(wide: Path, out: Path, option: str, size: int) -> None:
    """One sentence says which, and nothing half-made is on it."""
    words = ("fold", wide, "-o", out / "f.onnx", option, "--no-verify")

    code, said, names = in_a_small_place(out, size, *words)

    assert code == 2
    assert said.count("\n") == 1
    assert f"cannot write '{out / 'f.onnx'}': No space left on device" in said
    assert names == {"f.onnx": 3}


@pytest.mark.parametrize("option", ["--external-data", "--single-file"])
def test_a_disk_with_room_enough_takes_it(wide: Path, out: Path, option: str) -> None:
    """It is another file system than the source's, on which the kernel may not copy."""
    words = ("fold", wide, "-o", out / "f.onnx", option)

    code, _, names = in_a_small_place(out, 2 << 20, *words)

    assert code == 0
    assert len(names) == (1 if option == "--single-file" else 2)
    assert sum(names.values()) > 1 << 19


def test_a_file_that_is_in_the_way_of_a_folder_is_told(one: Path, out: Path) -> None:
    """The data's name may be taken by a folder; the old target stays."""
    fold(one, out / "g.onnx")
    name = data_of(out / "g.onnx")
    for path in out.iterdir():
        path.unlink()
    (out / name).mkdir()
    (out / "f.onnx").write_bytes(b"old")

    with pytest.raises(StorageFailed, match="cannot write"):
        fold(one, out / "f.onnx")

    assert contents(out) == {"f.onnx": b"old"}


def test_what_is_no_layout_is_refused(one: Path, out: Path) -> None:
    """It would be taken for that of the source."""
    with pytest.raises(BadCall, match="'x' is no layout"):
        folding.fold(one, out / "f.onnx", layout="x")  # type: ignore[arg-type]

    assert contents(out) == {}
