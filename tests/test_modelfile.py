"""Opening a model: no weight is read, and its data may only be where the format allows it."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files import conv_net, initializer, put_apart, refer, save, save_apart
from onnx import ModelProto, TensorProto, numpy_helper

import folding
from folding.errors import BadCall, BadModel, FoldError, Malformed, StorageFailed
from folding.framing import head as head_of
from folding.modelfile import Model, in_memory, open_model
from folding.scratch import Scratch
from folding.source import SourceFile

GIGA = 1 << 30
WEIGHT = "w"


@pytest.fixture
def net() -> ModelProto:
    return conv_net(16)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each read of a file asked for."""
    sizes: list[int] = []
    read_into = SourceFile.read_into

    def counting(file: SourceFile, start: int, buffer: memoryview) -> None:
        sizes.append(len(buffer))
        read_into(file, start, buffer)

    monkeypatch.setattr(SourceFile, "read_into", counting)
    return sizes


def sparse_file(path: Path) -> Path:
    """A model file of a gigabyte, nearly all of it a hole that takes no room on the disk."""
    tensor = TensorProto(name="huge", data_type=TensorProto.UINT8, dims=[GIGA])
    head = tensor.SerializeToString() + head_of(9, GIGA)
    graph = ModelProto(graph=conv_net().graph).graph.SerializeToString()
    size = len(head) + GIGA
    inner = head_of(5, size)
    whole = head_of(7, len(graph) + len(inner) + size)
    model = ModelProto(ir_version=8)
    model.opset_import.add(domain="", version=17)
    path.write_bytes(model.SerializeToString() + whole + graph + inner + head)
    os.truncate(path, path.stat().st_size + GIGA)
    return path


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def arrays(model: Model) -> dict[str, Any]:
    return {tensor.name: model.array(tensor) for tensor in model.proto.graph.initializer}


def assert_same_arrays(found: dict[str, Any], expected: ModelProto) -> None:
    assert found.keys() == {tensor.name for tensor in expected.graph.initializer}
    for tensor in expected.graph.initializer:
        np.testing.assert_array_equal(found[tensor.name], numpy_helper.to_array(tensor))


# --- what is read --------------------------------------------------------------------------------


def test_a_file_of_a_gigabyte_is_opened_without_reading_its_weight(
    tmp_path: Path, reads: list[int]
) -> None:
    path = sparse_file(tmp_path / "huge.onnx")

    with open_model(path) as model:
        weight = initializer(model.proto, "huge")
        assert model.content(weight)

    assert model.size > GIGA
    assert sum(reads) < 1 << 20


def test_some_elements_of_a_weight_are_read_without_the_others(
    tmp_path: Path, reads: list[int]
) -> None:
    path = sparse_file(tmp_path / "huge.onnx")

    with open_model(path) as model:
        read = model.reader(initializer(model.proto, "huge"))
        elements = read(GIGA - 10, GIGA, Scratch())

    assert not elements.any()
    assert elements.shape == (10,)
    assert sum(reads) < 1 << 20


def test_what_is_read_are_the_elements_of_the_array(tmp_path: Path, net: ModelProto) -> None:
    expected = numpy_helper.to_array(initializer(net, WEIGHT))

    with open_model(save(net, tmp_path / "m.onnx")) as model:
        read = model.reader(initializer(model.proto, WEIGHT))
        elements = read(3, 77, Scratch())

    np.testing.assert_array_equal(elements, expected.ravel()[3:77])


def test_explaining_a_model_reads_no_weight_that_no_fold_needs(
    tmp_path: Path, reads: list[int]
) -> None:
    folding.explain(sparse_file(tmp_path / "huge.onnx"))

    assert sum(reads) < 1 << 20


