"""Reports as files: never in the place of a model, and all of them or none."""

from __future__ import annotations

from pathlib import Path

import pytest
from files import conv_net, save, save_apart

import folding
from folding import notes, target
from folding.modelfile import open_model
from folding.notes import check_apart_from, check_notes, write_notes


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return save_apart(conv_net(), tmp_path / "m.onnx")


@pytest.mark.parametrize("name", ["m.onnx", "weights.bin", "link", "hard"])
def test_a_report_cannot_stand_where_a_model_does(source: Path, name: str) -> None:
    folder = source.parent
    (folder / "link").symlink_to(source)
    (folder / "hard").hardlink_to(folder / "weights.bin")
    with open_model(source) as model, pytest.raises(folding.BadCall, match=name):
        check_notes([folder / name], [model])
    with pytest.raises(folding.BadCall, match="belongs to a model"):
        check_apart_from(folder / name, [folder / "other.onnx", source])


def test_a_report_cannot_stand_where_a_second_model_does(source: Path) -> None:
    other = save(conv_net(), source.with_name("n.onnx"))
    with (
        open_model(source) as one,
        open_model(other) as two,
        pytest.raises(folding.BadCall, match="belongs to a model"),
    ):
        check_notes([other], [one, two])


def test_data_beside_a_link_to_a_model_is_protected(source: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "m.onnx"
    link.symlink_to(source)

    with pytest.raises(folding.BadCall, match="belongs to a model"):
        check_apart_from(source.with_name("weights.bin"), [link])


def test_a_damaged_model_is_protected_too(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no model")

    with pytest.raises(folding.BadCall, match="belongs to a model"):
        check_apart_from(tmp_path / "m.onnx", [tmp_path / "m.onnx"])


@pytest.mark.parametrize("where", ["", "nowhere/r.json"])
def test_what_cannot_be_a_file_is_refused(source: Path, where: str) -> None:
    with open_model(source) as model, pytest.raises(folding.BadCall):
        check_notes([source.parent / where], [model])
    with pytest.raises(folding.BadCall):
        check_apart_from(source.parent / where, [source])


def test_two_reports_need_two_places(source: Path) -> None:
    place = source.with_name("r")
    with open_model(source) as model, pytest.raises(folding.BadCall, match="two reports"):
        check_notes([place, source.parent / "." / "r"], [model])


def test_free_places_and_other_files_are_accepted(source: Path) -> None:
    old = source.with_name("old.json")
    old.write_text("old")

    with open_model(source) as model:
        check_notes([old, source.with_name("new.xml")], [model])
    check_apart_from(old, [source, source.with_name("nowhere.onnx"), Path("\0"), Path("x" * 999)])


def test_all_reports_are_written(tmp_path: Path) -> None:
    write_notes([(tmp_path / "a", "one"), (tmp_path / "b", "two\N{SNOWMAN}")])

    assert {p.name: p.read_text("utf-8") for p in tmp_path.iterdir()} == {
        "a": "one",
        "b": "two\N{SNOWMAN}",
    }


def test_if_one_cannot_be_written_none_is(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")

    with pytest.raises(folding.StorageFailed):
        write_notes([(tmp_path / "a", "new"), (tmp_path / "nowhere" / "b", "new")])

    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a", "old")]


def test_the_rules_for_targets_hold_for_reports() -> None:
    assert vars(notes)["check_target"] is target.check_target
