"""A walk over a model in the order of shape inference, which bounds every value on the way.

Bodies are walked where their node stands; functions once for each call, with what it passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from math import prod

from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    defs,
)

from folding.bound_rules import of_outputs
from folding.bounds import Bound, of_input, of_tensor
from folding.protos import is_default_domain
from folding.slices import Held, negative_axis
from folding.survey import MOST_DIMENSIONS, by_key, key_of

#: A node of this operator is not looked at, here or in inference.
HIDDEN = "Hidden"
#: Constants of more elements are never a shape, and their numbers are not shown to inference:
#: it would read them again for each reader.
MOST_SHOWN = 128

#: Messages for the outputs of one node.
_MOST_MESSAGES = 1 << 20
#: The operators whose bodies inference walks over.
WITH_BODIES = frozenset({"If", "Loop", "Scan", "SequenceMap"})


class Bounded:
    """The walk. Subclasses say which nodes inference may see."""

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self.functions = by_key(model.functions)
        self.scopes: list[dict[str, Bound | TensorProto]] = []
        self.arguments: dict[str, AttributeProto] | None = None
        self.slices = Held()

    def may_see(self, node: NodeProto, seen: NodeProto, inputs: Sequence[Bound]) -> bool:
        """Whether inference may see a node; ``seen`` has the arguments of the function's call."""
        raise NotImplementedError

    def hide(self, node: NodeProto) -> None:
        """Hide a node from inference."""
        node.op_type = HIDDEN

    def graph(self, graph: GraphProto, given: Sequence[Bound] = ()) -> list[Bound]:
        """Walk over a graph whose inputs are bound otherwise than by their types."""
        scope: dict[str, Bound | TensorProto] = {}
        for value in graph.input:
            _forget_negative(value)
            scope[value.name] = of_input(value)
        for value, bound in zip(graph.input, given, strict=False):
            rank = max(bound.rank, of_input(value).rank)
            scope[value.name] = Bound(rank, negative=0, level=bound.level)
        for tensor in graph.initializer:
            _lighten(tensor)
            scope[tensor.name] = tensor
        for sparse in graph.sparse_initializer:
            scope[sparse.values.name] = Bound(len(sparse.dims))
        self.scopes.append(scope)
        for node in graph.node:
            self._node(node)
        outputs = [self.bound(value.name) for value in graph.output]
        self.scopes.pop()
        return outputs

    def bound(self, name: str) -> Bound:
        """The bound of a value in sight."""
        for scope in reversed(self.scopes):
            if (found := scope.get(name)) is not None:
                if isinstance(found, TensorProto):
                    found = scope[name] = of_tensor(found)
                return found
        return Bound()

    def _node(self, node: NodeProto) -> None:
        seen = node if self.arguments is None else self._filled(node)
        inputs = [self.bound(name) for name in node.input]
        outputs: Sequence[Bound] = ()
        if node.op_type != HIDDEN and self.may_see(node, seen, inputs):
            outputs = self._outputs(seen, inputs)
            if self.slices.has_last(node):
                outputs = [bound._replace(level=bound.level + 1) for bound in outputs]
        if node.op_type != HIDDEN and not (outputs and _may_hold(outputs)):
            self.hide(node)
            outputs = ()
        scope = self.scopes[-1]
        for index, name in enumerate(node.output):
            scope[name] = outputs[index] if index < len(outputs) else Bound()

    def hold(self, node: NodeProto, axes: Sequence[int], data: Bound) -> None:
        """Let a Slice wait until the lengths of these axes are known."""
        self.slices.hold(node, axes, data.level + 1 if self.arguments is None else 0)

    def _outputs(self, node: NodeProto, inputs: Sequence[Bound]) -> Sequence[Bound]:
        function = self.function(node)
        if function is not None:
            return self._call(function, node, inputs)
        if node.op_type in WITH_BODIES and is_default_domain(node):
            return self._with_bodies(node, inputs)
        for a in node.attribute if node.op_type == "Constant" else ():
            _lighten(a.t)
        level = max((bound.level for bound in inputs), default=0)
        negative = negative_axis(node, inputs)
        found = of_outputs(node, inputs)._replace(level=level, negative=negative)
        return [found] * len(node.output)

    def function(self, node: NodeProto) -> FunctionProto | None:
        """The function that a node calls: one of the model's own, unless ONNX has the operator."""
        found = self.functions.get(key_of(node)) if self.functions else None
        return None if is_default_domain(node) and defs.has(node.op_type) else found

    def _call(
        self, function: FunctionProto, node: NodeProto, inputs: Sequence[Bound]
    ) -> list[Bound]:
        outside = self.scopes, self.arguments
        self.scopes = [dict(zip(function.input, inputs, strict=False))]
        self.arguments = {a.name: a for a in (*function.attribute_proto, *node.attribute)}
        for inner in function.node:
            self._node(inner)
        outputs = [self.bound(name) for name in function.output]
        self.scopes, self.arguments = outside
        return outputs

    def _filled(self, node: NodeProto) -> NodeProto:
        """A node of a function with the arguments of the call."""
        assert self.arguments is not None
        if not any(a.ref_attr_name for a in node.attribute):
            return node
        filled = NodeProto(op_type=node.op_type, domain=node.domain, overload=node.overload)
        filled.input.extend(node.input)
        filled.output.extend(node.output)
        for a in node.attribute:
            given = self.arguments.get(a.ref_attr_name) if a.ref_attr_name else a
            if given is not None:
                filled.attribute.add().CopyFrom(given)
                filled.attribute[-1].name = a.name
        return filled

    def _with_bodies(self, node: NodeProto, inputs: Sequence[Bound]) -> list[Bound]:
        given: list[Bound] = []
        if node.op_type == "Loop":
            given = [Bound(0), Bound(0), *inputs[2:]]
        elif node.op_type != "If":
            given = list(inputs)
        found = [self.graph(body, given) for body in bodies(node)]
        # The condition is no output of the loop.
        found = [outputs[node.op_type == "Loop" :] for outputs in found]
        usual = max((b.rank for b in inputs), default=0) if node.op_type != "If" else 0
        level = max((b.level for b in (*inputs, *chain(*found))), default=0)
        ranks = [
            max(usual, *(o[k].rank for o in found if k < len(o)), 0) + _stacked(node, k)
            for k in range(len(node.output))
        ]
        return [Bound(rank, negative=0, level=level) for rank in ranks]


