"""What stands before a normalisation, up to the layer that it belongs to.

    Conv ── Relu ── MaxPool ── Transpose ── norm
    layer   activation  pooling

The walk passes what has one input with data, and follows the axis of the normalisation. Where that
is not certain any more it is forgotten, and where several ways meet the walk ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import NamedTuple

from folding.inference import Shape
from folding.lint.activations import activated
from folding.lint.graphs import Graph
from folding.protos import integers

LAYERS = frozenset(
    {"Conv", "ConvInteger", "ConvTranspose", "Einsum", "Gemm", "MatMul", "QLinearConv"}
)
_CONVOLUTIONS = frozenset({"Conv", "ConvInteger", "ConvTranspose", "QLinearConv"})
_POOLINGS = frozenset({"AveragePool", "LpPool", "MaxPool"})
_PASSED = frozenset(
    {"Add", "Cast", "CastLike", "DequantizeLinear", "Div", "Dropout", "Identity", "Mul", "Pad"}
    | {"QuantizeLinear", "Resize", "Slice", "Sub", "Upsample"}
)
_MOVING = frozenset({"Flatten", "Reshape", "Squeeze", "Unsqueeze"})
_FARTHEST = 64


class Place(NamedTuple):
    """A node, in its graph."""

    graph: Graph
    node: int

    @property
    def operator(self) -> str:
        return self.graph.scope.operators[self.node]

    @property
    def title(self) -> str:
        """What to call it."""
        return self.graph.title(self.node)


class Passed(NamedTuple):
    """A node that was passed, the shapes of what it makes and of its data, and an axis.

    That is the one the walk began with in what the node makes, from the right, if it is known.
    """

    place: Place
    made: Shape | None
    read: Shape | None
    axis: int | None


@dataclass(slots=True)
class Way:
    """What a walk met: nodes nearest first, the ``layer`` it ended at, or a graph's ``input``.

    ``axis`` is where the axis that it began with, ``begun``, is in what the layer makes, from the
    right; None if that is not known. ``rank`` is how many axes that has.
    """

    begun: int | None
    activation: Place | None = None
    pooling: Place | None = None
    passed: list[Passed] = field(default_factory=list)
    layer: Place | None = None
    input: str = ""
    axis: int | None = None
    rank: int | None = None

    @property
    def is_direct(self) -> bool:
        """Whether it met neither an activation nor a pooling."""
        return self.activation is None and self.pooling is None

    @property
    def channel_axis(self) -> int | None:
        """Where the channels of what the layer makes are, from the right."""
        if self.layer is None or self.layer.operator == "Einsum":
            return None
        if self.layer.operator not in _CONVOLUTIONS:
            return _of_product(self.layer)
        return None if self.rank is None else 1 - self.rank

    @property
    def channels_below(self) -> int | None:
        """Where these channels are in what the walk began with, from the right."""
        axis = self.channel_axis
        for place, made, read, _ in reversed(self.passed):
            if axis is not None:
                axis = _across(place, read, made, axis, down=True)
        return axis

    @property
    def is_across(self) -> bool:
        """Whether it is known that the axis is another one than that of the channels."""
        if self.axis is not None:
            return self.channel_axis not in (None, self.axis)
        return self.begun is not None and self.channels_below not in (None, self.begun)


def way_up(graph: Graph, name: str, axis: int | None) -> Way:
    """Walk from a value towards the inputs of the model."""
    way = Way(begun=axis, axis=axis)
    while len(way.passed) < _FARTHEST:
        found = _producer(graph, name)
        if isinstance(found, str):
            way.input = found
            return way
        if found is None:
            return way
        graph = found.graph
        shape = graph.scope.shape(name)
        if found.node in graph.scope.foreign:
            return way
        if found.operator in LAYERS:
            way.layer, way.rank = found, None if shape is None else len(shape)
            return way
        data = _data(found)
        if data is None:
            return way
        _note(way, found)
        way.passed.append(Passed(found, shape, graph.scope.shape(data), way.axis))
        if way.axis is not None:
            way.axis = _across(*way.passed[-1][:3], way.axis)
        name = data
    return way


def _producer(graph: Graph, name: str) -> Place | str | None:
    """What makes a value, in whichever graph; its name if it is an input of the model."""
    inside: Graph | None = graph
    while inside is not None:
        if name in inside.scope.producers:
            return Place(inside, inside.scope.producers[name])
        if inside.scope.has(name):
            is_model = inside.outer is None and inside.scope.closed is None
            return name if is_model and name not in inside.scope.initializers else None
        inside = inside.outer
    return None


def _of_product(layer: Place) -> int | None:
    """Where the channels of a product are: along its rows, if the constant stands on the left."""
    scope = layer.graph.scope
    left, right = scope.reads[layer.node][:2]
    is_left = left in layer.graph.constants
    if is_left == (right in layer.graph.constants):
        return None
    is_vector = len(scope.shape(right) or ()) == 1
    return -2 if is_left and not is_vector else -1


def _note(way: Way, place: Place) -> None:
    """Keep the activation or the pooling that comes first."""
    if not way.is_direct:
        return
    if place.operator in _POOLINGS:
        way.pooling = place
    elif activated(place.graph, place.node) is not None:
        way.activation = place


def _data(place: Place) -> str | None:
    """The one input of a node with data that the walk follows."""
    scope, operator = place.graph.scope, place.operator
    reads = scope.reads[place.node]
    if (data := activated(place.graph, place.node)) is not None:
        return data
    if operator in _POOLINGS | _MOVING or operator == "Transpose":
        return reads[0]
    if operator not in _PASSED:
        return None
    if operator in ("Add", "Div", "Mul", "Sub"):
        live = [name for name in reads if name not in place.graph.constants]
        return live[0] if len(live) == 1 else None
    return reads[0]


def _across(
    place: Place, here: Shape | None, there: Shape | None, axis: int, *, down: bool = False
) -> int | None:
    """Where an axis of what a node makes is in what it reads, both from the right; or downward."""
    operator, node = place.operator, place.graph.scope.nodes[place.node]
    if operator not in _MOVING and operator != "Transpose":
        return axis
    if here is None or there is None:
        return None
    if operator == "Transpose":
        order = integers(node, "perm") or tuple(reversed(range(len(here))))
        at = axis + len(order)
        return (order.index(at) if down else order[at]) - len(order)
    return _moved(here, there, axis)


def _moved(made: Shape, read: Shape, axis: int) -> int | None:
    """The axis of the same length with as many elements behind it, if those are known."""
    behind = made[len(made) + axis + 1 :]
    size = made[axis]
    if size is None or size == 1 or not all(behind):
        return None
    count = _count(behind)
    for other in range(-1, -len(read) - 1, -1):
        if read[other] == size and _count(read[len(read) + other + 1 :]) == count:
            return other
    return None


def _count(dims: Shape) -> int:
    """How many elements there are; 0 if that is not known."""
    return prod(size or 0 for size in dims)
