"""A source on the disk: all its files, where its target goes by default, and where none may."""

from __future__ import annotations

from pathlib import Path

import pytest
from converting import archive, source_in, use

from folding.conversion.converting import convert
from folding.conversion.job import Kind
from folding.conversion.sources import Source, opened_source
from folding.errors import BadCall, StorageFailed


@pytest.fixture(autouse=True)
def packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every package be there."""
    monkeypatch.setattr("folding.conversion.extras.find_spec", str)


def saved_model(folder: Path) -> Path:
    path = folder / "net.v1"
    (path / "variables").mkdir(parents=True)
    (path / "saved_model.pb").write_bytes(b"\x08\x01")
    (path / "variables" / "variables.index").write_bytes(b"index")
    return path


def checkpoint(folder: Path) -> Path:
    """A checkpoint of a graph without variables."""
    node = b"\x0a\x10\x0a\x01x\x12\x0bPlaceholder"
    (folder / "m.ckpt.meta").write_bytes(b"\x0a\x02\x0a\x00\x12\x12" + node)
    for name in ("m.ckpt.index", "m.ckpt.data-00000-of-00001", "m.ckpt2.index"):
        (folder / name).write_bytes(b"x")
    return folder / "m.ckpt"


def names(source: Source) -> list[str]:
    return [file.path.name for file in source.files]


def test_a_file_is_itself(tmp_path: Path) -> None:
    found = opened_source(str(source_in(tmp_path)), trust=False)

    assert (found.kind, names(found)) == (Kind.TFLITE, ["net.tflite"])
    assert found.bytes == (tmp_path / "net.tflite").stat().st_size


def test_a_saved_model_is_all_files_below_its_folder(tmp_path: Path) -> None:
    found = opened_source(str(saved_model(tmp_path)), trust=False)

    assert names(found) == ["saved_model.pb", "variables.index"]
    assert found.default_stem == tmp_path / "net.v1"


def test_a_checkpoint_is_all_files_of_its_name(tmp_path: Path) -> None:
    found = opened_source(str(checkpoint(tmp_path)), trust=False)

    assert names(found) == ["m.ckpt.meta", "m.ckpt.data-00000-of-00001", "m.ckpt.index"]
    assert found.default_stem == tmp_path / "m.ckpt"


def test_a_target_stands_beside_it_as_the_user_named_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved_model(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert opened_source("net.v1", trust=False).default_stem == Path("net.v1")
    assert opened_source("net.v1/", trust=False).default_stem == Path("net.v1")

    monkeypatch.chdir(tmp_path / "net.v1")
    assert opened_source(".", trust=False).default_stem == tmp_path / "net.v1"


@pytest.mark.parametrize("target", ["model.onnx", "saved_model.pb", "variables/model.onnx"])
def test_nothing_is_written_into_the_folder_of_a_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    use(monkeypatch, "good")
    source = saved_model(tmp_path)

    with pytest.raises(BadCall, match="the source"):
        convert(source, source / target)
    with pytest.raises(BadCall, match="lies in the source, which is never changed"):
        convert(source, report_to=source / "report.json")


def test_no_file_of_a_checkpoint_is_a_target(tmp_path: Path) -> None:
    source = checkpoint(tmp_path)

    with pytest.raises(BadCall, match="is the source under another name"):
        convert(source, tmp_path / "m.ckpt.index")


def test_a_file_that_is_written_to_has_changed(tmp_path: Path) -> None:
    path = saved_model(tmp_path)
    found = opened_source(str(path), trust=False)
    found.check_unchanged()

    with (path / "variables" / "variables.index").open("ab") as file:
        file.write(b"more")

    with pytest.raises(StorageFailed, match="changed"):
        found.check_unchanged()


def test_a_folder_in_it_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved_model(tmp_path)

    def closed(place: str) -> None:
        raise PermissionError(13, "Permission denied", str(place))

    monkeypatch.setattr("os.scandir", closed)

    with pytest.raises(StorageFailed, match=r"cannot read '.*net\.v1': Permission denied"):
        opened_source(str(path), trust=False)


def test_trust_lets_programs_in(tmp_path: Path) -> None:
    path = archive(tmp_path / "m.pt2", "m/models/model.json")

    with pytest.raises(BadCall, match="a PyTorch exported program, and reading one runs code"):
        opened_source(str(path), trust=False)
    assert opened_source(str(path), trust=True).kind is Kind.EXPORTED_PROGRAM


@pytest.mark.parametrize("linked", ["variables/variables.index", "variables", "saved_model.pb"])
def test_a_link_out_of_a_saved_model_needs_trust(tmp_path: Path, linked: str) -> None:
    """Of a file or a folder; one that stays within is none, nor is one beside the graph itself."""
    path = saved_model(tmp_path)
    (path / "assets").mkdir()
    (path / "assets" / "again").symlink_to(path / "saved_model.pb")
    opened_source(str(path), trust=False)
    (tmp_path / "elsewhere").mkdir()
    moved = (path / linked).rename(tmp_path / "elsewhere" / Path(linked).name)
    (path / linked).symlink_to(moved)

    opened_source(str(path), trust=True)
    if linked == "saved_model.pb":
        opened_source(str(path), trust=False)
        return
    with pytest.raises(BadCall, match=f"{linked}' is a link that leaves the folder"):
        opened_source(str(path), trust=False)


def test_a_saved_model_as_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pbtxt").write_text("saved_model_schema_version: 1")

    with pytest.raises(BadCall, match="is a SavedModel as text"):
        opened_source(str(tmp_path), trust=False)