def test_closing_a_model_closes_its_files(tmp_path: Path, net: ModelProto) -> None:
    with open_model(save_apart(net, tmp_path / "m.onnx")) as model:
        descriptors = []
        for file in model.files:
            with file.opened() as opened:
                descriptors.append(opened.fileno())

    assert len(descriptors) == 2
    for descriptor in descriptors:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_a_model_that_is_refused_leaves_no_file_open(tmp_path: Path, net: ModelProto) -> None:
    put_apart(net.graph.initializer[0], tmp_path, "a.bin")
    refer(net.graph.initializer[1], location="missing.bin")
    path = save(net, tmp_path / "m.onnx")
    before = open_files()

    with pytest.raises(BadModel):
        open_model(path)

    assert open_files() == before


# --- external data -------------------------------------------------------------------------------


def test_data_may_be_in_several_files_at_any_offset(tmp_path: Path, net: ModelProto) -> None:
    (tmp_path / "b.bin").write_bytes(b"something else")
    expected = ModelProto.FromString(net.SerializeToString())
    for number, tensor in enumerate(net.graph.initializer):
        put_apart(tensor, tmp_path, ("a.bin", "b.bin", "sub/deeper/c.bin")[number % 3])

    with open_model(save(net, tmp_path / "m.onnx")) as model:
        assert_same_arrays(arrays(model), expected)


def test_tensors_may_share_a_range(tmp_path: Path, net: ModelProto) -> None:
    gamma, beta = initializer(net, "gamma"), initializer(net, "beta")
    expected = numpy_helper.to_array(gamma)
    data = gamma.raw_data
    put_apart(gamma, tmp_path, "w.bin")
    beta.raw_data = data
    put_apart(beta, tmp_path, "w.bin", offset=0)

    with open_model(save(net, tmp_path / "m.onnx")) as model:
        found = arrays(model)

    np.testing.assert_array_equal(found["gamma"], expected)
    np.testing.assert_array_equal(found["beta"], expected)


def test_offset_and_length_may_be_missing(tmp_path: Path, net: ModelProto) -> None:
    weight = initializer(net, WEIGHT)
    expected = numpy_helper.to_array(weight)
    (tmp_path / "w.bin").write_bytes(weight.raw_data + b"more")
    refer(weight, location="w.bin")

    with open_model(save(net, tmp_path / "m.onnx")) as model:
        np.testing.assert_array_equal(arrays(model)[WEIGHT], expected)


def test_a_constant_may_keep_its_data_apart(tmp_path: Path, net: ModelProto) -> None:
    weight = initializer(net, WEIGHT)
    expected = numpy_helper.to_array(weight)
    put_apart(weight, tmp_path, "w.bin")
    constant = net.graph.node.add(op_type="Constant", output=["k"])
    constant.attribute.add(name="value", type=4).t.CopyFrom(weight)

    with open_model(save(net, tmp_path / "m.onnx")) as model:
        found = model.array(model.proto.graph.node[-1].attribute[0].t)

    np.testing.assert_array_equal(found, expected)


def refused(net: ModelProto, folder: Path, **entries: str) -> FoldError:
    """Why a model whose weight is kept in this place is not opened."""
    refer(initializer(net, WEIGHT), **entries)
    path = save(net, folder / "m.onnx")
    with pytest.raises(BadModel) as caught:
        open_model(path)
    return caught.value


SIZE = 16 * 27 * 4
PLACES = [
    "",
    ".",
    "..",
    "../outside.bin",
    "sub/../../outside.bin",
    "sub/../inside.bin",
    "/etc/hostname",
    "C:\\weights.bin",
    "C:weights.bin",
    "\\\\server\\share\\w.bin",
    "in\0side.bin",
    "missing.bin",
    "sub",
    "x" * 300,
    "inside.bin/w",
]


@pytest.mark.parametrize("location", PLACES)
def test_data_is_only_taken_from_files_in_the_model_s_folder(
    tmp_path: Path, net: ModelProto, location: str
) -> None:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    for path in (tmp_path / "outside.bin", folder / "inside.bin"):
        path.write_bytes(bytes(SIZE))

    error = refused(net, folder, location=location)

    assert repr(WEIGHT) in str(error)
    assert error.hint


