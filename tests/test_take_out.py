"""Taking tensors out: all big ones, reading nothing twice, and nothing that has two readings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from damage import delimited, numeric
from files import conv_net
from fuzzing import Watched, bytes_of, parsed
from fuzzing import tensors as every_tensor
from hypothesis import given
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper
from skeletons import RAW, initializer, reserialised, restored
from strategies import models

from folding.errors import Malformed, NestingTooDeep, StorageFailed
from folding.framing import Buffer
from folding.skeleton import LEAST, take_out

# --- which tensors, and what is read -------------------------------------------------------------


@given(models())
def test_every_big_tensor_but_a_sparse_one_is_taken_out_and_no_small_one(model: ModelProto) -> None:
    data = model.SerializeToString()

    skeleton, spans = take_out(Buffer(data))

    assert all(end - start >= LEAST for start, end in spans)
    whole = {tensor.raw_data for tensor in every_tensor(model)}
    assert all(data[slice(*span)] in whole for span in spans)
    left = every_tensor(ModelProto.FromString(skeleton))
    assert all(len(tensor.raw_data) < LEAST for tensor in left)


def test_a_model_of_helper_s_own_making_has_the_spans_of_its_big_tensors() -> None:
    weights = [
        helper.make_tensor(f"w{size}", TensorProto.UINT8, [size], bytes(size), raw=True)
        for size in (LEAST - 1, LEAST, LEAST + 1)
    ]
    data = ModelProto(graph=GraphProto(initializer=weights)).SerializeToString()

    _, spans = take_out(Buffer(data))

    assert [end - start for start, end in spans] == [LEAST, LEAST + 1]


def test_training_graphs_have_their_tensors_taken_out() -> None:
    model = conv_net()
    weight = numpy_helper.from_array(np.arange(LEAST, dtype=np.float32), "start")
    model.training_info.add().initialization.initializer.append(weight)
    data = model.SerializeToString(deterministic=True)

    skeleton, spans = take_out(Buffer(data))

    assert [data[slice(*span)] for span in spans] == [weight.raw_data]
    assert restored(data, reserialised(skeleton), spans) == data


def test_sparse_tensors_stay_in_the_skeleton() -> None:
    """The ONNX checker and runtimes do not look for their data elsewhere."""
    values = numpy_helper.from_array(np.ones(LEAST, np.float32), "sparse")
    places = numpy_helper.from_array(np.arange(LEAST), "places")
    model = conv_net()
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [LEAST]))
    data = model.SerializeToString()

    assert take_out(Buffer(data)) == (data, [])


@given(models())
def test_no_byte_is_read_twice(model: ModelProto) -> None:
    source = Watched(model.SerializeToString())

    take_out(source)

    source.assert_read_once()


def test_the_data_of_tensors_is_not_read() -> None:
    weight = TensorProto(name="w", data_type=TensorProto.UINT8, raw_data=bytes(1 << 24))
    source = Watched(ModelProto(graph=GraphProto(initializer=[weight] * 3)).SerializeToString())

    take_out(source)

    assert sum(end - start for start, end in source.ranges) < 1 << 16


# --- what could be read in two ways --------------------------------------------------------------

REPEATED = {
    "graph": delimited(7, b"") + initializer(RAW),
    "raw_data": initializer(RAW, RAW),
    "a small raw_data before a big one": initializer(delimited(9, b"abcd"), RAW),
    "raw_data and float_data": initializer(RAW, delimited(4, bytes(8))),
    "float_data and raw_data": initializer(delimited(4, bytes(8)), RAW),
    "raw_data and a file": initializer(RAW, delimited(13, delimited(1, b"location"))),
    "raw_data and a place": initializer(RAW, numeric(14, 1)),
    "raw_data and an unknown place": initializer(RAW, numeric(14, 7)),
    "raw_data and two places": initializer(numeric(14, 0), RAW, numeric(14, 0)),
    "an attribute's tensor": delimited(
        7, delimited(1, delimited(5, delimited(5, RAW) + delimited(5, RAW)))
    ),
    "an attribute's small tensor": delimited(
        7, delimited(1, delimited(5, delimited(5, RAW) + delimited(5, b"")))
    ),
    "an attribute's graph": delimited(
        7, delimited(1, delimited(5, delimited(6, RAW) + delimited(6, RAW)))
    ),
    "a training's graph": delimited(20, delimited(1, RAW) + delimited(1, RAW)),
}


@pytest.mark.parametrize("what", REPEATED)
def test_what_protobuf_would_merge_or_overwrite_is_malformed(what: str) -> None:
    with pytest.raises(Malformed):
        take_out(Buffer(REPEATED[what]))


def test_a_child_that_reaches_beyond_its_parent_is_malformed() -> None:
    graph = b"\x2a\x88\x27" + RAW

    with pytest.raises(Malformed, match="reaches beyond its message"):
        take_out(Buffer(delimited(7, graph) + bytes(9000)))


def test_fields_of_known_numbers_but_other_types_are_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As they are to protobuf."""
    monkeypatch.setattr("folding.skeleton.LEAST", 1)
    tensor = numeric(9, 300) + numeric(8, 5) + delimited(14, b"\1") + delimited(8, b"w")
    data = numeric(7, 300) + delimited(7, numeric(5, 300) + delimited(5, tensor))

    assert take_out(Buffer(data)) == (data, [])
    assert ModelProto.FromString(data).graph.initializer[0].name == "w"


