"""The graphs that are run beside the two models themselves, over the same weights.

Each is a copy of a skeleton with something added: outputs for values inside of it, outputs for
their shapes, noise on some of them; or a few pieces of it on their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from folding.equivalence.sites import Piece

#: What a name of ours begins with; no exporter's does, and a model's own would only refuse to load.
_MARK = "fold-model:"


def shape_name(name: str) -> str:
    """The output that has the shape of a value."""
    return f"{_MARK}shape:{name}"


def with_outputs(proto: ModelProto, names: Iterable[str], *, shapes: Iterable[str]) -> ModelProto:
    """A model that also gives values of its main graph, and the shapes of some."""
    copy = _copy(proto)
    known = {value.name for value in copy.graph.output}
    known |= {value.name for value in copy.graph.input}
    for name in names:
        if name not in known:
            known.add(name)
            copy.graph.output.append(ValueInfoProto(name=name))
    for name in shapes:
        copy.graph.node.append(NodeProto(op_type="Shape", input=[name], output=[shape_name(name)]))
        copy.graph.output.append(ValueInfoProto(name=shape_name(name)))
    return copy


def piece_input(number: int, name: str) -> str:
    """What an input of one of several pieces is called."""
    return f"{_MARK}{number}:{name}"


def piece_output(number: int) -> str:
    """What the output of one of several pieces is called."""
    return f"{_MARK}{number}"


def pieces(proto: ModelProto, parts: Sequence[Piece], inputs: Mapping[str, int]) -> ModelProto:
    """Some pieces of a main graph side by side, none of which sees the values of another.

    Args:
        proto: the model.
        parts: the pieces.
        inputs: the element type of each input, by ``piece_input``.
    """
    made = ModelProto(
        ir_version=proto.ir_version, opset_import=proto.opset_import, functions=proto.functions
    )
    made.graph.name = "pieces"
    used: set[str] = set()
    for number, part in enumerate(parts):
        own = {name for index in part.nodes for name in proto.graph.node[index].output if name}
        own |= set(part.inputs)
        for index in part.nodes:
            node = made.graph.node.add()
            node.CopyFrom(proto.graph.node[index])
            node.name = ""  # It may be part of several pieces.
            used.update(node.input)
            node.input[:] = [piece_input(number, n) if n in own else n for n in node.input]
            node.output[:] = [piece_input(number, n) if n else n for n in node.output]
        for name in part.inputs:
            kind = inputs[piece_input(number, name)]
            value = helper.make_tensor_value_info(piece_input(number, name), kind, None)
            made.graph.input.append(value)
        end = piece_input(number, part.output)
        made.graph.node.append(
            NodeProto(op_type="Identity", input=[end], output=[piece_output(number)])
        )
        made.graph.output.append(ValueInfoProto(name=piece_output(number)))
    made.graph.initializer.extend(t for t in proto.graph.initializer if t.name in used)
    made.graph.sparse_initializer.extend(
        t for t in proto.graph.sparse_initializer if t.values.name in used
    )
    return made


def noise_inputs(name: str) -> tuple[str, str, str]:
    """What a noisy value is given: a draw for each element, and what it and all are worth.

    The draws are 8-bit integers of the value's shape. The other two broadcast to it: each draw is
    multiplied by the first, and the second is added.
    """
    return f"{_MARK}draw:{name}", f"{_MARK}size:{name}", f"{_MARK}shift:{name}"


def with_noise(proto: ModelProto, types: Mapping[str, int]) -> ModelProto:
    """A model in which some values are a little more or less, as inputs of it say.

    (The runtime has operators that draw numbers, but not of every operator set.)

    Args:
        proto: the model.
        types: the element types of those values.
    """
    noisy = with_nodes_behind(proto, {name: _noisy(name, kind) for name, kind in types.items()})
    for name, kind in types.items():
        kinds = (TensorProto.INT8, wide_type(kind), wide_type(kind))
        for given, elem_type in zip(noise_inputs(name), kinds, strict=True):
            noisy.graph.input.append(helper.make_tensor_value_info(given, elem_type, None))
    return noisy


def with_nodes_behind(proto: ModelProto, added: Mapping[str, Iterable[NodeProto]]) -> ModelProto:
    """A model in which some values of its main graph are made anew of what they were.

    Args:
        proto: the model.
        added: the nodes that make each of them, of its ``clean_name``.
    """
    copy = _copy(proto)
    del copy.graph.node[:]
    for node in proto.graph.node:
        own = copy.graph.node.add()
        own.CopyFrom(node)
        for slot, name in enumerate(node.output):
            if name in added:
                own.output[slot] = clean_name(name)
                copy.graph.node.extend(added[name])
    return copy


def clean_name(name: str) -> str:
    """What a value is called as it was before it was made anew."""
    return f"{_MARK}clean:{name}"


def wide_type(elem_type: int) -> int:
    """The type that noise on a value is computed in."""
    return TensorProto.DOUBLE if elem_type == TensorProto.DOUBLE else TensorProto.FLOAT


def _noisy(name: str, elem_type: int) -> Iterable[NodeProto]:
    draw, size, shift = noise_inputs(name)
    number, product, both, noise = (
        f"{_MARK}{part}:{name}" for part in ("number", "product", "both", "noise")
    )
    yield helper.make_node("Cast", [draw], [number], to=wide_type(elem_type))
    yield helper.make_node("Mul", [number, size], [product])
    yield helper.make_node("Add", [product, shift], [both])
    yield helper.make_node("Cast", [both], [noise], to=elem_type)
    yield helper.make_node("Add", [clean_name(name), noise], [name])


def _copy(proto: ModelProto) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(proto)
    return copy
