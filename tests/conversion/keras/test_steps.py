"""How many steps a model was trained for."""

from __future__ import annotations

import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from folding.conversion.job import Job, Kind
from folding.conversion.keras.steps import served_history, trained_steps

pytestmark = pytest.mark.frameworks


def live(count: int) -> Any:
    """A model with an optimizer that has made so many steps."""
    iterations = SimpleNamespace(numpy=lambda: np.array(count))
    return SimpleNamespace(optimizer=SimpleNamespace(iterations=iterations))


def hdf5(path: Path, **parts: Any) -> Path:
    """A file of values under names in which __ is a slash."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for name, value in parts.items():
            file[name.replace("__", "/")] = value
    return path


def archive(folder: Path, weights: Path, name: str = "model.weights.h5") -> Path:
    with zipfile.ZipFile(folder / "model.keras", "w") as made:
        made.write(weights, name)
    return folder / "model.keras"


def steps(source: Path, kind: Kind, model: Any = None) -> int | None:
    return trained_steps(model, Job(source, kind, source.parent))


def test_a_live_model_is_asked(tmp_path: Path) -> None:
    """One that was compiled and never trained has been averaged by nobody knows what."""
    assert steps(tmp_path / "Functional", Kind.KERAS, live(7)) == 7
    assert steps(tmp_path / "Functional", Kind.KERAS, live(0)) is None
    assert steps(tmp_path / "Functional", Kind.KERAS) is None


def test_an_archive_has_the_count_first(tmp_path: Path) -> None:
    """If it has an optimizer; a momentum in that place is none."""
    for value, expected in ((np.int64(7), 7), (np.float32(7), None), (np.arange(3), None)):
        weights = hdf5(tmp_path / "w.h5", optimizer__vars__0=value)
        assert steps(archive(tmp_path, weights), Kind.KERAS) == expected
    bare = hdf5(tmp_path / "w.h5", layers__dense=np.int64(7))
    assert steps(archive(tmp_path, bare), Kind.KERAS) is None
    assert steps(archive(tmp_path, bare, "other.h5"), Kind.KERAS) is None


@pytest.mark.parametrize("name", ["adam__iteration", "iteration:0", "SGD__iter:0"])
def test_an_hdf5_file_has_it_by_name(name: str, tmp_path: Path) -> None:
    """As each generation of optimizers calls it."""
    parts = {f"optimizer_weights__{name}": np.int64(7), "optimizer_weights__rate": np.float32(1)}
    assert steps(hdf5(tmp_path / "m.h5", **parts), Kind.KERAS_H5) == 7
    bare = hdf5(tmp_path / "b.h5", **{f"model_weights__{name}": np.int64(7)})
    assert steps(bare, Kind.KERAS_H5) is None


def test_a_saved_model_has_its_own_count(tmp_path: Path) -> None:
    """Whatever a folder leads to that is called like its variables."""
    import tensorflow as tf  # noqa: PLC0415

    def saved(folder: Path, count: int) -> Path:
        module = tf.Module()
        module.step = tf.Variable(count)
        tf.saved_model.save(module, str(folder))
        return folder / "variables" / "variables"

    other, decoy = saved(tmp_path / "other", 9), saved(tmp_path / "saved", 7)
    decoy.mkdir()
    (decoy / "checkpoint").write_text(f'model_checkpoint_path: "{other}"')

    assert served_history(tmp_path / "saved") == (None, 7)
