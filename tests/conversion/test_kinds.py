"""What a source is, told by its content; and that parts, damage and others are refused by name."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path

import pytest
from converting import archive
from files import conv_net, save

from folding.conversion import kinds
from folding.conversion.job import Kind
from folding.conversion.kinds import kind_of
from folding.errors import BadCall, BadModel, FoldError, StorageFailed
from folding.framing import delimited

HDF5 = b"\x89HDF\r\n\x1a\n"
KERAS = ("config.json", "metadata.json", "model.weights.h5")
NODE = delimited(1, delimited(1, b"x") + delimited(2, b"Placeholder"))
VARIABLE = delimited(1, delimited(1, b"w") + delimited(2, b"VariableV2"))
SAVED_MODEL = b"\x08\x01" + delimited(2, b"VarHandleOp")


def meta_graph(node: bytes = NODE) -> bytes:
    information = delimited(2, delimited(1, b"ops")) + delimited(4, b"train")
    return delimited(1, information) + delimited(2, node) + delimited(3, b"saver")


def file(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_keras_file_is_an_archive_of_three_parts(tmp_path: Path) -> None:
    """Its name does not matter."""
    path = archive(tmp_path / "model.zip", *KERAS)

    assert kind_of(path) == (Kind.KERAS, path)


@pytest.mark.parametrize("missing", KERAS)
def test_half_a_keras_file_says_which_half_is_missing(tmp_path: Path, missing: str) -> None:
    path = archive(tmp_path / "half.keras", *(part for part in KERAS if part != missing))

    with pytest.raises(BadModel, match=f"half a Keras file: it has no {missing}"):
        kind_of(path)


def test_an_hdf5_file_with_layers_is_keras(tmp_path: Path) -> None:
    path = file(tmp_path, "m.h5", HDF5 + b"\0" * 100 + b"model_config\0")

    assert kind_of(path)[0] is Kind.KERAS_H5


def test_an_hdf5_file_of_weights_alone_is_refused(tmp_path: Path) -> None:
    path = file(tmp_path, "m.weights.h5", HDF5 + b"\0" * 100)

    with pytest.raises(BadModel, match="holds weights, but not the layers"):
        kind_of(path)


@pytest.mark.parametrize("name", ["m/models/model.json", "serialized_exported_program.json"])
def test_an_exported_program_is_known_in_either_format(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / "m.pt2", name, "m/data/weights/weight_0")

    assert kind_of(path)[0] is Kind.EXPORTED_PROGRAM


def test_torchscript_is_an_archive_with_constants(tmp_path: Path) -> None:
    path = archive(tmp_path / "m.pt", "m/data.pkl", "m/code/__torch__.py", "m/constants.pkl")

    assert kind_of(path)[0] is Kind.TORCHSCRIPT


def test_a_state_dict_is_refused_with_what_to_save_instead(tmp_path: Path) -> None:
    """In the format of today, and in the old one."""
    new = archive(tmp_path / "m.pt", "m/data.pkl", "m/data/0")
    old = file(tmp_path, "old.pt", pickle.dumps({"weight": 1}))

    for path in (new, old):
        with pytest.raises(BadCall, match="is a pickle") as caught:
            kind_of(path)
        assert "torch.export" in caught.value.hint
        assert "folding.convert." in caught.value.hint


def test_a_tflite_file_has_its_mark_after_four_bytes(tmp_path: Path) -> None:
    assert kind_of(file(tmp_path, "m.bin", b"\x1c\0\0\0TFL3"))[0] is Kind.TFLITE


def test_a_frozen_graph_begins_with_a_node(tmp_path: Path) -> None:
    graph = NODE * 3 + delimited(4, b"\x08\x01")

    assert kind_of(file(tmp_path, "m.pb", graph))[0] is Kind.FROZEN_GRAPH


def test_a_meta_graph_holds_one_graph(tmp_path: Path) -> None:
    assert kind_of(file(tmp_path, "m.meta", meta_graph()))[0] is Kind.META_GRAPH


def test_a_checkpoint_can_be_named_by_its_prefix(tmp_path: Path) -> None:
    meta = file(tmp_path, "m.ckpt-7.meta", meta_graph(VARIABLE))
    file(tmp_path, "m.ckpt-7.index", b"i")
    file(tmp_path, "m.ckpt-7.data-00000-of-00001", b"d")

    assert kind_of(tmp_path / "m.ckpt-7") == (Kind.META_GRAPH, meta)
    assert kind_of(meta) == (Kind.META_GRAPH, meta)


@pytest.mark.parametrize("there", [(), ("index",), ("data-00000-of-00001",)])
def test_half_a_checkpoint_says_what_is_missing(tmp_path: Path, there: tuple[str, ...]) -> None:
    meta = file(tmp_path, "m.meta", meta_graph(VARIABLE))
    for suffix in there:
        file(tmp_path, f"m.{suffix}", b"part")

    with pytest.raises(BadModel, match=r"half a checkpoint: 'm\.(index|data-\*)' is not beside it"):
        kind_of(meta)


@pytest.mark.parametrize("name", ["m.index", "m.data-00000-of-00001"])
def test_the_variables_of_a_checkpoint_lead_to_its_graph(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadCall, match="no graph") as caught:
        kind_of(file(tmp_path, name, b"variables"))

    assert "m.meta" in caught.value.hint


def test_a_saved_model_is_a_folder_with_its_variables(tmp_path: Path) -> None:
    file(tmp_path, "m/saved_model.pb", SAVED_MODEL)
    file(tmp_path, "m/variables/variables.index", b"i")
    file(tmp_path, "m/variables/variables.data-00000-of-00001", b"d")

    assert kind_of(tmp_path / "m") == (Kind.SAVED_MODEL, tmp_path / "m")


def test_a_saved_model_without_variables_needs_none(tmp_path: Path) -> None:
    file(tmp_path, "m/saved_model.pb", b"\x08\x01" + delimited(2, b"Const"))

    assert kind_of(tmp_path / "m")[0] is Kind.SAVED_MODEL


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        (("variables/variables.index",), "saved_model.pb"),
        (("saved_model.pb",), "variables/variables.index"),
        (("saved_model.pb", "variables/variables.index"), r"variables/variables.data-\*"),
    ],
)
def test_half_a_saved_model_says_which_half(
    tmp_path: Path, there: tuple[str, ...], missing: str
) -> None:
    for name in there:
        file(tmp_path, f"m/{name}", SAVED_MODEL)

    with pytest.raises(BadModel, match=f"half a SavedModel: it has no {missing}"):
        kind_of(tmp_path / "m")


def test_the_graph_of_a_saved_model_leads_to_its_folder(tmp_path: Path) -> None:
    path = file(tmp_path, "saved_model.pb", SAVED_MODEL)

    with pytest.raises(BadCall, match="part of a SavedModel") as caught:
        kind_of(path)

    assert str(tmp_path) in caught.value.hint


def test_a_folder_of_checkpoints_names_one(tmp_path: Path) -> None:
    file(tmp_path, "m-1.meta", meta_graph())
    file(tmp_path, "m-2.meta", meta_graph())

    with pytest.raises(BadCall, match="folder of TensorFlow 1 checkpoints") as caught:
        kind_of(tmp_path)

    assert "m-2.meta" in caught.value.hint


def test_an_onnx_file_is_to_be_folded(tmp_path: Path) -> None:
    with pytest.raises(BadCall, match="is an ONNX model already") as caught:
        kind_of(save(conv_net(), tmp_path / "m.pb"))

    assert "fold-model fold" in caught.value.hint


@pytest.mark.parametrize("text", [b"node {\n", b"\nmeta_info_def {", b"graph_def {"])
def test_a_graph_as_text_is_refused(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(BadCall, match="a graph as text"):
        kind_of(file(tmp_path, "m.pbtxt", text))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"some text\n",
        b"\x89PNG\r\n\x1a\n",
        b"PK\x03\x04 cut off",
        b"\0" * 4096,
        delimited(1, delimited(1, b"x")),
        delimited(1, delimited(1, b"x") + delimited(2, b"\x01\x02")),
        delimited(1, b"\xff\xff\xff"),
        delimited(2, NODE) + delimited(2, NODE),
    ],
)
def test_anything_else_is_refused_with_what_it_may_be(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(FoldError) as caught:
        kind_of(file(tmp_path, "junk.pb", content))

    assert "junk.pb" in str(caught.value)


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadCall, match="an archive, but not of a model"):
        kind_of(archive(tmp_path / "m.npz", "a.npy"))


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadCall, match="is no SavedModel"):
        kind_of(tmp_path)


def test_what_is_not_there_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="No such file"):
        kind_of(tmp_path / "missing.keras")


def test_what_no_path_can_be_is_not_there() -> None:
    with pytest.raises(StorageFailed, match="No such file"):
        kind_of(Path("a\0b"))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(BadCall, match="no regular file"):
        kind_of(tmp_path / "pipe")


def test_without_permission_the_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> Kind:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(kinds, "_kind_of_file", refuse)

    with pytest.raises(StorageFailed, match=r"cannot read .*m\.keras': Permission denied"):
        kind_of(archive(tmp_path / "m.keras", *KERAS))
