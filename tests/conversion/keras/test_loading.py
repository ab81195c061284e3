"""Why a file cannot be loaded, in one sentence, whichever Keras says it and however."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from folding.conversion.keras import loading
from folding.conversion.keras.file import KerasFile, read_keras_file
from folding.conversion.keras.loading import load
from folding.errors import BadCall, BadModel

FILE = KerasFile(Path("m.keras"), "3.15.1", ())


@pytest.fixture(autouse=True)
def no_arrays(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is not there, but where a test makes one."""
    if "tmp_path" not in request.fixturenames:
        monkeypatch.setattr(loading, "_elsewhere", lambda _: [])


def _library(error: Exception) -> Any:
    def load_model(path: str, **chosen: Any) -> Any:
        raise error

    return SimpleNamespace(saving=SimpleNamespace(load_model=load_model))


@pytest.mark.parametrize(
    "text",
    [
        "Could not locate class 'Odd'. Make sure custom classes are decorated with ...",
        "Could not deserialize class 'Odd' because its parent module mine cannot be imported.",
        "Unknown layer: 'Odd'. Please ensure you are using a `keras.utils.custom_object_scope`",
        "Cannot deserialize object of type `Odd`. If `Odd` is a custom class, please register it",
    ],
)
def test_an_unknown_class_is_named(text: str) -> None:
    """Keras 2 and 3 have four ways to say so."""
    with pytest.raises(BadModel, match="'Odd'") as error:
        load(_library(TypeError(text)), FILE, trust=False)
    assert "folding.convert" in error.value.hint


def test_code_that_keras_finds_needs_trust() -> None:
    """What its safe mode refuses is refused as code."""
    error = ValueError("Requested the deserialization of a function: pass `safe_mode=False`")
    with pytest.raises(BadCall, match="holds code") as raised:
        load(_library(error), FILE, trust=False)
    assert "--trust" in raised.value.hint


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("axis=(4,) is wrong\nconfig={}", "axis=(4,) is wrong"),
        (
            "Sequential failed.\n\nException encountered: only with TensorFlow",
            "only with TensorFlow",
        ),
    ],
)
def test_what_is_behind_an_error_is_said(text: str, reason: str) -> None:
    """The cause, and neither the configuration nor the error that wraps it."""
    with pytest.raises(BadModel) as error:
        load(_library(ValueError(text)), FILE, trust=False)
    assert str(error.value) == f"Keras cannot load 'm.keras', of Keras 3.15.1: {reason}"


def test_it_is_loaded_as_little_as_can_be() -> None:
    """Not compiled, and in safe mode unless it is trusted."""
    chosen: list[dict[str, Any]] = []

    def load_model(path: str, **options: Any) -> str:
        chosen.append(options)
        return path

    library = SimpleNamespace(saving=SimpleNamespace(load_model=load_model))
    file = KerasFile(Path("m.h5"), "3.15.1", ())
    for trust in (False, True):
        assert load(library, file, trust=trust) == "m.h5"
    assert chosen == [{"compile": False, "safe_mode": safe} for safe in (True, False)]


@pytest.mark.frameworks
def test_arrays_that_lie_in_other_files_need_trust(tmp_path: Path) -> None:
    """By a link, as raw bytes, or as a view; whatever lies in the file itself needs nothing."""
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.15.0"
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential"})
        weights = file.create_group("model_weights")
        weights["own"] = np.ones(4, np.float32)
        weights["soft"] = h5py.SoftLink("/model_weights/own")
    loading._require_contained(read_keras_file(path))
    ways: dict[str, Callable[[Any], object]] = {
        "linked": lambda w: w.__setitem__("a", h5py.ExternalLink("linked.h5", "d")),
        "raw": lambda w: w.create_dataset("a", (4,), "f4", external=[("raw.bin", 0, 16)]),
        "seen": lambda w: w.create_virtual_dataset("a", _view(h5py)),
    }
    for name, add in ways.items():
        other = tmp_path / f"{name}.h5"
        other.write_bytes(path.read_bytes())
        with h5py.File(other, "a") as file:
            add(file["model_weights"])
        zipped = tmp_path / f"{name}.keras"
        with zipfile.ZipFile(zipped, "w") as archive:
            archive.writestr("metadata.json", json.dumps({"keras_version": "2.15.0"}))
            archive.writestr("config.json", "{}")
            archive.write(other, "model.weights.h5")
        for stored in (other, zipped):
            with pytest.raises(BadCall, match=f"reads the file '{name}"):
                loading._require_contained(read_keras_file(stored))


def _view(h5py: Any) -> Any:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("seen.h5", "d", shape=(4,))
    return layout


@pytest.mark.frameworks
def test_arrays_that_cannot_be_read_are_damage(tmp_path: Path) -> None:
    """No traceback of HDF5."""
    pytest.importorskip("h5py")
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.15.0"}))
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", "no arrays")
    with pytest.raises(BadModel, match="cannot load"):
        loading._require_contained(read_keras_file(path))


@pytest.mark.parametrize("ending", [".keras", ".bak", ".h5"])
def test_a_file_is_loaded_whatever_its_name_ends_in(tmp_path: Path, ending: str) -> None:
    """Keras goes by the ending, so that it gets one."""
    path = tmp_path / f"m{ending}"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")

    def load_model(given: str, **_: Any) -> tuple[str, bytes]:
        return given, Path(given).read_bytes()

    library = SimpleNamespace(saving=SimpleNamespace(load_model=load_model))
    given, content = load(library, KerasFile(path, "3.15.1", ()), trust=True)

    assert given.endswith(".keras")
    assert content == path.read_bytes()
    assert (given == str(path)) is (ending == ".keras")
