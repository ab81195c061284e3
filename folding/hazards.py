"""Nodes that ONNX's shape inference must not see, whatever their inputs are.

Found by fuzzing onnx 1.23 with all of its operators; its checker lets them pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from onnx import NodeProto

from folding.bounds import Bound
from folding.protos import attribute, integer
from folding.survey import MOST_DIMENSIONS

_TERM = rb"[A-Za-z]*+(?:\.\.\.)?+[A-Za-z]*+"
_EQUATION = re.compile(rb"%s(?:,%s)*+(?:->.*)?" % (_TERM, _TERM), re.DOTALL)


def is_hazard(node: NodeProto, inputs: Sequence[Bound]) -> bool:
    """Whether a node would hang or crash inference."""
    hazard = _HAZARDS.get(node.op_type)
    return hazard is not None and hazard(node, inputs)


def _endless_equation(node: NodeProto, inputs: Sequence[Bound]) -> bool:
    """Einsum waits at any character that is no letter for a letter."""
    equation = attribute(node, "equation")
    text = b"" if equation is None else equation.s.replace(b" ", b"")
    return _EQUATION.fullmatch(text) is None


def _far_axis(node: NodeProto, inputs: Sequence[Bound]) -> bool:
    """An axis counts the dimensions on its left, though there are not so many."""
    return abs(integer(node, "axis", 0)) > MOST_DIMENSIONS


def _far_index(node: NodeProto, inputs: Sequence[Bound]) -> bool:
    """GatherND counts dimensions by the shape of its indices, which may be negative."""
    return integer(node, "batch_dims", 0) < 0 or len(inputs) < 2 or inputs[1].numbers is None  # noqa: PLR2004


def _other_outputs(node: NodeProto, inputs: Sequence[Bound]) -> bool:
    """Split makes as many sizes as it says, and reads as many as it has outputs."""
    said = attribute(node, "num_outputs")
    return said is not None and said.i != len(node.output)


def _untyped_input(node: NodeProto, inputs: Sequence[Bound]) -> bool:
    """These read the type of their input without asking whether it is known: it never is here."""
    return True


_HAZARDS: dict[str, Callable[[NodeProto, Sequence[Bound]], bool]] = {
    "DictVectorizer": _untyped_input,
    "Einsum": _endless_equation,
    "GatherND": _far_index,
    "EyeLike": _untyped_input,
    "LabelEncoder": _untyped_input,
    "LayerNormalization": _far_axis,
    "RegexFullMatch": _untyped_input,
    "Split": _other_outputs,
    "TreeEnsemble": _untyped_input,
}
