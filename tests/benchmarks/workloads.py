"""The models that the benchmark folds: seeded, and written one tensor at a time.

Only a few megabytes of weights are in memory at once, whatever the size of a model.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

Shape = tuple[int, ...]
Symbolic = tuple[int | str, ...]
Draw = Callable[[np.random.Generator, int], npt.NDArray[np.float32]]

_BLOCK = 1 << 22  # Numbers that are drawn at once.
_ALIGNMENT = 4096
_GRAPH_KEY = bytes([7 << 3 | 2])  # ModelProto.graph is field 7, and delimited by its length.


def normal(deviation: float, mean: float = 0.0) -> Draw:
    """Numbers of a normal distribution."""

    def draw(rng: np.random.Generator, count: int) -> npt.NDArray[np.float32]:
        return rng.standard_normal(count, np.float32) * np.float32(deviation) + np.float32(mean)

    return draw


def _gamma(rng: np.random.Generator, count: int) -> npt.NDArray[np.float32]:
    return rng.uniform(0.5, 1.5, count).astype(np.float32)


def _variance(rng: np.random.Generator, count: int) -> npt.NDArray[np.float32]:
    return rng.lognormal(0, 0.5, count).astype(np.float32)


_STATISTICS: dict[str, Draw] = {
    "gamma": _gamma,
    "beta": normal(0.3),
    "mean": normal(0.5),
    "variance": _variance,
}


@dataclass(frozen=True, slots=True)
class Constant:
    """An initializer that is drawn when it is written."""

    name: str
    shape: Shape
    draw: Draw

    def blocks(self, rng: np.random.Generator) -> Iterator[bytes]:
        count = math.prod(self.shape)
        for start in range(0, count, _BLOCK):
            yield self.draw(rng, min(_BLOCK, count - start)).tobytes()


@dataclass(slots=True)
class Network:
    """A model in the making. Each method adds layers behind ``data`` and names their output."""

    input_shape: Symbolic
    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[Constant] = field(default_factory=list)

    def constant(self, shape: Shape, draw: Draw, name: str = "weight") -> str:
        self.constants.append(Constant(f"{name}_{len(self.constants)}", shape, draw))
        return self.constants[-1].name

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        out = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [out], name=out, **attributes))
        return out

    def conv(self, data: str, shape: Shape, *, gain: float = 1.0, **attributes: Any) -> str:
        weight = self.constant(shape, normal(math.sqrt(gain / math.prod(shape[1:]))))
        pads = [size // 2 for size in shape[2:]] * 2
        return self.node("Conv", data, weight, pads=pads, **attributes)

    def norm(self, data: str, channels: int) -> str:
        return self.node("BatchNormalization", data, *self.statistics(channels))

    def statistics(self, channels: int) -> list[str]:
        return [self.constant((channels,), draw, name) for name, draw in _STATISTICS.items()]

    def dense(self, data: str, inputs: int, outputs: int) -> str:
        weight = self.constant((inputs, outputs), normal(math.sqrt(2 / inputs)))
        return self.node("MatMul", data, weight)

    def save(self, path: Path, output: str, shape: Symbolic, *, external: bool = False) -> None:
        """Write the model, its tensors in ``<path>.data`` if they shall be external."""
        with tempfile.TemporaryFile(dir=path.parent) as tensors:
            if external:
                with Path(f"{path}.data").open("wb") as data:
                    self._write_tensors(tensors, data)
            else:
                self._write_tensors(tensors, None)
            ends = GraphProto(input=[_value("x", self.input_shape)], output=[_value(output, shape)])
            nodes = GraphProto(node=self.nodes, name="benchmark")
            _assemble(path, nodes.SerializeToString(), tensors, ends.SerializeToString())

    def _write_tensors(self, out: IO[bytes], data: IO[bytes] | None) -> None:
        """Each as a graph of its own: one behind the other they are a graph of them all."""
        rng = np.random.default_rng(0)
        for constant in self.constants:
            made = _inline(constant, rng) if data is None else _apart(constant, rng, data)
            out.write(GraphProto(initializer=[made]).SerializeToString())


def _assemble(path: Path, nodes: bytes, tensors: IO[bytes], ends: bytes) -> None:
    """Write the model around what is spooled, since its length must stand before it."""
    size = len(nodes) + tensors.tell() + len(ends)
    tensors.seek(0)
    imports = [helper.make_opsetid("", 17)]
    with path.open("wb") as out:
        out.write(ModelProto(ir_version=9, producer_name="benchmark").SerializeToString())
        out.write(_GRAPH_KEY + _varint(size) + nodes)
        shutil.copyfileobj(tensors, out, _BLOCK)
        out.write(ends + ModelProto(opset_import=imports).SerializeToString())


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def _value(name: str, shape: Symbolic) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _tensor(constant: Constant) -> TensorProto:
    return TensorProto(name=constant.name, dims=constant.shape, data_type=TensorProto.FLOAT)


def _inline(constant: Constant, rng: np.random.Generator) -> TensorProto:
    tensor = _tensor(constant)
    tensor.raw_data = b"".join(constant.blocks(rng))
    return tensor


def _apart(constant: Constant, rng: np.random.Generator, out: IO[bytes]) -> TensorProto:
    out.write(bytes(-out.tell() % _ALIGNMENT))
    start = out.tell()
    for block in constant.blocks(rng):
        out.write(block)
    tensor = _tensor(constant)
    tensor.data_location = TensorProto.EXTERNAL
    entries = {"location": Path(out.name).name, "offset": start, "length": out.tell() - start}
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor
