"""Numbers that no input of a model lets take part in its results: they need not be right.

    mean or variance of a BatchNormalization where gamma is 0
    slope of a PRelu whose input is never negative
    taps of a Conv that only ever meet its padding
    channels that whatever reads them multiplies with 0, or leaves out

Tools that prune a model, or train one, leave such numbers behind. That they do not matter is said
of the reference: a file in which they are others is neither wrong nor proved to be right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from math import prod

import numpy as np
import numpy.typing as npt

from folding.doubled import Doubles
from folding.equivalence.foreign.bounds import ROUNDINGS
from folding.equivalence.foreign.channels import are_dropped
from folding.equivalence.foreign.deviation import in_step, pieces
from folding.equivalence.foreign.drowned import channel_of
from folding.equivalence.foreign.faults import Fault
from folding.equivalence.foreign.given import is_given
from folding.equivalence.foreign.layers import LAYERS
from folding.equivalence.foreign.numbers import Constant
from folding.equivalence.foreign.terms import RESHAPE, Call, Term, Value
from folding.floats import FLOATS

_WEIGHT, _BIAS = 1, 2
_GAMMA, _MEAN, _VARIANCE = 1, 3, 4
_NOT_NEGATIVE = frozenset(
    {"Abs", "Exp", "HardSigmoid", "ReduceL1", "ReduceL2", "ReduceSumSquare", "Relu", "Sigmoid"}
    | {"Softmax", "Softplus", "Sqrt"}
)
_KEEPING = frozenset(
    {"AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool", "ReduceMax", "ReduceMean"}
    | {"ReduceMin", "ReduceSum", "Transpose", RESHAPE}
)

_Places = npt.NDArray[np.intp]


def is_unseen(fault: Fault, outputs: Sequence[Value]) -> bool:
    """Whether no number that differs can take part in the outputs of the reference."""
    reader, constant = fault.reader, fault.constant
    if reader is None or not fault.is_numeric:
        return False
    call = reader.call
    if call.is_own("PRelu"):
        return _is_not_negative(call.input(0))
    if call.is_own("BatchNormalization"):
        return _is_behind_zero(call, fault) or _is_dropped(reader, fault, outputs)
    if not call.is_own(*LAYERS) or not _is_own_number(call, constant):
        return False
    return _meets_padding(call, fault) or _is_dropped(reader, fault, outputs)


def _is_own_number(call: Call, constant: Constant) -> bool:
    return any(call.input(slot) is constant for slot in (_WEIGHT, _BIAS))


def _differing(fault: Fault) -> Iterator[_Places]:
    """The places in C order of the numbers that are not what they must be, piece by piece."""
    kind = FLOATS[fault.constant.elem_type]
    must_be_same = is_given(fault.constant) and is_given(fault.theirs)
    allowed = 0.0 if must_be_same else ROUNDINGS * kind.roundoff
    with closing(pieces(fault.constant)) as one, closing(pieces(fault.theirs)) as other:
        for ours, own, theirs, their in in_step(one, other):
            with np.errstate(all="ignore"):
                exact, stored = ours[1][own], theirs[1][their]
                size = np.maximum(ours[2]()[own], kind.tiny)
                apart: Doubles = np.abs(stored - exact)
                places: _Places = np.flatnonzero(~(apart <= allowed * size))
            yield places + ours[0] + own.start


def _is_not_negative(value: Value | None) -> bool:
    while isinstance(value, Term) and value.call.is_own(*_KEEPING):
        value = value.call.input(0)
    return isinstance(value, Term) and value.call.is_own(*_NOT_NEGATIVE)


def _is_behind_zero(call: Call, fault: Fault) -> bool:
    """Whether a statistic differs only where it is multiplied with 0."""
    gamma = call.input(_GAMMA)
    zeros = gamma.doubled() if isinstance(gamma, Constant) else None
    if zeros is None or not any(call.input(s) is fault.constant for s in (_MEAN, _VARIANCE)):
        return False
    flat = zeros.high.reshape(-1)
    return all(not flat[places].any() for places in _differing(fault))


def _meets_padding(call: Call, fault: Fault) -> bool:
    """Whether a Conv reads nothing but its padding with the numbers that differ."""
    met = _met(call) if call.input(_WEIGHT) is fault.constant else None
    if met is None:
        return False
    flat = met.reshape(-1)
    return all(not flat[places % flat.size].any() for places in _differing(fault))


def _met(call: Call) -> npt.NDArray[np.bool_] | None:
    """Which taps of a Conv ever meet its image; None if that is not known."""
    x, weight = call.input(0), call.input(_WEIGHT)
    shape = None if x is None else x.shape
    if not call.is_own("Conv") or shape is None or not isinstance(weight, Constant):
        return None
    if len(shape) != len(weight.shape):
        return None
    image, kernel = shape[2:], weight.shape[2:]
    ones, none = (1,) * len(kernel), (0,) * 2 * len(kernel)
    strides, dilations = (call.attributes.get(name) or ones for name in ("strides", "dilations"))
    pads = call.attributes.get("pads") or none
    met = np.ones((), bool)
    for axis, (length, size) in enumerate(zip(image, kernel, strict=True)):
        if length is None:
            return None
        before, after = pads[axis], pads[axis + len(kernel)]
        last = length + before + after - dilations[axis] * (size - 1) - 1
        starts = np.arange(0, last + 1, strides[axis]) - before
        at = starts[:, None] + dilations[axis] * np.arange(size)
        met = met[..., None] & ((at >= 0) & (at < length)).any(0)
    return met


def _is_dropped(reader: Term, fault: Fault, outputs: Sequence[Value]) -> bool:
    """Whether the numbers that differ belong to channels that nothing reads."""
    call, shape = reader.call, fault.constant.shape
    channels = set[int]()
    for places in _differing(fault):
        is_vector = len(shape) == 1 or prod(shape) == 1
        found = places if is_vector else channel_of(places, call, shape)
        channels.update(np.unique(found).tolist())
    return are_dropped(reader, channels, outputs)
