"""What a caller may ask of a conversion, and the jobs that come of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from folding.conversion.job import Kind
from folding.conversion.request import Request
from folding.errors import BadCall, StorageFailed


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({"opset": 6}, "no converter writes operator set 6"),
        ({"outputs": "scores"}, "the outputs are a text"),
        ({"tolerance": -1.0}, "the tolerance is -1.0"),
        ({"sample_inputs": "/nowhere.npz"}, "no file '/nowhere.npz' of sample inputs"),
    ],
)
def test_what_cannot_be_is_refused(wish: dict[str, Any], says: str) -> None:
    with pytest.raises(BadCall, match=says):
        Request(**wish)


def test_a_job_has_the_wishes(tmp_path: Path) -> None:
    request = Request(outputs=["y"], freeze={"training": False}, opset=17, trust=True)

    job = request.job(tmp_path / "m", Kind.META_GRAPH, tmp_path)

    assert (job.outputs, job.freeze, job.opset, job.trust) == (
        ("y",),
        {"training": False},
        17,
        True,
    )
    assert (job.folder, job.samples) == (tmp_path / "job", None)


def test_averages_are_corrected_of_checkpoints_alone(tmp_path: Path) -> None:
    """Other sources do not say what their averages began with."""
    request = Request(correct_averages=True)
    for kind in (Kind.META_GRAPH, Kind.SAVED_MODEL):
        assert request.job(tmp_path / "m", kind, tmp_path).correct_averages
    for kind in (Kind.KERAS, Kind.FROZEN_GRAPH, Kind.TORCHSCRIPT):
        with pytest.raises(BadCall, match=f"averages of a {kind.value} cannot be corrected"):
            request.job(tmp_path / "m", kind, tmp_path)


def test_a_path_of_samples_is_known_wherever_the_route_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("samples.npz", x=[1.0])

    job = Request(sample_inputs="samples.npz").job(tmp_path, Kind.KERAS, tmp_path)

    assert job.samples == tmp_path / "samples.npz"


def test_arrays_are_kept_for_the_route(tmp_path: Path) -> None:
    job = Request(sample_inputs={"x": [[1, 2]]}).job(tmp_path, Kind.KERAS, tmp_path)

    assert job.samples is not None
    with np.load(job.samples) as found:
        assert found["x"].tolist() == [[1, 2]]


def test_objects_are_no_arrays(tmp_path: Path) -> None:
    request = Request(sample_inputs={"x": np.array([print], object)})

    with pytest.raises(BadCall, match="the sample inputs cannot be kept"):
        request.job(tmp_path, Kind.KERAS, tmp_path)


def test_without_room_for_them_the_reason_is_told(tmp_path: Path) -> None:
    request = Request(sample_inputs={"x": [1.0]})

    with pytest.raises(StorageFailed, match="cannot keep the sample inputs: No such file"):
        request.job(tmp_path, Kind.KERAS, tmp_path / "missing")