def test_an_absolute_place_is_refused_even_inside_of_the_folder(
    tmp_path: Path, net: ModelProto
) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(SIZE))

    assert "no path inside" in str(refused(net, tmp_path, location=str(tmp_path / "w.bin")))


@pytest.mark.parametrize("location", ["C:\\w.bin", "C:w.bin"])
def test_a_drive_of_another_system_is_refused_even_where_it_is_a_name(
    tmp_path: Path, net: ModelProto, location: str
) -> None:
    (tmp_path / location).write_bytes(bytes(SIZE))

    assert "no path inside" in str(refused(net, tmp_path, location=location))


def test_data_without_a_location_is_refused(tmp_path: Path, net: ModelProto) -> None:
    assert repr(WEIGHT) in str(refused(net, tmp_path, offset="0"))


@pytest.mark.parametrize("aim", ["../outside.bin", "/etc/hostname"])
def test_a_link_that_leaves_the_folder_is_refused(
    tmp_path: Path, net: ModelProto, aim: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "outside.bin").write_bytes(bytes(SIZE))
    (folder / "w.bin").symlink_to(aim)

    assert "leaves the model's folder" in str(refused(net, folder, location="w.bin"))


def test_a_folder_that_is_a_link_out_of_the_folder_is_refused(
    tmp_path: Path, net: ModelProto
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "outside.bin").write_bytes(bytes(SIZE))
    (folder / "sub").symlink_to(tmp_path)

    assert "leaves the model's folder" in str(refused(net, folder, location="sub/outside.bin"))


def test_a_link_that_stays_in_the_folder_is_followed(tmp_path: Path, net: ModelProto) -> None:
    weight = initializer(net, WEIGHT)
    expected = numpy_helper.to_array(weight)
    (tmp_path / "real.bin").write_bytes(weight.raw_data)
    (tmp_path / "w.bin").symlink_to("real.bin")
    refer(weight, location="w.bin")

    with open_model(save(net, tmp_path / "m.onnx")) as model:
        np.testing.assert_array_equal(arrays(model)[WEIGHT], expected)


RANGES = {
    "beyond the end": {"offset": "1"},
    "far beyond the end": {"offset": str(1 << 70)},
    "too long": {"length": str(SIZE + 1)},
    "too short": {"length": str(SIZE - 1)},
    "of no length": {"length": "0"},
    "of negative length": {"length": "-1"},
    "before the start": {"offset": "-4"},
    "at no number": {"offset": "zero"},
    "at an empty number": {"offset": ""},
    "of a length that is no number": {"length": "1e3"},
    "at a number of many digits": {"offset": "9" * 5000},
    "at a number as Python writes it": {"offset": "0_0"},
    "at a number of other digits": {"offset": "\u0660"},
}


@pytest.mark.parametrize("what", RANGES)
def test_a_range_that_cannot_be_right_is_refused(
    tmp_path: Path, net: ModelProto, what: str
) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(SIZE))

    error = refused(net, tmp_path, location="w.bin", **RANGES[what])

    assert repr(WEIGHT) in str(error)


@pytest.mark.parametrize("elem_type", [TensorProto.STRING, TensorProto.UNDEFINED, 99])
def test_a_tensor_of_no_fixed_size_cannot_be_apart(
    tmp_path: Path, net: ModelProto, elem_type: int
) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(SIZE))
    initializer(net, WEIGHT).data_type = elem_type

    assert repr(WEIGHT) in str(refused(net, tmp_path, location="w.bin"))


@pytest.mark.parametrize("dims", [[-1], [1 << 62, 1 << 62], [2, -432]])
def test_dims_that_cannot_be_right_are_refused(
    tmp_path: Path, net: ModelProto, dims: list[int]
) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(SIZE))
    del initializer(net, WEIGHT).dims[:]
    initializer(net, WEIGHT).dims.extend(dims)
    refer(initializer(net, WEIGHT), location="w.bin")
    path = save(net, tmp_path / "m.onnx")

    with pytest.raises(BadModel, match=repr(WEIGHT)):
        folding.explain(path)


