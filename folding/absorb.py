"""One fold on a draft: layers take an affine in, and the gap that it leaves is closed.

    layer ─ v ─ carrier ─ w ─ affine ─ y         before
    layer' ─ v' ─ carrier ─ y                    after

What is behind a layer keeps existing with other content, so ``v`` gets a new name; the last node
takes over the affine's output name, so that nothing behind it changes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import prod

from onnx import NodeProto

from folding.absorbers import Absorbed, Weight
from folding.affine import ChannelAffine
from folding.doubled import Doubled
from folding.draft import Draft
from folding.layers import DraftLayer, scale_weight
from folding.protos import attribute
from folding.recipes import Direct
from folding.rewiring import rewire
from folding.tensors import constant_dims, set_constant
from folding.view import Shift
from folding.way import Fork, Line, Reached, Stop, Taken, Turn


def absorb(draft: Draft, reached: Reached, out: str) -> list[Stop]:
    """Fold an affine whose last output is ``out`` into the layers at the ends of its lines.

    What is left of the first line are carriers, which are returned.
    """
    paths = {line: [*line.stops()] for line in reached.lines}
    root = reached.lines[0]
    last = paths[root][-1]
    hosts = {line: host for line, path in paths.items() if (host := host_of(draft, line, path))}
    stays = {host.node for host in hosts.values()}
    keeper = keeper_of(draft, paths[root], stays) if reached.rest is not None else None
    name = draft.node(last.node).name
    stays |= {keeper.node} if keeper else set()
    gone = [s for path in paths.values() for s in path if s.is_affine and s.node not in stays]
    names = {stop.node: draft.node(stop.node).output[0] for stop in gone}
    held = [(stop.node, draft.node(stop.node).input[stop.slot]) for stop in gone]
    for index, data in held:
        draft.bypass(index, data)
    draft.vanish(names.values())
    left = [stop for stop in paths[root] if not stop.is_affine]
    now: dict[str, str] = {}
    forked: dict[Line, list[Stop]] = {}
    for line, path in paths.items():
        stops = path
        if isinstance(line.end, Turn):
            change(draft, line.end, out)
        elif isinstance(line.end, Taken):
            stops = _take(draft, line.end, path, hosts.get(line), (name, out))
            name = name if line in hosts or len(stops) == len(path) else ""
        if line is root and reached.rest is not None:
            added = stay(draft, reached.rest, keeper, last.node, (name, out))
            stops = stops if keeper else [*stops, added]
        if isinstance(line.end, Fork):
            forked[line] = stops
        else:
            now |= rewire(draft, line, stops, names, out)
    for line in reversed(forked):  # After the line that begins where it ends.
        if isinstance(line.end, Fork):
            now |= rewire(draft, line, forked[line], names, out, now[line.end.value])
    for index, data in held:
        draft.let_go(index, data)
    return left


def nodes_of(draft: Draft, reached: Reached) -> tuple[list[Stop], int]:
    """The affine nodes that a fold takes away, and how many Adds it needs that are not there."""
    stays, added = set(), 0
    for line in reached.lines:
        if isinstance(line.end, Taken) and line.end.absorbed.shift is not None:
            host = host_of(draft, line, line.stops())
            added += host is None
            stays.add(host.node if host else -1)
    if reached.rest is not None:
        keeper = keeper_of(draft, reached.lines[0].stops(), stays)
        added += keeper is None
        stays.add(keeper.node if keeper else -1)
    return [stop for stop in affines_gone(reached) if stop.node not in stays], added


def affines_gone(reached: Reached) -> list[Stop]:
    """The affine nodes on the lines of a fold."""
    return [stop for line in reached.lines for stop in line.stops() if stop.is_affine]


def host_of(draft: Draft, line: Line, path: Sequence[Stop]) -> Stop | None:
    """The Add right behind a layer, if there is one that can hold the shift."""
    if not path or not isinstance(line.end, Taken) or line.end.absorbed.shift is None:
        return None
    first = path[0]
    is_add = first.is_affine and draft.node(first.node).op_type == "Add"
    return first if is_add else None


def keeper_of(draft: Draft, path: Sequence[Stop], hosts: Collection[int]) -> Stop | None:
    """The last Add of an affine whose shift stays; those of ``hosts`` hold what layers took in."""
    for stop in reversed(path):
        if not stop.is_affine:
            return None
        if draft.node(stop.node).op_type == "Add" and stop.node not in hosts:
            return stop
    return None


def change(draft: Draft, turn: Turn, out: str) -> None:
    """Give a carrier the constants that change with what goes over it."""
    kind = draft.type(draft.node(turn.node).output[0])
    for slot, value in turn.moved.constants.items():
        set_constant(draft, turn.node, slot, value, kind, out)


def _take(
    draft: Draft, end: Taken, path: list[Stop], host: Stop | None, named: tuple[str, str]
) -> list[Stop]:
    """Give a layer what it takes in; what is behind it then, with an Add for its shift."""
    name, out = named
    kind, absorbed = give(draft, end, out), end.absorbed
    if absorbed.shift is None:
        return path
    if host is not None:
        put_shift(draft, host, absorbed.shift, absorbed.shift_axis, (kind, out))
        return path
    value = draft.names.fresh(f"{out}_shift")
    like = draft.node(end.node).output[0]
    added = add_behind(draft, end.node, like, (value, name), absorbed, (kind, out))
    return [added, *path]


def give(draft: Draft, end: Taken, out: str) -> int:
    """Give a layer its new constants and attributes; returns the constants' element type."""
    index, absorbed = end.node, end.absorbed
    kind = float_type(draft, index, absorbed)
    for slot, factor in absorbed.factors.items():
        scale_weight(draft, index, slot, factor, out)
    for slot, value in absorbed.constants.items():
        set_constant(draft, index, slot, value, kind, out)
    for key, number in absorbed.attributes.items():
        found = attribute(draft.edit(index), key)
        if found is not None:
            found.f = number
    return kind


