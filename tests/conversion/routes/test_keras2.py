"""What is missing for the files of Keras 2."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import pytest

from folding.conversion.job import Job, Kind
from folding.conversion.routes import keras2
from folding.errors import BadCall, BadModel


def test_a_missing_tf_keras_comes_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras 3 does not read them, so it is no matter whether that is there."""
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.15.0"}))
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", "")
    monkeypatch.setitem(sys.modules, "tf_keras", None)
    with pytest.raises(BadCall, match=r"is of Keras 2\.15\.0, which tf_keras reads") as raised:
        keras2.run(Job(path, Kind.KERAS, tmp_path))
    assert raised.value.hint == "Install it: python -m pip install 'fold-model[tensorflow]'"


@pytest.mark.frameworks
@pytest.mark.parametrize(("op", "is_refused"), [("Abs", False), ("ReadFile", True)])
def test_layers_that_are_operators_may_only_compute(
    tmp_path: Path,
    op: str,
    is_refused: bool,  # noqa: FBT001
) -> None:
    """The Keras of TensorFlow 2.0 to 2.3 kept functions as such."""
    h5py = pytest.importorskip("h5py")
    arrays = tmp_path / "arrays.h5"
    h5py.File(arrays, "w").close()
    path = tmp_path / "m.keras"
    node = {"name": "n", "op": op, "input": ["x"], "attr": {"T": {"type": "DT_FLOAT"}}}
    layer = {"class_name": "TensorFlowOpLayer", "config": {"name": "n", "node_def": node}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.3.0"}))
        archive.writestr("config.json", json.dumps({"layers": [layer]}))
        archive.write(arrays, "model.weights.h5")
    with pytest.raises((BadCall, BadModel)) as raised:
        keras2.run(Job(path, Kind.KERAS, tmp_path))
    assert ("may use files" in str(raised.value)) == is_refused
