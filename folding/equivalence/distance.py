"""How far apart two results of a run are: one number, or a sentence where no number says it.

The number is the root mean square of the difference relative to that of what was expected: over the
whole and, if wanted, over each channel, of which a small one would vanish in the whole. A channel
of tiny numbers may be what is left of large ones that cancel, though; so it is taken to have a
64th of the size that the whole has at least. With the general bound below, that many roundings of
the whole's size always pass.

The general bound is 2^12 u, with u the unit roundoff of the coarsest type in the model: what two
right models may differ by that round otherwise, if nothing tells how their roundings are enlarged
on the way. A sum of n products has an error of at most n u S in any order, S being the sum of the
absolute values (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1), and
more than about lambda sqrt(n) u S with a probability below 2 n exp(-lambda^2 / 2) only (Higham and
Mary, A new approach to probabilistic rounding error analysis, SIAM J. Sci. Comput. 41, 2019,
theorem 3.1); in the root mean square over many elements it is less. Layers in a row add up theirs,
and independent ones to the root of the sum of the squares. For lambda = 6, where the probability is
10^-4 for 4096 products, 2^12 = 6 * 683 and 683^2 is about 113 * 4096: so the bound covers a hundred
layers of 4096 products each, as long as S is no larger than the result. It is a choice, and no
proof: what cancels more, or what a function enlarges, is measured (``rounding``) before anything
is said of it, and a fault of 0.1 % is four times 2^12 u of float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import Any

import numpy as np
from onnx import ModelProto

from folding.doubled import Doubles
from folding.equivalence.feeds import Array
from folding.equivalence.noise import form, pieces
from folding.floats import FLOATS
from folding.protos import graphs

#: How far an output may be off where nothing measures it: so many roundings, and so much at most.
ROUNDINGS = 2.0**12
MOST = 0.1
#: The size of a channel is no less than that of the whole divided by this.
_SMALLEST = 64.0
#: What integers differ by at least that differ.
_LEAST = 2.0**-63


def distance(one: Any, other: Any, *, by_channel: bool = False) -> float | str:
    """How far a value is from the one expected, relative to that one's own size."""
    if isinstance(one, list) and isinstance(other, list):
        return _of_sequences(one, other, by_channel=by_channel)
    if isinstance(one, dict) or one is None:
        return 0.0 if type(one) is type(other) and one == other else "it differs"
    a, b = np.asarray(one), np.asarray(other)
    if a.shape != b.shape or a.dtype != b.dtype:
        return f"{a.dtype} {a.shape} became {b.dtype} {b.shape}"
    if a.dtype.kind in "OSU":
        return 0.0 if (a == b).all() else "it differs"
    if a.dtype.kind in "biu":
        # Numbers of 64 bits may differ where their nearest in float64 do not.
        return 0.0 if (a == b).all() else max(_LEAST, _apart(a, b, by_channel=by_channel))
    if not _same_specials(a, b):
        return "NaN or Inf elsewhere"
    return _apart(a, b, by_channel=by_channel)


def _of_sequences(one: list[Any], other: list[Any], *, by_channel: bool) -> float | str:
    if len(one) != len(other):
        return f"{len(one)} elements became {len(other)}"
    worst = 0.0
    for a, b in zip(one, other, strict=True):
        found = distance(a, b, by_channel=by_channel)
        if isinstance(found, str):
            return found
        worst = max(worst, found)
    return worst


def _same_specials(one: Array, other: Array) -> bool:
    for _, a, b in _pieces(one, other):
        finite = np.isfinite(a)
        # Where the reference overflows and the fold does not, the fold is right.
        same = (np.isinf(a) & np.isfinite(b)) | (a == b) | (np.isnan(a) & np.isnan(b))
        if not same[~finite].all() or not np.isfinite(b[finite]).all():
            return False
    return True


def _apart(one: Array, other: Array, *, by_channel: bool) -> float:
    """The root mean square of the difference over that of the first, where that is finite."""
    largest = 0.0
    for _, a, b in _pieces(one, other):
        for values in (a, b):
            most = np.max(np.abs(values), where=np.isfinite(a), initial=0.0)
            largest = max(largest, float(most))
    if not largest:
        return 0.0
    size, apart, count = (np.zeros(form(one.shape)[1]) for _ in range(3))
    for channels, a, b in _pieces(one, other):
        finite = np.isfinite(a)
        # Scaled, so that no square of a large number overflows.
        x, y = (np.where(finite, values, 0.0) / largest for values in (a, b))
        size[channels] += np.square(x).sum((0, 2))
        apart[channels] += np.square(x - y).sum((0, 2))
        count[channels] += finite.sum((0, 2))
    total = float(size.sum())
    if not total:
        return sqrt(apart.sum() / count.sum()) * largest
    found = apart.sum() / total
    if by_channel:
        least = count * (total / count.sum() / _SMALLEST**2)
        some = count > 0
        found = max(found, (apart[some] / np.fmax(size, least)[some]).max(initial=0.0))
    return sqrt(found)


def _pieces(one: Array, other: Array) -> Iterator[tuple[slice, Doubles, Doubles]]:
    """Both in float64, as batch, channels and rest, piece by piece."""
    shape = form(one.shape)
    for place in pieces(*shape):
        a, b = (x.reshape(shape)[place].astype(np.float64) for x in (one, other))
        yield place[1], a, b


def general_bound(model: ModelProto) -> float:
    """2^12 roundings of the coarsest float type among the weights and the signature."""
    types = {tensor.data_type for graph in graphs(model) for tensor in graph.initializer}
    for value in (*model.graph.input, *model.graph.output):
        types.add(value.type.tensor_type.elem_type)
    roundoff = max((FLOATS[t].roundoff for t in types if t in FLOATS), default=2.0**-24)
    return min(MOST, ROUNDINGS * roundoff)
