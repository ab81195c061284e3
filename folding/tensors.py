"""The constants of a draft: what the folds decided so far make of them, and how one changes them.

A constant that only one layer reads changes in its place; one that others see too is copied, under
a new name, and left as it was.
"""

from __future__ import annotations

from folding.absorbers import Weight
from folding.computed import computed
from folding.doubled import Doubled
from folding.draft import Draft
from folding.factor import Factor
from folding.floats import FLOATS
from folding.plan import Kept, Reason
from folding.recipes import Changed, Direct, Scaled
from folding.repeated import Repeated
from folding.unevaluated import is_unevaluated

#: What a fold makes of a constant.
Given = Scaled | Direct | Repeated


def constant_dims(draft: Draft, name: str) -> tuple[int, ...] | None:
    """The shape of a constant."""
    changed = draft.changed.get(name)
    return changed.recipe.dims if changed else draft.constants.dims(name)


def weight_of(draft: Draft, name: str, at: str) -> Weight | Kept:
    """A weight that can be scaled, or why it cannot."""
    if name in draft.changed:
        changed = draft.changed[name]
        return Weight(changed.recipe.dims, changed.elem_type)
    if name not in draft.constants:
        return _unknown(draft, name, Kept(Reason.RUNTIME_WEIGHT, at))
    stored = draft.constants.stored(name)
    elem_type = stored.tensor.data_type if stored else draft.scope.type(name)
    if elem_type not in FLOATS:
        return Kept(Reason.WEIGHT_TYPE, name)
    found = computed(draft.constants, name)
    if found is None:
        return Kept(Reason.TOO_COMPLEX, name)
    if not all(factor.scale.is_finite() for factor in found.factors):
        return Kept(Reason.NOT_FINITE, name)
    return Weight(found.dims, elem_type)


def small_constant(draft: Draft, name: str, at: str) -> Doubled | Kept:
    """The value of a bias or another small constant, or why there is none."""
    if not draft.is_constant(name):
        return _unknown(draft, name, Kept(Reason.RUNTIME_BIAS, at))
    value = draft.numbers(name)
    if value is None:
        return Kept(Reason.TOO_COMPLEX, name)
    return value if value.is_finite() else Kept(Reason.NOT_FINITE, name)


def _unknown(draft: Draft, name: str, at_run_time: Kept) -> Kept:
    """Why a value is not one of the constants."""
    if name in draft.scope.overridable:
        return Kept(Reason.OVERRIDABLE, name)
    return Kept(Reason.TOO_COMPLEX, name) if is_unevaluated(draft.constants, name) else at_run_time


def scale_constant(draft: Draft, index: int, slot: int, factor: Factor, because: str) -> None:
    """Multiply the constant in a slot of a node."""
    recipe = scaled(draft, draft.node(index).input[slot]).times(factor)
    store(draft, index, slot, recipe, because)


def scaled(draft: Draft, name: str) -> Scaled:
    """A weight as earlier folds have made it."""
    before = draft.changed.get(name)
    if before is not None and isinstance(before.recipe, Scaled):
        return before.recipe
    if before is not None and isinstance(before.recipe, Direct):
        return Scaled(draft.constants, before.recipe.value, ())
    found = computed(draft.constants, name)
    assert found is not None  # weight_of refuses it.
    return found


def set_constant(
    draft: Draft, index: int, slot: int, value: Doubled, elem_type: int, because: str
) -> None:
    """Give an input slot of a node a new constant."""
    store(draft, index, slot, Direct(value), because, elem_type)


def store(
    draft: Draft, index: int, slot: int, recipe: Given, because: str, elem_type: int = 0
) -> None:
    """Give an input slot of a node a constant of the type that the old one has, or another."""
    node = draft.node(index)
    old = node.input[slot] if slot < len(node.input) else ""
    before = draft.changed.get(old)
    origin = before.origin if before else old or None
    elem_type = elem_type or (before.elem_type if before else _stored_type(draft, old))
    earlier = before.folded.pop((index, slot), ()) if before else ()
    because = draft.source_name(because)
    wanted = Changed(old, elem_type, recipe, origin, {(index, slot): (*earlier, because)})
    twin = draft.copies.find(wanted)
    alone = bool(old) and draft.is_alone(index, old) and not draft.is_seen(old)
    in_place = alone and _keeps_form(draft, wanted)
    if twin is not None and draft.changed.get(twin.name) is twin:
        twin.folded.update(wanted.folded)
        draft.set_input(index, slot, twin.name)
        return
    if not in_place:
        wanted.name = _free_name(draft, old or f"{node.output[0]}_bias", recipe, elem_type)
        draft.set_input(index, slot, wanted.name)
    draft.changed[wanted.name] = wanted
    if origin is not None and (not in_place or draft.copies.has(origin)):
        draft.copies.add(wanted)


def _keeps_form(draft: Draft, wanted: Changed) -> bool:
    """Whether a stored constant may hold its new content under its name."""
    stored = draft.scope.initializers.get(wanted.name)
    if stored is None:
        return wanted.name in draft.changed
    return tuple(stored.dims) == wanted.recipe.dims


def restore_names(draft: Draft) -> None:
    """Let copies take the names of the constants of which nothing else is left."""
    for changed in [*draft.changed.values()]:
        name = draft.copies.original(changed.origin) if changed.origin else ""
        stored = draft.scope.initializers.get(name)
        if stored is None or name not in draft.tensors_dropped:
            continue
        if (tuple(stored.dims), stored.data_type) == (changed.recipe.dims, changed.elem_type):
            draft.tensors_dropped.remove(name)
            _rename(draft, changed, name)


def _rename(draft: Draft, changed: Changed, name: str) -> None:
    old, changed.name = changed.name, name
    draft.changed[name] = changed
    for reader in list(draft.readers(old)):
        for slot, read in enumerate(draft.node(reader).input):
            if read == old:
                draft.set_input(reader, slot, name)


def folded_in(draft: Draft, changed: Changed) -> list[tuple[str, ...]]:
    """The affines in a tensor, for each of those who read it."""
    readers = draft.readers(changed.name)
    return [names for (index, _), names in changed.folded.items() if index in readers]


def _stored_type(draft: Draft, name: str) -> int:
    stored = draft.constants.stored(name)
    return stored.tensor.data_type if stored else draft.scope.type(name)


def _free_name(draft: Draft, wish: str, recipe: Given, elem_type: int) -> str:
    """A name for a new tensor: below IR 4, where each is also a graph input, a freed one."""
    spare = draft.spare(recipe.dims, elem_type) if draft.keeps_inputs else None
    if spare is not None:
        return spare
    return draft.names.fresh(wish if wish not in draft.names.taken else f"{wish}_folded")
