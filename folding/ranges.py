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
from folding.floats import FLOATS
from folding.graph import Scope
from folding.plan import Warned
from folding.protos import title

_DEVIATIONS = 8.0


def range_warnings(nodes: Iterable[int], scope: Scope, constants: Constants) -> list[Warned]:
    """A warning for each BatchNormalization that normalises what may overflow in float16."""
    norms = (
        scope.nodes[index]
        for index in nodes
        if scope.operators[index] == "BatchNormalization"
        and scope.type(scope.reads[index][0]) == TensorProto.FLOAT16
    )
    return [warning for node in norms if (warning := _range_warning(node, constants))]


def _range_warning(node: NodeProto, constants: Constants) -> Warned | None:
    """A warning if what a BatchNormalization normalises may overflow."""
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
