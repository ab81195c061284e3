"""Parameters: every folded tensor holds the exact result, rounded once to its type.

With T the folding formula on the stored originals, in double-double, and A the same formula with
absolute values and plus signs, each stored number must satisfy

    |stored - T| <= ulp(T) / 2 + 2^-48 * A

The first term is the rounding to the stored type. The second covers that T itself is rounded to
float64 before: an expression of k operations in precision v is within k * v / (1 - k * v) * A of
its value (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., lemma 3.1); with
v = 2^-53 it allows 32 of them. A relative fault of 0.01 % in a float32 is far beyond both.
"""

from __future__ import annotations

import numpy as np

from folding.draft import Draft
from folding.modelfile import Model
from folding.protos import named_tensors
from folding.recipes import Changed, Direct, Part
from folding.scratch import scratch
from folding.verify.verdict import Check, Status

_SLACK = 2.0**-48


def check_parameters(candidate: Model, drafts: list[Draft]) -> Check:
    """Compare the changed tensors of a folded file with what they must be.

    ``worst`` is the largest deviation in units of what is allowed for that element.
    """
    stored = named_tensors(candidate.proto)
    worst, at = 0.0, ""
    for scope, draft in enumerate(drafts):
        for name, changed in draft.changed.items():
            found = stored.get((scope, name))
            if found is None:
                why = f"the folded tensor {name!r} is missing"
                return Check("parameters", Status.FAILED, why, at=name)
            if tuple(found.dims) != changed.recipe.dims or found.data_type != changed.elem_type:
                why = f"the folded tensor {name!r} has another shape or type"
                return Check("parameters", Status.FAILED, why, at=name)
            read = candidate.reader(found)
            with scratch(1) as (work,):
                for part in changed.recipe.parts():
                    stored_part = read(part.start, part.start + part.exact.size, work)
                    deviation = _deviation(stored_part, part, changed)
                    if not deviation <= worst:
                        worst, at = deviation, name
    if worst <= 1:
        return Check("parameters", Status.PASSED, worst=worst, bound=1.0, at=at)
    why = f"a number of the folded tensor {at!r} is not what the fold requires"
    return Check("parameters", Status.FAILED, why, worst, 1.0, at)


def cancellation(drafts: list[Draft]) -> float:
    """The largest A / (|T| + 1) of any folded shift, at least 1: by how much its terms cancel.

    A normalised output has a size of about 1, hence the 1.
    """
    worst = 1.0
    for draft in drafts:
        for changed in draft.changed.values():
            if isinstance(changed.recipe, Direct):
                value = changed.recipe.value
                with np.errstate(all="ignore"):
                    ratios = value.magnitude / (np.abs(value.high) + 1.0)
                worst = max(worst, float(np.nanmax(ratios, initial=1.0)))
    return worst


def _deviation(stored: np.typing.NDArray[np.generic], part: Part, changed: Changed) -> float:
    """The largest |stored - T| over what is allowed; NaN counts as infinitely wrong."""
    exact, magnitude = np.atleast_1d(part.exact), np.atleast_1d(part.magnitude)
    allowed = changed.float_type.half_ulp(exact) + _SLACK * magnitude
    with np.errstate(invalid="ignore"):
        ratio = np.abs(stored.astype(np.float64).reshape(exact.shape) - exact) / allowed
    worst = float(ratio.max(initial=0.0))
    return np.inf if np.isnan(worst) else worst
