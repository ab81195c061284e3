"""Routes run in processes of their own, and what came of them looked at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

import folding
from folding import Report
from folding.conversion.job import MODEL, Kind

HERE = Path(__file__).parent
#: How far two right computations may be from each other, as a part of the largest output.
TOLERANCE = 64 * float(np.finfo(np.float32).eps)
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
_SUFFIXES = {".keras": Kind.KERAS, ".h5": Kind.KERAS_H5, ".tflite": Kind.TFLITE}


@dataclass(frozen=True)
class Answer:
    """What a route said of one source; ``folder`` has what it wrote."""

    folder: Path
    said: Mapping[str, Any]

    @property
    def model(self) -> Path:
        assert "error" not in self.said, self.said
        return self.folder / MODEL

    @property
    def statistics(self) -> list[dict[str, Any]]:
        return [
            {**each, **np.load(self.folder / each["arrays"])} for each in self.said["statistics"]
        ]

    def names(self, ends: str) -> list[tuple[str, str]]:
        """What the inputs or outputs are called by the source, and by the graph."""
        return [(port["source"], port["graph"]) for port in self.said[ends]]

    def require_same(self, model: Path) -> None:
        """The model computes what the framework has computed."""
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(model, options)
        assert self.said["references"]
        for name in self.said["references"]:
            arrays = np.load(self.folder / name)
            feed = {i.name: arrays[f"in_{i.name}"] for i in session.get_inputs()}
            for output, got in zip(session.get_outputs(), session.run(None, feed), strict=True):
                expected = arrays[f"out_{output.name}"]
                atol = TOLERANCE * float(np.abs(expected).max())
                np.testing.assert_allclose(got, expected, rtol=0, atol=atol)

    def folded(self) -> Report:
        """The model is sound, computes what the framework does, and still does when folded."""
        onnx.checker.check_model(onnx.load_model(self.model), full_check=True)
        self.require_same(self.model)
        target = self.folder / "folded.onnx"
        report = folding.fold(self.model, target)
        self.require_same(target)
        return report


def kind_of(source: Path) -> Kind:
    """The kind of a source of these tests."""
    return _SUFFIXES.get(source.suffix, Kind.SAVED_MODEL)


def answers(
    jobs: Sequence[Mapping[str, Any]], folder: Path, environment: Mapping[str, str]
) -> list[Answer]:
    """What routes say of sources, all in one process.

    Args:
        jobs: at least the ``source`` of each.
        folder: where each has a folder of its own.
        environment: what decides how the framework behaves.
    """
    asked: list[dict[str, Any]] = [
        {
            **job,
            "source": str(job["source"]),
            "kind": kind_of(Path(job["source"])).name,
            "folder": str(folder / str(number)),
        }
        for number, job in enumerate(jobs)
    ]
    said = folder / "answers.json"
    run([str(HERE / "route_process.py"), str(said)], environment, json.dumps(asked))
    found = json.loads(said.read_text())
    return [Answer(Path(job["folder"]), each) for job, each in zip(asked, found, strict=True)]


def run(arguments: Sequence[str], environment: Mapping[str, str], given: str = "") -> None:
    """Run Python, and show what it said if it failed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **_QUIET, **environment},
        input=given,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
