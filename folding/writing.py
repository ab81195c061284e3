"""Write a model by streaming: the skeleton's bytes, and in their places the tensors' own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from folding import sink, skeleton
from folding.beside import begun
from folding.errors import ModelTooLarge
from folding.interrupts import held_back
from folding.layout import Layout
from folding.modelfile import Model, token
from folding.plan import Warned
from folding.protos import graphs
from folding.source import Content, Span
from folding.target import Target, storage
from folding.waiting import Waiting

#: What protobuf can read as one message.
_PROTOBUF_LIMIT = (1 << 31) - 1
#: Where a tensor of external data begins: on a page, so that a runtime can map it; a small one
#: is copied anyway.
_PAGE, _SMALL, _ALIGNED = 4096, 1 << 16, 64


@contextmanager
def written(
    model: Model, path: Path, layout: Layout = Layout.AS_SOURCE, *, digest: bool = False
) -> Iterator[Target]:
    """Write a model beside ``path``; unless it is kept, no file of it outlives the block.

    Args:
        model: what to write.
        path: the target.
        layout: where its big tensors go. A file that would pass 2 GB keeps them apart whatever
            it says, and warns.
        digest: whether the SHA-256 of the .onnx file is wanted.

    Raises:
        StorageFailed: the disk is full, or the folder cannot be written to.
        ModelTooLarge: it passes 2 GB even without the tensors that can be kept apart.
        Unrepresentable: a changed tensor does not fit its type.
    """
    with begun(path, _identities(model)) as target:
        with storage(path):
            apart = _settled(model, layout, target)
            places = _write_data(model, target, apart) if apart else {}
            pieces = [
                piece if isinstance(piece, bytes) else model.contents[piece.index]
                for piece in _pieces(model, places)
            ]
            _write_model(target, pieces, digest=digest)
        yield target


@contextmanager
def copied(
    model: Model, path: Path, layout: Layout = Layout.AS_SOURCE, *, digest: bool = False
) -> Iterator[Target]:
    """Like ``written`` for a model that did not change: the source's own bytes, if it can be."""
    too_large = model.files[0].size > _PROTOBUF_LIMIT
    if model.is_external or layout is Layout.EXTERNAL_DATA or too_large:
        with written(model, path, layout, digest=digest) as target:
            yield target
        return
    source = model.files[0]
    with begun(path, _identities(model)) as target:
        with storage(path):
            _write_model(target, [Span(source, 0, source.size, apart=False)], digest=digest)
        yield target


def _identities(model: Model) -> frozenset[tuple[int, int]]:
    return frozenset(file.identity for file in model.files)


def _write_model(target: Target, pieces: Sequence[sink.Piece], *, digest: bool = False) -> None:
    with held_back():
        target.model = Waiting(target.path)
    descriptor = target.model.descriptor
    if digest:
        size, target.sha256 = sink.write_in_order(descriptor, pieces)
    else:
        size = sink.write(descriptor, pieces)
    target.bytes += size


def _settled(model: Model, layout: Layout, target: Target) -> set[int]:
    """The tokens whose bytes go to a file of their own, in the end."""
    apart = _apart(model, layout)
    if _size(model, apart) <= _PROTOBUF_LIMIT:
        return apart
    apart = _apart(model, Layout.EXTERNAL_DATA)
    if _size(model, apart) > _PROTOBUF_LIMIT:
        raise ModelTooLarge(f"{target.path.name!r} would pass 2 GB, which no ONNX file can")
    text = "the target keeps its data in another file: one file would pass 2 GB"
    target.warnings.append(Warned("EXTERNAL_DATA", target.path.name, text))
    return apart


def _apart(model: Model, layout: Layout) -> set[int]:
    """The tokens whose bytes go to a file of their own."""
    if layout is Layout.SINGLE_FILE:
        return set()
    own = {index for index in model.tokens() if model.contents[index].apart}
    return own | _initializers(model) if layout is Layout.EXTERNAL_DATA else own


def _initializers(model: Model) -> set[int]:
    """The tokens of initializers; runtimes want the tensors of nodes in the model itself."""
    found = (token(t) for graph in graphs(model.proto) for t in graph.initializer)
    return {index for index in found if index is not None}


def _pieces(model: Model, places: dict[int, bytes]) -> list[bytes | skeleton.Hole]:
    def place(index: int) -> bytes | int:
        return places[index] if index in places else model.contents[index].size

    return skeleton.put_in(model.proto.SerializeToString(deterministic=True), place)


def _size(model: Model, apart: set[int]) -> int:
    """About how many bytes the model has without the tensors that are kept apart."""
    inside = set(model.tokens()) - apart
    return model.proto.ByteSize() + sum(model.contents[index].size for index in inside)


def _write_data(model: Model, target: Target, apart: set[int]) -> dict[int, bytes]:
    """Write the tensors that are kept apart to one file; the fields that refer to each.

    What two tensors share in the source they share here, be it a part of them only: otherwise
    tensors that overlap could be written to far more bytes than the source has.
    """
    with held_back():
        target.data = Waiting(target.path)
    pieces: list[sink.Piece] = []
    end = 0
    first: dict[int, int] = {}
    places: dict[int, tuple[int, int]] = {}
    indices = [index for index in model.tokens() if index in apart]
    shared = _shared(model.contents[index] for index in indices)
    for index in indices:
        content = model.contents[index]
        whole, start = shared.get(_key(content), (content, 0))
        if id(whole) not in first:
            padding = -end % (_PAGE if whole.size >= _SMALL else _ALIGNED)
            first[id(whole)] = end + padding
            end += padding + whole.size
            pieces += [bytes(padding), whole]
        places[index] = first[id(whole)] + start, content.size
    size, fingerprint = sink.write_tensors(target.data.descriptor, pieces)
    target.bytes += size
    target.data_path = target.path.with_name(f"weights-{fingerprint[:16]}.data")
    return {
        index: skeleton.external(
            {"location": target.data_path.name, "offset": str(start), "length": str(length)}
        )
        for index, (start, length) in places.items()
    }


def _shared(contents: Iterable[Content]) -> dict[object, tuple[Span, int]]:
    """For each range of a file the whole that ranges overlapping it make, and its place there."""
    spans = [content for content in contents if isinstance(content, Span)]
    spans.sort(key=lambda span: (span.file.identity, span.start, -span.size))
    found: dict[object, tuple[Span, int]] = {}
    first = 0
    while first < len(spans):
        span, end, last = spans[first], spans[first].start + spans[first].size, first + 1
        while last < len(spans) and _overlaps(spans[last], span, end):
            end = max(end, spans[last].start + spans[last].size)
            last += 1
        whole = Span(span.file, span.start, end - span.start, span.apart)
        found |= {_key(part): (whole, part.start - span.start) for part in spans[first:last]}
        first = last
    return found


def _overlaps(span: Span, other: Span, end: int) -> bool:
    """Whether a range begins in another one that goes to ``end``, or is the same."""
    same = span.file.identity == other.file.identity
    return same and (span.start < end or _key(span) == _key(other))


def _key(content: Content) -> object:
    if isinstance(content, Span):
        return content.file.identity, content.start, content.size
    return id(content)
