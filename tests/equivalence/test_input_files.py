"""Files of inputs: archives and folders are taken if nothing in them is damaged or pickled."""

# ruff: noqa: FBT001 - parameters of tests
from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files import conv_net, make, refer, save
from onnx import ModelProto, TensorProto, helper, numpy_helper

from folding.equivalence import given, input_paths
from folding.equivalence.feeds import Feed, Inputs
from folding.errors import BadCall, FoldError, StorageFailed

SHAPE = (1, 3, 5, 5)
GOOD = np.zeros(SHAPE, np.float32)


@pytest.fixture
def net() -> ModelProto:
    return conv_net()


@pytest.fixture
def two() -> ModelProto:
    """Two inputs and an initializer that may be overridden, between them."""
    values = [
        helper.make_tensor_value_info("a", TensorProto.FLOAT, [2]),
        helper.make_tensor_value_info("w", TensorProto.FLOAT, [2]),
        helper.make_tensor_value_info("b", TensorProto.FLOAT, [2]),
    ]
    weight = numpy_helper.from_array(np.ones(2, np.float32), "w")
    return make(helper.make_graph([], "g", values, [], [weight]))


def load(inputs: Inputs, model: ModelProto) -> Feed:
    """The only set of inputs there is."""
    [feed] = given.load(inputs, model)
    return feed


