"""What ONNX's shape inference must not meet, since it believes every number: one linear pass.

Inference writes a message for each dimension of a value, and data propagation one for each number.
``Gather(x, x)`` doubles dimensions and ``Concat(x, x)`` numbers: forty of them are a small file and
fill any memory. Some operators read beyond their attributes, which ends the process. So before
inference every value is given a bound; bodies are passed where their node stands, and functions
once for each call with what it passes on.

What nothing reads leads to nothing else, so that nothing else is looked at with more caution for
it: a fold may take it away, and what is known of the rest must not depend on that.
"""

from __future__ import annotations

from collections.abc import Iterator

from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, defs

from folding.bound_rules import KEEPING, LIKE_FIRST, PROPAGATING, joined, of_operator, propagated
from folding.bounds import NOTHING, Bound, Bounds, of_tensor, of_value
from folding.hazards import BLINDED, is_hazard, may_be_negative
from folding.protos import integer, integers, is_default_domain, opset, title
from folding.survey import by_key, key_of

#: Dimensions that a value may have, and numbers that cost no more than those do.
MOST_DIMENSIONS = 64
#: Numbers that propagation may write for longer vectors, in all: some 50 MB.
MOST_NUMBERS = 1 << 20
#: Names that inference may copy for bodies and calls, in all.
MOST_COPIES = 20_000_000
_NEGATIVE_AXES_SINCE = 11

#: Operators that make no dimensions, read no numbers and cannot crash.
_PLAIN = KEEPING - {"LayerNormalization"} | {"AveragePool", "Concat", "Constant", "Conv"}
_PLAIN |= {"ConvTranspose", "Flatten", "MatMul", "MaxPool"}
_Scope = dict[str, Bound | TensorProto]
_WITH_BODIES = frozenset({"If", "Loop", "Scan", "SequenceMap"})
#: Operators to which a length below 0 matters, or which may hold some.
_WATCHED = BLINDED | _WITH_BODIES


class Hazard(ValueError):
    """Inference would hang, crash or take all memory. The message says at which node."""


def check(model: ModelProto) -> bool:
    """Whether inference may propagate numbers, and if that is of any use.

    A Slice that may meet a negative length, which would end the process, loses its starts.

    Raises:
        Hazard: inference must not see the model.
    """
    operators = {node.op_type for node in model.graph.node}
    if not model.functions and operators <= _PLAIN:
        return False
    walk = _Walk(model, watches=bool(model.functions) or bool(operators & _WATCHED))
    walk.graph(model.graph)
    return walk.numbers <= MOST_NUMBERS


