"""float16 ranges: where the source may overflow on hardware and the folded model does not.

onnxruntime's CPU provider computes float16 in float32, so a run does not show an intermediate
value above 65504. A batch normalisation says how large its input gets: by Chebyshev's inequality
at most 1 value in 64 is further from the mean than 8 standard deviations.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from onnx import NodeProto, TensorProto

from folding.constants import Constants
from folding.draft import Draft
from folding.floats import FLOATS
from folding.plan import Warned
from folding.protos import title

_DEVIATIONS = 8.0


def range_warning(node: NodeProto, constants: Constants) -> Warned | None:
    """A warning if what this BatchNormalization normalises may overflow in float16."""
    mean, variance = (constants.doubled(name) for name in node.input[3:5])
    if mean is None or variance is None:
        return None
    with np.errstate(invalid="ignore"):
        reach = np.abs(mean.high) + _DEVIATIONS * np.sqrt(variance.high)
    if not reach.max(initial=0.0) > FLOATS[TensorProto.FLOAT16].largest:
        return None
    text = (
        f"the float16 values before {title(node)!r} reach {reach.max():.3g} by its own statistics;"
        " where they overflow, the folded model is right and the source is not"
    )
    return Warned("FLOAT16_RANGE", title(node), text)


def range_warnings(draft: Draft, nodes: Iterable[int]) -> list[Warned]:
    """What is to be said of the batch normalisations in float16 among some nodes."""
    scope, found = draft.scope, []
    for index in nodes:
        is_batch_norm = scope.operators[index] == "BatchNormalization"
        if is_batch_norm and scope.type(scope.reads[index][0]) == TensorProto.FLOAT16:
            warning = range_warning(scope.nodes[index], draft.constants)
            found += [warning] if warning else []
    return found
