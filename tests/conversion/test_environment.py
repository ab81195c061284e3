"""What a process has in its environment before it imports a framework."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from converting import archive

from folding.conversion.environment import environment
from folding.conversion.job import Job, Kind
from folding.errors import BadModel


def variables(path: Path, kind: Kind) -> dict[str, str]:
    return environment(Job(path, kind, path.parent), path.parent / "scratch")


def keras_file(folder: Path, version: str) -> Path:
    content = json.dumps({"keras_version": version, "class_name": "Sequential", "config": {}})
    return archive(
        folder / "m.keras", "metadata.json", "config.json", "model.weights.h5", content=content
    )


@pytest.mark.parametrize("kind", sorted(set(Kind) - {Kind.KERAS, Kind.KERAS_H5}, key=str))
def test_no_device_is_used_and_nothing_written_to_a_home(tmp_path: Path, kind: Kind) -> None:
    found = variables(tmp_path / "m", kind)

    assert found["CUDA_VISIBLE_DEVICES"] == ""
    assert found["TF_CPP_MIN_LOG_LEVEL"] == "3"
    assert found["KERAS_HOME"] == found["XDG_CACHE_HOME"] == str(tmp_path / "scratch")


def test_keras_2_is_asked_for_by_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And Keras 3 has the backend that the user chose."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")

    old = variables(keras_file(tmp_path, "2.15.0"), Kind.KERAS)
    new = variables(keras_file(tmp_path, "3.10.0"), Kind.KERAS)

    assert (old["TF_USE_LEGACY_KERAS"], "KERAS_BACKEND" in old) == ("1", False)
    assert (new["KERAS_BACKEND"], "TF_USE_LEGACY_KERAS" in new) == ("torch", False)


@pytest.mark.parametrize(
    ("modules", "backend"),
    [
        ({"tensorflow", "tf2onnx", "torch", "onnxscript"}, "tensorflow"),
        ({"tensorflow", "torch", "onnxscript"}, "torch"),
        ({"jax", "jax2onnx", "torch"}, "jax"),
        (set(), "tensorflow"),
    ],
)
def test_keras_3_gets_the_first_backend_that_is_there_with_its_converter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modules: set[str], backend: str
) -> None:
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setattr("folding.conversion.environment.find_spec", modules.__contains__)

    assert variables(keras_file(tmp_path, "3.10.0"), Kind.KERAS)["KERAS_BACKEND"] == backend


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = archive(tmp_path / "m.keras", "config.json")

    with pytest.raises(BadModel, match=r"metadata\.json"):
        variables(path, Kind.KERAS)
