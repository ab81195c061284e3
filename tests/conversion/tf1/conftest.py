"""Every classic program trained once, and each conversion of one made once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest

from folding import fold
from folding.conversion.job import MODEL, Job, Kind, Product
from folding.report import Report

Array = npt.NDArray[Any]

_SOURCES = {Kind.META_GRAPH: "model.ckpt.meta", Kind.FROZEN_GRAPH: "frozen.pb"}


@dataclass(frozen=True)
class Converted:
    """What the route made of a source, and what it answered."""

    folder: Path
    product: Product

    @property
    def model(self) -> Path:
        """The ONNX file."""
        return self.folder / MODEL

    @property
    def operators(self) -> list[str]:
        """Its operators, in order."""
        return [node.op_type for node in onnx.load_model(self.model).graph.node]

    def folded(self) -> Report:
        """The report of folding the file."""
        return fold(self.model, self.folder / "folded.onnx")

    def outputs(self, inputs: dict[str, Array], *, folded: bool = False) -> dict[str, Array]:
        """What onnxruntime computes with the file."""
        path = self.folder / "folded.onnx" if folded else self.model
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, inputs), strict=True))

    def arrays(self, number: int = 0) -> dict[str, Array]:
        """The arrays of a normalisation."""
        with np.load(self.folder / self.product.statistics[number].arrays) as file:
            return dict(file)

    def references(self) -> Iterator[tuple[dict[str, Array], dict[str, Array]]]:
        """What TensorFlow was given and what it computed."""
        for name in self.product.references:
            with np.load(self.folder / name) as file:
                given = {key[3:]: file[key] for key in file if key.startswith("in_")}
                yield given, {key[4:]: file[key] for key in file if key.startswith("out_")}


Convert = Callable[..., Converted]


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what each program saves."""
    folder = tmp_path_factory.mktemp("programs")
    command = [sys.executable, "-m", "conversion.tf1.programs", str(folder)]
    here = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.fixture(scope="session")
def convert(tmp_path_factory: pytest.TempPathFactory) -> Convert:
    """Run the route for graphs on a source, with whatever a job may say besides."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    def run(source: Path, kind: Kind = Kind.META_GRAPH, **more: Any) -> Converted:
        from folding.conversion.routes import graph_def  # noqa: PLC0415

        folder = tmp_path_factory.mktemp("converted")
        return Converted(folder, graph_def.run(Job(source, kind, folder, **more)))

    return run


@pytest.fixture(scope="session")
def program(programs: Path, convert: Convert) -> Callable[[str, Kind], Converted]:
    """What came of a program by one of the routes."""

    @cache
    def made(name: str, kind: Kind) -> Converted:
        return convert(programs / name / _SOURCES[kind], kind)

    return made
