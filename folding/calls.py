"""Put the nodes of a function in the place of a call of it.

    f(a, b; alpha) = { h = g(a){alpha = @alpha}; r = k(h, b) }

    y = f(x, c){alpha = 2}          h = g(x){alpha = 2};  y = k(h, c)

1. What the function takes has the names that the call reads, what it gives those that it makes.
2. All other names of the function are new ones, those in its bodies too.
3. Attributes that refer to one of the call get that, else the function's default, else they go.
4. A call stays if an operator of the function means something else in the model's operator sets,
   and if it gives more values than the function takes, or a body, which sees the values around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto

from folding.protos import graphs, since, subgraphs
from folding.renaming import Fresh, fresh_values, rename_nodes
from folding.splicing import output_names, replace_nodes
from folding.survey import Key, key_of


def takes(function: FunctionProto, call: NodeProto) -> bool:
    """Whether a call gives a function no more than it takes, and no bodies."""
    fits = len(call.input) <= len(function.input) and len(call.output) <= len(function.output)
    return fits and not any(subgraphs(call))


class Calls:
    """Replaces the calls of some functions in a model, those within each other too.

    ``origin`` says of each value that a function made which one it was.
    """

    def __init__(self, proto: ModelProto, functions: Mapping[Key, FunctionProto]) -> None:
        self.origin: dict[str, Key] = {}
        self._versions = {_domain(o.domain): o.version for o in proto.opset_import}
        self._functions = {}
        for key, function in functions.items():
            if self._import(proto, function):
                self._functions[key] = function
        self._value = fresh_values(proto)
        #: Runtimes want the nodes of a graph to have different names, if any.
        self._title = Fresh(node.name for graph in graphs(proto) for node in graph.node)

    def _import(self, proto: ModelProto, function: FunctionProto) -> bool:
        """Whether the model has the operator sets of a function; those it lacks it gets.

        Nor can a function be inlined that does not make what it gives.
        """
        wanted = {_domain(o.domain): o.version for o in function.opset_import}
        made = {name for node in function.node for name in node.output}
        if not made.issuperset(set(function.output).difference(function.input)):
            return False
        if not all(self._reads_as(function, *item) for item in wanted.items()):
            return False
        for domain, version in wanted.items():
            if domain not in self._versions:
                self._versions[domain] = version
                proto.opset_import.add(domain=domain, version=version)
        return True

    def _reads_as(self, function: FunctionProto, domain: str, version: int) -> bool:
        """Whether a function's operators of a domain mean in the model what they mean in it."""
        own = self._versions.get(domain, version)
        if own == version:
            return True
        operators = {n.op_type for n in within(function.node) if _domain(n.domain) == domain}
        return all(
            not domain and since(operator, own) == since(operator, version) is not None
            for operator in operators
        )

    def replace(self, graph: GraphProto) -> None:
        """Replace the calls in a graph and in its bodies."""
        nodes = [found for node in list(graph.node) for found in self._replaced(node)]
        if len(nodes) != len(graph.node) or any(map(self._is_call, graph.node)):
            replace_nodes(graph, nodes)

    def _is_call(self, node: NodeProto) -> bool:
        function = self._functions.get(key_of(node))
        return function is not None and takes(function, node)

    def _replaced(self, node: NodeProto) -> list[NodeProto]:
        if not self._is_call(node):
            for body in subgraphs(node):
                self.replace(body)
            return [node]
        return [found for inner in self._instance(node) for found in self._replaced(inner)]

    def _instance(self, call: NodeProto) -> list[NodeProto]:
        """The nodes of a function as one call means them."""
        key = key_of(call)
        function = FunctionProto()
        function.CopyFrom(self._functions[key])
        attributes = {a.name: a for a in (*function.attribute_proto, *call.attribute)}
        _fill(function.node, attributes)
        given = dict.fromkeys(function.input, "") | dict(
            zip(function.input, call.input, strict=False)
        )
        made = dict.fromkeys(name for node in function.node for name in node.output if name)
        new, copies = output_names(function.output, call.output, made.keys(), given)
        new |= {name: self._value(name) for name in made if name not in new} | given
        rename_nodes(function.node, new, self._value)
        for node in (*function.node, *copies):
            node.name = self._title(node.name) if node.name else ""
        for node in within(function.node):
            self.origin.update((name, key) for name in node.output if name)
        return [*function.node, *copies]


def within(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """Nodes, and those of their bodies."""
    for node in nodes:
        yield node
        for body in subgraphs(node):
            yield from within(body.node)


def _fill(nodes: Iterable[NodeProto], attributes: Mapping[str, AttributeProto]) -> None:
    """Replace what refers to the attributes of a call."""
    for node in nodes:
        for place in reversed(range(len(node.attribute))):
            own = node.attribute[place]
            if not own.ref_attr_name:
                continue
            if own.ref_attr_name in attributes:
                name = own.name
                own.CopyFrom(attributes[own.ref_attr_name])
                own.name = name
            else:
                del node.attribute[place]
        for body in subgraphs(node):
            _fill(body.node, attributes)


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain
