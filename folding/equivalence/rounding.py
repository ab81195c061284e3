"""The reference's own rounding as noise, to be told from a difference between two models.

Where a candidate is somebody else's, it may round otherwise wherever it computes otherwise, and a
model that cancels large numbers, or takes the sine of one, makes that a difference of any size. How
large, the reference says itself: it is run again with every float value v that depends on its
inputs, and those inputs, replaced by

    v * (1 + d),    d drawn anew for each element, at most 8 u

(u: the unit roundoff of the value's type). Each operation rounds its result by u |v| at most; 8 of
them are what a few operations in its place may round, as in ``deviations``. Sites whose noise is
known better, since the sums in them were evaluated, get that. What a single layer loses by
cancellation between its own products is not seen otherwise.

That is stochastic arithmetic as Vignes has it (A stochastic arithmetic for reliable scientific
computation, Math. Comput. Simul. 35, 1993), with a few runs instead of a bound for each operation;
why random rounding errors stand for real ones is what Higham and Mary show (2019).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import prod

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

from folding.equivalence.draws import MOST, SLACK
from folding.equivalence.feeds import Array, Feed
from folding.equivalence.variants import clean_name, wide_type, with_nodes_behind
from folding.floats import FLOATS
from folding.protos import measured_slots, names, subgraphs

_MARK = "fold-model:rounding:"
_ROUNDINGS = 8.0
#: Types whose numbers can be made noisy here and in the runtime.
_KINDS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)

Shapes = Mapping[str, tuple[int, ...]]


def rounded_values(graph: GraphProto, type_of: Callable[[str], int]) -> dict[str, int]:
    """The types of the values that are floats and depend on a float input, by its numbers.

    What depends on none, or on a shape or a type only, is a constant of the model, like a factor to
    resize by; such must stay what they are.
    """
    inputs = {value.name: value.type.tensor_type.elem_type for value in graph.input}
    alive = {name for name, kind in inputs.items() if kind in FLOATS}
    found: dict[str, int] = {}
    for node in graph.node:
        measured = measured_slots(node)
        read = {name for slot, name in enumerate(node.input) if slot not in measured}
        read.update(name for body in subgraphs(node) for name in names(body))
        if alive.isdisjoint(read):
            continue
        alive.update(filter(None, node.output))
        found.update((name, type_of(name)) for name in node.output if type_of(name) in _KINDS)
    return found


def with_rounding(proto: ModelProto, types: Mapping[str, int]) -> ModelProto:
    """A model in which some values are a little more or less, relative to themselves.

    Args:
        proto: the model.
        types: the element types of those values.
    """
    noisy = with_nodes_behind(proto, {name: _noisy(name, kind) for name, kind in types.items()})
    for name in types:
        given = helper.make_tensor_value_info(_draw(name), TensorProto.INT8, None)
        noisy.graph.input.append(given)
    for kind in sorted(set(types.values())):
        given = helper.make_tensor_value_info(_unit(kind), wide_type(kind), [])
        noisy.graph.input.append(given)
    return noisy


def rounding_feed(
    feed: Feed, shapes: Shapes, types: Mapping[str, int], rng: np.random.Generator
) -> Feed:
    """One draw: what a model ``with_rounding`` is given, and the inputs as noisy as its values.

    Args:
        feed: the inputs without noise.
        shapes: those of the values.
        types: their element types.
        rng: what is drawn from.
    """
    largest = max(map(prod, (shapes[name] for name in types)), default=0)
    shared = rng.integers(-MOST, MOST, largest + SLACK, np.int8, endpoint=True)
    found = {name: _shaken(array, rng) for name, array in feed.items()}
    for name in types:
        start = int(rng.integers(SLACK))
        found[_draw(name)] = shared[start : start + prod(shapes[name])].reshape(shapes[name])
    for kind in set(types.values()):
        wide = np.float64 if wide_type(kind) == TensorProto.DOUBLE else np.float32
        found[_unit(kind)] = np.asarray(_ROUNDINGS * FLOATS[kind].roundoff / MOST, wide)
    return found


def _shaken(array: Array, rng: np.random.Generator) -> Array:
    kind = next((k for t, k in FLOATS.items() if t in _KINDS and k.dtype == array.dtype), None)
    if kind is None:
        return array
    change = rng.uniform(-_ROUNDINGS, _ROUNDINGS, array.shape) * kind.roundoff
    with np.errstate(all="ignore"):
        noisy: Array = (array * (1 + change)).astype(array.dtype)
    return noisy


def _draw(name: str) -> str:
    return f"{_MARK}draw:{name}"


def _unit(kind: int) -> str:
    return f"{_MARK}unit:{kind}"


def _noisy(name: str, elem_type: int) -> Iterator[NodeProto]:
    number, part, value, change, both = (
        f"{_MARK}{what}:{name}" for what in ("number", "part", "value", "change", "both")
    )
    wide = wide_type(elem_type)
    yield helper.make_node("Cast", [_draw(name)], [number], to=wide)
    yield helper.make_node("Mul", [number, _unit(elem_type)], [part])
    yield helper.make_node("Cast", [clean_name(name)], [value], to=wide)
    yield helper.make_node("Mul", [value, part], [change])
    yield helper.make_node("Add", [value, change], [both])
    yield helper.make_node("Cast", [both], [name], to=elem_type)
