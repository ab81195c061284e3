"""What a fold may do to a DequantizeLinear: its scale changes, and its integers stay.

Where one scale for the whole weight became one for each channel, ``axis`` says of which, and each
channel has the zero point that all had.
"""

from __future__ import annotations

from collections.abc import Container

from onnx import NodeProto

from folding.draft import Draft
from folding.equivalence.surroundings import Differs, same_beta
from folding.protos import integer, title
from folding.repeated import Repeated

_SCALE, _ZERO = 1, 2
_MOVING = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


def is_rescaled(node: NodeProto, draft: Draft) -> bool:
    """Whether a node of the candidate is a DequantizeLinear with another scale."""
    return node.op_type == "DequantizeLinear" and node.input[_SCALE] in draft.changed


def is_rearranged(node: NodeProto, rescaled: Container[str]) -> bool:
    """Whether a node only rearranges what a DequantizeLinear with another scale makes."""
    return node.op_type in _MOVING and node.input[0] in rescaled


def same_attributes(node: NodeProto, twin: NodeProto, draft: Draft) -> None:
    """Raise Differs where a node has another beta, axis or zero point, and no reason to."""
    same_beta(node, twin, draft.changed)
    if node.op_type != "DequantizeLinear":
        return
    had_one = draft.constants.dims(twin.input[_SCALE]) in ((), (1,))
    is_spread = is_rescaled(node, draft) and had_one
    if integer(node, "axis", 1) != integer(twin, "axis", 1) and not is_spread:
        raise Differs(f"the axis of node {title(node)!r} is another one", title(node))
    is_other = len(node.input) > _ZERO and node.input[_ZERO] in draft.changed
    if is_other and not _repeats(node, twin, draft):
        raise Differs(f"the zero point of node {title(node)!r} is another one", title(node))


def _repeats(node: NodeProto, twin: NodeProto, draft: Draft) -> bool:
    """Whether the zero points are to be the one that there was."""
    recipe = draft.changed[node.input[_ZERO]].recipe
    stored = draft.constants.stored(twin.input[_ZERO])
    if stored is None or not isinstance(recipe, Repeated):
        return False
    return bool((recipe.array == draft.constants.load(stored)).all())
