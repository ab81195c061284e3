"""The shapes that ONNX's own inference finds, on a copy of a skeleton without anybody's claims.

What a file says of its inner values is often missing and sometimes false; only the types of its
inputs, which the runtime enforces, are believed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt
from onnx import (
    GraphProto,
    ModelProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
    shape_inference,
)

from folding.modelfile import Model
from folding.protos import graphs, tensors
from folding.skeleton import LEAST

Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Settled:
    """What constants were found to be that ONNX's own shape inference does not evaluate.

    ``shapes`` has the element type and the dimensions.
    """

    shapes: dict[str, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    values: dict[str, npt.NDArray[Any]] = field(default_factory=dict)


class Inference:
    """The inference for one model. ``problem`` is why the last run found nothing, if so."""

    def __init__(self, model: Model) -> None:
        self.problem: str | None = None
        self._source = model.proto
        self._copy = ModelProto()
        self._copy.CopyFrom(model.proto)
        for number, graph in enumerate(graphs(self._copy)):
            _forget(graph, is_body=number > 0)
        for tensor in tensors(self._copy):
            content = model.content(tensor)
            if content is not None and content.size < LEAST:
                data = content.read(0, content.size)
                del tensor.external_data[:]
                tensor.data_location = TensorProto.DEFAULT
                tensor.raw_data = data

    def run(self, settled: Settled) -> ModelProto:
        """The model with every shape that is found; the source's own word if nothing can be."""
        _settle(self._copy.graph, settled)
        self.problem = None
        try:
            return shape_inference.infer_shapes(self._copy, data_prop=True)
        except (shape_inference.InferenceError, ValueError) as error:
            self.problem = " ".join(str(error).split())
            return self._source


def _forget(graph: GraphProto, *, is_body: bool) -> None:
    del graph.value_info[:]
    for value in graph.output:
        value.ClearField("type")
    for value in graph.input if is_body else ():
        if value.type.WhichOneof("value") == "tensor_type":
            value.type.tensor_type.ClearField("shape")


def _settle(graph: GraphProto, settled: Settled) -> None:
    """Tell inference what constants are: a Constant in place of the node that computes one."""
    for node in graph.node if settled.values else ():
        name = node.output[0] if len(node.output) == 1 else ""
        if name in settled.values:
            value = numpy_helper.from_array(settled.values[name], name)
            node.CopyFrom(helper.make_node("Constant", [], [name], value=value))
    for name, (elem_type, shape) in settled.shapes.items():
        graph.value_info.append(helper.make_tensor_value_info(name, elem_type, shape))


class Types:
    """Reads what is said of values. Most values of a model share a few types."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[int, Shape | None] | None] = {}

    def of(self, value: ValueInfoProto) -> tuple[int, Shape | None] | None:
        """The element type and the dimensions of a tensor; None for what is none."""
        key = value.type.SerializeToString()
        if key not in self._known:
            self._known[key] = _read(value)
        return self._known[key]


def _read(value: ValueInfoProto) -> tuple[int, Shape | None] | None:
    if value.type.WhichOneof("value") != "tensor_type":
        return None
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return tensor.elem_type, None
    return tensor.elem_type, tuple(
        dim.dim_value if dim.WhichOneof("value") == "dim_value" else None
        for dim in tensor.shape.dim
    )
