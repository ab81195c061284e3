"""A fold downward on a draft: what reads the affine's value takes it in, and reads what was before.

    x ─ affine ─ y ─ carrier ─ w ─ layer ─ z         before
    x ─ carrier ─ w' ─ layer' ─ z                    after

``w`` keeps existing with other content, so it gets a new name; what the layers make is as it was.
"""

from __future__ import annotations

from onnx import NodeProto

from folding.absorb import change, give, keeper_of, put_shift, stay
from folding.affine import ChannelAffine
from folding.current import affine_at
from folding.descent import Descended
from folding.doubled import Doubled
from folding.draft import Draft
from folding.recognise import Recogniser, Step
from folding.way import Stop, Taken, Turn


def lower(
    draft: Draft, steps: Recogniser, path: list[Stop], found: Descended
) -> dict[str, int | None]:
    """Fold the affine of some nodes, the first one first, into all layers behind it.

    Returns the values of the source that are as they were again behind those layers, each with the
    axis of its channels from the right.
    """
    first, last = path[0], path[-1]
    data, out = draft.node(first.node).input[first.slot], draft.node(last.node).output[0]
    keeper = keeper_of(draft, path, ()) if found.rest is not None else None
    gone = [s for s in (*path, *found.gone) if keeper is None or s.node != keeper.node]
    name = draft.node(last.node).name
    held = [(s.node, draft.node(s.node).input[s.slot]) for s in gone]
    made = {s.node: draft.node(s.node).output[0] for s in gone}
    for index, given in held:
        draft.bypass(index, given)
    draft.vanish(made.values())
    now = {out: data}
    if found.rest is not None:
        now[out] = _stay(draft, found.rest, keeper, (last.node, data), (name, out))
        name = ""
    for stop in path:
        draft.point_shapes(made.get(stop.node, out), data)
    ends = _follow(draft, steps, found, (made, now), (name, out))
    for index, given in held:
        draft.let_go(index, given)
    return ends


def _follow(
    draft: Draft,
    steps: Recogniser,
    found: Descended,
    called: tuple[dict[int, str], dict[str, str]],
    named: tuple[str, str],
) -> dict[str, int | None]:
    """Let all that reads an affine's value read what was before, and layers take it in.

    ``called`` has what the affine nodes made, and the new names of values on the way. Returns what
    is as it was again.
    """
    (made, now), (name, out) = called, named
    ends: dict[str, Taken] = {}
    for reader in found.readers:
        if isinstance(reader.becomes, Stop):
            behind = made[reader.node]
            (value,) = {now[read] for read in reader.slots.values()}
            now[behind] = value
            draft.point_shapes(behind, value)
            continue
        for slot, read in reader.slots.items():
            draft.set_input(reader.node, slot, now[read])
        if isinstance(reader.becomes, Turn):
            now |= _carry(draft, reader.becomes, out)
        else:
            behind = _take(draft, steps, reader.becomes, (name, out))
            ends[behind] = reader.becomes
            others = draft.node(reader.node).output[1:]  # The last states of a recurrent layer.
            ends |= dict.fromkeys(filter(None, others), reader.becomes)
            name = "" if draft.producer(behind) in draft.after else name
    # A layer that an earlier fold has touched is part of that one's place.
    known = draft.scope.producers
    return {v: _output_axis(draft, end) for v, end in ends.items() if v in known}


def nodes_below(
    draft: Draft, steps: Recogniser, path: list[Stop], found: Descended
) -> tuple[list[Stop], int]:
    """The affine nodes that a fold takes away, and how many Adds it needs that are not there."""
    added = sum(
        end.absorbed.shift is not None and host_below(draft, steps, end) is None
        for end in found.layers
    )
    removed = [*path, *found.gone]
    if found.rest is not None:
        keeper = keeper_of(draft, path, ())
        added += keeper is None
        removed = [s for s in removed if keeper is None or s.node != keeper.node]
    return removed, added


