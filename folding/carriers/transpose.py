"""Transpose, and Einsum of one operand that only moves axes.

    x ─ Transpose(perm) ─ affine on axis p ─ y              before
    x ─ affine on axis perm[p] ─ Transpose(perm) ─ y        after, and the other way round

Output axis p *is* input axis ``perm[p]``, not the other way round; without ``perm`` the axes are
reversed. Axes are counted from the right, so the rank is needed to look one up.

    Einsum("abc->cab") is Transpose(perm=[2, 0, 1])

1. An Einsum has one operand, and both its terms have the same letters, each once and nothing else;
   without an arrow the result has them in order. Else it sums, or takes a diagonal, or the like.
"""

from __future__ import annotations

from dataclasses import replace

from onnx import NodeProto

from folding.affine import ChannelAffine
from folding.carriers.base import Carrier, Passage, stay
from folding.einsums import equation_of
from folding.plan import Kept, Reason
from folding.protos import integers


def up(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    perm = _perm(affine, passage)
    if isinstance(perm, Reason):
        return stay(perm, passage)
    return affine if affine.axis is None else affine.along(perm[affine.axis] - len(perm))


def down(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    perm = _perm(affine, passage)
    if isinstance(perm, Reason):
        return stay(perm, passage)
    if affine.axis is None:
        return affine
    return affine.along(perm.index(len(perm) + affine.axis) - len(perm))


def _perm(affine: ChannelAffine, passage: Passage) -> tuple[int, ...] | Reason:
    """The input axis of each output axis, which a scalar does not ask for."""
    if passage.node.op_type == "Einsum":
        return _of_terms(passage.node)
    whole = permutation(passage)
    if whole is None:
        return () if affine.axis is None else Reason.MISSING_AXES
    return whole


def permutation(passage: Passage) -> tuple[int, ...] | None:
    """The input axis of each output axis of a Transpose; None if its rank is not known."""
    perm = integers(passage.node, "perm")
    shape = passage.around.shape(passage.node.input[0]) if perm is None else None
    return perm if shape is None else tuple(reversed(range(len(shape))))


def _of_terms(node: NodeProto) -> tuple[int, ...] | Reason:
    given, arrow, made = equation_of(node).partition("->")
    made = made if arrow else "".join(sorted(given))
    is_moved = given.isalpha() and len(set(given)) == len(given) and sorted(given) == sorted(made)
    return tuple(map(given.index, made)) if is_moved else Reason.UNUSUAL_FORM


RULE = Carrier(("Transpose",), up, down, keeps_numbers=True)
EINSUM = replace(RULE, operators=("Einsum",))
