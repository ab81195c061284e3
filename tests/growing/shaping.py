"""Carriers that put elements elsewhere: axes, reshapes, repetitions, parts."""

from __future__ import annotations

import numpy as np
from graphs import BFLOAT

from growing.grower import Given, Grower, Rule, Unfit

_COMPRESS_IS_INFERRED, _AXES_ARE_INPUT, _ALLOWS_ZERO = 11, 13, 14


def same(g: Grower, x: str) -> str:
    """Identity, Dropout, or a Cast to the type it has."""
    operator = g.pick("Identity", "Dropout", "Cast")
    given: Given = {"to": g.kind(x)} if operator == "Cast" else {}
    return g.add(operator, x, **given)


def transpose(g: Grower, x: str) -> str:
    rank = len(g.shape(x, least=2))
    perm = list(range(rank))[::-1] if g.one_in(4) else g.order(rank)
    given: Given = {} if perm == list(range(rank))[::-1] and g.flip() else {"perm": perm}
    hint = perm.index(g.hints.get(x, 1) % rank)
    if g.net.elem_type != BFLOAT and g.one_in(4):
        letters = "abcdefgh"[:rank]
        made = "".join(letters[axis] for axis in perm)
        return g.add("Einsum", x, equation=f"{letters}->{made}", hint=hint)
    return g.add("Transpose", x, hint=hint, **given)


def squeeze(g: Grower, x: str) -> str:
    shape = g.shape(x, least=1)
    axis = g.pick(*[a for a, size in enumerate(shape) if size == 1])
    more, given = g.listed("axes", [g.spelled(axis, len(shape), 11)], _AXES_ARE_INPUT)
    hint = g.hints.get(x, 1)
    return g.add("Squeeze", x, *more, hint=hint - (axis < hint), **given)


def unsqueeze(g: Grower, x: str) -> str:
    rank = len(g.shape(x, most=4))
    axis = g.upto(rank)
    more, given = g.listed("axes", [g.spelled(axis, rank + 1, 11)], _AXES_ARE_INPUT)
    hint = g.hints.get(x, 1)
    return g.add("Unsqueeze", x, *more, hint=hint + (axis <= hint), **given)


def merge(g: Grower, x: str) -> str:
    """A Reshape that makes one axis of two neighbours."""
    shape = list(g.shape(x, least=2))
    first = g.upto(len(shape) - 2)
    merged = [*shape[:first], shape[first] * shape[first + 1], *shape[first + 2 :]]
    hint = g.hints.get(x, 1)
    return _reshaped(g, x, merged, kept=first, hint=hint - (hint > first))