def test_a_data_file_that_is_a_pipe_is_refused_and_not_waited_for(
    tmp_path: Path, net: ModelProto
) -> None:
    os.mkfifo(tmp_path / "w.bin")

    assert repr(WEIGHT) in str(refused(net, tmp_path, location="w.bin"))


# --- where the model itself is -------------------------------------------------------------------


def test_a_source_may_be_a_link_into_another_folder(tmp_path: Path, net: ModelProto) -> None:
    (tmp_path / "real").mkdir()
    save(net, tmp_path / "real" / "m.onnx")
    link = tmp_path / "link.onnx"
    link.symlink_to("real/m.onnx")

    with open_model(link) as model:
        assert_same_arrays(arrays(model), net)


def test_the_data_of_a_linked_model_is_found_beside_the_model(
    tmp_path: Path, net: ModelProto
) -> None:
    expected = ModelProto.FromString(net.SerializeToString())
    (tmp_path / "real").mkdir()
    save_apart(net, tmp_path / "real" / "m.onnx")
    link = tmp_path / "link.onnx"
    link.symlink_to("real/m.onnx")

    with open_model(link) as model:
        assert_same_arrays(arrays(model), expected)


def test_a_linked_model_with_data_apart_is_folded_and_run(tmp_path: Path, net: ModelProto) -> None:
    (tmp_path / "real").mkdir()
    save_apart(net, tmp_path / "real" / "m.onnx")
    (tmp_path / "link.onnx").symlink_to("real/m.onnx")

    report = folding.fold(tmp_path / "link.onnx", tmp_path / "out.onnx")

    assert [str(check.status) for check in report.verification.checks] == ["passed"] * 4


def test_a_model_that_is_opened_through_a_linked_folder_finds_its_data(
    tmp_path: Path, net: ModelProto
) -> None:
    expected = ModelProto.FromString(net.SerializeToString())
    (tmp_path / "real").mkdir()
    save_apart(net, tmp_path / "real" / "m.onnx")
    (tmp_path / "link").symlink_to("real")

    with open_model(tmp_path / "link" / "m.onnx") as model:
        assert_same_arrays(arrays(model), expected)


def test_the_working_directory_does_not_matter(
    tmp_path: Path, net: ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = ModelProto.FromString(net.SerializeToString())
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "weights.bin").write_bytes(bytes(SIZE * 2))
    save_apart(net, tmp_path / "m.onnx")
    monkeypatch.chdir(tmp_path / "elsewhere")

    with open_model("../m.onnx") as model:
        assert_same_arrays(arrays(model), expected)


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(BadCall, match="is a directory"):
        open_model(tmp_path)


def test_an_empty_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").touch()

    with pytest.raises(Malformed, match="is empty"):
        open_model(tmp_path / "m.onnx")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match=r"nowhere\.onnx"):
        open_model(tmp_path / "nowhere.onnx")


