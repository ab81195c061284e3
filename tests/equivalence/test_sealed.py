"""Sealed messages: the same if and only if every byte of them is, in whatever place of a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from files import make, put_apart, save
from onnx import ModelProto, TensorProto, helper, numpy_helper

from folding.equivalence.sealed import same_tensor, sparse
from folding.modelfile import Model, open_model

#: Bytes of a tensor that is compared in several blocks, the last of them no whole one.
MANY = (1 << 21) + 4099


def holding(content: bytes, path: Path, *, before: int = 0) -> Model:
    """A file with a tensor of bytes, and some other bytes before it."""
    model = make(helper.make_graph([], "g", [], []), doc_string="d" * before)
    data = np.frombuffer(content, np.uint8)
    model.graph.initializer.append(numpy_helper.from_array(data, "t"))
    return open_model(save(model, path))


def same(tmp_path: Path, one: bytes, other: bytes) -> bool:
    with holding(one, tmp_path / "a") as a, holding(other, tmp_path / "b", before=13) as b:
        return same_tensor(a, b, a.proto.graph.initializer[0], b.proto.graph.initializer[0])


@pytest.mark.parametrize("size", [1024, 4099, 1 << 20, MANY])
def test_the_same_bytes_at_another_offset_are_the_same_tensor(tmp_path: Path, size: int) -> None:
    content = np.random.default_rng(1).bytes(size)

    assert same(tmp_path, content, content)


@pytest.mark.parametrize("place", [0, 1, (1 << 20) - 1, 1 << 20, MANY - 4098, MANY - 1])
def test_one_bit_is_a_difference_in_whichever_block(tmp_path: Path, place: int) -> None:
    content = bytearray(np.random.default_rng(1).bytes(MANY))
    other = content.copy()
    other[place] ^= 1

    assert not same(tmp_path, bytes(content), bytes(other))


def test_a_shorter_tensor_is_another_one(tmp_path: Path) -> None:
    assert not same(tmp_path, bytes(MANY), bytes(MANY - 1))


def sparse_model(folder: Path, values: list[float], *, before: int = 0) -> ModelProto:
    """A model with a sparse tensor that is kept in another file, some bytes from its beginning."""
    folder.mkdir()
    (folder / "weights.bin").write_bytes(bytes(before))
    parts = np.array(values, np.float32), np.arange(len(values), dtype=np.int64)
    stored, indices = (numpy_helper.from_array(part, "s") for part in parts)
    model = make(helper.make_graph([], "g", [], []))
    unread: TensorProto = numpy_helper.from_array(np.ones(3, np.float32), "unread")
    for tensor in [unread, stored] if before else [stored]:
        put_apart(tensor, folder, "weights.bin")
    if before:
        model.graph.initializer.append(unread)
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(stored, indices, [9]))
    return model


def test_a_sparse_tensor_in_another_file_is_compared_by_its_bytes(tmp_path: Path) -> None:
    models = {
        "one": sparse_model(tmp_path / "one", [1, 2]),
        "moved": sparse_model(tmp_path / "moved", [1, 2], before=8),
        "other": sparse_model(tmp_path / "other", [1, 3]),
    }
    sealed = {}
    for name, model in models.items():
        with open_model(save(model, tmp_path / name / "m.onnx")) as opened:
            sealed[name] = sparse(opened, opened.proto.graph)

    assert sealed["one"] == sealed["moved"]
    assert sealed["one"] != sealed["other"]