def _stay(
    draft: Draft,
    rest: ChannelAffine,
    keeper: Stop | None,
    at: tuple[int, str],
    named: tuple[str, str],
) -> str:
    """Let the shift of an affine stay where it was; the new name of its result."""
    index, data = at
    out = named[1]
    added = stay(draft, rest, keeper, index, named)
    draft.set_input(added.node, added.slot, data)
    new = draft.renamed_value(out)
    draft.rename_output(added.node, new)
    return new


def _carry(draft: Draft, turn: Turn, out: str) -> dict[str, str]:
    """Let an affine go over a carrier; the new names of what stands behind it."""
    change(draft, turn, out)
    names = {}
    for place in turn.moved.affines:
        outputs = draft.node(turn.node).output
        if place < len(outputs) and outputs[place]:
            old = outputs[place]
            names[old] = draft.renamed_value(old)
            draft.rename_output(turn.node, names[old], place)
    return names


def _take(draft: Draft, steps: Recogniser, end: Taken, named: tuple[str, str]) -> str:
    """Give a layer what it takes in, and an Add behind it the shift that it has no room for.

    Returns the value that is as it was behind the layer, or that Add.
    """
    name, out = named
    kind, shift = give(draft, end, out), end.absorbed.shift
    if shift is None:
        return draft.node(end.node).output[0]
    axis = end.absorbed.shift_axis
    host = host_below(draft, steps, end)
    if host is not None:
        stop, whole = host
        put_shift(draft, stop, whole, axis, (kind, out))
        old = draft.node(end.node).output[0]
        new = draft.renamed_value(old)
        draft.rename_output(end.node, new)
        draft.set_input(stop.node, stop.slot, new)
        return draft.node(stop.node).output[0]
    behind, before = draft.move_output(end.node)
    node = NodeProto(op_type="Add", name=name or None, input=[before, ""], output=[behind])
    added = Stop(draft.insert(node, end.node), 0, is_affine=True)
    put_shift(draft, added, shift, axis, (kind, out))
    return behind


def host_below(draft: Draft, steps: Recogniser, end: Taken) -> tuple[Stop, Doubled] | None:
    """The Add of a bias right behind a layer, if it may take more, and what it adds then."""
    value, shift = draft.node(end.node).output[0], end.absorbed.shift
    assert shift is not None
    if draft.is_seen(value) or draft.readers(value).count != 1:
        return None
    wanted = ChannelAffine(Doubled.exact(1.0), shift, end.absorbed.shift_axis)
    for index in draft.readers(value):
        if index in draft.fixed:
            return None
        slot, inner = affine_at(draft, steps, index) or (0, None)
        if inner is None or draft.node(index).op_type != "Add" or not inner.agrees_with(wanted):
            continue
        whole = inner.after(wanted)
        if whole.axis in (None, wanted.axis) and _begins_along(draft, steps, index, wanted.axis):
            return Stop(index, slot, is_affine=True), whole.shift
    return None


def _begins_along(draft: Draft, steps: Recogniser, index: int, axis: int | None) -> bool:
    """Whether the affine that a node begins has no other axis than this one.

    Else that affine would no longer be one: its numbers would be along two axes.
    """
    scope = draft.scope
    while isinstance(step := steps.steps.get(index), Step):
        if step.axis is not None:
            return step.axis == axis
        readers, value = scope.readers.get(scope.makes[index][0], ()), draft.node(index).output[0]
        if len(readers) != 1 or readers[0] not in draft.readers(value):
            return True
        index = readers[0]
    return True


def _output_axis(draft: Draft, end: Taken) -> int | None:
    """Where the channels of a layer's output are, from the right."""
    node = draft.node(end.node)
    shape = draft.shape(node.output[0])
    if node.op_type in ("Conv", "ConvTranspose"):
        return 1 - len(shape) if shape is not None else None
    return end.absorbed.shift_axis
