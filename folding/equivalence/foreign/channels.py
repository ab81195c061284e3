"""Which channels of a value whatever reads them multiplies with 0, or leaves out.

Conv ─ Relu ─ Conv whose weight has zeros for a channel
MatMul ─ Slice that leaves a channel out
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from math import prod

import numpy as np
import numpy.typing as npt

from folding.equivalence.foreign.deviation import pieces
from folding.equivalence.foreign.layers import LAYERS
from folding.equivalence.foreign.numbers import Constant
from folding.equivalence.foreign.terms import (
    LINEAR,
    PAIRED,
    RESHAPE,
    SLICE,
    UNARY,
    Call,
    Term,
    Value,
)
from folding.floats import FLOATS
from folding.inference import Shape

#: Where each channel of the result is made of that channel alone.
_BY_CHANNEL = frozenset(
    {"AveragePool", "BatchNormalization", "GlobalAveragePool", "GlobalMaxPool"}
    | {"InstanceNormalization", "MaxPool"}
)
_ELEMENTWISE = frozenset((*UNARY, *PAIRED))
#: A value, the axis of its channels, and those of them that are followed.
_Way = tuple[Term, int, frozenset[int]]
_Places = npt.NDArray[np.intp]


def are_dropped(layer: Term, channels: set[int], outputs: Sequence[Value]) -> bool:
    """Whether nothing that the outputs are made of reads some channels of a layer."""
    rank = None if layer.shape is None else len(layer.shape)
    if rank is None:
        return False
    first = rank - 1 if layer.call.is_own(LINEAR) else 1
    readers = _readers(outputs)
    todo, seen = [(layer, first, frozenset(channels))], set[tuple[int, int, frozenset[int]]]()
    while todo:
        value, axis, followed = todo.pop()
        if (id(value), axis, followed) in seen:
            continue
        seen.add((id(value), axis, followed))
        if any(value is output for output in outputs):
            return False
        for reader, slot in readers.get(id(value), ()):
            way = _through(reader, slot, value, axis, followed)
            if way is None:
                return False
            todo += [way] if way[2] else []
    return True


def _readers(outputs: Sequence[Value]) -> dict[int, list[tuple[Term, int]]]:
    """What reads a value, and as which of its inputs; a body reads as its own node, in no slot."""
    readers: dict[int, list[tuple[Term, int]]] = {}
    todo, seen = list(outputs), set[int]()
    while todo:
        value = todo.pop()
        if not isinstance(value, Term) or id(value) in seen:
            continue
        seen.add(id(value))
        for slot, given in _inputs(value.call):
            readers.setdefault(id(given), []).append((value, slot))
            todo.append(given)
    return readers


def _inputs(call: Call) -> Iterator[tuple[int, Value]]:
    yield from ((slot, given) for slot, given in enumerate(call.inputs) if given is not None)
    yield from ((-1, result) for body in call.bodies for result in body.results)


def _through(
    reader: Term, slot: int, value: Term, axis: int, channels: frozenset[int]
) -> _Way | None:
    """Where channels go on behind a reader, which may be nowhere; None if they may show."""
    call, shape, result = reader.call, value.shape, reader.shape
    if len(call.outputs) != 1 or shape is None or result is None:
        return None
    if call.is_own(*LAYERS):
        return None if _is_read(call, axis, len(shape), channels) else (reader, axis, frozenset())
    is_alike = call.is_own(*_ELEMENTWISE) and len(shape) == len(result)
    if (is_alike and shape[axis] == result[axis]) or (
        call.is_own(*_BY_CHANNEL) and axis == 1 and slot == 0
    ):
        return reader, axis, channels
    if call.is_own("Transpose") and "perm" in call.attributes:
        return reader, call.attributes["perm"].index(axis), channels
    if call.is_own(RESHAPE) and _keeps(shape, result, axis):
        return reader, axis, channels
    return _picked(reader, axis, channels) if slot == 0 else None


def _keeps(shape: Shape, result: Shape, axis: int) -> bool:
    """Whether only what is within a channel is in other dimensions."""
    rests = [dims[axis + 1 :] for dims in (shape, result)]
    known = [[length for length in rest if length is not None] for rest in rests]
    is_known = all(len(k) == len(r) for k, r in zip(known, rests, strict=True))
    is_alike = shape[: axis + 1] == result[: axis + 1]
    return is_alike and is_known and prod(known[0]) == prod(known[1])


def _is_read(call: Call, axis: int, rank: int, channels: frozenset[int]) -> bool:
    """Whether a layer multiplies any of some channels of its input with anything but 0."""
    weight, wanted = call.input(1), sorted(channels)
    place = rank - 1 if call.is_own(LINEAR) else 1
    if not isinstance(weight, Constant) or weight.elem_type not in FLOATS or axis != place:
        return True
    with closing(pieces(weight)) as parts:
        for start, exact, _ in parts:
            places = np.flatnonzero(exact != 0) + start
            if np.isin(_read(places, call, weight.shape), wanted).any():
                return True
    return False


def _read(places: _Places, call: Call, dims: tuple[int, ...]) -> _Places:
    """Which channel of its input the numbers of a weight multiply, by their places in C order."""
    first: _Places = places // prod(dims[1:])
    if not call.is_own("Conv"):
        return first
    group = first // (dims[0] // call.attributes.get("group", 1))
    channel: _Places = group * dims[1] + places // prod(dims[2:]) % dims[1]
    return channel


def _picked(reader: Term, axis: int, channels: frozenset[int]) -> _Way | None:
    """The channels that a Slice or a Gather takes along."""
    call = reader.call
    if call.is_own(SLICE):
        ranges = dict(call.attributes["ranges"])
        if axis not in ranges:
            return reader, axis, channels
        kept: Sequence[int] | None = range(*ranges[axis])
    elif call.is_own("Gather") and call.attributes.get("axis", 0) == axis:
        index = call.input(1)
        kept = index.integers() if isinstance(index, Constant) and len(index.shape) == 1 else None
    else:
        return None
    if kept is None or min(kept, default=0) < 0:
        return None
    return reader, axis, frozenset(i for i, channel in enumerate(kept) if channel in channels)
