"""Framing: what is taken out of a file comes back byte for byte, and no bytes can confuse it."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import Any, TypeVar

import numpy as np
import pytest
from files import conv_net, put_apart, save
from google.protobuf.message import DecodeError, Message
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

from folding import soundness
from folding.errors import FoldError, Malformed
from folding.framing import Buffer, fields
from folding.modelfile import Model, in_memory, open_model
from folding.skeleton import LEAST, TOKEN, Hole, external, put_in, take_out

NAMES = st.text(st.sampled_from("aβ/ \n"), max_size=4) | st.just(TOKEN)
M = TypeVar("M", bound=Message)
SIZES = st.sampled_from([0, 1, 7, LEAST - 1, LEAST, LEAST + 1, 3 * LEAST])


def number(value: int) -> bytes:
    """A varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def delimited(field: int, payload: bytes) -> bytes:
    return number(field << 3 | 2) + number(len(payload)) + payload


def varint(field: int, value: int) -> bytes:
    return number(field << 3) + number(value)


def initializer(*parts: bytes) -> bytes:
    """A file whose only initializer has these fields."""
    return delimited(7, delimited(5, b"".join(parts)))


RAW = delimited(9, bytes(range(256)) * 8)


@st.composite
def tensors(draw: st.DrawFn) -> TensorProto:
    tensor = TensorProto(name=draw(NAMES), data_type=draw(st.sampled_from([1, 7, 8])))
    size = draw(SIZES)
    tensor.dims.extend(draw(st.lists(st.integers(0, 9), max_size=3)))
    match draw(st.sampled_from(["raw", "raw", "raw", "float", "int64", "string", "none"])):
        case "raw":
            tensor.raw_data = draw(st.randoms()).randbytes(size)
        case "float":
            tensor.float_data.extend([0.5] * (size // 4))
        case "int64":
            tensor.int64_data.extend(range(size // 8))
        case "string":
            tensor.string_data.extend([b"x" * size])
    if draw(st.booleans()):
        tensor.doc_string = draw(NAMES)
    if draw(st.booleans()):
        tensor.metadata_props.add(key=draw(NAMES), value=draw(NAMES))
    return with_unknown(draw, tensor)


def with_unknown(draw: st.DrawFn, message: M) -> M:
    """The message with, perhaps, fields that this version of ONNX does not know."""
    if draw(st.integers(0, 4)):
        return message
    extra = delimited(900, b"later" + draw(NAMES).encode()) + varint(901, 7) + b"\xb5\x38abcd"
    return type(message).FromString(message.SerializeToString() + extra)


@st.composite
def nodes(draw: st.DrawFn, depth: int) -> NodeProto:
    node = NodeProto(op_type="Constant", name=draw(NAMES), output=[draw(NAMES)])
    for _ in range(draw(st.integers(0, 2))):
        found = node.attribute.add(name=draw(NAMES))
        kind = draw(st.sampled_from(["tensor", "tensors", "floats", "graph", "graphs"]))
        match kind if depth else kind.replace("graph", "tensor"):
            case "tensor":
                found.type = AttributeProto.TENSOR
                found.t.CopyFrom(draw(tensors()))
            case "tensors":
                found.type = AttributeProto.TENSORS
                found.tensors.extend(draw(st.lists(tensors(), max_size=2)))
            case "floats":
                found.type = AttributeProto.FLOATS
                found.floats.extend([1.5] * draw(SIZES))
            case "graph":
                found.type = AttributeProto.GRAPH
                found.g.CopyFrom(draw(graphs(depth - 1)))
            case "graphs":
                found.type = AttributeProto.GRAPHS
                found.graphs.append(draw(graphs(depth - 1)))
    return with_unknown(draw, node)


@st.composite
def graphs(draw: st.DrawFn, depth: int = 1) -> GraphProto:
    graph = GraphProto(name=draw(NAMES), doc_string=draw(NAMES))
    graph.node.extend(draw(st.lists(nodes(depth), max_size=2)))
    graph.initializer.extend(draw(st.lists(tensors(), max_size=3)))
    for name in draw(st.lists(NAMES, max_size=2)):
        graph.input.append(ValueInfoProto(name=name))
        graph.metadata_props.add(key=name, value=name)
    return with_unknown(draw, graph)


@st.composite
def models(draw: st.DrawFn) -> ModelProto:
    model = ModelProto(ir_version=10, producer_name=draw(NAMES), doc_string=draw(NAMES))
    model.graph.CopyFrom(draw(graphs()))
    model.opset_import.add(domain="", version=17)
    for node in draw(st.lists(nodes(1), max_size=1)):
        model.functions.add(name="f", domain="d").node.append(node)
    for graph in draw(st.lists(graphs(0), max_size=1)):
        model.training_info.add().algorithm.CopyFrom(graph)
    model.metadata_props.add(key=draw(NAMES), value=draw(NAMES))
    return with_unknown(draw, model)


def restored(data: bytes, skeleton: bytes, spans: list[tuple[int, int]]) -> bytes:
    """The file that a skeleton stands for."""
    pieces = put_in(skeleton, lambda index: spans[index][1] - spans[index][0])
    return b"".join(
        data[slice(*spans[piece.index])] if isinstance(piece, Hole) else piece for piece in pieces
    )


def split(data: bytes) -> list[tuple[int, bytes, bytes]]:
    """The number, the head and the payload of each field; nothing is checked."""
    found, at = [], 0

    def read() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at, value, shift = at + 1, value | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                return value

    while at < len(data):
        start, key = at, read()
        match key & 7:
            case 0:
                read()
                body = at
            case 1 | 5:
                body = at = at + (8 if key & 7 == 1 else 4)
            case _:
                length = read()
                body, at = at, at + length
        found.append((key, data[start:body], data[body:at]))
    return found


def scrambled(data: bytes, kind: Any, order: random.Random) -> bytes:
    """The same message with its fields in another order, and so in the messages within."""
    pieces: dict[int, list[bytes]] = {}
    for key, head, payload in split(data):
        known = kind.fields_by_number.get(key >> 3) if kind else None
        inner = known.message_type if known else None
        whole = head + payload
        if inner is not None and key & 7 == 2:
            whole = delimited(key >> 3, scrambled(payload, inner, order))
        pieces.setdefault(key >> 3, []).append(whole)
    numbers = list(pieces)
    order.shuffle(numbers)
    return b"".join(b"".join(pieces[field]) for field in numbers)


@given(models())
@settings(deadline=None)
def test_what_is_taken_out_comes_back_byte_for_byte(model: ModelProto) -> None:
    data = model.SerializeToString(deterministic=True)

    skeleton, spans = take_out(Buffer(data))

    assert restored(data, skeleton, spans) == data


@given(models())
@settings(deadline=None)
def test_so_it_does_when_protobuf_has_parsed_the_skeleton(model: ModelProto) -> None:
    data = model.SerializeToString(deterministic=True)

    skeleton, spans = take_out(Buffer(data))
    parsed = ModelProto.FromString(skeleton).SerializeToString(deterministic=True)

    assert restored(data, parsed, spans) == data


@given(models(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_fields_in_an_odd_order_mean_the_same(model: ModelProto, order: random.Random) -> None:
    data = scrambled(model.SerializeToString(), ModelProto.DESCRIPTOR, order)

    skeleton, spans = take_out(Buffer(data))

    assert ModelProto.FromString(restored(data, skeleton, spans)) == model


@given(models())
@settings(deadline=None)
def test_every_span_is_the_raw_data_of_a_tensor_of_at_least_that_size(model: ModelProto) -> None:
    data = model.SerializeToString()

    _, spans = take_out(Buffer(data))

    assert all(end - start >= LEAST for start, end in spans)
    assert all(data[slice(*span)] in every_raw_data(model) for span in spans)


def every_raw_data(message: Any) -> list[bytes]:
    if isinstance(message, TensorProto):
        return [message.raw_data]
    found = []
    for field, value in message.ListFields():
        if field.message_type is not None:
            for child in value if field.is_repeated else [value]:
                found += every_raw_data(child)
    return found


@given(models())
@settings(deadline=None)
def test_no_big_raw_data_of_a_graph_or_function_is_left_in_the_skeleton(model: ModelProto) -> None:
    del model.training_info[:]

    skeleton, _ = take_out(Buffer(model.SerializeToString()))

    left = every_raw_data(ModelProto.FromString(skeleton))
    assert all(len(data) < LEAST for data in left)


NET = conv_net(16).SerializeToString()
WEIGHT = conv_net(16).graph.initializer[0].raw_data
#: Where a fault is not merely another weight.
HEADS = [i for i in range(len(NET)) if not 0 < i - NET.find(WEIGHT) < len(WEIGHT)]


def accepted(data: bytes) -> ModelProto | None:
    """What the walker and protobuf together make of a file, None if it is malformed."""
    try:
        skeleton, spans = take_out(Buffer(data))
        ModelProto.FromString(skeleton)
    except (Malformed, DecodeError):
        return None
    return ModelProto.FromString(restored(data, skeleton, spans))


def protobuf(data: bytes) -> ModelProto | None:
    try:
        return ModelProto.FromString(data)
    except DecodeError:
        return None


def test_a_file_cut_off_at_any_byte_is_malformed_or_reads_as_protobuf_reads_it() -> None:
    for end in range(len(NET)):
        assert accepted(NET[:end]) == protobuf(NET[:end])


@given(st.binary(max_size=200))
def test_random_bytes_are_malformed_or_read_as_protobuf_reads_them(data: bytes) -> None:
    found = accepted(data)

    assert found is None or found == protobuf(data)


@given(st.randoms(use_true_random=False), st.integers(1, 4))
@settings(deadline=None, max_examples=400)
def test_a_damaged_file_is_malformed_or_reads_as_protobuf_reads_it(
    luck: random.Random, faults: int
) -> None:
    data = bytearray(NET)
    for _ in range(faults):
        data[luck.choice(HEADS)] = luck.choice([0, 1, 0x7F, 0x80, 0xFF, luck.randrange(256)])

    found = accepted(bytes(data))

    assert found is None or found == protobuf(bytes(data))


@given(st.binary(max_size=16), st.sampled_from(HEADS))
@settings(deadline=None, max_examples=300)
def test_opening_damaged_bytes_raises_nothing_but_fold_errors(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    path.write_bytes(NET[:at] + noise + NET[at + len(noise) :])

    try:
        with open_model(path) as model:
            soundness.check(model, str(path))
    except FoldError as error:
        assert str(error)  # noqa: PT017 - no error is right as well


REPEATED = {
    "graph": delimited(7, b"") + initializer(RAW),
    "raw_data": initializer(RAW, RAW),
    "a small raw_data before a big one": initializer(delimited(9, b"abcd"), RAW),
    "raw_data and float_data": initializer(RAW, delimited(4, bytes(8))),
    "float_data and raw_data": initializer(delimited(4, bytes(8)), RAW),
    "raw_data and a file": initializer(RAW, delimited(13, delimited(1, b"location"))),
    "raw_data and a place": initializer(RAW, varint(14, 1)),
    "an attribute's tensor": delimited(
        7, delimited(1, delimited(5, delimited(5, RAW) + delimited(5, RAW)))
    ),
    "an attribute's graph": delimited(
        7, delimited(1, delimited(5, delimited(6, RAW) + delimited(6, RAW)))
    ),
}


@pytest.mark.parametrize("what", REPEATED)
def test_what_protobuf_would_merge_or_overwrite_is_malformed(what: str) -> None:
    with pytest.raises(Malformed):
        take_out(Buffer(REPEATED[what]))


BROKEN = {
    "a group": b"\x0b\x0c",
    "the end of a group": b"\x0c",
    "wire type 6": b"\x0e",
    "wire type 7": b"\x0f",
    "field number 0": b"\x02\x00",
    "an over-long key": b"\x8a\x80\x00\x00",
    "an over-long length": b"\x0a\x80\x00",
    "a length beyond the file": b"\x3a\x7f",
    "a length beyond 2**63": b"\x3a" + b"\xff" * 9 + b"\x01",
    "an endless number": b"\x08" + b"\xff" * 11,
    "a number that is cut off": b"\x08\xff",
    "fixed32 that is cut off": b"\x0d\x00",
    "fixed64 that is cut off": b"\x09\x00",
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_no_field_is_malformed(what: str) -> None:
    with pytest.raises(Malformed, match="at byte 0"):
        list(fields(Buffer(BROKEN[what]), 0, len(BROKEN[what])))


def test_a_child_that_reaches_beyond_its_parent_is_malformed() -> None:
    graph = number(5 << 3 | 2) + number(5000) + RAW

    with pytest.raises(Malformed, match="reaches beyond its message"):
        take_out(Buffer(delimited(7, graph) + bytes(9000)))


def nested(depth: int) -> bytes:
    """A tensor in so many graphs, each in an attribute of a node."""
    graph = delimited(5, RAW)
    for _ in range(depth):
        graph = delimited(1, delimited(5, delimited(6, graph)))
    return delimited(7, graph)


def test_bodies_within_bodies_are_followed() -> None:
    data = nested(20)

    skeleton, spans = take_out(Buffer(data))

    assert len(spans) == 1
    assert restored(data, skeleton, spans) == data


def test_bodies_nested_without_end_are_malformed() -> None:
    with pytest.raises(Malformed, match="too deeply"):
        take_out(Buffer(nested(2000)))


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
    parsed = ModelProto.FromString(skeleton).SerializeToString(deterministic=True)

    assert restored(data, parsed, spans) == data


def test_a_token_that_comes_from_the_file_itself_is_refused(tmp_path: Any) -> None:
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


def test_a_tensor_in_a_place_that_no_tensor_can_have_is_refused(tmp_path: Any) -> None:
    model = conv_net(16)
    hidden = model.graph.node[2].attribute.add(name="hidden", type=AttributeProto.FLOAT)
    hidden.t.raw_data = bytes(16 * 27 * 4)

    with pytest.raises(FoldError):
        open_model(save(model, tmp_path / "m.onnx"))


def test_the_walker_sees_the_tensors_that_protobuf_sees(tmp_path: Any) -> None:
    model = conv_net(32)
    path = save(model, tmp_path / "m.onnx")

    with open_model(path) as opened:
        seen = {t.name: opened.array(t) for t in opened.proto.graph.initializer}

    for tensor in model.graph.initializer:
        np.testing.assert_array_equal(seen[tensor.name], numpy_helper.to_array(tensor))


def test_a_reference_to_another_file_takes_the_token_s_place(tmp_path: Any) -> None:
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


def test_a_model_of_helper_s_own_making_has_the_spans_of_its_big_tensors() -> None:
    weights = [
        helper.make_tensor(f"w{size}", TensorProto.UINT8, [size], bytes(size), raw=True)
        for size in (LEAST - 1, LEAST, LEAST + 1)
    ]
    data = ModelProto(graph=GraphProto(initializer=weights)).SerializeToString()

    _, spans = take_out(Buffer(data))

    assert [end - start for start, end in spans] == [LEAST, LEAST + 1]
