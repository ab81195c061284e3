"""What a graph allows integers and texts to be: found where the nodes that read them use them.

An input is followed through nodes that only move its elements, also into bodies and functions of
the model. Where it chooses among the rows of a table, it must be below the table's length; where it
is a shape, a count or an axis, small and positive; where it is looked up, one of the keys.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from onnx import (
    ModelProto,
    NodeProto,
    TensorProto,
    inliner,
    numpy_helper,
    shape_inference,
)

from folding.protos import attribute, graphs, integer, is_default_domain, subgraphs

#: Operators that pass the elements of their first input on, changed in type and place at most.
_FIRST = (
    "Cast CastLike Compress DepthToSpace Expand Flatten Gather GatherElements GatherND Identity "
    "Pad Reshape Reverse Slice SpaceToDepth Split Squeeze StringNormalizer Tile Transpose Unsqueeze"
)
_PASSING = frozenset(_FIRST.split())
#: Operators that pass the elements of all their inputs on.
_MIXING = frozenset({"Concat", "Max", "Mean", "Min"})
#: Where the elements are rows of a table: its slot, and the attribute and default of the axis.
_ROWS = {
    ("Gather", 1): (0, 0),
    ("GatherElements", 1): (0, 0),
    ("ScatterElements", 1): (0, 0),
    ("Scatter", 1): (0, 0),
    ("ArrayFeatureExtractor", 1): (0, -1),
    ("NegativeLogLikelihoodLoss", 1): (0, 1),
    ("SoftmaxCrossEntropyLoss", 1): (0, 1),
    ("EmbedLayerNormalization", 0): (2, 0),
    ("EmbedLayerNormalization", 1): (4, 0),
    ("EmbedLayerNormalization", 7): (3, 0),
    ("EmbeddingLookup", 0): (1, 0),
    ("EmbeddingLookup", 1): (0, 0),
}
_TUPLES = frozenset({"GatherND", "ScatterND"})
_REDUCED = "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare"
#: Where they are shapes, counts, axes or places: the least and the greatest that always make sense.
_COUNTS = {
    ("ConstantOfShape", 0): (1, 2),
    ("CumSum", 1): (0, 0),
    ("DFT", 1): (1, 2),
    ("Expand", 1): (1, 1),
    ("Loop", 0): (1, 2),
    ("NonMaxSuppression", 2): (1, 2),
    ("OneHot", 1): (1, 2),
    ("Pad", 1): (0, 1),
    ("Range", 0): (0, 0),
    ("Range", 1): (1, 2),
    ("Range", 2): (1, 1),
    ("Reshape", 1): (1, 1),
    ("Resize", 3): (1, 2),
    ("Slice", 1): (0, 0),
    ("Slice", 2): (1, 2),
    ("Slice", 3): (1, 1),
    ("Slice", 4): (1, 1),
    ("Split", 1): (1, 2),
    ("Squeeze", 1): (1, 1),
    ("Tile", 1): (1, 2),
    ("TopK", 1): (1, 1),
    ("Trilu", 1): (0, 1),
    ("Unsqueeze", 1): (1, 1),
    **{(op, 4): (1, 1) for op in ("GRU", "LSTM", "RNN")},
    **{(f"Reduce{op}", 1): (1, 1) for op in _REDUCED.split()},
}
#: Where else an operator takes not every number, or does something else for each.
_CHOICES = frozenset(
    {("AffineGrid", 1), ("BitShift", 1), ("CenterCropPad", 1), ("Col2Im", 1), ("Col2Im", 2)}
    | {("DFT", 2), ("Div", 1), ("MaxUnpool", 1), ("MaxUnpool", 2), ("Mod", 1), ("Resize", 1)}
    | {("Resize", 2), ("ReverseSequence", 1), ("RoiAlign", 2), ("STFT", 1), ("STFT", 3)}
    | {("Upsample", 1)}
)
_KEYS = frozenset(
    {"keys_strings", "keys_int64s", "keys_tensor", "cats_strings", "cats_int64s"}
    | {"pool_strings", "pool_int64s"}
)


@dataclass(frozen=True, slots=True)
class Use:
    """The least and the greatest number that every reader allows, None where none cares.

    ``keys`` are what it is looked up among. With ``is_free`` any will do: nothing that is made of
    it says which elements are taken, or how many there are.
    """

    low: int | None = None
    high: int | None = None
    keys: tuple[Any, ...] = ()
    is_free: bool = False

    def within(self, low: int, high: int) -> Use:
        """What this and another reader allow."""
        least = low if self.low is None else max(low, self.low)
        most = high if self.high is None else min(high, self.high)
        return replace(self, low=min(least, most), high=most)


@dataclass(slots=True)
class Uses:
    """Answers for one model whose inputs have the shapes given."""

    model: ModelProto
    shapes: Mapping[str, tuple[int, ...]]
    _readers: dict[str, list[tuple[NodeProto, int]]] = field(default_factory=dict)
    _constants: dict[str, TensorProto] = field(default_factory=dict)
    _inferred: dict[str, list[int]] | None = None
    _inner: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.model = inliner.inline_local_functions(self.model)
        readers = defaultdict(list)
        main, *bodies = graphs(self.model)
        for body in bodies:
            self._inner.update(name for node in body.node for name in node.input)
            self._inner.update(value.name for value in body.output)
        for graph in (main, *bodies):
            self._constants.update({tensor.name: tensor for tensor in graph.initializer})
            for node in graph.node:
                value = attribute(node, "value") if node.op_type == "Constant" else None
                if value is not None:
                    self._constants[node.output[0]] = value.t
                for slot, name in enumerate(node.input):
                    readers[name].append((node, slot))
        self._readers = readers

    def of(self, name: str) -> Use:
        """What an input may be."""
        use = Use()
        for node, slot in self._reached(name):
            most = self._rows(node, slot)
            limits = (0, most - 1) if most else _COUNTS.get((node.op_type, slot))
            if limits is not None:
                use = use.within(*limits)
            keys = tuple(key for a in node.attribute if a.name in _KEYS for key in _items(a))
            use = replace(use, keys=use.keys or keys)
        return replace(use, is_free=self._is_free(name))

    def _is_free(self, name: str) -> bool:
        """Whether all that is made of an input is computed from what it is worth.

        What goes into a body or an operator of another domain may be used in any way.
        """
        rest, seen = [name], {name}
        while rest:
            value = rest.pop()
            if value in self._inner:
                return False
            for node, slot in self._readers.get(value, ()):
                if not is_default_domain(node) or [*subgraphs(node)] or _chooses(node, slot):
                    return False
                fresh = [out for out in node.output if out not in seen]
                seen.update(fresh)
                rest.extend(fresh)
        return True

    def _reached(self, name: str) -> Iterator[tuple[NodeProto, int]]:
        """Every node that reads the elements of a value, and as which of its inputs."""
        rest, seen = [name], {name}
        while rest:
            for node, slot in self._readers.get(rest.pop(), ()):
                yield node, slot
                passes = node.op_type in _MIXING or (not slot and node.op_type in _PASSING)
                fresh = [out for out in node.output if passes and out not in seen]
                seen.update(fresh)
                rest.extend(fresh)

    def _rows(self, node: NodeProto, slot: int) -> int | None:
        """How many rows there are to choose from; 1 if it is not known, None if none are chosen."""
        if node.op_type == "OneHot" and slot == 0:
            return self._number(node, 1)
        if node.op_type in _TUPLES and slot == 1:
            first = integer(node, "batch_dims", 0)
            count = (self._dims(node, 1) or [0])[-1]
            return min(self._dims(node, 0)[first : first + count], default=1)
        if (node.op_type, slot) not in _ROWS:
            return None
        table, axis = _ROWS[node.op_type, slot]
        dims, axis = self._dims(node, table), integer(node, "axis", axis)
        return dims[axis] if -len(dims) <= axis < len(dims) else 1

    def _number(self, node: NodeProto, slot: int) -> int:
        tensor = self._constants.get(_input(node, slot))
        if tensor is None or tensor.data_location == TensorProto.EXTERNAL:
            return 1
        return max(1, int(numpy_helper.to_array(tensor).reshape(-1)[0]))

    def _dims(self, node: NodeProto, slot: int) -> list[int]:
        name = _input(node, slot)
        if name in self._constants:
            return list(self._constants[name].dims)
        if self._inferred is None:
            self._inferred = dict(_inferred(self.model, self.shapes))
        return self._inferred.get(name, [])


def _chooses(node: NodeProto, slot: int) -> bool:
    """Whether a node takes its input for a place, a shape, a count, or a divisor."""
    at = node.op_type, slot
    is_place = at in _ROWS or at in _COUNTS or at in _CHOICES
    return is_place or node.op_type in _TUPLES | {"OneHot", "TfIdfVectorizer"}


def _input(node: NodeProto, slot: int) -> str:
    return node.input[slot] if slot < len(node.input) else ""


def _items(a: Any) -> list[Any]:
    if a.HasField("t") and a.t.data_location != TensorProto.EXTERNAL:
        found: list[Any] = numpy_helper.to_array(a.t).reshape(-1).tolist()
        return found
    return [text.decode("utf-8", "replace") for text in a.strings] or list(a.ints)


def _inferred(
    model: ModelProto, shapes: Mapping[str, tuple[int, ...]]
) -> Iterator[tuple[str, list[int]]]:
    """Each value whose dimensions follow from those of the inputs; 1 for those that do not."""
    for value in model.graph.input:
        if value.name in shapes:
            shape = value.type.tensor_type.shape
            del shape.dim[:]
            for size in shapes[value.name]:
                shape.dim.add(dim_value=size)
    # Without it, what the file itself says of its values is left.
    with suppress(shape_inference.InferenceError, ValueError):
        model = shape_inference.infer_shapes(model.SerializeToString(), data_prop=True)
    for graph in graphs(model):
        for value in (*graph.input, *graph.value_info):
            yield value.name, [max(1, d.dim_value) for d in value.type.tensor_type.shape.dim]
