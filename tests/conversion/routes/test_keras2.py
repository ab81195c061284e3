"""What is missing for the files of Keras 2."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import pytest

from folding.conversion.job import Job, Kind
from folding.conversion.routes import keras2
from folding.errors import BadCall


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
