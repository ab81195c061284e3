"""Models that would hang, crash or exhaust whatever reads them, as the bytes of their files."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from damage import delimited, numeric, varint
from files import conv_net, initializer, make, node, refer
from onnx import FunctionProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

#: Clears a terminal, turns text around, and feigns lines that nobody wrote.
NASTY = 'a\x1b[2Jb\n{"level":"error"}\r\x07\u202e[red]'

_LOCAL = "local"
_OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid(_LOCAL, 1)]
#: Fields of a model, of its graph, of a graph's node, of a node's attribute.
_GRAPH, _NODE, _TENSOR, _ATTRIBUTE, _BODY = 7, 1, 5, 5, 6


def _call(name: str, data: str = "x", out: str = "y") -> NodeProto:
    return helper.make_node(name, [data], [out], domain=_LOCAL)


def _function(name: str, *nodes: NodeProto) -> FunctionProto:
    return helper.make_function(_LOCAL, name, ["x"], ["y"], nodes, _OPSETS)


def _net(nodes: Sequence[NodeProto], functions: Sequence[FunctionProto] = ()) -> ModelProto:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    graph = helper.make_graph(nodes, "main", ends[:1], ends[1:])
    return make(graph, functions=functions, opset_imports=_OPSETS)


def doubling() -> bytes:
    """Functions that call the next one twice: a few thousand bytes stand for 2**26 nodes."""
    functions = [_function("f26", helper.make_node("Relu", ["x"], ["y"]))]
    for level in range(26):
        callee = f"f{level + 1}"
        functions.append(_function(f"f{level}", _call(callee, out="a"), _call(callee, "a")))
    return _net([_call("f0")], functions).SerializeToString()


def circle(length: int) -> bytes:
    """Functions each of which calls the next one, and the last one the first."""
    functions = [_function(f"f{n}", _call(f"f{(n + 1) % length}")) for n in range(length)]
    return _net([_call("f0")], functions).SerializeToString()


def nested(depth: int) -> bytes:
    """So many If in one another, written without any library that would refuse to."""
    core = delimited(_NODE, delimited(4, b"Relu"))
    size, heads = len(core), list[bytes]()
    for _ in range(depth):
        for before, field in (
            (delimited(1, b"then_branch") + numeric(20, 5), _BODY),
            (delimited(1, b"c") + delimited(4, b"If"), _ATTRIBUTE),
            (b"", _NODE),
        ):
            heads.append(before + varint(field << 3 | 2) + varint(size))
            size += len(heads[-1])
    graph = b"".join(reversed(heads)) + core
    return numeric(1, 8) + delimited(8, numeric(2, 17)) + delimited(_GRAPH, graph)


def changed(change: Callable[[ModelProto], object]) -> bytes:
    """A model that folds, after a change."""
    model = conv_net()
    change(model)
    return model.SerializeToString()


def sized(*dims: int) -> bytes:
    """A weight that claims to have this shape."""

    def change(model: ModelProto) -> None:
        initializer(model, "w").ClearField("dims")
        initializer(model, "w").dims.extend(dims)

    return changed(change)


def located(location: str, **more: str) -> tuple[bytes, bytes]:
    """A weight that claims to lie there, and the bytes that it had."""
    model = conv_net()
    weight = initializer(model, "w")
    data = weight.raw_data
    refer(weight, location=location, **more)
    return model.SerializeToString(), data


def row(count: int) -> bytes:
    """So many nodes, one after another."""
    model = _net([])
    for number in range(count):
        place = model.graph.node.add(op_type="Relu")
        place.input.append(f"v{number}" if number else "x")
        place.output.append(f"v{number + 1}" if number < count - 1 else "y")
    return model.SerializeToString()


def crowd(count: int) -> bytes:
    """A model that folds, with so many more initializers that nobody reads."""
    one = TensorProto(dims=[1], data_type=TensorProto.FLOAT, raw_data=bytes(4)).SerializeToString()
    tensors = (delimited(_TENSOR, one + delimited(8, b"t%d" % number)) for number in range(count))
    model = conv_net()
    graph = delimited(_GRAPH, model.graph.SerializeToString() + b"".join(tensors))
    model.ClearField("graph")
    return model.SerializeToString() + graph


def renamed(name: str) -> bytes:
    """A node and the values around it with this name."""

    def change(model: ModelProto) -> None:
        node(model, "conv").output[0] = node(model, "n_norm").input[0] = f"{name}c"
        node(model, "n_norm").output[0] = node(model, "relu").input[0] = f"{name}n"
        node(model, "relu").name = name

    return changed(change)


def doubled(model: ModelProto) -> None:
    """The same initializer, a second time."""
    model.graph.initializer.add().CopyFrom(initializer(model, "w"))


def expanded() -> bytes:
    """A normalisation that folds, beside an Expand to 25 GB."""
    model = conv_net()
    shape = numpy_helper.from_array(np.array([6_250_000_000]), "shape")
    one = numpy_helper.from_array(np.ones(1, np.float32), "one")
    model.graph.initializer.extend([shape, one])
    model.graph.node.append(helper.make_node("Expand", ["one", "shape"], ["vast"]))
    model.graph.node.append(helper.make_node("ReduceSum", ["vast"], ["sum"], keepdims=0))
    model.graph.output.append(helper.make_tensor_value_info("sum", TensorProto.FLOAT, []))
    return model.SerializeToString()
