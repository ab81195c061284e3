"""Where big tensors are kept, in the source and in the target: always the same model."""

# ruff: noqa: FBT001 - parameters of tests
from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from files import contents, conv_net, put_apart, read, refer, relu_net, run, save, save_apart
from graphs import Array, Net, distance, feed_for
from onnx import ModelProto, TensorProto, numpy_helper

import folding
from folding import Layout, writing
from folding.errors import ExternalDataPath, ModelTooLarge, StorageFailed
from folding.modelfile import open_model
from folding.protos import entries_of, tensors

LAYOUTS = list(Layout)
PASSED = ["passed"] * 4


def net() -> ModelProto:
    """Five convolutions of one input, each of a kilobyte or more, and a Constant.

    The first is folded. Its weight is that of the second, too; so are those of the next two.
    """
    made = Net()
    x = made.input(1, 3, 9, 9)
    first = made.weight(16, 3, 3, 3, name="folded")
    made.store(made.stored[first], name="like it")
    third = made.weight(16, 3, 3, 3, name="third")
    made.store(made.stored[third], name="like the third")
    made.weight(16, 3, 3, 3, name="alone")
    ways = [made.node("Conv", x, name) for name in list(made.stored)]
    ways[0] = made.batch_norm(ways[0], 16)
    fixed = numpy_helper.from_array(made.random.normal(size=(16, 7, 7)).astype("f4"), "fixed")
    ways.append(made.node("Constant", value=fixed))
    total = ways[0]
    for way in ways[1:]:
        total = made.node("Add", total, way)
    made.node("Relu", total, out="y")
    return made.model("y")


def big(model: ModelProto) -> list[TensorProto]:
    return [tensor for tensor in tensors(model) if len(tensor.raw_data) >= 1024]


def constant_of(model: ModelProto) -> TensorProto:
    return next(n.attribute[0].t for n in model.graph.node if n.op_type == "Constant")


# --- the sources ---------------------------------------------------------------------------------


def single(folder: Path) -> Path:
    return save(net(), folder / "m.onnx")


def one_file(folder: Path) -> Path:
    return save_apart(net(), folder / "m.onnx")


def many_files(folder: Path) -> Path:
    model = net()
    for tensor in model.graph.initializer:
        put_apart(tensor, folder, f"{tensor.name}.bin")
    return save(model, folder / "m.onnx")


def sub_folders(folder: Path) -> Path:
    model = net()
    for number, tensor in enumerate(model.graph.initializer):
        put_apart(tensor, folder, f"sub/{number % 3}/weights.bin")
    return save(model, folder / "m.onnx")


def dotted(folder: Path) -> Path:
    model = net()
    for number, tensor in enumerate(model.graph.initializer):
        put_apart(tensor, folder, ("./w.bin", "w.bin", "sub/./w.bin", "sub//w.bin")[number % 4])
    return save(model, folder / "m.onnx")


def offsets(folder: Path) -> Path:
    model = net()
    for tensor in model.graph.initializer:
        with (folder / "w.bin").open("ab") as out:
            out.write(b"something else")
        put_apart(tensor, folder, "w.bin")
    return save(model, folder / "m.onnx")


def shared(folder: Path) -> Path:
    """What has the same bytes has them in one place, be one of it folded or not."""
    model = net()
    places: dict[bytes, int] = {}
    for tensor in big(model):
        data = tensor.raw_data
        path = folder / "w.bin"
        known = places.get(data)
        places.setdefault(data, path.stat().st_size if path.exists() else 0)
        put_apart(tensor, folder, "w.bin", known)
    return save(model, folder / "m.onnx")


def some_apart(folder: Path) -> Path:
    model = net()
    for tensor in model.graph.initializer:
        if tensor.name in ("folded", "third"):
            put_apart(tensor, folder, "w.bin")
    return save(model, folder / "m.onnx")


def constant_apart(folder: Path) -> Path:
    model = net()
    put_apart(constant_of(model), folder, "w.bin")
    return save(model, folder / "m.onnx")


def unfoldable(folder: Path) -> Path:
    return save(relu_net(), folder / "m.onnx")


def unfoldable_apart(folder: Path) -> Path:
    return save_apart(relu_net(), folder / "m.onnx")