def float_type(draft: Draft, index: int, absorbed: Absorbed) -> int:
    """The element type of a layer's constants."""
    node = draft.node(index)
    layer = DraftLayer(draft, index)
    for slot in (*absorbed.factors, *absorbed.constants):
        weight = layer.weight(slot) if slot < len(node.input) else None
        if isinstance(weight, Weight):
            return weight.elem_type
    return draft.type(node.output[0])


def add_behind(
    draft: Draft,
    index: int,
    like: str,
    called: tuple[str, str],
    absorbed: Absorbed,
    why: tuple[int, str],
) -> Stop:
    """A new Add behind a node, for a shift that the node has no room for; it reads nothing yet."""
    value, name = called
    assert absorbed.shift is not None
    node = NodeProto(op_type="Add", name=name or None, input=["", ""], output=[value])
    stop = Stop(draft.insert(node, index), 0, is_affine=True)
    draft.looks_like(value, like)
    put_shift(draft, stop, absorbed.shift, absorbed.shift_axis, why)
    return stop


def stay(
    draft: Draft, rest: ChannelAffine, keeper: Stop | None, index: int, named: tuple[str, str]
) -> Stop:
    """Let the shift of an affine stay where it was, in an Add of its own or a new one."""
    name, out = named
    kind, axis = draft.type(out), rest.axis or -1
    if keeper is not None:
        put_shift(draft, keeper, rest.shift, axis, (kind, out))
        return keeper
    absorbed = Absorbed(shift=rest.shift, shift_axis=axis)
    value = draft.names.fresh(f"{out}_shift")
    return add_behind(draft, index, out, (value, name), absorbed, (kind, out))


def put_shift(draft: Draft, host: Stop, shift: Doubled, axis: int, why: tuple[int, str]) -> None:
    """Put a shift into an Add, in the shape that its constant has or needs."""
    slot, (kind, out) = 1 - host.slot, why
    dims = shift_dims(draft, host, shift, axis)
    set_constant(draft, host.node, slot, shift.reshape(*dims), kind, out)
    draft.shifts[host.node] = Shift(slot, axis)


def shift_dims(draft: Draft, host: Stop, shift: Doubled, axis: int) -> tuple[int, ...]:
    """The shape of an Add's constant that is to hold a shift: as it is, if it can be."""
    name = draft.node(host.node).input[1 - host.slot]
    dims = constant_dims(draft, name) if name else None
    if dims is None or dims.count(1) < len(dims) - 1 or shift.size != prod(dims):
        return new_dims(shift, axis)
    if shift.size > 1 and dims.index(shift.size) - len(dims) != axis:
        return new_dims(shift, axis)
    return dims


def new_dims(shift: Doubled, axis: int) -> tuple[int, ...]:
    """The shape of a new constant that is to hold a shift."""
    return (shift.size, *[1] * (-1 - axis)) if shift.shape else ()


def shift_of(draft: Draft, index: int) -> ChannelAffine:
    """The affine of an Add that an earlier fold left behind."""
    shift = draft.shifts[index]
    recipe = draft.changed[draft.node(index).input[shift.slot]].recipe
    assert isinstance(recipe, Direct)
    one, value = Doubled.exact(1.0), recipe.value
    if value.size == 1:
        return ChannelAffine(one, value.reshape(), None)
    return ChannelAffine(one, value.reshape(value.size), shift.axis)
