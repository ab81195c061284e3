"""Whole models: layers and affines with carriers between them, and what is beside all that."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from graphs import BFLOAT, DOUBLE, FLOAT, HALF, Feed, Net
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from onnx import ModelProto, TensorShapeProto, helper, numpy_helper

from growing.affines import AFFINES, RUNS
from growing.bodies import BODIES
from growing.branching import ACTIVATIONS, ASIDES, JOINS
from growing.diamonds import DIAMONDS
from growing.grower import Grower, Rule
from growing.layers import LAYERS
from growing.parts import PARTS
from growing.shaping import SHAPING
from growing.windows import WINDOWS

BATCH = 2
_OLD_IR = 3
OPSETS = (8, 9, 10, 11, 13, 17, 18, 21, 23)
#: Their kernels' types begin there.
_BFLOAT_OPSETS = (22, 23)

_CARRIERS: tuple[Rule, ...] = (*SHAPING, *WINDOWS * 2, *ACTIVATIONS * 2, *JOINS * 2)
#: What a stretch of a model is made of; a rule is drawn for each part.
_PLANS: tuple[tuple[tuple[Rule, ...], ...], ...] = (
    (LAYERS, _CARRIERS, AFFINES),
    (LAYERS, _CARRIERS, _CARRIERS, AFFINES),
    (LAYERS, _CARRIERS, AFFINES, _CARRIERS, AFFINES),
    (AFFINES, _CARRIERS, LAYERS),
    (RUNS,),
    (RUNS, _CARRIERS, AFFINES),
    (AFFINES, _CARRIERS, _CARRIERS, LAYERS),
    (LAYERS, AFFINES),
    (AFFINES, LAYERS),
    (BODIES, AFFINES),
    (LAYERS, JOINS, AFFINES),
    (AFFINES, JOINS, LAYERS),
    (LAYERS, DIAMONDS, AFFINES),
    (LAYERS, _CARRIERS, DIAMONDS, _CARRIERS, AFFINES),
    (AFFINES, DIAMONDS, LAYERS),
    (AFFINES, _CARRIERS, DIAMONDS, _CARRIERS, LAYERS),
    (AFFINES, DIAMONDS, DIAMONDS, LAYERS),
    (LAYERS, PARTS),
    (LAYERS, _CARRIERS, PARTS, AFFINES),
    (ASIDES, AFFINES),
    (ACTIVATIONS, ASIDES),
)


@dataclass(frozen=True)
class Case:
    """A model, what to feed it, its type, and the nodes that must be in exactly one decision.

    ``overridden`` are numbers that a caller may give instead of stored ones.
    """

    model: ModelProto
    feed: Feed
    elem_type: int
    counted: tuple[str, ...]
    overridden: Feed = field(default_factory=dict)


@st.composite
def cases(draw: DrawFn, types: tuple[int, ...] = (FLOAT, DOUBLE, HALF, BFLOAT)) -> Case:
    """Random models with numbers to run them on."""
    return grown(Grower(draw(st.randoms(use_true_random=True))), types)


def grown(g: Grower, types: tuple[int, ...]) -> Case:
    """A model of one of these types."""
    elem_type = g.pick(*types)
    opset = g.pick(*(_BFLOAT_OPSETS if elem_type == BFLOAT else OPSETS))
    g.net = Net(elem_type, opset, _OLD_IR if g.one_in(6) else 8, seed=g.upto(2**16))
    x = _start(g)
    for _ in range(g.upto(6, 2)):
        if g.one_in(8):
            x = g.pick(*g.floats())
        for rules in g.pick(*_PLANS):
            x = g.any_of(x, *rules)
    outputs = _outputs(g, x)
    model = g.net.model(*outputs)
    for value in model.graph.output:  # The checker asks for shapes, of whatever sizes.
        if not value.type.tensor_type.HasField("shape"):
            value.type.tensor_type.shape.dim.extend(
                TensorShapeProto.Dimension() for _ in g.values[value.name].shape
            )
            value.type.tensor_type.elem_type = g.kind(value.name)
    if g.net.ir_version > _OLD_IR and model.graph.initializer and g.one_in(6):
        # Not each of those whose constants a caller may override is known for an affine.
        return Case(model, g.feed, elem_type, (), _overridden(g, model))
    return Case(model, g.feed, elem_type, tuple(g.counted))


def _overridden(g: Grower, model: ModelProto) -> Feed:
    """Make inputs of some stored tensors; other floats for them, as other integers rarely fit."""
    found: Feed = {}
    stored = model.graph.initializer
    resizing = (n for n in model.graph.node if n.op_type in ("Resize", "Upsample"))
    sizing = {name for node in resizing for name in node.input}
    for tensor in g.random.sample(list(stored), g.upto(min(3, len(stored)), 1)):
        value = numpy_helper.to_array(tensor)
        model.graph.input.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
        if tensor.data_type == g.net.elem_type and tensor.name not in sizing:
            found[tensor.name] = np.asarray(value.astype(np.float64) * 1.25, value.dtype)
    return found


def _start(g: Grower) -> str:
    sizes = [g.pick(1, 2, 3, 4, 4), *(g.pick(1, 2, 2, 3, 4) for _ in range(g.pick(0, 1, 2, 2)))]
    sizes = [4, 2, 2] if g.one_in(3) else sizes  # For blocks of pixels.
    named = [f"d{place}" if g.one_in(16) else size for place, size in enumerate(sizes)]
    numbers = g.net.random.standard_normal((BATCH, *sizes))
    feed = numbers.astype(helper.tensor_dtype_to_np_dtype(g.net.elem_type))
    return g.input(["n" if g.one_in(3) else BATCH, *named], feed, "x")


def _outputs(g: Grower, last: str) -> list[str]:
    """The last value, those beside the way and at its ends but perhaps one, and one on it."""
    if last == "x":
        last = g.add("Relu", last)
    read = {name for node in g.net.nodes for name in node.input}
    ends = [x for x in g.floats() if x not in read]
    found = [last, *g.outputs, *ends]
    if g.one_in(5):
        found.append(g.pick(*g.floats()))
    names = [name for name in dict.fromkeys(found) if name not in g.feed]
    if len(names) > 1 and g.one_in(3):
        names.remove(g.pick(*names[1:]))  # What leads there alone, nothing reads any more.
    return names


def other_batches(case: Case) -> list[Feed]:
    """The same for other sizes of an open batch, which the model need not accept."""
    batch = case.model.graph.input[0].type.tensor_type.shape.dim[0]
    if batch.HasField("dim_value"):
        return []
    return [
        case.feed | {"x": np.resize(case.feed["x"], (n, *case.feed["x"].shape[1:]))} for n in (1, 3)
    ]


def feeds(case: Case) -> list[Feed]:
    """The numbers that the model grew with, the same for other truths, and what is overridden."""
    found = [case.feed]
    if "condition" in case.feed:
        found = [case.feed | {"condition": np.array(truth)} for truth in (True, False)]
    return [*found, found[0] | case.overridden] if case.overridden else found
