"""The graphs that are run beside the two models themselves, over the same weights.

Each is a copy of a skeleton with something added: outputs for values inside of it, outputs for
their shapes, noise on some of them; or a few pieces of it on their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from folding.equivalence.sites import Piece

#: What a name of ours begins with; no exporter's does, and a model's own would only refuse to load.
_MARK = "fold-model:"
#: The runtime keeps a seed in a float32, and takes 0 for 1.
_SEEDS = 1 << 24


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


def pieces(
    proto: ModelProto, parts: Sequence[Piece], inputs: Mapping[str, int], outputs: Sequence[str]
) -> ModelProto:
    """Some pieces of a main graph side by side, none of which sees the values of another.

    Args:
        proto: the model.
        parts: the pieces.
        inputs: the element type of each input, by ``piece_input``.
        outputs: what the outputs of the pieces are to be called.
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
        made.graph.node.append(NodeProto(op_type="Identity", input=[end], output=[outputs[number]]))
        made.graph.output.append(ValueInfoProto(name=outputs[number]))
    made.graph.initializer.extend(t for t in proto.graph.initializer if t.name in used)
    made.graph.sparse_initializer.extend(
        t for t in proto.graph.sparse_initializer if t.values.name in used
    )
    return made


def noise_input(name: str) -> str:
    """The input that says by how much a value may change; it broadcasts to that."""
    return f"{_MARK}size:{name}"


def with_noise(proto: ModelProto, types: Mapping[str, int], seed: int) -> ModelProto:
    """A model in which some values are a little more or less, by seeded draws.

    Args:
        proto: the model.
        types: the element types of those values.
        seed: of the draws; each run goes on where the last one ended.
    """
    copy, rng = _copy(proto), np.random.default_rng(seed)
    nodes = list(proto.graph.node)
    del copy.graph.node[:]
    for node in nodes:
        added = copy.graph.node.add()
        added.CopyFrom(node)
        for slot, name in enumerate(node.output):
            if name in types:
                wide = _wide(types[name])
                added.output[slot] = f"{_MARK}clean:{name}"
                # Far apart: the runtime's draws of seeds that are near are the same, or nearly so.
                drawn = rng.integers(1, _SEEDS, 2)
                copy.graph.node.extend(_noisy(name, types[name], wide, *map(float, drawn)))
                copy.graph.input.append(
                    helper.make_tensor_value_info(noise_input(name), wide, None)
                )
    return copy


def _wide(elem_type: int) -> int:
    return TensorProto.DOUBLE if elem_type == TensorProto.DOUBLE else TensorProto.FLOAT


def _noisy(
    name: str, elem_type: int, wide: int, first: float, second: float
) -> Iterable[NodeProto]:
    """Nodes that add uniform noise to a value, in float32 or what is wider.

    Half of it is drawn for each element, as sums round, and half for each channel, as the folded
    constants do: an average over many elements makes the one vanish but not the other.
    """
    clean, draw, shared, both, product, noise = (
        f"{_MARK}{part}:{name}" for part in ("clean", "draw", "shared", "both", "product", "noise")
    )
    size, uniform = noise_input(name), "RandomUniformLike"
    for like, given, seed in ((clean, draw, first), (size, shared, second)):
        yield helper.make_node(uniform, [like], [given], dtype=wide, low=-1.0, high=1.0, seed=seed)
    yield helper.make_node("Add", [draw, shared], [both])
    yield helper.make_node("Mul", [both, size], [product])
    yield helper.make_node("Cast", [product], [noise], to=elem_type)
    yield helper.make_node("Add", [clean, noise], [name])


def _copy(proto: ModelProto) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(proto)
    return copy
