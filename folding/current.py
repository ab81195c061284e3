"""What affine nodes are after the folds decided so far.

An Add may hold the shift of an earlier fold, and a node that stays may have taken in another
affine: then its numbers are no longer those of the source.
"""

from __future__ import annotations

from folding.absorb import shift_of
from folding.affine import ChannelAffine
from folding.draft import Draft
from folding.formulas import arithmetic, batch_norm, kind_of
from folding.plan import Kept, Reason
from folding.recognise import Recogniser, Step
from folding.tensors import constant_dims


def affine_of(draft: Draft, steps: Recogniser, index: int) -> ChannelAffine | Kept:
    """The map of one affine node; Kept if a number of it is unusable."""
    if index in draft.shifts:
        return shift_of(draft, index)
    node, step = draft.node(index), steps.steps[index]
    if not isinstance(step, Step) or draft.changed.keys().isdisjoint(node.input):
        return steps.compose((index,))
    names = [name for slot, name in enumerate(node.input) if slot != step.slot]
    values = [value for name in names if (value := draft.numbers(name)) is not None]
    if len(values) < len(names):
        return Kept(Reason.TOO_COMPLEX, names[0])
    if node.op_type == "BatchNormalization":
        found = batch_norm(node, values, len(draft.shape(step.data) or ()))
    else:
        dims = constant_dims(draft, names[0]) or ()
        axis = next((place - len(dims) for place, size in enumerate(dims) if size != 1), None)
        found = arithmetic(kind_of(node.op_type, step.slot), values[0], axis)
    return found or Kept(Reason.NOT_FINITE, names[0])


def data_slot(draft: Draft, steps: Recogniser, index: int) -> int | None:
    """Which input an affine node acts on; None if the node is no affine."""
    if index in draft.shifts:
        return 1 - draft.shifts[index].slot
    step = steps.steps.get(index)
    return step.slot if isinstance(step, Step) else None


def affine_at(draft: Draft, steps: Recogniser, index: int) -> tuple[int, ChannelAffine] | None:
    """The slot that an affine node acts on, and its affine."""
    if index in draft.shifts:
        return 1 - draft.shifts[index].slot, shift_of(draft, index)
    step = steps.steps.get(index)
    if not isinstance(step, Step):
        return None
    affine = affine_of(draft, steps, index)
    return None if isinstance(affine, Kept) else (step.slot, affine)


def composed(draft: Draft, steps: Recogniser, nodes: tuple[int, ...]) -> ChannelAffine | Kept:
    """The map of some affine nodes in a row."""
    whole: ChannelAffine | None = None
    for index in nodes:
        part = affine_of(draft, steps, index)
        if isinstance(part, Kept):
            return part
        whole = part if whole is None else part.after(whole)
    assert whole is not None
    return whole
