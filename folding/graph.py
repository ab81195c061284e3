"""A read-only index of a skeleton: who makes a value, who reads it, what shape it has.

Each graph is a ``Scope``: the main one, the bodies of If, Loop and Scan nodes, and model-local
functions. A body sees the values of the graphs around it; for those around it, what a body reads is
``captured``: visible to code that a fold in the outer graph cannot follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from sys import intern

from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto

from folding.floats import FLOATS
from folding.guesses import guess_shapes
from folding.inference import Settled, Shape, Symbols, Types, infer
from folding.modelfile import Model
from folding.plan import Reason
from folding.protos import MEASURED, children, is_default_domain, opset, overridable, subgraphs


@dataclass(slots=True)
class Scope:
    """One graph and its names.

    ``operators``, ``reads`` and ``makes`` are what each node is, reads and makes: what most
    questions are about, taken from the messages once. ``foreign`` holds the nodes whose operator is
    not one of ONNX's own, of which ``opset`` is the version. ``readers`` maps a value to the
    indices of the nodes that read it, one entry for each input slot; ``measurers`` has apart those
    that only ask for its shape, or its type. ``overridable`` holds the initializers that a caller
    may replace at run time. ``nesting`` has the nodes with bodies. ``closed`` is why nothing in it
    can be folded, if so.
    """

    nodes: Sequence[NodeProto]
    inputs: frozenset[str]
    outputs: frozenset[str]
    initializers: dict[str, TensorProto]
    parent: Scope | None
    opset: int
    closed: Reason | None = None
    overridable: frozenset[str] = frozenset()
    operators: list[str] = field(default_factory=list)
    reads: list[tuple[str, ...]] = field(default_factory=list)
    makes: list[tuple[str, ...]] = field(default_factory=list)
    foreign: set[int] = field(default_factory=set)
    nesting: list[int] = field(default_factory=list)
    producers: dict[str, int] = field(default_factory=dict)
    readers: dict[str, list[int]] = field(default_factory=dict)
    measurers: dict[str, list[int]] = field(default_factory=dict)
    captured: set[str] = field(default_factory=set)
    shapes: dict[str, Shape] = field(default_factory=dict)
    symbols: dict[str, Symbols] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for index, node in enumerate(self.nodes):
            operator, reads, makes = intern(node.op_type), tuple(node.input), tuple(node.output)
            self.operators.append(operator)
            self.reads.append(reads)
            self.makes.append(makes)
            is_own = is_default_domain(node)
            if not is_own:
                self.foreign.add(index)
            measured = MEASURED.get(operator, ()) if is_own else ()
            for name in makes:
                self.producers[name] = index
            for slot, name in enumerate(reads):
                readers = self.measurers if slot in measured else self.readers
                if name in readers:
                    readers[name].append(index)
                else:
                    readers[name] = [index]
        for absent in (self.producers, self.readers, self.measurers):
            absent.pop("", None)

    def is_own(self, index: int, *operators: str) -> bool:
        """Whether a node is one of these operators of ONNX's own."""
        return self.operators[index] in operators and index not in self.foreign

    def has(self, name: str) -> bool:
        """Whether a name is one of this graph, not of one around it."""
        return name in self.producers or name in self.inputs or name in self.initializers

    def shape(self, name: str) -> Shape | None:
        """The dimensions of a value, None for each unknown one; None if not even their number."""
        if name in self.initializers and name not in self.overridable:
            return tuple(self.initializers[name].dims)
        if name in self.shapes or self.parent is None or name in self.producers:
            return self.shapes.get(name)
        return self.parent.shape(name)

    def type(self, name: str) -> int:
        """The element type of a value, 0 if unknown."""
        if name in self.initializers:
            return self.initializers[name].data_type
        if name in self.types or self.parent is None or name in self.producers:
            return self.types.get(name, 0)
        return self.parent.type(name)

    def may_be_float(self, name: str) -> bool:
        """Whether a value is of floats, as far as its type is known."""
        kind = self.type(name)
        return not kind or kind in FLOATS


def index(model: Model) -> tuple[list[Scope], str | None]:
    """The scopes of a model, outer before inner, and why shapes are unknown if they are."""
    proto = model.proto
    inferred, problem = infer(model, Settled())
    scopes: list[Scope] = []
    _enter(proto.graph, None, proto, scopes)
    scopes += [_of_function(function) for function in proto.functions]
    describe(scopes, inferred)
    return scopes, problem


def describe(scopes: Iterable[Scope], inferred: ModelProto) -> None:
    """Take over the shapes and types of a model with the same graphs; functions have none."""
    types = Types()
    rest = iter(scopes)
    for scope, graph in _twins(rest, inferred.graph):
        scope.shapes.clear()
        scope.symbols.clear()
        scope.types.clear()
        for value in chain(graph.value_info, graph.input, graph.output):
            found = types.of(value)
            if found is not None:
                scope.types[value.name], shape, symbols = found
                if shape is not None:
                    scope.shapes[value.name] = shape
                if any(symbols):
                    scope.symbols[value.name] = symbols
        guess_shapes(scope)


def _twins(scopes: Iterator[Scope], graph: GraphProto) -> Iterator[tuple[Scope, GraphProto]]:
    """Each scope with the same graph of another model, whose nodes stand in the same places."""
    scope = next(scopes)
    yield scope, graph
    for place in scope.nesting:
        for body in subgraphs(graph.node[place]):
            yield from _twins(scopes, body)


def _of_function(function: FunctionProto) -> Scope:
    return Scope(
        function.node,
        frozenset(function.input),
        frozenset(function.output),
        {},
        None,
        opset(function.opset_import),
        closed=Reason.IN_FUNCTION,
    )


def _enter(graph: GraphProto, parent: Scope | None, model: ModelProto, found: list[Scope]) -> None:
    """Index a graph and the bodies in it."""
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    inputs = frozenset(value.name for value in graph.input)
    scope = Scope(
        graph.node,
        inputs,
        frozenset(value.name for value in graph.output),
        initializers,
        parent,
        opset(model.opset_import),
        overridable=overridable(graph, model.ir_version),
    )
    if parent is not None:
        _look_out(scope)
    found.append(scope)
    for place, body in children(graph):
        if scope.nesting[-1:] != [place]:
            scope.nesting.append(place)
        _enter(body, scope, model, found)


def _look_out(scope: Scope) -> None:
    """What a body sees of the graphs around it, and whether a name of it hides one of theirs.

    Runtimes read a hidden name differently, so it counts as seen.
    """
    own = scope.producers.keys() | scope.inputs | scope.initializers.keys()
    reads = scope.readers.keys() | scope.measurers.keys() | scope.outputs
    outer = scope.parent
    while outer is not None:
        if any(map(outer.has, own)):
            scope.closed = Reason.HIDDEN_NAME
        outer.captured.update(filter(outer.has, reads | own))
        outer = outer.parent
