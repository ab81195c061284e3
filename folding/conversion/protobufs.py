"""Which message of TensorFlow or ONNX a file is, as far as its framing tells.

    SavedModel     1: version                2: graph with its meta information, often several
    MetaGraphDef   1: meta information       2: GraphDef        once each, and more
    GraphDef       1: node, often            2: functions       4: versions
    NodeDef        1: name                   2: operator        both texts
    ModelProto     1: IR version             7: graph           8: operator sets

Field numbers are from the .proto files of TensorFlow and ONNX.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path

from folding.conversion.job import Kind
from folding.errors import BadCall, Malformed
from folding.framing import BYTES, VARINT, Field, fields
from folding.source import SourceFile

#: So many fields at the top are looked at: a graph has one for each node.
_MOST = 1000
_LONGEST_NAME = 1000
_TEXT = (b"node {", b"graph_def {", b"meta_info_def {", b"saved_model_schema_version:")


def kind_of_protobuf(path: Path) -> Kind | None:
    """The kind of a file that may be a message of TensorFlow; None if it is none.

    Raises:
        BadCall: it is such a message, but none to convert.
        StorageFailed: it cannot be read.
    """
    source = SourceFile(path)
    with closing(source):
        start = source.read(0, min(source.size, 64)).lstrip()
        if start.startswith(_TEXT):
            text = f"{str(path)!r} is a graph as text"
            raise BadCall(text, hint="Write it with as_text=False, or SerializeToString().")
        try:
            found = list(islice(fields(source, 0, source.size), _MOST))
        except Malformed:
            return None
        _refuse_others(path, found)
        if found and _is_node(source, found[0]):
            return Kind.FROZEN_GRAPH
        if _is_meta_graph(source, found):
            return Kind.META_GRAPH
    return None


def _refuse_others(path: Path, found: list[Field]) -> None:
    wires = {field.number: field.wire for field in found}
    if wires.get(1) != VARINT:
        return
    if _is_model(wires):
        text = f"{str(path)!r} is an ONNX model already"
        raise BadCall(text, hint="Fold it with fold-model fold.")
    if wires == {1: VARINT, 2: BYTES}:
        text = f"{str(path)!r} is a part of a SavedModel"
        raise BadCall(text, hint=f"Name its folder, {str(path.parent)!r}.")


def _is_model(wires: Mapping[int, int]) -> bool:
    return wires.get(1) == VARINT and wires.get(7) == wires.get(8) == BYTES


def is_onnx(path: Path) -> bool:
    """Whether a file is an ONNX model, or calls itself one.

    Raises:
        StorageFailed: it cannot be read.
    """
    if path.suffix == ".onnx" or path.is_dir() or not path.exists():
        return path.suffix == ".onnx"
    with closing(SourceFile(path)) as source, suppress(Malformed):
        wires = {field.number: field.wire for field in fields(source, 0, source.size)}
        return _is_model(wires)
    return False


def _is_meta_graph(source: SourceFile, found: list[Field]) -> bool:
    graphs = [field for field in found if field.number == 2 and field.wire == BYTES]  # noqa: PLR2004
    if len(graphs) != 1:
        return False
    return any(_is_node(source, field) for field in _inside(source, graphs[0], 1))


def _is_node(source: SourceFile, field: Field) -> bool:
    """Whether a field holds a NodeDef: its first two fields are texts, the second a name."""
    if field.number != 1 or field.wire != BYTES:
        return False
    found = {f.number: f for f in _inside(source, field, 2)}
    if set(found) != {1, 2} or any(f.wire != BYTES for f in found.values()):
        return False
    texts = [source.read(f.payload, min(f.end, f.payload + _LONGEST_NAME)) for f in found.values()]
    return all(text.isascii() and text.decode("ascii").isprintable() and text for text in texts)


def _inside(source: SourceFile, field: Field, count: int) -> list[Field]:
    try:
        return list(islice(fields(source, field.payload, field.end), count))
    except Malformed:
        return []
