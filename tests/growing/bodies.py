"""Control flow: a layer and an affine in a body, with weights of its own or of the graph around."""

from __future__ import annotations

import numpy as np
from graphs import BOOL, INT64, Net
from onnx import GraphProto

from growing.grower import Given, Grower, Rule, Unfit

#: Before, an initializer had to be an input, and the bodies of an If have none.
_BODIES_STORE_SINCE_IR = 4
#: Before, it went over a batch.
_SCAN_SINCE = 9


def _grown(g: Grower, body: Net, x: str, shape: tuple[int, ...]) -> str:
    """A square layer with an affine behind it or before it; nothing changes the shape."""
    mark, depth = f"{len(g.net.nodes)}{body.seed}", shape[-1]
    may_store = g.net.ir_version >= _BODIES_STORE_SINCE_IR
    own = body if may_store else g.net
    # Below, a weight that bodies alone stop reading makes room for folds around them the next time.
    is_outer = g.flip() and may_store
    weight = g.weight(depth, depth) if is_outer else own.weight(depth, depth, name=f"w{mark}")
    factor = own.positive(depth, name=f"s{mark}")
    added = own.weight(depth, name=f"t{mark}")
    steps = [("MatMul", weight), ("Mul", factor), *([("Add", added)] if g.flip() else [])]
    if g.flip():
        steps.append(steps.pop(0))
    if g.flip():
        steps.insert(1, ("Identity", ""))
    for number, (operator, constant) in enumerate(steps):
        inputs = [x, constant] if constant else [x]
        x = body.node(operator, *inputs, out=f"b{mark}_{number}")
    return x


def _body(g: Grower) -> Net:
    return Net(g.net.elem_type, seed=len(g.net.nodes))


def _shape(g: Grower, x: str, least: int) -> tuple[int, ...]:
    if g.kind(x) != g.net.elem_type:
        raise Unfit
    return g.shape(x, least=least)


def _declared(g: Grower, shape: tuple[int, ...]) -> tuple[int | None, ...]:
    """The sizes that a body may count on: onnxruntime believes it what it says of its inputs."""
    is_open = any(
        dim.dim_param for value in g.net.inputs for dim in value.type.tensor_type.shape.dim
    )
    return (*[None] * (len(shape) - 1), shape[-1]) if is_open else shape


def branch(g: Grower, x: str) -> str:
    """An If whose bodies capture the value; a layer may be in both."""
    shape, flag = _shape(g, x, 1), g.flag()
    then, other = _body(g), Net(g.net.elem_type, seed=10**6)
    out = _grown(g, then, x, shape)
    second = _grown(g, other, x, shape) if not g.one_in(4) else x
    if second == x or g.one_in(4):
        second = other.node(g.pick("Neg", "Relu"), second, out=f"e{len(g.net.nodes)}")
    bodies: Given = {"then_branch": then.graph(out), "else_branch": other.graph(second)}
    return g.add("If", flag, like=x, **bodies)


def loop(g: Grower, x: str) -> str:
    """A Loop that carries the value through its body."""
    shape, body, mark = _shape(g, x, 1), _body(g), len(g.net.nodes)
    body.input(name=f"i{mark}", elem_type=INT64)
    body.input(name=f"go{mark}", elem_type=BOOL)
    state = body.input(*_declared(g, shape), name=f"state{mark}")
    out = _grown(g, body, state, shape)
    going = body.node("Identity", f"go{mark}", out=f"going{mark}")
    trips = g.net.store(np.array(g.upto(2, 1), np.int64), elem_type=0)
    go = g.net.store(np.array(True), elem_type=0)
    return g.add("Loop", trips, go, x, body=_typed(body.graph(going, out), [BOOL, 0], g), like=x)


def scan(g: Grower, x: str) -> str:
    """A Scan over the first axis of the value."""
    if g.net.opset < _SCAN_SINCE:
        raise Unfit
    shape, body, mark = _shape(g, x, 2), _body(g), len(g.net.nodes)
    row = body.input(*_declared(g, shape[1:]), name=f"row{mark}")
    out = _grown(g, body, row, shape[1:])
    return g.add("Scan", x, body=_typed(body.graph(out), [0], g), num_scan_inputs=1)


def _typed(body: GraphProto, kinds: list[int], g: Grower) -> GraphProto:
    """The body with the types of its outputs, which onnxruntime asks for."""
    for value, kind in zip(body.output, kinds, strict=True):
        value.type.tensor_type.elem_type = kind or g.net.elem_type
    return body


BODIES: tuple[Rule, ...] = (branch, loop, scan)
