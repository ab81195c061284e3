"""The models that faults are put into: real architectures, trained networks, and small ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from graphs import DOUBLE, FLOAT, HALF, Net
from onnx import ModelProto
from test_light import GRAPHS, with_random_weights

_TRAINED = Path(__file__).parent.parent.parent / "models"


def transposed() -> ModelProto:
    """Square, grouped and strided ConvTransposes."""
    net = Net(seed=1)
    net.input(2, 8, 6, 6)
    data = net.node("ConvTranspose", "x", net.weight(8, 8, 3, 3), pads=[1] * 4)
    data = net.node("Relu", net.batch_norm(data, 8))
    grouped = net.node("ConvTranspose", data, net.weight(8, 3, 2, 2), group=4, strides=[2, 2])
    data = net.node("Relu", net.batch_norm(grouped, 12))
    last = net.node("ConvTranspose", data, net.weight(12, 5, 3, 3), net.weight(5))
    net.node("Sigmoid", net.batch_norm(last, 5), out="y")
    return net.model("y")


def dense(elem_type: int = FLOAT) -> ModelProto:
    """Gemm either way round, and MatMul, all of them square."""
    net = Net(elem_type, seed=2)
    net.input(4, 16)
    data = net.node("Gemm", "x", net.weight(16, 16), net.weight(16), transB=1)
    skip = net.node("Relu", net.batch_norm(data, 16))
    data = net.node("Gemm", skip, net.weight(16, 16), net.weight(16))
    data = net.node("Tanh", net.batch_norm(data, 16))
    data = net.node("MatMul", net.node("Add", data, skip), net.weight(16, 16))
    net.node("Softmax", net.batch_norm(data, 16), axis=-1, out="y")
    return net.model("y")


def residual(elem_type: int = FLOAT) -> ModelProto:
    """Two blocks with a way around them, the second one in groups."""
    net = Net(elem_type, seed=3)
    net.input(2, 8, 10, 10)
    data = "x"
    for group in (1, 2):
        start = data
        for _ in range(2):
            weight = net.store(net.random.normal(size=(8, 8 // group, 3, 3)) / 6)
            conv = net.node("Conv", data, weight, pads=[1] * 4, group=group)
            data = net.node("Relu", net.batch_norm(conv, 8))
        data = net.node("Add", data, start)
    net.node("Flatten", net.node("GlobalAveragePool", data), out="y")
    return net.model("y")


def sequence() -> ModelProto:
    """Convolutions along one axis, depthwise and pointwise, with a scale and a shift behind."""
    net = Net(seed=4)
    net.input(2, 6, 20)
    data = net.node("Conv", "x", net.weight(6, 1, 5), group=6, pads=[2, 2])
    data = net.node("Relu", net.batch_norm(data, 6))
    data = net.node("Conv", data, net.weight(6, 6, 1), net.weight(6))
    data = net.node("Mul", data, net.weight(6, 1))
    net.node("Relu", net.node("Add", data, net.weight(6, 1)), out="y")
    return net.model("y")


def mixed() -> ModelProto:
    """Decisions behind the folds: a class for each place, and the best of them."""
    net = Net(seed=5)
    net.input(2, 3, 8, 8)
    conv = net.node("Conv", "x", net.weight(6, 3, 3, 3), net.weight(6))
    hidden = net.node("Elu", net.batch_norm(conv, 6))
    conv = net.node("Conv", hidden, net.weight(6, 6, 1, 1))
    scores = net.batch_norm(conv, 6, out="scores")
    net.node("ArgMax", scores, axis=1, out="class")
    net.node("TopK", net.node("Flatten", scores), net.integers(5), out="best,where")
    return net.model("class", "best", "where")


_SMALL: dict[str, Callable[[], ModelProto]] = {
    "ConvTranspose": transposed,
    "dense": dense,
    "dense, float64": lambda: dense(DOUBLE),
    "residual": residual,
    "residual, float16": lambda: residual(HALF),
    "one axis": sequence,
    "decisions": mixed,
}


def models(folder: Path, more: Path | None) -> Iterator[tuple[str, Path]]:
    """The name and the path of each; those that are made are put into a folder."""
    for name in GRAPHS:
        yield f"light_{name}", _saved(with_random_weights(name), folder)
    for path in sorted(_TRAINED.glob("*.onnx")):
        yield path.stem, path
    for name, make in _SMALL.items():
        yield name, _saved(make(), folder)
    for path in sorted(more.glob("*.onnx")) if more is not None else ():
        yield path.stem, path


def _saved(model: ModelProto, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder / "model.onnx"