def _may_hold(outputs: Sequence[Bound]) -> bool:
    """Whether inference may know as much of the outputs of a node as it would."""
    rank = max((bound.rank for bound in outputs), default=0)
    return rank <= MOST_DIMENSIONS and rank * len(outputs) <= _MOST_MESSAGES


def bodies(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs in a node, whatever the type of an attribute says that it is."""
    for a in node.attribute:
        if a.HasField("g"):
            yield a.g
        yield from a.graphs


def walked(graph: GraphProto) -> Iterator[GraphProto]:
    """The graphs that the walk comes to, in its order."""
    yield graph
    for node in graph.node:
        if node.op_type in WITH_BODIES and is_default_domain(node):
            for body in bodies(node):
                yield from walked(body)


def _stacked(node: NodeProto, index: int) -> int:
    """How many dimensions a node may put before those of an output of its body."""
    if node.op_type == "Loop":
        return 0 if index < len(node.input) - 2 else 1
    return 2 if node.op_type == "Scan" else 0


def _forget_negative(value: ValueInfoProto) -> None:
    """Some exporters say -1 for a length that is not known."""
    for dim in value.type.tensor_type.shape.dim:
        if dim.dim_value < 0:
            dim.ClearField("dim_value")


def _lighten(tensor: TensorProto) -> None:
    """Take the numbers from a tensor of many, as if they were in another file."""
    if prod(tensor.dims) > MOST_SHOWN and tensor.data_location != TensorProto.EXTERNAL:
        for name in ("raw_data", "float_data", "int32_data", "string_data", "int64_data"):
            tensor.ClearField(name)
        tensor.ClearField("double_data")
        tensor.ClearField("uint64_data")
        tensor.data_location = TensorProto.EXTERNAL
