"""Real architectures: the graphs that ship inside the onnx package, with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import ModelProto, helper, numpy_helper

import folding

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"

#: How many normalisations each has, and how many stand directly behind a convolution.
GRAPHS = {
    "resnet50": (53, 53),
    "densenet121": (121, 59),
    "inception_v2": (69, 69),
    "shufflenet": (49, 49),
}


def with_random_weights(name: str) -> ModelProto:
    """A light graph whose constant-filled weights and statistics are random ones."""
    model = ModelProto.FromString((LIGHT / f"light_{name}.onnx").read_bytes())
    graph, rng = model.graph, np.random.default_rng(0)
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    roles = {
        value: role
        for node in graph.node
        if node.op_type == "BatchNormalization"
        for value, role in zip(node.input[1:], ("gamma", "beta", "mean", "variance"), strict=True)
    }
    filled = {n.output[0]: stored[n.input[0]] for n in graph.node if n.op_type == "ConstantOfShape"}
    values = {name: draw(rng, tuple(shape), roles.get(name)) for name, shape in filled.items()}
    nodes = [node for node in graph.node if node.output[0] not in filled]
    if nodes[-1].op_type == "Softmax":  # It saturates on random weights and hides everything.
        graph.output[0].name = nodes.pop().input[0]
    kept = {k: v for k, v in stored.items() if any(k in node.input for node in nodes)}
    inputs = [value for value in graph.input if value.name not in stored]
    weights = [numpy_helper.from_array(v, k) for k, v in {**kept, **values}.items()]
    smaller = helper.make_graph(nodes, name, inputs, graph.output, weights)
    return helper.make_model(smaller, opset_imports=model.opset_import, ir_version=8)


def draw(rng: np.random.Generator, shape: tuple[int, ...], role: str | None) -> npt.NDArray[Any]:
    if role == "variance":
        return rng.lognormal(0, 0.5, shape).astype(np.float32)
    if role is not None:
        return rng.normal(role == "gamma", 0.4, shape).astype(np.float32)
    fan_in = max(1, int(np.prod(shape[1:])))
    weight: npt.NDArray[Any] = rng.standard_normal(shape) * np.sqrt(2 / fan_in)
    return weight.astype(np.float32)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_real_architecture_folds_and_is_equivalent(name: str, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(with_random_weights(name).SerializeToString())

    report = folding.fold(tmp_path / "model.onnx", tmp_path / "folded.onnx").to_dict()

    counts = report["counts"]
    assert (counts["affines"], counts["folded"]) == GRAPHS[name]
    assert report["verification"]["verdict"] == "equivalent"
    assert [check["status"] for check in report["verification"]["checks"]] == ["passed"] * 4


@pytest.mark.parametrize("path", sorted(LIGHT.glob("*.onnx")), ids=lambda path: path.stem)
def test_a_light_graph_as_it_is_shipped_folds_or_says_why_not(path: Path, tmp_path: Path) -> None:
    report = folding.fold(path, tmp_path / "folded.onnx")

    assert report.to_dict()["verification"]["verdict"] == "equivalent"
    nodes = ModelProto.FromString(path.read_bytes()).graph.node
    norms = [node.output[0] for node in nodes if node.op_type == "BatchNormalization"]
    assert report.plan.counts["affines"] == len(norms)
    if not report.plan.changes_anything:
        assert (tmp_path / "folded.onnx").read_bytes() == path.read_bytes()
