"""Inputs: the user's own are taken only if they fit; seeded ones are always the same."""

# ruff: noqa: FBT001 - parameters of tests
from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files import conv_net, make, save
from onnx import ModelProto, TensorProto, helper

from folding.equivalence.inputs import load, random_feed
from folding.errors import BadCall, FoldError, StorageFailed

SHAPE = (1, 3, 5, 5)
GOOD = np.zeros(SHAPE, np.float32)


@pytest.fixture
def net() -> ModelProto:
    return conv_net()


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_arrays_by_name_are_taken(net: ModelProto) -> None:
    assert load({"x": GOOD}, net)["x"] is GOOD


@pytest.mark.parametrize("as_text", [True, False])
def test_an_npz_file_is_taken(tmp_path: Path, net: ModelProto, as_text: bool) -> None:
    path = saved(tmp_path / "i.npz", x=GOOD)

    feed = load(str(path) if as_text else path, net)

    np.testing.assert_array_equal(feed["x"], GOOD)


def test_a_compressed_npz_file_is_taken(tmp_path: Path, net: ModelProto) -> None:
    np.savez_compressed(tmp_path / "i.npz", x=GOOD)

    assert load(tmp_path / "i.npz", net)["x"].shape == SHAPE


@pytest.mark.parametrize("array", [GOOD.astype(np.float64), GOOD.astype(np.int32)])
def test_another_type_is_refused(net: ModelProto, array: Any) -> None:
    with pytest.raises(BadCall, match=r"'x' is float32.*(float64|int32)"):
        load({"x": array}, net)


@pytest.mark.parametrize("shape", [(1, 3, 5), (1, 3, 5, 6), (2, 3, 5, 5), (1, 3, 5, 5, 1), ()])
def test_another_shape_is_refused(net: ModelProto, shape: tuple[int, ...]) -> None:
    with pytest.raises(BadCall, match="'x' is 1x3x5x5"):
        load({"x": np.zeros(shape, np.float32)}, net)


def test_an_open_dimension_takes_any_size(net: ModelProto) -> None:
    net.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "n"

    assert len(load({"x": np.zeros((7, 3, 5, 5), np.float32)}, net)["x"]) == 7


def test_an_unknown_shape_takes_any_array(net: ModelProto) -> None:
    net.graph.input[0].type.tensor_type.ClearField("shape")

    assert load({"x": np.zeros((7, 2), np.float32)}, net)["x"].shape == (7, 2)


def test_a_missing_input_is_named(net: ModelProto) -> None:
    with pytest.raises(BadCall, match="lack 'x'"):
        load({}, net)


def test_an_unknown_input_is_named_with_those_there_are(net: ModelProto) -> None:
    with pytest.raises(BadCall, match="no input 'z'") as caught:
        load({"x": GOOD, "z": GOOD}, net)

    assert "x" in caught.value.hint


def test_an_initializer_that_is_an_input_may_be_left_out_or_given(net: ModelProto) -> None:
    net.graph.input.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, [4]))

    assert list(load({"x": GOOD}, net)) == ["x"]
    assert list(load({"x": GOOD, "b": np.ones(4, np.float32)}, net)) == ["x", "b"]


def test_an_input_that_is_no_tensor_cannot_be_given_as_an_array(net: ModelProto) -> None:
    sequence = helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None)
    net.graph.input.append(sequence)

    with pytest.raises(FoldError, match="'s'"):
        load({"x": GOOD, "s": GOOD}, net)


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


def test_seeded_inputs_are_the_same_each_time(net: ModelProto) -> None:
    one, other = random_feed(net, 2), random_feed(net, 2)

    assert one is not None
    assert other is not None
    np.testing.assert_array_equal(one["x"], other["x"])


@pytest.mark.parametrize(
    "elem_type",
    [
        *(TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.INT64),
        *(TensorProto.BOOL, TensorProto.UINT8),
    ],
)
def test_seeded_inputs_have_the_model_s_types_and_shapes(elem_type: int) -> None:
    value = helper.make_tensor_value_info("x", elem_type, ["n", 3, "m"])
    feed = random_feed(make(helper.make_graph([], "g", [value], [])), 8)

    assert feed is not None
    assert feed["x"].shape == (2, 3, 8)
    assert feed["x"].dtype == helper.tensor_dtype_to_np_dtype(elem_type)


def test_inputs_too_large_are_not_made_up(net: ModelProto) -> None:
    net.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1 << 40

    assert random_feed(net, 2) is None


def test_loading_from_a_model_file_s_own_bytes_is_refused(tmp_path: Path, net: ModelProto) -> None:
    with pytest.raises(BadCall):
        load(save(net, tmp_path / "m.onnx"), net)