def put(folder: Path, *arrays: Any, names: tuple[str, ...] = ()) -> Path:
    """Write arrays as input_0.pb and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, values in enumerate(arrays):
        name = names[number] if names else None
        tensor = numpy_helper.from_array(np.asarray(values, np.float32), name)
        (folder / f"input_{number}.pb").write_bytes(tensor.SerializeToString())
    return folder


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("as_text", [True, False])
def test_an_npz_file_is_taken(tmp_path: Path, net: ModelProto, as_text: bool) -> None:
    path = saved(tmp_path / "i.npz", x=GOOD)

    feed = load(str(path) if as_text else path, net)

    np.testing.assert_array_equal(feed["x"], GOOD)


def test_a_compressed_npz_file_is_taken(tmp_path: Path, net: ModelProto) -> None:
    np.savez_compressed(tmp_path / "i.npz", x=GOOD)

    assert load(tmp_path / "i.npz", net)["x"].shape == SHAPE


def test_a_file_that_is_not_there_is_named(tmp_path: Path, net: ModelProto) -> None:
    with pytest.raises(StorageFailed, match=r"nowhere\.npz"):
        load(tmp_path / "nowhere.npz", net)


def test_a_folder_is_named(tmp_path: Path, net: ModelProto) -> None:
    with pytest.raises(FoldError, match=tmp_path.name):
        load(tmp_path, net)


NO_NPZ = {
    "empty": b"",
    "text": b"x = 1",
    "the start of a zip": b"PK\x03\x04",
    "an empty zip": b"PK\x05\x06" + bytes(18),
    "a pickle": b"\x80\x04N.",
    "numbers": bytes(range(256)),
}


@pytest.mark.parametrize("what", NO_NPZ)
def test_a_file_of_another_kind_is_refused_by_name(
    tmp_path: Path, net: ModelProto, what: str
) -> None:
    path = tmp_path / "i.npz"
    path.write_bytes(NO_NPZ[what])

    with pytest.raises(FoldError) as caught:
        load(path, net)

    assert str(caught.value)


def test_an_npy_file_is_refused(tmp_path: Path, net: ModelProto) -> None:
    np.save(tmp_path / "i.npy", GOOD)

    with pytest.raises(BadCall, match=r"no \.npz file"):
        load(tmp_path / "i.npy", net)


def test_pickled_objects_are_refused_and_not_run(tmp_path: Path, net: ModelProto) -> None:
    class Mine:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "run",)

    path = saved(tmp_path / "i.npz", x=np.array([Mine()], object))

    with pytest.raises(BadCall):
        load(path, net)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("compressed", [True, False])
def test_a_damaged_npz_file_raises_nothing_but_fold_errors(
    tmp_path: Path, net: ModelProto, compressed: bool
) -> None:
    luck, path = random.Random(0), tmp_path / "i.npz"  # noqa: S311 - no secret
    (np.savez_compressed if compressed else np.savez)(path, x=np.arange(75.0).reshape(SHAPE))
    whole = path.read_bytes()
    for _ in range(300):
        data = bytearray(whole)
        data[luck.randrange(len(data))] ^= 1 << luck.randrange(8)
        path.write_bytes(data[: luck.choice([len(data), len(data), luck.randrange(len(data))])])

        try:
            load(path, net)
        except FoldError as error:
            assert str(error)  # noqa: PT017 - no error is right as well


def test_loading_from_a_model_file_s_own_bytes_is_refused(tmp_path: Path, net: ModelProto) -> None:
    with pytest.raises(BadCall):
        load(save(net, tmp_path / "m.onnx"), net)


def test_arrays_larger_than_the_memory_are_refused_by_name(tmp_path: Path, net: ModelProto) -> None:
    header = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": (1 << 50,)}
    np.lib.format.write_array_header_1_0(header, shape)
    with zipfile.ZipFile(tmp_path / "i.npz", "w") as archive:
        archive.writestr("x.npy", header.getvalue())

    with pytest.raises(StorageFailed, match=r"i\.npz' holds arrays larger than the memory"):
        load(tmp_path / "i.npz", net)


def test_text_in_an_npz_file_is_taken(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.STRING, [2])
    path = saved(tmp_path / "i.npz", x=np.array(["a", "bc"]))

    feed = load(path, make(helper.make_graph([], "g", [value], [])))

    assert feed["x"].tolist() == ["a", "bc"]


def test_a_fault_in_a_file_names_the_file(tmp_path: Path, net: ModelProto) -> None:
    with pytest.raises(BadCall, match=r"i\.npz': the inputs lack 'x'"):
        load(saved(tmp_path / "i.npz"), net)


def test_a_folder_s_files_are_the_required_inputs_in_order(tmp_path: Path, two: ModelProto) -> None:
    feed = load(put(tmp_path / "f", [1, 2], [3, 4]), two)

    assert {name: array.tolist() for name, array in feed.items()} == {"a": [1, 2], "b": [3, 4]}


def test_names_of_inputs_in_a_folder_s_files_count_more_than_their_order(
    tmp_path: Path, two: ModelProto
) -> None:
    feed = load(put(tmp_path / "f", [1, 2], [3, 4], names=("b", "a")), two)

    assert {name: array.tolist() for name, array in feed.items()} == {"b": [1, 2], "a": [3, 4]}


NAMES: dict[tuple[str, ...], str] = {
    ("b", "other"): r"input_1\.pb' holds 'other', which is no input of the model",
    ("other", "others"): r"input_0\.pb' holds 'other', which is no input",
    ("b", "b"): r"input_1\.pb' holds the input 'b' again",
    ("", "b"): r"input_0\.pb' holds a tensor without a name",
}


@pytest.mark.parametrize("names", NAMES)
def test_a_name_that_is_no_other_input_s_is_refused_and_never_passed_over(
    tmp_path: Path, two: ModelProto, names: tuple[str, ...]
) -> None:
    """Without it the others would be taken in order, for what they are not."""
    with pytest.raises(BadCall, match=NAMES[names]):
        load(put(tmp_path / "f", [1, 2], [3, 4], names=names), two)


def test_the_files_of_a_folder_and_of_those_in_it_are_known(
    tmp_path: Path, two: ModelProto
) -> None:
    """All that loading it reads."""
    put(tmp_path / "a", [1, 2], [3, 4])
    put(tmp_path, [1, 2])

    names = {file.relative_to(tmp_path).as_posix() for file in input_paths.files(tmp_path)}

    assert names == {"input_0.pb", "a/input_0.pb", "a/input_1.pb"}
    assert input_paths.files(tmp_path / "x.npz") == [tmp_path / "x.npz"]


def test_a_folder_of_folders_holds_several_sets_in_the_order_of_counting(
    tmp_path: Path, two: ModelProto
) -> None:
    for number in (10, 9, 0):
        put(tmp_path / f"test_data_set_{number}", [number, 0], [0, 0])
    (tmp_path / "notes").mkdir()
    (tmp_path / "model.onnx").touch()

    assert [feed["a"][0] for feed in given.load(tmp_path, two)] == [0, 9, 10]


def test_ten_files_are_not_ordered_as_text(tmp_path: Path) -> None:
    values = [helper.make_tensor_value_info(f"i{n}", TensorProto.FLOAT, []) for n in range(11)]
    folder = put(tmp_path / "f", *range(11))

    feed = load(folder, make(helper.make_graph([], "g", values, [])))

    assert [float(array) for array in feed.values()] == list(range(11))


def test_outputs_in_the_folder_are_passed_over(tmp_path: Path, two: ModelProto) -> None:
    folder = put(tmp_path / "f", [1, 2], [3, 4])
    (folder / "output_2.pb").write_bytes(b"?")

    assert list(load(folder, two)) == ["a", "b"]


def test_a_file_too_few_names_folder_and_input(tmp_path: Path, two: ModelProto) -> None:
    with pytest.raises(BadCall, match=r"myset': the inputs lack 'b'"):
        load(put(tmp_path / "myset", [1, 2]), two)


def test_a_file_too_many_is_named(tmp_path: Path, two: ModelProto) -> None:
    with pytest.raises(BadCall, match=r"input_2\.pb' is no input.* only 2"):
        load(put(tmp_path / "f", [1, 2], [3, 4], [5, 6]), two)


def test_a_gap_in_the_numbers_is_named(tmp_path: Path, two: ModelProto) -> None:
    folder = put(tmp_path / "f", [1, 2], [3, 4])
    (folder / "input_0.pb").unlink()

    with pytest.raises(BadCall, match=r"lacks input_0\.pb"):
        load(folder, two)


def test_an_input_of_another_shape_names_folder_and_input(tmp_path: Path, two: ModelProto) -> None:
    with pytest.raises(BadCall, match=r"myset': input 'b' is 2, .* \(3,\)"):
        load(put(tmp_path / "myset", [1, 2], [3, 4, 5]), two)


NO_TENSORS = {
    "numbers": bytes(range(256)),
    "text": b"hello, this is text",
    "nothing": b"",
    "no type": TensorProto(dims=[2], raw_data=bytes(8)).SerializeToString(),
    "a negative size": TensorProto(
        dims=[-1], data_type=TensorProto.FLOAT, raw_data=bytes(8)
    ).SerializeToString(),
    "too few bytes": TensorProto(
        dims=[2], data_type=TensorProto.FLOAT, raw_data=bytes(7)
    ).SerializeToString(),
    "a huge size": TensorProto(dims=[1 << 62], data_type=1, raw_data=b"").SerializeToString(),
    "a model": conv_net().SerializeToString(),
}


@pytest.mark.parametrize("what", NO_TENSORS)
def test_a_file_that_holds_no_tensor_is_named(tmp_path: Path, two: ModelProto, what: str) -> None:
    folder = put(tmp_path / "f", [1, 2], [3, 4])
    (folder / "input_1.pb").write_bytes(NO_TENSORS[what])

    with pytest.raises(BadCall, match=r"input_1\.pb' holds no tensor"):
        load(folder, two)


def test_data_in_another_file_is_never_followed(tmp_path: Path, two: ModelProto) -> None:
    folder = put(tmp_path / "f", [1, 2], [3, 4])
    tensor = numpy_helper.from_array(np.zeros(2, np.float32))
    (folder / "secret").write_bytes(bytes(8))
    refer(tensor, location="secret")
    (folder / "input_1.pb").write_bytes(tensor.SerializeToString())

    with pytest.raises(BadCall, match=r"input_1\.pb' keeps its data in another file"):
        load(folder, two)


def test_a_file_that_cannot_be_read_is_a_fault_of_storage(tmp_path: Path, two: ModelProto) -> None:
    folder = put(tmp_path / "f", [1, 2])
    (folder / "input_1.pb").mkdir()

    with pytest.raises(StorageFailed, match="cannot read"):
        load(folder, two)


def test_damaged_tensors_raise_nothing_but_fold_errors(tmp_path: Path, two: ModelProto) -> None:
    luck, folder = random.Random(0), put(tmp_path / "f", [1, 2], [3, 4])  # noqa: S311 - no secret
    path = folder / "input_1.pb"
    whole = path.read_bytes()
    for _ in range(500):
        data = bytearray(whole)
        data[luck.randrange(len(data))] ^= 1 << luck.randrange(8)
        path.write_bytes(data[: luck.choice([len(data), len(data), luck.randrange(len(data))])])

        try:
            load(folder, two)
        except FoldError as error:
            assert str(error)  # noqa: PT017 - no error is right as well
