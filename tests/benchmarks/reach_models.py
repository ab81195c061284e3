"""Small models from a line or two of text: ONNX's textual syntax with three abbreviations.

w{6,4,3,3}     a constant of random numbers; its name says of which kind (``_KINDS``)
ints[0,-1]     a constant of these integers
norm{6}(h)     a BatchNormalization of six channels with random parameters
"""

from __future__ import annotations

import itertools
import math
import re
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx.parser
from onnx import ModelProto, TensorProto, helper, numpy_helper, shape_inference

Array = npt.NDArray[Any]

_NORM = re.compile(r"norm\{(\d+)\}\((\w+)\)")
_INTEGERS = re.compile(r"ints\[([-\d,]*)\]")
_CONSTANT = re.compile(r"(\w+)\{([\d,]*)\}")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A model, in text, and what the best that a tool can do with it is."""

    group: str
    name: str
    text: str
    inputs: str = "float[N,4,8,8] x"
    outputs: str = "y"
    best: str = "folds"  # Or "part" or "leaves".
    ir_version: int = 8
    opset: int = 17
    elem_type: int = TensorProto.FLOAT
    overridable: tuple[str, ...] = ()
    functions: str = ""
    spread: float = 1.0  # The standard deviation of the inputs.

    def model(self) -> ModelProto:
        """The model, whose numbers depend on the name alone."""
        random = np.random.default_rng(zlib.crc32(self.name.encode()))
        text, constants = _expanded(self.text, random)
        local = ', "local" : 1' if self.functions else ""
        head = f'<ir_version: {self.ir_version}, opset_import: ["" : {self.opset}{local}]>'
        graph = f"reach ({self.inputs}) => ({self.outputs}) {{ {text} }} {self.functions}"
        model = onnx.parser.parse_model(f"{head} {graph}")
        for name, array in constants.items():
            model.graph.initializer.append(self._tensor(name, array))
        names = list(constants) if self.ir_version < 4 else self.overridable
        stored = {tensor.name: tensor for tensor in model.graph.initializer}
        model.graph.input.extend(
            helper.make_tensor_value_info(name, stored[name].data_type, stored[name].dims)
            for name in names
        )
        _type_outputs(model)
        return model

    def _tensor(self, name: str, array: Array) -> TensorProto:
        if array.dtype.kind == "f":
            array = array.astype(helper.tensor_dtype_to_np_dtype(self.elem_type))
        return numpy_helper.from_array(array, name)


def _expanded(text: str, random: np.random.Generator) -> tuple[str, dict[str, Array]]:
    """The text in ONNX's own syntax, and its constants."""
    constants: dict[str, Array] = {}
    numbers = itertools.count()

    def integers(found: re.Match[str]) -> str:
        values = [int(word) for word in found[1].split(",") if word]
        constants[name := f"ints_{next(numbers)}"] = np.array(values, np.int64)
        return name

    def constant(found: re.Match[str]) -> str:
        shape = tuple(int(word) for word in found[2].split(",") if word)
        constants.setdefault(found[1], _drawn(found[1], shape, random))
        return found[1]

    text = _NORM.sub(lambda found: _norm(found, next(numbers)), text)
    return _CONSTANT.sub(constant, _INTEGERS.sub(integers, text)), constants


def _norm(found: re.Match[str], number: int) -> str:
    channels, data = found.groups()
    kinds = ("gamma", "beta", "mean", "var")
    parameters = ", ".join(f"{kind}_{number}{{{channels}}}" for kind in kinds)
    return f"BatchNormalization({data}, {parameters})"


def _drawn(name: str, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    kind = name.rstrip("_0123456789")
    if kind in _POSITIVE:
        return _POSITIVE[kind] * random.uniform(0.5, 1.5, shape)
    if kind == "signs":
        return random.uniform(0.5, 1.5, shape) * (-1.0) ** np.arange(math.prod(shape)).reshape(
            shape
        )
    if kind == "factors":
        return np.array((1.0, 1.0, 2.0, 2.0))
    if kind == "epsilon":
        return np.array(1e-3)
    if kind == "bytes":
        return random.integers(-100, 100, shape).astype(np.int8)
    if kind == "vector":
        return random.normal(size=shape)
    fan_in = math.prod(shape[1:]) or 1
    return random.normal(size=shape) / math.sqrt(fan_in)


#: Kinds of constants without a negative number, and how large they are.
_POSITIVE = {"gamma": 1.0, "var": 1.0, "scale": 1.0, "step": 0.01, "huge": 30_000.0, "eight": 8.0}


def _type_outputs(model: ModelProto) -> None:
    """Write the types that ONNX's own inference finds for the outputs."""
    inferred = shape_inference.infer_shapes(model, data_prop=True).graph
    types = {value.name: value.type for value in (*inferred.value_info, *inferred.output)}
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for value in model.graph.output:
        if value.name in stored:
            tensor = stored[value.name]
            value.type.CopyFrom(helper.make_tensor_type_proto(tensor.data_type, tensor.dims))
        elif not value.type.WhichOneof("value"):
            value.type.CopyFrom(types[value.name])
