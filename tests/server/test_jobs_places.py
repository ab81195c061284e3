"""What clients are told instead of the paths of a job."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from folding_server.jobs.places import Places
from folding_server.jobs.runner import FileSpec, JobSpec, Kind, ModelSpec


def file(path: str) -> FileSpec:
    return FileSpec(path, 1, "0" * 64)


def places(*inputs: str) -> Places:
    """Those of a job with these inputs."""
    model = ModelSpec("given.onnx", file("m.onnx"))
    return Places(JobSpec(Kind.FOLD, "", (model,), tuple(map(file, inputs))), Path("/jobs/77"))


def test_what_a_model_is_called_stays_as_it_is() -> None:
    """A name that looks like a path of the server is the model's own: nothing is told of it."""
    names = [sys.executable, f"{sys.executable}/x", sys.prefix]
    assert places().shown({"name": names}) == {"name": names}


def test_paths_of_the_job_become_the_clients() -> None:
    """Its model and its target have the names that the client gave them."""
    job = places()
    assert job.shown([job.models[0], job.target]) == ["given.onnx", "given.folded.onnx"]


@pytest.mark.parametrize(
    ("paths", "folder"),
    [
        (["a/x.npz"], "77-inputs/a/x.npz"),
        (["input_0.pb", "input_1.pb"], "77-inputs"),
        (["input_0.pb"], "77-inputs"),
        (["a/input_0.pb"], "77-inputs/a"),
        (["a/s0/input_0.pb", "a/s1/input_0.pb"], "77-inputs/a"),
        (["s0/input_0.pb", "s1/input_0.pb"], "77-inputs"),
    ],
)
def test_inputs_are_a_file_or_the_folder_of_all(paths: list[str], folder: str) -> None:
    """The folder that a client has put all into is the one that messages name."""
    assert places(*paths).inputs == folder
