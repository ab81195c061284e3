"""One fold on a draft: a layer takes an affine in, and the gap that it leaves is closed.

    layer ─ v ─ carrier ─ w ─ affine ─ y         before
    layer' ─ v' ─ carrier ─ y                    after

What is behind the layer keeps existing with other content, so ``v`` gets a new name; the last node
takes over the affine's output name, so that nothing behind it changes.
"""

from __future__ import annotations

from onnx import NodeProto

from folding.absorbers import Absorbed, Weight
from folding.affine import ChannelAffine
from folding.doubled import Doubled
from folding.draft import Draft, Shift
from folding.protos import attribute
from folding.recipes import Direct
from folding.tensors import constant_dims, scale_weight, set_constant, weight_of
from folding.way import Stop, Way


def absorb(draft: Draft, way: Way, out: str) -> list[Stop]:
    """Fold an affine whose last output is ``out`` into the layer at the other end of the way.

    What is left between the two are carriers, which are returned.
    """
    node = draft.node(way.layer)
    (slot,) = way.absorbed.factors
    weight = weight_of(draft, node.input[slot], "")
    assert isinstance(weight, Weight)  # The absorber has looked at it.
    name = draft.node(way.path[-1].node).name
    host = _host(draft, way)
    gone = {stop.node: draft.node(stop.node).output[0] for stop in way.path if stop.is_affine}
    gone.pop(host.node if host else -1, None)
    held = [
        (stop.node, draft.node(stop.node).input[stop.slot])
        for stop in way.path
        if stop.node in gone
    ]
    for index, data in held:
        draft.bypass(index, data)
    draft.vanished.update(gone.values())
    _give(draft, way, weight.elem_type, out)
    stops = [*way.path]
    if way.absorbed.shift is not None:
        if host is None:
            value = draft.names.fresh(f"{out}_shift")
            added = NodeProto(op_type="Add", name=name, input=["", ""], output=[value])
            host = Stop(draft.insert(added, way.layer), 0, is_affine=True)
            draft.looks_like(value, node.output[0])
            stops.insert(0, host)
        _shift(draft, host, way.absorbed, weight.elem_type, out)
    _rewire(draft, way.layer, stops, gone, out)
    for index, data in held:
        draft.let_go(index, data)
    return [stop for stop in way.path if not stop.is_affine]


def _host(draft: Draft, way: Way) -> Stop | None:
    """The Add right behind the layer, if there is one that can hold the shift."""
    first = way.path[0]
    is_add = first.is_affine and draft.node(first.node).op_type == "Add"
    return first if is_add and way.absorbed.shift is not None else None


def _give(draft: Draft, way: Way, elem_type: int, out: str) -> None:
    """The layer's own constants and attributes."""
    for slot, factor in way.absorbed.factors.items():
        scale_weight(draft, way.layer, slot, factor, out)
    for slot, value in way.absorbed.constants.items():
        set_constant(draft, way.layer, slot, value, elem_type, out)
    for name, number in way.absorbed.attributes.items():
        found = attribute(draft.edit(way.layer), name)
        if found is not None:
            found.f = number


def _shift(draft: Draft, host: Stop, absorbed: Absorbed, elem_type: int, out: str) -> None:
    """Put the shift into the Add, in the shape that its constant has or needs."""
    shift, slot = absorbed.shift, 1 - host.slot
    assert shift is not None
    name = draft.node(host.node).input[slot]
    dims = constant_dims(draft, name) if name else None
    if dims is None or dims.count(1) < len(dims) - 1 or shift.size not in dims:
        dims = (shift.size, *[1] * (-1 - absorbed.shift_axis))
    set_constant(draft, host.node, slot, shift.reshape(*dims), elem_type, out)
    draft.shifts[host.node] = Shift(slot, absorbed.shift_axis)


def _rewire(draft: Draft, layer: int, stops: list[Stop], gone: dict[int, str], out: str) -> None:
    """Rename what stands on the way, and let each node read the one before it."""
    stages: list[tuple[Stop, list[str]]] = [(Stop(layer, 0, is_affine=False), [])]
    for stop in stops:
        if stop.node in gone:
            stages[-1][1].append(gone[stop.node])
        else:
            stages.append((stop, []))
    for number, (stage, stale) in enumerate(stages):
        following = stages[number + 1][0] if number + 1 < len(stages) else None
        old = draft.node(stage.node).output[0]
        new = out if following is None else draft.renamed_value(old)
        draft.rename_output(stage.node, new)
        for name in stale:
            draft.point_shapes(name, new)
        if following is not None:
            draft.set_input(following.entry, following.slot, new)


def shift_of(draft: Draft, index: int) -> ChannelAffine:
    """The affine of an Add that an earlier fold left behind a layer."""
    shift = draft.shifts[index]
    recipe = draft.changed[draft.node(index).input[shift.slot]].recipe
    assert isinstance(recipe, Direct)
    value = recipe.value.reshape(recipe.value.size)
    return ChannelAffine(Doubled.exact(1.0), value, shift.axis)
