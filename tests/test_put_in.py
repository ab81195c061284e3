"""Putting tensors in: what was taken out comes back byte for byte, and nobody can forge a token."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import onnx
import pytest
from damage import Part, Parts, delimited, encoded, numeric, taken_apart
from files import conv_net, put_apart, refer, save, save_apart
from fuzzing import bytes_of, parsed
from hypothesis import given
from hypothesis import strategies as st
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    SparseTensorProto,
    TensorProto,
    numpy_helper,
)
from skeletons import RAW, initializer, reserialised, restored
from specimens import UNKNOWN
from strategies import models

from folding.errors import FoldError, Malformed
from folding.framing import Buffer
from folding.modelfile import Model, in_memory, open_model
from folding.skeleton import TOKEN, external, put_in, take_out


def scrambled(parts: Parts, luck: Random) -> Parts:
    """A message with its fields in another order, and so the messages within."""
    kinds: dict[int, list[Part]] = {}
    for part in parts:
        inner = None if part.parts is None else scrambled(part.parts, luck)
        kinds.setdefault(part.number, []).append(replace(part, parts=inner))
    numbers = luck.sample(list(kinds), len(kinds))
    return tuple(part for number in numbers for part in kinds[number])


@given(models())
def test_what_is_taken_out_comes_back_byte_for_byte(model: ModelProto) -> None:
    data = model.SerializeToString(deterministic=True)

    skeleton, spans = take_out(Buffer(data))

    assert restored(data, reserialised(skeleton), spans) == data


@given(models(), st.randoms(use_true_random=False))
def test_fields_in_an_odd_order_mean_the_same(model: ModelProto, luck: Random) -> None:
    parts = taken_apart(model.SerializeToString(), ModelProto.DESCRIPTOR)
    data = encoded(scrambled(parts, luck))

    skeleton, spans = take_out(Buffer(data))

    for whole in (restored(data, skeleton, spans), restored(data, reserialised(skeleton), spans)):
        assert bytes_of(parsed(whole)) == bytes_of(parsed(data))


@pytest.mark.parametrize("order", ["before its data", "behind its data"])
def test_a_tensor_may_say_that_its_data_is_where_it_is(order: str) -> None:
    """As ``onnx.load`` leaves it to say of what it read from other files."""
    parts = [numeric(14, 0), RAW] if order == "before its data" else [RAW, numeric(14, 0)]
    data = initializer(delimited(8, b"w"), *parts)

    skeleton, spans = take_out(Buffer(data))

    (token,) = ModelProto.FromString(skeleton).graph.initializer
    assert token.data_location == TensorProto.EXTERNAL
    assert bytes_of(parsed(restored(data, reserialised(skeleton), spans))) == bytes_of(parsed(data))


def test_what_onnx_loaded_from_two_files_and_saved_as_one_is_read(tmp_path: Path) -> None:
    save_apart(conv_net(16), tmp_path / "apart.onnx")
    model = onnx.load(tmp_path / "apart.onnx")

    with open_model(save(model, tmp_path / "one.onnx")) as opened:
        weight = opened.array(opened.proto.graph.initializer[0])

    assert np.array_equal(weight, numpy_helper.to_array(conv_net(16).graph.initializer[0]))


@pytest.mark.parametrize("place", ["name", "doc_string", "metadata", "node", "raw_data", "small"])
def test_the_text_of_a_token_is_no_token_elsewhere(place: str) -> None:
    model = conv_net(16)
    token = f"{TOKEN}0"
    weight = model.graph.initializer[0]
    match place:
        case "name":
            weight.name = model.graph.node[0].input[1] = token
        case "doc_string":
            weight.doc_string = model.graph.doc_string = token
        case "metadata":
            weight.metadata_props.add(key="location", value=TOKEN)
            model.metadata_props.add(key=token, value=token)
        case "node":
            model.graph.node[0].name = token
        case "raw_data":
            weight.raw_data = (token.encode() * 1000)[: len(weight.raw_data)]
        case _:
            strings = np.array([token.encode()] * 3, object)
            model.graph.initializer.append(numpy_helper.from_array(strings, "strings"))
    data = model.SerializeToString(deterministic=True)

    skeleton, spans = take_out(Buffer(data))

    assert restored(data, reserialised(skeleton), spans) == data


def test_a_token_that_comes_from_the_file_itself_is_refused(tmp_path: Path) -> None:
    model = conv_net(16)
    forged = model.graph.initializer.add(name="forged", data_type=1, dims=[16, 3, 3, 3])
    forged.data_location = TensorProto.EXTERNAL
    forged.external_data.add(key="location", value=TOKEN)
    forged.external_data.add(key="offset", value="0")

    with pytest.raises(FoldError):
        open_model(save(model, tmp_path / "m.onnx"))


def test_no_file_can_know_what_stands_for_a_tensor_that_was_taken_out() -> None:
    """Or a tensor that named it would get the bytes of another one."""
    code = "from folding.skeleton import TOKEN; print(repr(TOKEN))"

    seen = {subprocess.check_output([sys.executable, "-c", code]) for _ in range(3)}

    assert len(seen) == 3


def test_a_tensor_in_a_place_that_no_tensor_can_have_is_refused(tmp_path: Path) -> None:
    model = conv_net(16)
    hidden = model.graph.node[2].attribute.add(name="hidden", type=AttributeProto.FLOAT)
    hidden.t.raw_data = bytes(16 * 27 * 4)

    with pytest.raises(FoldError):
        open_model(save(model, tmp_path / "m.onnx"))


def test_the_walker_sees_the_tensors_that_protobuf_sees(tmp_path: Path) -> None:
    model = conv_net(32)
    path = save(model, tmp_path / "m.onnx")

    with open_model(path) as opened:
        seen = {t.name: opened.array(t) for t in opened.proto.graph.initializer}

    for tensor in model.graph.initializer:
        np.testing.assert_array_equal(seen[tensor.name], numpy_helper.to_array(tensor))


def test_a_reference_to_another_file_takes_the_token_s_place(tmp_path: Path) -> None:
    model = conv_net(16)
    weight = model.graph.initializer[0]
    data = model.SerializeToString(deterministic=True)
    skeleton, _ = take_out(Buffer(data))
    entries = {"location": "other.bin", "offset": "4096", "length": str(len(weight.raw_data))}

    pieces = put_in(skeleton, lambda _: external(entries))

    put_apart(weight, tmp_path, "other.bin", offset=4096)
    whole = b"".join(piece for piece in pieces if isinstance(piece, bytes))
    assert ModelProto.FromString(whole) == model


def test_a_model_in_memory_is_its_own_skeleton() -> None:
    model = conv_net(16)

    held = in_memory(model)

    assert isinstance(held, Model)
    assert held.proto.SerializeToString() == model.SerializeToString()


def referring(tensor: TensorProto, entries: dict[str, str]) -> TensorProto:
    refer(tensor, **entries)
    return tensor


def test_a_token_in_a_sparse_tensor_gives_way_too() -> None:
    """It comes from a file that keeps the tensor elsewhere."""
    token = TensorProto(name="sparse")
    refer(token, location=TOKEN, offset="0")
    model = conv_net()
    model.graph.sparse_initializer.append(SparseTensorProto(values=token))
    model.graph.node[0].attribute.add().sparse_tensor.indices.CopyFrom(token)

    pieces = put_in(model.SerializeToString(), lambda _: external({"location": "w.bin"}))

    assert len(pieces) == 1
    whole = ModelProto.FromString(b"".join(p for p in pieces if isinstance(p, bytes)))
    refer(token, location="w.bin")
    assert whole.graph.sparse_initializer[0].values == token
    assert whole.graph.node[0].attribute[-1].sparse_tensor.indices == token


def test_what_onnx_does_not_know_of_a_tensor_apart_stays_as_it_is() -> None:
    """Among it a place that no version of ONNX has, and fields of known number but another type."""
    token = TensorProto(name="w", doc_string="of other types")
    refer(token, location=TOKEN, offset="0")
    token.MergeFromString(UNKNOWN + numeric(14, 7) + numeric(13, 7) + numeric(8, 7))
    model = ModelProto(graph=GraphProto(initializer=[token]))

    pieces = put_in(model.SerializeToString(), lambda _: external({"location": "w.bin"}))

    del token.external_data[:]
    token.external_data.add(key="location", value="w.bin")
    assert b"".join(p for p in pieces if isinstance(p, bytes)) == model_of(token)


def test_a_token_beside_a_group_is_malformed() -> None:
    """Which only a message too small to be looked into before can have."""
    token = TensorProto(name="w")
    refer(token, location=TOKEN, offset="0")
    token.MergeFromString(b"\xa3\x38\xa4\x38")

    with pytest.raises(Malformed, match="a group"):
        put_in(model_of(token), lambda _: 0)


def model_of(tensor: TensorProto) -> bytes:
    return ModelProto(graph=GraphProto(initializer=[tensor])).SerializeToString()