def test_a_source_that_becomes_shorter_is_told_of() -> None:
    class Shrinking(Buffer):
        """A file that is truncated once its size is known."""

        def read(self, start: int, end: int) -> bytes:
            return self.data[start : end - 1]

    with pytest.raises(StorageFailed, match="became shorter"):
        take_out(Shrinking(conv_net(16).SerializeToString()))


# --- graphs in graphs ----------------------------------------------------------------------------


def nested(graphs: int, inner: bytes = b"") -> bytes:
    """A graph in which are others, each in an attribute of a node, that many in all."""
    for _ in range(graphs - 1):
        inner = delimited(1, delimited(5, delimited(6, inner)))
    return inner


def in_graph(graphs: int, inner: bytes = b"") -> bytes:
    return delimited(7, nested(graphs, inner))


def in_function(graphs: int, inner: bytes = b"") -> bytes:
    return delimited(25, delimited(7, delimited(5, delimited(11, nested(graphs - 1, inner)))))


def in_training(graphs: int, inner: bytes = b"") -> bytes:
    return delimited(20, delimited(2, nested(graphs, inner)))


EVERYWHERE = pytest.mark.parametrize("place", [in_graph, in_function, in_training])
INNER = pytest.mark.parametrize("inner", [b"", delimited(5, RAW)], ids=["small", "big"])


@EVERYWHERE
@INNER
@pytest.mark.parametrize("limit", [2, 5, 32])
def test_as_many_graphs_may_be_in_one_another_as_allowed(
    place: Any, inner: bytes, limit: int
) -> None:
    data = place(limit, inner)

    skeleton, spans = take_out(Buffer(data), nesting=limit)

    assert len(spans) == bool(inner)
    assert bytes_of(parsed(restored(data, reserialised(skeleton), spans))) == bytes_of(parsed(data))


@EVERYWHERE
@INNER
@pytest.mark.parametrize("limit", [2, 5, 32])
@pytest.mark.parametrize("more", [1, 2, 70, 3000])
def test_one_more_is_too_deep_however_small(
    place: Any, inner: bytes, limit: int, more: int
) -> None:
    data = place(limit + more, inner)

    with pytest.raises(NestingTooDeep, match=f"deeper than {limit}"):
        take_out(Buffer(data), nesting=limit)


def test_more_than_protobuf_reads_cannot_be_allowed() -> None:
    with pytest.raises(NestingTooDeep, match="deeper than 32"):
        take_out(Buffer(in_graph(33)), nesting=1000)
