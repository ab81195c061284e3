"""What PyTorch saves, jobs that convert it, and whether the graph is the same function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from files import Array

import folding
from folding.conversion.job import MODEL, Job, Kind, Product
from folding.conversion.routes import exported_program, torchscript
from folding.conversion.routes.torch import convert_module
from folding.report import Report

#: Float32 sums in another order.
TOLERANCE = 5e-6


def rows(shape: tuple[int, ...], count: int = 8) -> Array:
    """Some input of a network."""
    return np.random.default_rng(1).normal(size=(count, *shape)).astype(np.float32)


def job(folder: Path, source: Path, kind: Kind, samples: Any = None, **wishes: Any) -> Job:
    """A job that is trusted, with samples by name if it is given some."""
    work = folder / "work"
    work.mkdir(exist_ok=True)
    if samples is not None:
        wishes["samples"] = folder / "samples.npz"
        np.savez(wishes["samples"], **samples)
    return Job(source, kind, work, **({"trust": True} | wishes))


def save_program(path: Path, module: Any, *args: Any, axes: Any = None, **kwargs: Any) -> Path:
    """A .pt2 whose first axes are open, or as told."""
    opened = {0: torch.export.Dim.DYNAMIC}
    shapes = tuple(opened for _ in (*args, *kwargs)) if axes is None else axes
    program = torch.export.export(module, args, kwargs, dynamic_shapes=shapes)
    torch.export.save(program, path)
    return path


def of_program(folder: Path, module: Any, array: Array, **wishes: Any) -> tuple[Job, Product]:
    path = save_program(folder / "net.pt2", module, torch.from_numpy(array))
    task = job(folder, path, Kind.EXPORTED_PROGRAM, **wishes)
    return task, exported_program.run(task)


def of_script(folder: Path, script: Any, array: Array, **wishes: Any) -> tuple[Job, Product]:
    path = folder / "net.pt"
    script.save(str(path))
    name = script.forward.schema.arguments[1].name
    task = job(folder, path, Kind.TORCHSCRIPT, {name: array}, **wishes)
    return task, torchscript.run(task)


def of_trace(folder: Path, module: Any, array: Array, **wishes: Any) -> tuple[Job, Product]:
    script = torch.jit.trace(module, (torch.from_numpy(array),), check_trace=False)
    return of_script(folder, script, array, **wishes)


def of_scripting(folder: Path, module: Any, array: Array, **wishes: Any) -> tuple[Job, Product]:
    return of_script(folder, torch.jit.script(module), array, **wishes)


def of_module(folder: Path, module: Any, array: Array, **wishes: Any) -> tuple[Job, Product]:
    name = "x" if "x" in module.forward.__code__.co_varnames else "input"
    task = job(folder, Path("module"), Kind.EXPORTED_PROGRAM, {name: array}, **wishes)
    return task, convert_module(module, task)


ROUTES = {
    "program": of_program,
    "trace": of_trace,
    "script": of_scripting,
    "module": of_module,
}


def outputs_of(model: Path, feed: dict[str, Array]) -> dict[str, Array]:
    """What a graph computes."""
    session = onnxruntime.InferenceSession(str(model))
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


def assert_close(found: Array, wanted: Array) -> None:
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= TOLERANCE * max(1, np.abs(wanted).max())


def check_references(task: Job, product: Product, model: Path) -> list[int]:
    """Hold a graph against what the framework computed; the batch sizes that there were."""
    batches = []
    for name in product.references:
        with np.load(task.folder / name) as file:
            feed = {port.graph: file["in_" + port.graph] for port in product.inputs}
            found = outputs_of(model, feed)
            assert set(found) == {port.graph for port in product.outputs}
            for port in product.outputs:
                assert_close(found[port.graph], file["out_" + port.graph])
            batches.append(len(next(iter(feed.values()))))
    return batches


def check(task: Job, product: Product, *, kept: tuple[str, ...] = ()) -> Report:
    """Fold what a route wrote: valid, the same function before and after, and nothing kept."""
    onnx.checker.check_model(str(task.folder / MODEL), full_check=True)
    check_references(task, product, task.folder / MODEL)
    report = folding.fold(task.folder / MODEL, task.folder / "folded.onnx")
    assert report.verification.name.value == "equivalent"
    check_references(task, product, task.folder / "folded.onnx")
    left = [d.kind.value for d in report.plan.decisions if not d.is_folded]
    assert left == list(kept), report.plan.decisions
    return report


def folded_norms(report: Report) -> int:
    """How many batch normalisations were folded."""
    kinds = [d.kind.value for d in report.plan.decisions if d.is_folded]
    return kinds.count("batch_norm")