@pytest.mark.parametrize("name", ["x" * 300, "x\0y"], ids=["too long", "NUL"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(FoldError):
        open_model(tmp_path / name)


def test_a_circle_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").symlink_to("m.onnx")

    with pytest.raises(FoldError, match=r"m\.onnx"):
        open_model(tmp_path / "m.onnx")


def test_a_model_in_memory_may_not_have_its_data_elsewhere(net: ModelProto) -> None:
    refer(initializer(net, WEIGHT), location="w.bin")

    with pytest.raises(FoldError, match=repr(WEIGHT)):
        in_memory(net)


def test_a_model_in_memory_is_a_copy(net: ModelProto) -> None:
    before = net.SerializeToString()

    in_memory(net).proto.graph.node[0].name = "other"

    assert net.SerializeToString() == before


# --- files that change while they are read -------------------------------------------------------


Change = Callable[[Path], None]


def cut(path: Path) -> None:
    os.truncate(path, 100)


def grow(path: Path) -> None:
    with path.open("ab") as out:
        out.write(b"more")


def rewrite(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))
    os.utime(path, ns=(1, 1))


def test_a_file_that_becomes_shorter_is_an_error_and_no_crash(
    tmp_path: Path, net: ModelProto
) -> None:
    path = save(net, tmp_path / "m.onnx")
    with open_model(path) as model:
        cut(path)

        with pytest.raises(StorageFailed, match=r"m\.onnx.* became shorter"):
            arrays(model)


def replace(path: Path) -> None:
    """As most programs save: another file, of the same bytes here, takes the name."""
    new = path.with_name("new")
    new.write_bytes(path.read_bytes())
    new.replace(path)


def remove(path: Path) -> None:
    path.unlink()


def changing(change: Change, path: Path, when: str) -> Callable[[str], None]:
    def progress(stage: str) -> None:
        if stage == when:
            change(path)

    return progress


@pytest.mark.parametrize("change", [cut, grow, rewrite, replace, remove])
@pytest.mark.parametrize("name", ["m.onnx", "weights.bin"])
@pytest.mark.parametrize("stage", ["plan", "write", "verify"])
def test_a_file_that_changes_while_it_is_folded_is_named_and_nothing_is_written(
    tmp_path: Path, net: ModelProto, change: Change, name: str, stage: str
) -> None:
    """Whenever it does, and however."""
    path = save_apart(net, tmp_path / "m.onnx")
    (tmp_path / "out").mkdir()

    with pytest.raises(StorageFailed, match=name):
        folding.fold(
            path,
            tmp_path / "out" / "f.onnx",
            progress=changing(change, tmp_path / name, stage),
            digests=True,
        )

    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("change", [cut, grow, rewrite, replace, remove])
@pytest.mark.parametrize("name", ["m.onnx", "weights.bin"])
def test_a_file_that_changes_while_it_is_explained_is_named(
    tmp_path: Path, net: ModelProto, change: Change, name: str
) -> None:
    """Nobody knows which of its two contents the plan would be for."""
    path = save_apart(net, tmp_path / "m.onnx")

    with pytest.raises(StorageFailed, match=name):
        folding.explain(path, progress=changing(change, tmp_path / name, "plan"))


def test_a_link_that_is_aimed_elsewhere_does_not_change_the_file_that_is_read(
    tmp_path: Path, net: ModelProto
) -> None:
    """What was opened is folded to its end."""
    save(net, tmp_path / "m.onnx")
    save(conv_net(16, seed=9), tmp_path / "other.onnx")
    link = tmp_path / "link.onnx"
    link.symlink_to("m.onnx")

    def aim(_: Path) -> None:
        link.unlink()
        link.symlink_to("other.onnx")

    folding.fold(link, tmp_path / "f.onnx", progress=changing(aim, link, "write"))

    expected, _ = folding.fold_model(net, verify=False)
    assert ModelProto.FromString((tmp_path / "f.onnx").read_bytes()) == expected


def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, net: ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(net, tmp_path / "m.onnx")

    class Failing(io.FileIO):
        def readinto(self, _: object) -> int:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", lambda path, *_, **__: Failing(path))

    with pytest.raises(StorageFailed, match=r"m\.onnx.*Input/output error"):
        open_model(path)


def test_reading_in_pieces_gives_the_whole(
    tmp_path: Path, net: ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(net, tmp_path / "m.onnx")

    class Slow(io.FileIO):
        def readinto(self, buffer: Any) -> int:
            return super().readinto(memoryview(buffer)[:100])

    monkeypatch.setattr(Path, "open", lambda path, *_, **__: Slow(path))
    file = SourceFile(path)

    assert file.read(0, file.size) == path.read_bytes()
    file.close()
