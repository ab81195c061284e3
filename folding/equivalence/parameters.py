"""Parameters: every folded tensor holds the exact result, rounded once to its type.

With T the folding formula on the stored originals, in double-double, and A the same formula with
absolute values and plus signs, each stored number must satisfy

    |stored - T| <= ulp(T) / 2 + 2^-48 * A

The first term is the rounding to the stored type. The second covers that T itself is rounded to
float64 before: an expression of k operations in precision v is within k * v / (1 - k * v) * A of
its value (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., lemma 3.1); with
v = 2^-53 it allows 32 of them. A relative fault of 0.01 % in a float32 is far beyond both.

The check costs what reading both files costs: every step of it works in buffers that stay in the
processor's cache, and A, which seldom decides, is computed only for those pieces of a tensor in
which a number is not within half an ulp of T.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from folding.doubled import Doubles
from folding.draft import Draft
from folding.equivalence.verdict import Check, Status
from folding.floats import FloatType
from folding.modelfile import Model
from folding.protos import named_tensors
from folding.recipes import Changed, Part
from folding.repeated import Repeated
from folding.scratch import Scratch, scratch

_SLACK = 2.0**-48
#: The bits of a float64 that hold its exponent: alone, they are the power of two below a number.
_EXPONENT = np.int64(0x7FF0_0000_0000_0000)
_PIECE = 1 << 15


def check_parameters(candidate: Model, drafts: list[Draft]) -> Check:
    """Compare the changed tensors of a folded file with what they must be.

    ``worst`` is the largest deviation in units of what is allowed for that element.
    """
    stored = named_tensors(candidate.proto)
    worst, at = 0.0, ""
    for scope, draft in enumerate(drafts):
        for name, changed in draft.changed.items():
            found = stored.get((scope, name))
            why = _misfit(found, changed)
            if found is None or why:
                return Check("parameters", Status.FAILED, why, at=name)
            deviation = _deviation(candidate, found, changed)
            if not deviation <= worst:
                worst, at = deviation, name
    if worst <= 1:
        return Check("parameters", Status.PASSED, worst=worst, bound=1.0, at=at)
    why = f"a number of the folded tensor {at!r} is not what the fold requires"
    return Check("parameters", Status.FAILED, why, worst, 1.0, at)


def _misfit(found: TensorProto | None, changed: Changed) -> str:
    """Why a tensor cannot be the one that is expected, or nothing."""
    if found is None:
        return f"the folded tensor {changed.name!r} is missing"
    if tuple(found.dims) != changed.recipe.dims or found.data_type != changed.elem_type:
        return f"the folded tensor {changed.name!r} has another shape or type"
    return ""


def _deviation(candidate: Model, found: TensorProto, changed: Changed) -> float:
    """The largest |stored - T| of a tensor over what is allowed; NaN counts as infinitely wrong."""
    if isinstance(changed.recipe, Repeated):
        same = candidate.array(found).tobytes() == changed.recipe.array.tobytes()
        return 0.0 if same else np.inf
    read, kind, worst = candidate.reader(found), changed.float_type, 0.0
    with scratch(3) as (numbers, *work):
        for part in changed.recipe.parts():
            exact = part.exact.reshape(-1)
            for low in range(0, exact.size, _PIECE):
                piece = exact[low : low + _PIECE]
                start = part.start + low
                stored = read(start, start + piece.size, numbers)
                deviation = _in_half_ulps(stored, piece, kind, work)
                if not deviation <= 1:
                    deviation = _in_allowances(stored, part, low, kind)
                worst = max(worst, deviation)
    return worst


def _in_half_ulps(
    stored: npt.NDArray[Any], exact: Doubles, kind: FloatType, work: list[Scratch]
) -> float:
    """The largest |stored - T| in units of ulp(T) / 2. Without a fresh buffer, so it is cheap."""
    apart, powers = (buffer.array(np.float64, exact.shape) for buffer in work)
    with np.errstate(all="ignore"):
        np.copyto(apart, stored, casting="unsafe")
        np.abs(np.subtract(apart, exact, out=apart), out=apart)
        np.bitwise_and(exact.view(np.int64), _EXPONENT, out=powers.view(np.int64))
        np.divide(apart, np.maximum(powers, kind.tiny, out=powers), out=apart)
        return float(apart.max(initial=0.0)) / kind.roundoff


def _in_allowances(stored: npt.NDArray[Any], part: Part, low: int, kind: FloatType) -> float:
    """The largest |stored - T| of a piece, over what is allowed for each element."""
    piece = slice(low, low + stored.size)
    exact, magnitude = (np.reshape(a, -1)[piece] for a in (part.exact, part.magnitude))
    with np.errstate(all="ignore"):
        allowed = kind.half_ulp(exact) + _SLACK * magnitude
        worst = float((np.abs(stored.astype(np.float64) - exact) / allowed).max(initial=0.0))
    return np.inf if np.isnan(worst) else worst