def cut(g: Grower, x: str) -> str:
    """A Reshape that makes two axes of one."""
    shape = list(g.shape(x, least=1, most=4))
    axis = g.axis(x)
    inner = g.pick(*[n for n in (2, 3, 4) if shape[axis] % n == 0])
    whole = [*shape[:axis], shape[axis] // inner, inner, *shape[axis + 1 :]]
    hint = g.hints.get(x, 1)
    return _reshaped(g, x, whole, kept=axis, hint=hint + (axis < hint or g.flip()))


def _reshaped(g: Grower, x: str, sizes: list[int], *, kept: int, hint: int) -> str:
    """Some sizes are left to be copied or computed."""
    for place in range(kept):
        sizes[place] = 0 if g.flip() else sizes[place]
    if g.flip():
        sizes[g.upto(len(sizes) - 1)] = -1
    given: Given = {"allowzero": 0} if g.net.opset >= _ALLOWS_ZERO and g.one_in(4) else {}
    return g.add("Reshape", x, g.net.integers(*sizes), hint=hint, **given)


def shuffle(g: Grower, x: str) -> str:
    """Two Reshapes and a Transpose between them, of the parts that an axis is cut into."""
    shape = list(g.shape(x, least=1, most=4))
    axis = min(g.hints.get(x, 1), len(shape) - 1) if g.flip() else g.axis(x)
    inner = g.pick(*[n for n in (2, 3) if shape[axis] % n == 0 and shape[axis] > n])
    parts = [*shape[:axis], shape[axis] // inner, inner, *shape[axis + 1 :]]
    hint, rank = g.hints.get(x, 1), len(parts)
    perm = [axis + 1 if i == axis else axis if i == axis + 1 else i for i in range(rank)]
    cut = _reshaped(g, x, parts, kept=axis, hint=hint)
    is_odd = g.one_in(6)
    turned = g.add("Transpose", cut, perm=g.order(rank) if is_odd else perm)
    if g.one_in(8):
        g.outputs.append(g.pick(cut, turned))
    whole = _reshaped(g, turned, [*shape], kept=0 if is_odd else axis, hint=hint)
    return g.add("Transpose", whole, perm=g.order(rank - 1)) if g.one_in(8) else whole


def flatten(g: Grower, x: str) -> str:
    rank = len(g.shape(x, least=1))
    given: Given = {} if g.flip() else {"axis": g.spelled(g.upto(rank), rank, 11)}
    if given.get("axis") == 0 or g.net.opset < 9:
        raise Unfit
    return g.add("Flatten", x, hint=1, **given)


def expand(g: Grower, x: str) -> str:
    shape = list(g.shape(x, least=1))
    sizes = [g.upto(2, 1) if size == 1 else g.pick(1, size) for size in shape]
    sizes = [2, *sizes] if g.one_in(4) and len(shape) < 5 else sizes[g.upto(len(sizes) - 1) :]
    added = max(len(sizes) - len(shape), 0)
    return g.add("Expand", x, g.net.integers(*sizes), hint=g.hints.get(x, 1) + added)


def tile(g: Grower, x: str) -> str:
    shape = g.shape(x, least=1)
    times = [1] * len(shape)
    times[g.axis(x)] = 2
    return g.add("Tile", x, g.net.integers(*times))


def concat(g: Grower, x: str) -> str:
    """A value beside itself, or beside another one of the same shape."""
    shape = g.shape(x, least=1)
    axis = g.hints.get(x, 0) if g.flip() else g.axis(x)
    axis = min(axis, len(shape) - 1)
    alike = [y for y in g.floats() if g.values[y].shape == shape and g.kind(y) == g.kind(x)]
    parts = [x, g.pick(*alike)]
    if g.one_in(4):
        parts.append(g.net.weight(*shape, elem_type=g.kind(x)))
    if g.flip():
        parts.reverse()
    return g.add("Concat", *parts, axis=g.spelled(axis, len(shape), 11))


def split(g: Grower, x: str) -> str:
    """The parts are put together again, or all but one stay unread, or are outputs."""
    shape = g.shape(x, least=1)
    axis = g.axis(x)
    first = g.upto(shape[axis] - 1, 1)
    more, given = g.listed("split", [first, shape[axis] - first], 13)
    out = f"part{len(g.net.nodes)}"
    at = g.spelled(axis, len(shape), 11)
    g.add("Split", x, *more, out=f"{out},{out}_", axis=at, **given)
    if g.one_in(3):
        g.outputs.append(out)
    if g.flip():
        return g.add("Concat", f"{out}_", out, axis=axis)
    return g.pick(out, f"{out}_")


def slice_(g: Grower, x: str) -> str:
    shape = g.shape(x, least=1)
    axis = g.axis(x)
    begin = g.upto(shape[axis] - 1)
    end = g.upto(shape[axis], begin + 1)
    if g.net.opset < 10:
        return g.add("Slice", x, starts=[begin], ends=[end], axes=[axis])
    step = g.pick(1, 1, 2, -1)
    ends = [begin, end] if step > 0 else [end - 1, begin - 1 - shape[axis]]
    names = [g.net.integers(value) for value in (*ends, g.spelled(axis, len(shape)), step)]
    return g.add("Slice", x, *names)


def gather(g: Grower, x: str) -> str:
    shape = g.shape(x, least=1)
    axis = g.axis(x)
    size = shape[axis]
    if g.one_in(4):
        indices = g.net.store(np.array(g.upto(size - 1)), elem_type=0)
    else:
        indices = g.net.integers(*[g.upto(size - 1) for _ in range(g.upto(3, 1))])
    hint = g.hints.get(x, 1)
    lost = not g.net.stored[indices].ndim and axis < hint
    return g.add("Gather", x, indices, axis=g.spelled(axis, len(shape), 11), hint=hint - lost)


def reverse(g: Grower, x: str) -> str:
    """A part of each row in reverse order."""
    if g.kind(x) == BFLOAT:
        raise Unfit
    shape = g.shape(x, least=2)
    time = g.upto(1)
    lengths = g.net.integers(*(g.upto(shape[time], 1) for _ in range(shape[1 - time])))
    given: Given = {} if time == 0 and g.flip() else {"time_axis": time, "batch_axis": 1 - time}
    return g.add("ReverseSequence", x, lengths, **given)


def compress(g: Grower, x: str) -> str:
    """Some places along an axis, or of the elements in their order."""
    if g.net.opset < _COMPRESS_IS_INFERRED or g.kind(x) == BFLOAT:
        raise Unfit
    shape = g.shape(x, least=1)
    axis = None if g.one_in(6) else g.axis(x)
    size = int(np.prod(shape)) if axis is None else shape[axis]
    mask = g.net.store([g.flip() for _ in range(size)], elem_type=0)
    if axis is None:
        return g.add("Compress", x, mask, hint=0)
    return g.add("Compress", x, mask, axis=g.spelled(axis, len(shape), 11))


SHAPING: tuple[Rule, ...] = (
    same,
    transpose,
    squeeze,
    unsqueeze,
    merge,
    cut,
    shuffle,
    flatten,
    expand,
    tile,
    concat,
    split,
    slice_,
    gather,
    reverse,
    compress,
)
