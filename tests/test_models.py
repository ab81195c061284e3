"""The models that ship with the project: trained networks, with what their frameworks computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest

import folding

MODELS = Path(__file__).parent.parent / "models"
NAMES = sorted(path.stem for path in MODELS.glob("*.onnx") if ".folded" not in path.name)
FLOAT32_ROUNDING = 2e-6


def run(path: Path, inputs: Path) -> list[npt.NDArray[Any]]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    with np.load(inputs) as feed:
        outputs: list[npt.NDArray[Any]] = session.run(None, dict(feed))
    return outputs


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folded(name: str, tmp_path: Path) -> Path:
    target = tmp_path / f"{name}.onnx"
    folding.fold(MODELS / f"{name}.onnx", target)
    return target


def test_there_are_three_models() -> None:
    assert NAMES == ["dense_elu", "keras_cnn", "torch_cnn"]


def test_every_normalisation_of_it_is_folded_and_proved(name: str, tmp_path: Path) -> None:
    report = folding.fold(MODELS / f"{name}.onnx", tmp_path / "folded.onnx").to_dict()

    assert report["counts"]["affines"] >= 2
    assert report["counts"]["folded"] == report["counts"]["affines"]
    assert report["verification"]["verdict"] == "equivalent"
    assert [check["status"] for check in report["verification"]["checks"]] == ["passed"] * 4


def test_its_plan_is_the_expected_one(name: str) -> None:
    plan = folding.explain(MODELS / f"{name}.onnx")

    assert f"{plan}\n" == (MODELS / f"{name}.plan.txt").read_text(encoding="utf-8")


def test_no_normalisation_node_is_left(folded: Path) -> None:
    operators = {
        node.op_type for node in onnx.ModelProto.FromString(folded.read_bytes()).graph.node
    }

    assert "BatchNormalization" not in operators
    assert "Mul" not in operators


def test_folded_it_computes_what_the_framework_computed(name: str, folded: Path) -> None:
    (output,) = run(folded, MODELS / f"{name}.inputs.npz")

    with np.load(MODELS / f"{name}.expected.npz") as expected:
        (key,) = (key for key in expected.files if key != "labels")
        scale = np.abs(expected[key]).max()
        assert np.abs(output - expected[key]).max() <= FLOAT32_ROUNDING * scale


def test_folded_it_recognises_as_many_digits_as_before(name: str, folded: Path) -> None:
    (output,) = run(folded, MODELS / f"{name}.inputs.npz")

    with np.load(MODELS / f"{name}.expected.npz") as expected:
        (key,) = (key for key in expected.files if key != "labels")
        right = (expected[key].argmax(axis=1) == expected["labels"]).sum()
        assert right > 0.9 * len(output)
        assert (output.argmax(axis=1) == expected["labels"]).sum() == right


def test_folded_again_nothing_changes(folded: Path, tmp_path: Path) -> None:
    report = folding.fold(folded, tmp_path / "again.onnx")

    assert report.plan.counts["affines"] == 0
    assert (tmp_path / "again.onnx").read_bytes() == folded.read_bytes()
