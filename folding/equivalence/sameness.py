"""Is a prepared model its source, for the values that were frozen? Asked of the files alone.

Every value gets a number, and values have the same one if they are the same function of the inputs:

1. An input is itself; a tensor is its type, its dimensions and its bytes.
2. What a node makes is its operator, its attributes, and the numbers of what it reads. Operator
   sets that have the same version of an operator mean the same by it.
3. What an If makes whose condition is known is what its branch gives.
4. What a call of a function makes is what the function gives for these inputs and attributes.
5. A body is what it gives, for inputs that are numbered by their place in it.

Names do not count, nor does the order of nodes. If all outputs of both models have the same
numbers, and both the same signature and operator sets (the second may have more of those), they are
the same function.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto, TensorProto, numpy_helper

from folding.calls import takes
from folding.conditions import evaluated, stored
from folding.equivalence.feeds import Array
from folding.equivalence.verdict import Check, Status
from folding.modelfile import Model, token
from folding.protos import attribute, is_default_domain, since
from folding.survey import by_key, key_of

_Names = ChainMap[str, int]
_OVERRIDABLE_SINCE_IR = 4
#: The number of an input that is left out.
_NOTHING = -1


def check_preparation(source: Model, prepared: Model, frozen: Mapping[str, Array]) -> Check:
    """Compare the numbers of all outputs."""
    name = "preparation"
    ours, theirs = source.proto.graph, prepared.proto.graph
    if [v for v in ours.input if v.name not in frozen] != list(theirs.input):
        return Check(name, Status.FAILED, "the inputs are others")
    if list(ours.output) != list(theirs.output):
        return Check(name, Status.FAILED, "the outputs are others")
    wanted, found = (_versions(model.proto.opset_import) for model in (source, prepared))
    if not wanted.items() <= found.items():
        return Check(name, Status.FAILED, "the operator sets are others")
    numbers = _Numbers()
    before = _Reader(source, numbers, frozen).outputs()
    after = _Reader(prepared, numbers, {}).outputs()
    for value, one, other in zip(ours.output, before, after, strict=True):
        if one != other:
            text = f"output {value.name!r} is another function than before"
            return Check(name, Status.FAILED, text, at=value.name)
    return Check(name, Status.PASSED)


@dataclass(slots=True)
class _Numbers:
    """The numbers given so far, in both models, and what is known of their values."""

    given: dict[object, int] = field(default_factory=dict)
    values: dict[int, Array | None] = field(default_factory=dict)

    def of(self, *key: object) -> int:
        return self.given.setdefault(key, len(self.given))


@dataclass(frozen=True, slots=True)
class _Around:
    """What is around a node: the values it sees, and the attributes and versions of its function.

    ``depth`` is how many bodies it is in.
    """

    names: _Names
    attributes: Mapping[str, AttributeProto]
    versions: Mapping[str, int]
    depth: int = 0


class _Reader:
    """Numbers the values of one model."""

    def __init__(self, model: Model, numbers: _Numbers, frozen: Mapping[str, Array]) -> None:
        self.model, self.numbers, self.frozen = model, numbers, frozen
        self.functions = by_key(model.proto.functions)

    def outputs(self) -> list[int]:
        graph = self.model.proto.graph
        is_fixed = self.model.proto.ir_version < _OVERRIDABLE_SINCE_IR
        defaults = {t.name: self.tensor(t) for t in graph.initializer}
        around = _Around(ChainMap(), {}, _versions(self.model.proto.opset_import))
        for value in graph.input:
            name, default = value.name, defaults.get(value.name)
            if name in self.frozen:
                tensor = numpy_helper.from_array(self.frozen[name], name)
                around.names[name] = self.tensor(tensor)
            elif default is None or not is_fixed:
                around.names[name] = self.numbers.of("input", name, default)
        return self.graph(graph, around)

    def graph(self, graph: GraphProto, around: _Around) -> list[int]:
        """The numbers of a graph's outputs; its inputs have theirs."""
        names = around.names
        for tensor in graph.initializer:
            if tensor.name not in names.maps[0]:
                names[tensor.name] = self.tensor(tensor)
        for sparse in graph.sparse_initializer:
            copy = type(sparse)()
            copy.CopyFrom(sparse)
            copy.values.ClearField("name")
            names[sparse.values.name] = self.numbers.of("sparse", _bytes(copy))
        self.nodes(graph.node, around)
        return [self.named(value.name, around) for value in graph.output]

    def nodes(self, nodes: Sequence[NodeProto], around: _Around) -> None:
        for node in nodes:
            made = self.made(node, around)
            around.names.update((n, m) for n, m in zip(node.output, made, strict=False) if n)

    def tensor(self, tensor: TensorProto) -> int:
        place = token(tensor)
        head = "tensor", tensor.data_type, tuple(tensor.dims)
        if place is not None:
            return self.numbers.of(*head, place)
        if tensor.data_type == TensorProto.STRING:
            return self.numbers.of(*head, tuple(tensor.string_data))
        number = self.numbers.of(*head, numpy_helper.to_array(tensor).tobytes())
        self.numbers.values[number] = stored(self.model, tensor)
        return number

    def named(self, name: str, around: _Around) -> int:
        """The number of what a name stands for; one of its own if that is nothing."""
        number = around.names.get(name)
        return self.numbers.of("unknown", name) if number is None else number

    def made(self, node: NodeProto, around: _Around) -> list[int]:
        """The numbers of what a node makes."""
        read = [self.named(name, around) if name else _NOTHING for name in node.input]
        function = self.functions.get(key_of(node))
        if function is not None and takes(function, node):
            return self.called(function, node, read, around)
        if is_default_domain(node) and node.op_type in _PLAIN:
            plain = self.plain(node, read, around)
            if plain is not None:
                return plain
        found = (self.attribute(a, around) for a in _resolved(node, around.attributes))
        domain = "" if is_default_domain(node) else node.domain
        what = (node.op_type, domain, node.overload, *_version(node.op_type, domain, around))
        wanted = tuple(map(bool, node.output))
        whole = self.numbers.of("node", what, tuple(read), tuple(sorted(found)), wanted)
        numbers = [self.numbers.of("output", whole, place) for place in range(len(node.output))]
        if len(numbers) == 1 and numbers[0] not in self.numbers.values:
            known = [self.numbers.values.get(number) for number in read]
            self.numbers.values[numbers[0]] = evaluated(self.model, node, known)
        return numbers

    def plain(self, node: NodeProto, read: list[int], around: _Around) -> list[int] | None:
        """What is but another way to write a value."""
        if node.op_type == "Identity":
            return read
        if node.op_type == "Constant":
            value = attribute(node, "value")
            return None if value is None or value.ref_attr_name else [self.tensor(value.t)]
        condition = self.numbers.values.get(read[0])
        if condition is None or condition.size != 1:
            return None
        branch = attribute(node, "then_branch" if condition.item() else "else_branch")
        return None if branch is None else self.graph(branch.g, _within(around))

    def called(
        self, function: FunctionProto, call: NodeProto, read: list[int], around: _Around
    ) -> list[int]:
        """What a function gives to a call of it."""
        given = dict.fromkeys(function.input, _NOTHING) | dict(
            zip(function.input, read, strict=False)
        )
        attributes = {a.name: a for a in function.attribute_proto}
        attributes |= {a.name: a for a in _resolved(call, around.attributes)}
        versions = _versions(function.opset_import)
        inside = _Around(ChainMap(given), attributes, versions, around.depth)
        self.nodes(function.node, inside)
        return [self.named(name, inside) for name in function.output]

    def attribute(self, found: AttributeProto, around: _Around) -> tuple[str, str]:
        """What an attribute says; bodies by what they give."""
        bodies = [found.g] if found.type == AttributeProto.GRAPH else list(found.graphs)
        if not bodies:
            return found.name, _bytes(found).hex()
        return found.name, repr([self.body(body, around) for body in bodies])

    def body(self, body: GraphProto, around: _Around) -> tuple[list[int], list[bytes]]:
        inside = _within(around)
        for place, value in enumerate(body.input):
            inside.names[value.name] = self.numbers.of("bound", inside.depth, place)
        return self.graph(body, inside), [_bytes(value.type) for value in body.input]


#: Operators that may be only another way to write a value.
_PLAIN = frozenset({"Constant", "Identity", "If"})


def _within(around: _Around) -> _Around:
    """The surroundings of what is in a body."""
    return _Around(around.names.new_child(), around.attributes, around.versions, around.depth + 1)


def _resolved(
    node: NodeProto, attributes: Mapping[str, AttributeProto]
) -> Iterator[AttributeProto]:
    """The attributes of a node, with those that it takes from the call of its function."""
    for own in node.attribute:
        if not own.ref_attr_name:
            yield own
        elif own.ref_attr_name in attributes:
            taken = AttributeProto()
            taken.CopyFrom(attributes[own.ref_attr_name])
            taken.name = own.name
            yield taken


def _versions(imports: Any) -> dict[str, int]:
    return {"" if o.domain == "ai.onnx" else o.domain: o.version for o in imports}


def _version(operator: str, domain: str, around: _Around) -> tuple[int | None, int | None]:
    """Since when an operator is as it is; else, where that is not known, its operator set."""
    opset = around.versions.get(domain)
    known = None if domain or opset is None else since(operator, opset)
    return (None, opset) if known is None else (known, None)


def _bytes(message: Any) -> bytes:
    return bytes(message.SerializeToString(deterministic=True))
