"""How many numbers ONNX's data propagation would write down, and the nodes that it must not see."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import chain

from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto, defs

from folding.bounded import Bounded, walked
from folding.bounds import Bound
from folding.protos import is_default_domain, opset
from folding.slices import is_known, sliced_axes
from folding.survey import MOST_DIMENSIONS

#: Numbers that are propagated in all. Each is a message.
MOST_NUMBERS = 1 << 20
#: Nodes of a function of ONNX that propagates, and has no inference of its own.
_STEPS = 16
_NO_TYPE = ValueInfoProto()


class Lengths(Bounded):
    """After a run without propagation: hides what would propagate too many numbers in all.

    ``_numbers`` has how many are propagated with a value at most. Propagation also makes up
    unknown ones for every vector of known length that it meets.
    """

    def __init__(self, model: ModelProto, first: GraphProto) -> None:
        super().__init__(model)
        self.unbounded = False
        self._left = MOST_NUMBERS
        imports = (model.opset_import, *(f.opset_import for f in model.functions))
        self._version = max(map(opset, imports))
        self._numbers: dict[str, int] = {}
        self._firsts = walked(first)
        self._places: list[tuple[GraphProto, dict[str, ValueInfoProto]]] = []

    def graph(self, graph: GraphProto, given: Sequence[Bound] = ()) -> list[Bound]:
        if self.arguments is not None:
            return super().graph(graph, given)
        first = next(self._firsts)
        types = {v.name: v for v in chain(first.value_info, first.output, first.input)}
        self._places.append((graph, types))
        outputs = super().graph(graph, given)
        self._places.pop()
        return outputs

    def may_see(self, node: NodeProto, seen: NodeProto, inputs: Sequence[Bound]) -> bool:
        if not is_default_domain(node) or not _propagates(node.op_type, self._version):
            return True
        if node.op_type == "Slice" and (axes := sliced_axes(seen, inputs)):
            # What is not known yet may turn out to be negative.
            value = None if self.arguments is not None else self._typed(node.input[0])
            if value is None or not is_known(value.type, axes):
                self._keep_types(node)
                self.hold(node, axes, inputs[0])
        cost, result = self._cost(node, inputs)
        if cost > self._left:
            return False
        self._left -= cost
        for name in node.output:
            self._numbers[name] = max(self._numbers.get(name, 0), result)
        return True

    def hide(self, node: NodeProto) -> None:
        """Hide a node, whose outputs keep the types of the first run."""
        if self.arguments is not None:
            self.unbounded = True  # There is no place for the types of values in functions.
            return
        super().hide(node)
        self._keep_types(node)

    def _keep_types(self, node: NodeProto) -> None:
        if self.arguments is None:
            graph, types = self._places[-1]
            graph.value_info.extend(types[name] for name in node.output if name in types)

    def _cost(self, node: NodeProto, inputs: Sequence[Bound]) -> tuple[int, int]:
        """How many numbers a node writes down, and how many of them for each of its outputs."""
        if node.op_type == "Shape":
            return MOST_DIMENSIONS, MOST_DIMENSIONS
        found = [self._count(*value) for value in zip(node.input, inputs, strict=True)]
        longest = sum(found) if node.op_type == "Concat" else max(found, default=0)
        if node.op_type == "MeanVarianceNormalization":
            return _STEPS * longest, 0
        return sum(found) + longest, longest

    def _count(self, name: str, bound: Bound) -> int:
        """How many numbers may be propagated from a value."""
        if bound.numbers is not None:
            return bound.numbers
        unknown = MOST_NUMBERS + 1 if bound.size is None else bound.size
        return max(self._numbers.get(name, 0), self._made_up(name, unknown))

    def _made_up(self, name: str, unknown: int) -> int:
        value = None if self.arguments is not None else self._typed(name)
        if value is None:
            return unknown
        shape = value.type.tensor_type.shape
        if not value.type.tensor_type.HasField("shape"):
            return unknown
        if len(shape.dim) != 1:
            return 0
        return shape.dim[0].dim_value if shape.dim[0].HasField("dim_value") else unknown

    def _typed(self, name: str) -> ValueInfoProto | None:
        """What the first run has found of a value in sight; None of one that is nowhere."""
        for scope, (_, types) in zip(reversed(self.scopes), reversed(self._places), strict=True):
            if name in scope:
                return types.get(name, _NO_TYPE)
        return None


@cache
def _propagates(operator: str, version: int) -> bool:
    """Whether inference propagates the numbers of an operator."""
    if operator == "MeanVarianceNormalization":  # A function of operators that do.
        return True
    known = defs.has(operator, version)
    return known and defs.get_schema(operator, version).has_data_propagation_function
