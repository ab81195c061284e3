"""Small model files, the command as a user runs it, and what is in a folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]

DTYPES: dict[int, npt.DTypeLike] = {
    TensorProto.FLOAT: np.float32,
    TensorProto.DOUBLE: np.float64,
    TensorProto.FLOAT16: np.float16,
    TensorProto.BFLOAT16: ml_dtypes.bfloat16,
}


def norm_constants(
    prefix: str, channels: int, dtype: npt.DTypeLike, rng: np.random.Generator
) -> list[TensorProto]:
    """Gamma, beta, mean and variance, none of which is trivial in any channel."""
    draws = (
        rng.uniform(0.5, 1.5, channels) * rng.choice([-1, 1], channels),
        rng.normal(size=channels),
        rng.normal(size=channels),
        rng.uniform(0.3, 2, channels),
    )
    names = ("gamma", "beta", "mean", "var")
    return [
        numpy_helper.from_array(draw.astype(dtype), prefix + name)
        for name, draw in zip(names, draws, strict=True)
    ]


def norm_node(prefix: str, data: str, out: str, **attributes: Any) -> NodeProto:
    """A BatchNormalization of ``norm_constants``."""
    names = [prefix + name for name in ("gamma", "beta", "mean", "var")]
    return helper.make_node(
        "BatchNormalization", [data, *names], [out], name=f"{out}_norm", **attributes
    )


def make(graph: GraphProto, **more: Any) -> ModelProto:
    """A model of operator set 17."""
    imports = more.pop("opset_imports", [helper.make_opsetid("", 17)])
    return helper.make_model(
        graph, **{"ir_version": 8, "producer_name": "tests"} | more, opset_imports=imports
    )


def conv_net(
    channels: int = 4, elem_type: int = TensorProto.FLOAT, *, seed: int = 1, bias: bool = True
) -> ModelProto:
    """x, Conv, BatchNormalization, Relu, y."""
    rng, dtype = np.random.default_rng(seed), DTYPES[elem_type]
    weights = [numpy_helper.from_array(rng.normal(size=(channels, 3, 3, 3)).astype(dtype), "w")]
    if bias:
        weights.append(numpy_helper.from_array(rng.normal(size=channels).astype(dtype), "b"))
    nodes = [
        helper.make_node("Conv", ["x", *(w.name for w in weights)], ["c"], name="conv"),
        norm_node("", "c", "n"),
        helper.make_node("Relu", ["n"], ["y"], name="relu"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", elem_type, [1, 3, 5, 5])],
        [helper.make_tensor_value_info("y", elem_type, [1, channels, 3, 3])],
        [*weights, *norm_constants("", channels, dtype, rng)],
    )
    return make(graph)


def kept_net() -> ModelProto:
    """A normalisation that nothing can take in: it acts on the graph's input."""
    rng = np.random.default_rng(2)
    graph = helper.make_graph(
        [norm_node("", "x", "n"), helper.make_node("Relu", ["n"], ["y"])],
        "kept",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 5])],
        norm_constants("", 4, np.float32, rng),
    )
    return make(graph)


def relu_net() -> ModelProto:
    """A model without any normalisation, with a weight of more than a page."""
    weight = np.random.default_rng(3).normal(size=(40, 40)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])],
        "plain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 40])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 40])],
        [numpy_helper.from_array(weight, "w")],
    )
    return make(graph)


def save(model: ModelProto, path: Path) -> Path:
    """Write a model as one file."""
    path.write_bytes(model.SerializeToString())
    return path


def put_apart(tensor: TensorProto, folder: Path, location: str, offset: int | None = None) -> None:
    """Append the bytes of a tensor to a file, and let the tensor refer to them."""
    path = folder / location
    path.parent.mkdir(parents=True, exist_ok=True)
    start = path.stat().st_size if path.exists() else 0
    if offset is None:
        with path.open("ab") as out:
            out.write(tensor.raw_data)
    refer(
        tensor,
        location=location,
        offset=str(start if offset is None else offset),
        length=str(len(tensor.raw_data)),
    )


def refer(tensor: TensorProto, **entries: str) -> None:
    """Let a tensor say that its bytes are elsewhere."""
    tensor.ClearField("raw_data")
    del tensor.external_data[:]
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)


def save_apart(model: ModelProto, path: Path, location: str = "weights.bin") -> Path:
    """Write a model with all its initializers in another file."""
    for tensor in model.graph.initializer:
        put_apart(tensor, path.parent, location)
    return save(model, path)


def initializer(model: ModelProto, name: str) -> TensorProto:
    """The initializer of that name."""
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def node(model: ModelProto, name: str) -> NodeProto:
    """The node of that name."""
    return next(found for found in model.graph.node if found.name == name)


def same_values(one: ModelProto, other: ModelProto, names: Sequence[str]) -> bool:
    """Whether both models store the same numbers under some names."""
    return all(
        np.array_equal(
            numpy_helper.to_array(initializer(one, name)),
            numpy_helper.to_array(initializer(other, name)),
        )
        for name in names
    )


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def read(path: Path) -> ModelProto:
    """A model with all its data, by onnx itself."""
    return onnx.load(path)


def command(*arguments: str | os.PathLike[str]) -> list[str]:
    """The words that run fold-model."""
    return [sys.executable, "-m", "folding", *map(os.fsdecode, arguments)]


def run(
    *arguments: str | os.PathLike[str], cwd: Path | None = None, **more: Any
) -> subprocess.CompletedProcess[str]:
    """Run fold-model as a user does."""
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **more,
    )


def complaints(stderr: str) -> str:
    """What a command says on standard error, but for what it is doing for longer than a second."""
    lines = stderr.splitlines(keepends=True)
    return "".join(line for line in lines if not re.fullmatch(r"fold-model: \w+ \.\.\.\n", line))