Source = Callable[[Path], Path]
SOURCES: list[Source] = [
    single,
    one_file,
    many_files,
    sub_folders,
    dotted,
    offsets,
    shared,
    some_apart,
    constant_apart,
    unfoldable,
    unfoldable_apart,
]


@pytest.fixture
def into(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def fold(source: Path, target: Path, layout: Layout = Layout.AS_SOURCE) -> folding.Report:
    """Without verification, which is not what is tested here."""
    return folding.fold(source, target, layout=layout, verify=False)


def loaded(path: Path) -> ModelProto:
    """A model with all its data in it, as if it had never been elsewhere."""
    model = read(path)
    for tensor in tensors(model):
        assert tensor.data_location == TensorProto.DEFAULT
        tensor.ClearField("data_location")
    return model


def apart(path: Path) -> set[str]:
    """The names of the tensors that a model keeps elsewhere."""
    stored = ModelProto.FromString(path.read_bytes())
    return {t.name for t in tensors(stored) if t.data_location == TensorProto.EXTERNAL}


def run_file(path: Path) -> list[Array]:
    """What onnxruntime computes from a file that it finds the data of by itself."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return [np.asarray(value) for value in session.run(None, feed_for(read(path)))]


# --- every source to every target ----------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("source", SOURCES)
def test_the_model_is_the_same_wherever_its_data_was_and_goes(
    into: Path, out: Path, source: Source, layout: Layout
) -> None:
    """It is what the model folds to in memory, and onnxruntime computes what it did."""
    path = source(into)
    expected, _ = folding.fold_model(loaded(path), verify=False)

    fold(path, out / "f.onnx", layout)

    assert loaded(out / "f.onnx") == expected
    for ours, theirs in zip(run_file(out / "f.onnx"), run_file(path), strict=True):
        assert distance(theirs, ours) <= 2e-5


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("source", SOURCES)
def test_the_same_fold_writes_the_same_files(
    into: Path, out: Path, source: Source, layout: Layout
) -> None:
    """Names of data files included."""
    path = source(into)
    (out / "again").mkdir()

    fold(path, out / "f.onnx", layout)
    fold(path, out / "again" / "f.onnx", layout)

    found = contents(out)
    assert contents(out / "again") == {k: v for k, v in found.items() if "again" not in k}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("source", SOURCES)
def test_folding_a_folded_model_changes_nothing(
    into: Path, out: Path, source: Source, layout: Layout
) -> None:
    """Neither of its files."""
    fold(source(into), out / "f.onnx", layout)
    before = contents(out)

    fold(out / "f.onnx", out / "g.onnx")

    assert contents(out) == before | {"g.onnx": before["f.onnx"]}


@pytest.mark.parametrize("source", SOURCES)
def test_a_single_file_is_one(into: Path, out: Path, source: Source) -> None:
    """Whatever the source is."""
    fold(source(into), out / "f.onnx", Layout.SINGLE_FILE)

    assert list(contents(out)) == ["f.onnx"]
    assert not apart(out / "f.onnx")


@pytest.mark.parametrize("source", SOURCES)
def test_with_external_data_every_big_initializer_is_in_one_other_file(
    into: Path, out: Path, source: Source
) -> None:
    """Whatever the source is; small ones and Constants stay where they are."""
    fold(source(into), out / "f.onnx", Layout.EXTERNAL_DATA)

    names = apart(out / "f.onnx")
    whole = loaded(out / "f.onnx")
    assert {t.name for t in whole.graph.initializer if len(t.raw_data) >= 1024} <= names
    assert ("fixed" in names) == (source is constant_apart or source is shared)
    assert len(contents(out)) == 2


AS_SOURCE: list[tuple[Source, set[str]]] = [
    (single, set()),
    (one_file, {"folded", "like it", "third", "like the third", "alone"}),
    (shared, {"folded", "like it", "third", "like the third", "alone", "fixed"}),
    (some_apart, {"folded", "third"}),
    (constant_apart, {"fixed"}),
]


@pytest.mark.parametrize(("source", "names"), AS_SOURCE)
def test_by_default_every_tensor_stays_where_it_was(
    into: Path, out: Path, source: Source, names: set[str]
) -> None:
    """In the model or apart from it, each for itself."""
    fold(source(into), out / "f.onnx")

    assert apart(out / "f.onnx") == names


def test_what_shares_its_bytes_goes_on_sharing_them_until_one_is_folded(
    into: Path, out: Path
) -> None:
    """Nothing is written twice, and nobody gets the numbers of another."""
    fold(shared(into), out / "f.onnx")

    stored = ModelProto.FromString((out / "f.onnx").read_bytes())
    place = {t.name: entries_of(t)["offset"] for t in tensors(stored) if t.external_data}
    assert place["third"] == place["like the third"]
    assert place["folded"] != place["like it"]
    assert len(set(place.values())) == 4 + 1


def test_what_only_begins_at_the_same_place_is_not_the_same(into: Path, out: Path) -> None:
    """One tensor may be the beginning of another, which is more than it."""
    model = net()
    alone, third = (t for t in big(model) if t.name in ("alone", "third"))
    alone.raw_data = third.raw_data[:1728]
    third.dims[0], third.raw_data = 32, third.raw_data + bytes(1728)
    put_apart(third, into, "w.bin")
    put_apart(alone, into, "w.bin", 0)
    path = save(model, into / "m.onnx")
    expected = {t.name: t.raw_data for t in big(loaded(path))}

    with open_model(path) as opened, writing.written(opened, out / "f.onnx") as target:
        target.keep()

    assert {t.name: t.raw_data for t in big(loaded(out / "f.onnx"))} == expected


def overlapping(folder: Path, count: int) -> Path:
    """A model in which so many tensors lie in one range, each a little further than the last."""
    model = conv_net(16)
    data = np.random.default_rng(1).normal(size=(1 << 16) + count).astype("f4").tobytes()
    (folder / "w.bin").write_bytes(data)
    for number in (*range(1, count, 2), *range(0, count, 2)):
        tensor = TensorProto(name=f"z{number}", data_type=TensorProto.FLOAT, dims=[1 << 16])
        refer(tensor, location="w.bin", offset=str(4 * number), length=str(4 << 16))
        model.graph.initializer.append(tensor)
    return save(model, folder / "m.onnx")


@pytest.mark.parametrize("layout", [Layout.AS_SOURCE, Layout.EXTERNAL_DATA])
def test_what_overlaps_in_the_source_overlaps_in_the_target(
    into: Path, out: Path, layout: Layout
) -> None:
    """Or a megabyte could become any number of them."""
    path = overlapping(into, 50)
    expected, _ = folding.fold_model(loaded(path), verify=False)

    fold(path, out / "f.onnx", layout)

    assert loaded(out / "f.onnx") == expected
    (data,) = out.glob("*.data")
    assert data.stat().st_size <= 1.05 * (into / "w.bin").stat().st_size


def test_a_layout_is_an_option_of_the_command(into: Path, out: Path) -> None:
    """One for each, and they exclude each other."""
    path = single(into)

    assert run("fold", path, "-o", out / "f.onnx", "--external-data").returncode == 0
    assert apart(out / "f.onnx")
    assert run("fold", out / "f.onnx", "-o", out / "g.onnx", "--single-file").returncode == 0
    assert not apart(out / "g.onnx")
    both = run("fold", path, "-o", out / "h.onnx", "--single-file", "--external-data")
    assert both.returncode == 2
    assert "exclude each other" in both.stderr
    assert not (out / "h.onnx").exists()


# --- bodies --------------------------------------------------------------------------------------


def with_body(folder: Path, *, is_apart: bool) -> Path:
    """A model in whose If a convolution is folded; its weight may be in another file."""
    inner = Net()
    hidden = inner.node("Conv", "x", inner.weight(16, 3, 3, 3, name="inner"))
    inner.batch_norm(hidden, 16, out="i")
    other = Net(seed=5)
    other.node("Conv", "x", other.weight(16, 3, 3, 3, name="other"), out="o")
    outer = Net()
    outer.input(1, 3, 9, 9)
    flag = outer.input(elem_type=TensorProto.BOOL, name="flag")
    yes, no = inner.graph("i"), other.graph("o")
    for body in (yes, no):
        kind = body.output[0].type.tensor_type
        kind.elem_type = TensorProto.FLOAT
        kind.shape.SetInParent()
        for size in (1, 16, 7, 7):
            kind.shape.dim.add(dim_value=size)
    outer.node("If", flag, out="y", then_branch=yes, else_branch=no)
    model = outer.model("y")
    for tensor in big(model) if is_apart else ():
        put_apart(tensor, folder, "w.bin")
    return save(model, folder / "m.onnx")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("is_apart", [False, True])
def test_the_data_of_bodies_is_kept_like_that_of_the_graph(
    into: Path, out: Path, is_apart: bool, layout: Layout
) -> None:
    """Folded or not; onnxruntime finds it."""
    path = with_body(into, is_apart=is_apart)
    expected, _ = folding.fold_model(loaded(path), verify=False)

    report = folding.fold(path, out / "f.onnx", layout=layout)

    assert report.plan.counts["folded"] == 1
    checks = {check.name: str(check.status) for check in report.verification.checks}
    assert checks.pop("sites") == "not_run"
    assert set(checks.values()) == {"passed"}
    assert loaded(out / "f.onnx") == expected
    is_external = is_apart if layout is Layout.AS_SOURCE else layout is Layout.EXTERNAL_DATA
    assert apart(out / "f.onnx") == ({"inner", "other"} if is_external else set())
    for ours, theirs in zip(run_file(out / "f.onnx"), run_file(path), strict=True):
        assert distance(theirs, ours) <= 2e-5


# --- many files ----------------------------------------------------------------------------------

FEW_FILES = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (110, 110))
from folding.cli import main
main()
"""


def in_many_files(folder: Path) -> Path:
    """Exporters make a file for each tensor; here are more than a process may have open."""
    made = Net()
    value = made.input(1, 2, 9, 9)
    for _ in range(60):
        value = made.batch_norm(made.node("Conv", value, made.weight(2, 2, 1, 1)), 2)
    model = made.model(made.node("Relu", value, out="y"))
    for number, tensor in enumerate(model.graph.initializer):
        put_apart(tensor, folder, f"{number}.bin")
    assert len(list(folder.iterdir())) > 200
    return save(model, folder / "m.onnx")


def test_a_model_may_be_in_more_files_than_can_be_open(into: Path, out: Path) -> None:
    """Proved and run, too."""
    path = in_many_files(into)
    before = contents(into)

    words = [sys.executable, "-c", FEW_FILES, "fold", str(path), "-o", str(out / "f.onnx")]
    found = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    assert (found.returncode, found.stderr) == (0, "")
    assert "60 of 60 folded" in found.stdout
    assert "outputs" in found.stdout
    assert contents(into) == before


def test_one_of_many_files_that_is_replaced_while_it_is_read_is_noticed(into: Path) -> None:
    """It is opened again for each read, and may be another one by then."""
    path = in_many_files(into)

    with open_model(path) as model:
        last = model.files[-1]
        data = last.path.read_bytes()
        last.path.unlink()
        last.path.write_bytes(data[::-1])
        with pytest.raises(StorageFailed, match=r"bin' was changed while it was read"):
            last.read(0, 4)


# --- two gigabytes -------------------------------------------------------------------------------


def limit(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Let protobuf read so many bytes at most."""
    monkeypatch.setattr(writing, "_PROTOBUF_LIMIT", size)


@pytest.mark.parametrize("layout", [Layout.AS_SOURCE, Layout.SINGLE_FILE])
@pytest.mark.parametrize("source", [single, some_apart])
def test_a_file_that_would_be_too_large_keeps_its_data_apart_and_says_so(
    into: Path, out: Path, monkeypatch: pytest.MonkeyPatch, source: Source, layout: Layout
) -> None:
    """Whatever was asked for."""
    path = source(into)
    expected, _ = folding.fold_model(loaded(path), verify=False)
    limit(monkeypatch, 9000)

    report = fold(path, out / "f.onnx", layout)

    assert [(w.code, w.at) for w in report.warnings] == [("EXTERNAL_DATA", "f.onnx")]
    assert loaded(out / "f.onnx") == expected
    assert (out / "f.onnx").stat().st_size <= 9000
    assert len(contents(out)) == 2


@pytest.mark.parametrize("layout", [Layout.AS_SOURCE, Layout.SINGLE_FILE])
def test_a_file_too_large_is_not_copied_either(
    into: Path, out: Path, monkeypatch: pytest.MonkeyPatch, layout: Layout
) -> None:
    """Where there is nothing to fold."""
    path = unfoldable(into)
    expected = loaded(path)
    limit(monkeypatch, 3000)

    report = fold(path, out / "f.onnx", layout)

    assert [w.code for w in report.warnings] == ["EXTERNAL_DATA"]
    assert loaded(out / "f.onnx") == expected
    assert (out / "f.onnx").stat().st_size <= 3000


def test_a_file_that_is_small_enough_stays_one(
    into: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says nothing."""
    path = single(into)
    limit(monkeypatch, path.stat().st_size + 1000)

    assert not fold(path, out / "f.onnx").warnings
    assert list(contents(out)) == ["f.onnx"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("source", [single, one_file])
def test_a_model_too_large_even_so_is_refused(
    into: Path, out: Path, monkeypatch: pytest.MonkeyPatch, source: Source, layout: Layout
) -> None:
    """Its Constant has to stay in it; nothing is left behind."""
    path = source(into)
    limit(monkeypatch, 3000)

    with pytest.raises(ModelTooLarge, match=r"'f\.onnx' would pass 2 GB"):
        fold(path, out / "f.onnx", layout)

    assert not contents(out)


def test_constants_that_were_apart_need_not_make_a_model_too_large(
    into: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file is impossible, but what the source does is not."""
    path = constant_apart(into)
    expected, _ = folding.fold_model(loaded(path), verify=False)
    limit(monkeypatch, 4000)

    report = fold(path, out / "f.onnx", Layout.SINGLE_FILE)

    assert [w.code for w in report.warnings] == ["EXTERNAL_DATA"]
    assert loaded(out / "f.onnx") == expected


# --- where models are found ----------------------------------------------------------------------


def assert_folded(source: Path, target: Path) -> None:
    """It is folded and proved, runs included, and the same as ever."""
    expected, _ = folding.fold_model(conv_net(16), verify=False)

    report = folding.fold(source, target)

    assert [str(check.status) for check in report.verification.checks] == PASSED
    assert loaded(target) == expected


def in_a_cache(root: Path, inner: str = "") -> Path:
    """A model as the Hugging Face cache keeps it: links to files that have hashes for names."""
    blobs, snapshot = root / "blobs", root / "snapshots" / "4f3a" / inner
    for folder in (blobs, snapshot):
        folder.mkdir(parents=True)
    save_apart(conv_net(16), root / "model.onnx", "model.onnx_data")
    for name, digest in (("model.onnx", "6f1d" * 10), ("model.onnx_data", "09ab" * 16)):
        (root / name).rename(blobs / digest)
        (snapshot / name).symlink_to(os.path.relpath(blobs / digest, snapshot))
    return snapshot / "model.onnx"


@pytest.mark.parametrize("inner", ["", "onnx"])
def test_a_model_in_a_hugging_face_cache_is_folded(tmp_path: Path, out: Path, inner: str) -> None:
    """Without a word about links, and the cache stays as it was."""
    source = in_a_cache(tmp_path / "cache", inner)
    before = contents(tmp_path / "cache")

    assert_folded(source, out / "f.onnx")

    assert contents(tmp_path / "cache") == before


def test_a_cache_can_hold_the_target_too(tmp_path: Path) -> None:
    """Its blobs are not touched, whatever stands beside the links to them."""
    source = in_a_cache(tmp_path)
    before = contents(tmp_path / "blobs")

    assert_folded(source, source.with_name("model.folded.onnx"))

    assert contents(tmp_path / "blobs") == before
    assert source.is_symlink()


@pytest.mark.parametrize("place", ["given", "between", "last"])
def test_data_may_be_in_every_folder_on_the_way_of_links(
    tmp_path: Path, out: Path, place: str
) -> None:
    """A link may lead to another link, and the data be beside any of them."""
    folders = {name: tmp_path / name for name in ("given", "between", "last")}
    for folder in folders.values():
        folder.mkdir()
    save_apart(conv_net(16), folders["last"] / "m.onnx", "w.bin")
    if place != "last":
        (folders["last"] / "w.bin").rename(folders[place] / "w.bin")
    (folders["between"] / "b.onnx").symlink_to("../last/m.onnx")
    (folders["given"] / "a.onnx").symlink_to(folders["between"] / "b.onnx")

    assert_folded(folders["given"] / "a.onnx", out / "f.onnx")


def test_data_that_nobody_may_look_for_is_not_missing(
    into: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder lets nobody search it."""
    source = save_apart(conv_net(16), into / "m.onnx", "sub/w.bin")
    real = Path.stat

    def stat(path: Path, **more: Any) -> os.stat_result:
        if path.parent.name == "sub":
            raise PermissionError(13, "Permission denied")
        return real(path, **more)

    monkeypatch.setattr(Path, "stat", stat)

    with pytest.raises(StorageFailed, match=r"'sub/w.bin', where tensor 'w' is kept: Permission"):
        folding.fold(source, out / "f.onnx")


def test_a_model_whose_files_are_hard_links_is_folded(tmp_path: Path, into: Path) -> None:
    """What the store has is not changed, even where the target is a link to it."""
    (tmp_path / "store").mkdir()
    source = save_apart(conv_net(16), into / "m.onnx")
    save(relu_net(), into / "f.onnx")
    for number, path in enumerate(sorted(into.iterdir())):
        os.link(path, tmp_path / "store" / f"{number}")
    before = contents(tmp_path / "store")

    assert_folded(source, into / "f.onnx")

    assert contents(tmp_path / "store") == before
    assert source.stat().st_nlink == 2


def test_a_model_in_a_triton_repository_is_folded(tmp_path: Path) -> None:
    """Its folder is called by a number, and the target may be the next version."""
    for version in ("1", "2"):
        (tmp_path / "net" / version).mkdir(parents=True)
    (tmp_path / "net" / "config.pbtxt").write_text('name: "net"')
    source = save_apart(conv_net(16), tmp_path / "net" / "1" / "model.onnx", "model.data")

    assert_folded(source, tmp_path / "net" / "2" / "model.onnx")

    assert len(contents(tmp_path / "net" / "2")) == 2


@pytest.fixture
def linked(tmp_path: Path, into: Path) -> Path:
    """A model whose data is a link to another folder."""
    (tmp_path / "elsewhere").mkdir()
    source = save_apart(conv_net(16), into / "m.onnx")
    (into / "weights.bin").rename(tmp_path / "elsewhere" / "w")
    (into / "weights.bin").symlink_to("../elsewhere/w")
    return source


def test_a_link_that_leaves_the_folder_is_refused(linked: Path, out: Path) -> None:
    """And the way to allow it is told."""
    with pytest.raises(ExternalDataPath, match="leaves the model's folder") as caught:
        folding.fold(linked, out / "f.onnx")

    assert "--follow-links" in caught.value.hint
    assert not contents(out)


def test_a_link_that_leaves_the_folder_is_followed_if_that_is_allowed(
    linked: Path, out: Path
) -> None:
    """Then the fold is proved as any other, runs included."""
    report = folding.fold(linked, out / "f.onnx", follow_links=True)

    assert [str(check.status) for check in report.verification.checks] == PASSED
    assert not any(path.is_symlink() for path in out.iterdir())
    assert loaded(out / "f.onnx") == folding.fold_model(conv_net(16), verify=False)[0]


@pytest.mark.parametrize("verb", ["fold", "explain"])
def test_links_are_followed_by_an_option_of_the_command(linked: Path, verb: str) -> None:
    """Of both commands."""
    assert run(verb, linked).returncode == 2
    assert run(verb, linked, "--follow-links").returncode == 0


@pytest.mark.parametrize("location", ["../elsewhere/w", "/etc/hostname"])
def test_following_links_allows_no_other_way_out(
    linked: Path, tmp_path: Path, location: str
) -> None:
    """A path that leaves the folder by itself is refused all the same."""
    model = conv_net(16)
    refer(model.graph.initializer[0], location=location)
    save(model, linked)

    with pytest.raises(ExternalDataPath, match="no path inside"):
        folding.explain(linked, follow_links=True)
