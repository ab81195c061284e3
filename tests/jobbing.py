"""A runner of jobs with files to give it, and what is left of it when it is done."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from files import conv_net
from onnx import ModelProto, TensorProto, helper, numpy_helper

from folding_server.errors import ServiceError
from folding_server.jobs.local import LocalRunner
from folding_server.jobs.runner import FileSpec, JobHandle, JobResult, JobSpec, Kind, ModelSpec
from folding_server.limits import ServerLimits

OWNER = "somebody"
#: Seconds within which all that a job is has to be gone.
SOON = 1.0
_PATIENCE = 30.0


class Shelf:
    """Files by their digests, as the store keeps them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()

    def path(self, owner: str, sha256: str) -> Path:
        assert owner == OWNER
        return self._folder / sha256

    def make_room(self, most: int) -> bool:  # noqa: ARG002 - there is none to be made
        return False

    def forget(self, owner: str, files: Iterable[FileSpec]) -> None:
        assert owner == OWNER
        for file in files:
            (self._folder / file.sha256).unlink()

    def add(self, data: bytes, path: str) -> FileSpec:
        """Take bytes as the file that a client calls so."""
        sha256 = hashlib.sha256(data).hexdigest()
        place = self._folder / sha256
        if not place.exists():
            place.write_bytes(data)
            place.chmod(0o400)
        return FileSpec(path, len(data), sha256)

    def model(self, source: Path, name: str = "", data: Sequence[str] = ()) -> ModelSpec:
        """Take a model from disk; ``data`` are the files beside it."""
        file = self.add(source.read_bytes(), source.name)
        apart = (self.add((source.parent / path).read_bytes(), path) for path in data)
        return ModelSpec(name or source.name, file, tuple(apart))


class Bench:
    """A runner and its files."""

    def __init__(self, folder: Path, limits: ServerLimits) -> None:
        self.shelf = Shelf(folder / "shelf")
        self.jobs = folder / "jobs"
        self.jobs.mkdir()
        self.runner = LocalRunner(self.shelf, self.jobs, limits)

    async def done(self, spec: JobSpec) -> JobResult:
        """The result of a job."""
        return await self.runner.submit(spec).result()

    def processes(self) -> list[psutil.Process]:
        """All that work in the folder of a job."""
        return [process for process in psutil.process_iter() if self._is_mine(process)]

    def _is_mine(self, process: psutil.Process) -> bool:
        try:
            return Path(f"/proc/{process.pid}/cwd").readlink().is_relative_to(self.jobs)
        except OSError:
            return False

    async def runs(self, count: int = 1) -> list[psutil.Process]:
        """Wait until a job has so many processes, the first of them first."""
        await until(lambda: len(self.processes()) >= count)
        return sorted(self.processes(), key=lambda process: process.create_time())


@asynccontextmanager
async def bench(folder: Path, **limits: Any) -> AsyncIterator[Bench]:
    """A runner that has to leave nothing: no process, no file."""
    made = Bench(folder, ServerLimits(**limits))
    try:
        yield made
    finally:
        await made.runner.close()
    assert made.processes() == []
    assert list(made.jobs.iterdir()) == []


async def until(is_so: Callable[[], bool], patience: float = _PATIENCE) -> None:
    """Wait for something that has to come."""
    end = time.monotonic() + patience
    while not is_so():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


def spec(kind: Kind, *models: ModelSpec, **more: Any) -> JobSpec:
    """A job of the owner."""
    return JobSpec(kind, OWNER, models, **more)


def endless() -> ModelProto:
    """A normalisation that folds, before a Loop that never ends once it is run."""
    model = conv_net()
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Relu", ["v"], ["w1"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w1", TensorProto.FLOAT, None),
        ],
    )
    model.graph.node[-1].output[0] = "r"
    model.graph.node.append(helper.make_node("Loop", ["", "yes", "r"], ["y"], body=body))
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    return model


def bomb() -> ModelProto:
    """A normalisation that folds, beside a constant of 256 GB."""
    model = conv_net()
    model.graph.initializer.append(numpy_helper.from_array(np.array([1 << 36]), "size"))
    model.graph.node.append(helper.make_node("ConstantOfShape", ["size"], ["vast"]))
    model.graph.node.append(helper.make_node("ReduceSum", ["vast"], ["sum"], keepdims=0))
    model.graph.output.append(helper.make_tensor_value_info("sum", TensorProto.FLOAT, []))
    return model


def lost_child(note: Path) -> None:
    """Start a process that nothing leads to from here, and end."""
    if os.fork():
        os.wait()
        return
    os.setsid()
    if pid := os.fork():
        note.write_text(str(pid), encoding="ascii")
        os._exit(0)
    time.sleep(600)
    os._exit(0)


async def failure(job: JobHandle) -> ServiceError:
    """What a job fails with."""
    with pytest.raises(ServiceError) as caught:
        await job.result()
    return caught.value


async def removed(job: JobHandle) -> JobResult:
    """What it found, without its files."""
    result = await job.result()
    shutil.rmtree(result.folder)
    return result


def wait_until_settled(process: psutil.Process) -> None:
    """Wait until a process has told the system when to kill it, and has closed its own pipes."""
    source = Path(f"/proc/{process.pid}/fd/0")
    while source.readlink() != Path("/dev/null"):
        time.sleep(0.01)
