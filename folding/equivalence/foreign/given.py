"""Constants that neither side computes: they must be the same bytes.

Others are as good as them where a constant is multiplied or added and nothing behind that shows the
sign of a zero, or makes a number large that is below the least normal one of a type that reaches
below 2^-100: some runtimes take it for 0 (``flush to zero``), as some tools do that store what they
computed. (In float16 such numbers are ordinary ones.) That is no fault, but nothing is proved.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod

import numpy as np
from onnx import TensorProto

from folding.equivalence.foreign.numbers import Constant, Whole, is_whole
from folding.floats import FLOATS, FloatType
from folding.scratch import ELEMENTS, scratch
from folding.stored import Stored

_NOTHING = 2.0**-100

_Alike = Callable[[Whole, Whole], bool]


def is_given(constant: Constant) -> bool:
    """Whether its numbers are stored, or follow without rounding."""
    return isinstance(constant.source, Stored | np.ndarray)


def flushed_below(kind: FloatType) -> float:
    """Numbers smaller than this may be stored as 0."""
    return kind.tiny if kind.tiny < _NOTHING else 0.0


def same(ours: Constant, theirs: Constant) -> bool:
    """Whether two constants that are given are the same bytes."""
    return _compared(ours, theirs, _same_arrays)


def as_good(ours: Constant, theirs: Constant) -> bool:
    """Whether they are, but for the signs of zeros and what may be taken for 0."""
    kind = FLOATS.get(ours.elem_type)
    return kind is not None and _compared(ours, theirs, partial(_as_good, kind))


def _compared(ours: Constant, theirs: Constant, alike: _Alike) -> bool:
    one, other = ours.source, theirs.source
    is_plain = not ours.axes and not theirs.axes and _is_streamable(one) and _is_streamable(other)
    if not is_whole(ours):
        return is_plain and _content(ours) == _content(theirs)
    return _streamed(ours, theirs, alike) if is_plain else alike(ours.array(), theirs.array())


def _streamed(ours: Constant, theirs: Constant, alike: _Alike) -> bool:
    assert isinstance(ours.source, Stored)
    assert isinstance(theirs.source, Stored)
    read = ours.constants.model.reader(ours.source.tensor)
    read_other = theirs.constants.model.reader(theirs.source.tensor)
    count = prod(ours.shape)
    with scratch(2) as (work, work_other):
        return all(
            alike(
                read(low, min(low + ELEMENTS, count), work),
                read_other(low, min(low + ELEMENTS, count), work_other),
            )
            for low in range(0, count, ELEMENTS)
        )


def _content(constant: Constant) -> object:
    """Text, or several numbers in a byte: all at once, since both are rare and small."""
    assert isinstance(constant.source, Stored)
    tensor, model = constant.source.tensor, constant.constants.model
    content = model.content(tensor)
    if content is not None:
        return content.read(0, content.size)
    if tensor.data_type == TensorProto.STRING:
        return list(tensor.string_data)
    return tensor.raw_data if tensor.HasField("raw_data") else list(tensor.int32_data)


def _is_streamable(source: object) -> bool:
    return isinstance(source, Stored) and not source.moves


def _same_arrays(one: Whole, other: Whole) -> bool:
    if one.dtype != other.dtype:
        return False
    a, b = (np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in (one, other))
    return bool(np.array_equal(a, b))


def _as_good(kind: FloatType, one: Whole, other: Whole) -> bool:
    """Whether numbers are the same bytes, or equal, or both as good as 0."""
    if _same_arrays(one, other) or one.dtype != other.dtype:
        return one.dtype == other.dtype
    a, b = (array.astype(np.float64) for array in (one, other))
    least = flushed_below(kind)
    return bool(((a == b) | ((np.abs(a) < least) & (np.abs(b) < least))).all())