class _Walk:
    """``numbers`` counts what propagation may write for longer vectors.

    With ``watches``, operators are looked for that may make a length negative.
    """

    def __init__(self, model: ModelProto, *, watches: bool) -> None:
        self.numbers = 0
        self._functions = by_key(model.functions)
        imports = (model.opset_import, *(f.opset_import for f in model.functions))
        self._opset = min(map(opset, imports))
        self._scopes: list[_Scope] = []
        self._arguments: dict[str, AttributeProto] | None = None
        self._copies = 0
        self._watches = watches
        #: Whether a length may be negative, of what is read and of all.
        self._negative = self._negative_unread = False
        self._read = _names_read(model.graph) if watches else set()

    def graph(self, graph: GraphProto, given: Bound | None = None) -> list[Bound]:
        """The bounds of the outputs of a graph, whose inputs have a bound if they are given one."""
        scope: _Scope = {value.name: given or of_value(value) for value in graph.input}
        scope.update((tensor.name, tensor) for tensor in graph.initializer)
        told = {value.name: of_value(value) for value in graph.value_info}
        self._scopes.append(scope)
        for node in graph.node:
            self._pass(node)
            scope.update((name, told[name]) for name in node.output if name in told)
        outputs = [self._find(value.name) for value in graph.output]
        self._scopes.pop()
        return outputs

    def _find(self, name: str) -> Bound:
        for scope in reversed(self._scopes):
            if name in scope:
                found = scope[name]
                if isinstance(found, TensorProto):
                    found = scope[name] = of_tensor(found)
                return found
        return NOTHING

    def _pass(self, node: NodeProto) -> None:
        first_alone = node.op_type in LIKE_FIRST and not self._functions
        first_alone = first_alone and len(node.output) == 1
        inputs = [self._find(name) for name in (node.input[:1] if first_alone else node.input)]
        seen = node if self._arguments is None else self._filled(node)
        outputs = self._outputs(seen, inputs)
        rank = max((bound.rank for bound in outputs), default=0)
        if rank > MOST_DIMENSIONS or rank * len(outputs) > MOST_NUMBERS:
            raise _hazard(node, f"may have results of more than {MOST_DIMENSIONS} dimensions")
        self._scopes[-1].update(zip(node.output, outputs, strict=False))
        blind = node.op_type in BLINDED and len(inputs) > 1 and not _is_shape(inputs[0])
        if not self._watches or (self._negative and not blind):
            return
        is_read = self._is_read(node)
        if blind and (self._negative or (self._negative_unread and not is_read)):
            node.input[1] = ""
        if not self._negative and may_be_negative(seen, inputs):
            self._negative, self._negative_unread = is_read, True

    def _is_read(self, node: NodeProto) -> bool:
        """Whether anything may depend on a node, which is not asked of those within others."""
        is_within = len(self._scopes) > 1 or self._arguments is not None
        return is_within or not self._read.isdisjoint(node.output)

    def _outputs(self, node: NodeProto, inputs: Bounds) -> Bounds:
        function = self._functions.get(key_of(node)) if self._functions else None
        is_own = is_default_domain(node)
        known = defs.has(node.op_type, "" if is_own else node.domain)
        if function is not None:
            if known:
                raise _hazard(node, "calls a function that is named like an operator")
            return self._call(function, node, inputs)
        if is_own and node.op_type in _WITH_BODIES:
            return self._with_bodies(node, inputs)
        if not known:
            return [NOTHING] * len(node.output)
        if is_hazard(node, inputs):
            raise _hazard(node, "would crash or hang it")
        found = of_operator(node, inputs)
        if inputs and self._opset < _NEGATIVE_AXES_SINCE and _has_negative_axes(node):
            found = joined([found, inputs[0]])  # They are ignored.
        if is_own and node.op_type in PROPAGATING:
            self.numbers += sum(b.written for b in inputs if b.written > MOST_DIMENSIONS)
            found = propagated(node, inputs, found)
        if node.op_type in KEEPING and len(node.output) > 1:
            found = joined([NOTHING, *inputs])  # The others are scales, means or masks.
        return [found] * len(node.output)

    def _call(self, function: FunctionProto, node: NodeProto, inputs: Bounds) -> Bounds:
        self._copy(node, 0)
        outside = self._scopes, self._arguments
        self._scopes = [dict(zip(function.input, inputs, strict=False))]
        self._arguments = {a.name: a for a in (*function.attribute_proto, *node.attribute)}
        for inner in function.node:
            self._pass(inner)
        # What is known of them is lost where inference of the function fails.
        outputs = [self._find(name)._replace(typed=False) for name in function.output]
        self._scopes, self._arguments = outside
        return outputs

    def _filled(self, node: NodeProto) -> NodeProto:
        """A node of a function with the arguments of the call."""
        if not any(a.ref_attr_name for a in node.attribute):
            return node
        filled = NodeProto()
        filled.CopyFrom(node)
        del filled.attribute[:]
        for a in node.attribute:
            given = (self._arguments or {}).get(a.ref_attr_name) if a.ref_attr_name else a
            if given is not None:
                filled.attribute.add().CopyFrom(given)
                filled.attribute[-1].name = a.name
        return filled

    def _with_bodies(self, node: NodeProto, inputs: Bounds) -> Bounds:
        given = joined([NOTHING, *inputs])
        found: list[list[Bound]] = []
        for body in _bodies(node):
            self._copy(node, sum(map(len, self._scopes)))
            found.append(self.graph(body, given))
        first = int(node.op_type == "Loop")  # Of a loop, the condition comes before.
        usual = [] if node.op_type == "If" else [given]
        bounds = []
        for place in range(len(node.output)):
            may_be = [*usual, *(o[place + first] for o in found if place + first < len(o))]
            more = _stacked(node, place)
            bound = joined(may_be or [NOTHING])
            bounds.append(bound._replace(rank=bound.rank + more))
        return bounds

    def _copy(self, node: NodeProto, names: int) -> None:
        """Inference copies the functions of the model for each call and body, and names for one."""
        self._copies += names + 2 * len(self._functions)
        if self._copies > MOST_COPIES:
            raise _hazard(node, "is one of too many bodies and calls")


def _names_read(graph: GraphProto) -> set[str]:
    """All that is read but by nodes of a graph of whose own results nothing is."""
    found = {value.name for value in graph.output}
    waiting = [body for node in graph.node for body in _bodies(node)]
    while waiting:
        body = waiting.pop()
        found.update(value.name for value in body.output)
        for node in body.node:
            found.update(node.input)
            waiting += _bodies(node)
    for node in reversed(graph.node):
        if not found.isdisjoint(node.output):
            found.update(node.input)
            found.discard("")
    return found


def _has_negative_axes(node: NodeProto) -> bool:
    return min(integers(node, "axes") or (integer(node, "axis", 0),)) < 0


def _is_shape(bound: Bound) -> bool:
    """Whether a value is a vector whose length was counted, not computed from kernels."""
    return bound.rank <= 1 and bound.exact


def _bodies(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs in a node, whatever the type of an attribute says that it is."""
    for a in node.attribute:
        if a.HasField("g"):
            yield a.g
        yield from a.graphs


def _stacked(node: NodeProto, place: int) -> int:
    """How many dimensions a node may put before those of an output of its body."""
    carried = node.op_type == "If" or (node.op_type == "Loop" and place < len(node.input) - 2)
    return 0 if carried else 2


def _hazard(node: NodeProto, what: str) -> Hazard:
    return Hazard(f"inference was not tried, since {node.op_type} node {title(node)!r} {what}")
