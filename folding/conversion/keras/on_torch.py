"""Keras on PyTorch: through TorchScript with open sizes, else through torch.export with fixed ones.

torch.export cannot follow Keras with an open batch, and the older exporter knows fewer operators.
That one writes down what happened at the sizes it was shown, so a recurrent layer is unrolled:
where two sizes give two graphs, a size is not open. If it is a length, the batch may be still.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx
from onnx import checker, shape_inference

from folding.conversion.function import Function
from folding.conversion.job import MODEL, Job
from folding.conversion.opsets import TORCH, require_by
from folding.conversion.pytorch.runs import failures
from folding.conversion.samples import Array, Feed, Spec
from folding.errors import Unconvertible

#: What stands for open sizes while a model is traced: 1 would be taken for a size to broadcast.
_BATCH, _OTHER_BATCH, _OPEN, _OTHER = 2, 3, 32, 40

Inputs = Mapping[str, Spec]
Write = Callable[[Any, Function, Inputs, Job], None]


class OnTorch:
    """The converter of one model, and the model itself as PyTorch runs it."""

    def __init__(self, function: Function) -> None:
        self.function = function

    @property
    def versions(self) -> tuple[str, str]:
        """Of what runs the model, and of what converts it."""
        return f"PyTorch {version('torch')}", f"torch.onnx {version('torch')}"

    def convert(self, job: Job) -> Mapping[str, Spec]:
        """Write the ONNX model, whose inputs and outputs are called as in Keras.

        Returns:
            What the ONNX model takes: perhaps one length only, or one batch size.

        Raises:
            BadCall: PyTorch does not write the operator set.
            Unconvertible: no exporter takes it.
        """
        from torch.onnx import errors

        require_by(TORCH, job.opset)
        faults = (errors.OnnxExporterError, RuntimeError, TypeError, ValueError)
        module, failures = _module(self.function), list[Exception]()
        for given, write in _ways(self.function.inputs, job):
            try:
                with _quiet():
                    write(module, self.function, given, job)
            except faults as error:
                failures.append(error)
            else:
                return given
        text = str(failures[0]).strip().partition("\n")[0]
        raise Unconvertible(f"torch.onnx cannot export the model: {text}") from failures[0]

    def run(self, feed: Feed) -> list[Array]:
        """What Keras computes."""
        import torch

        with torch.no_grad():
            found = self.function(*(torch.from_numpy(array) for array in feed.values()))
        return [tensor.numpy() for tensor in found]

    def tried(self, feed: Feed) -> list[Array] | None:
        """What Keras computes, unless it refuses that."""
        try:
            return self.run(feed)
        except failures():
            return None


def _module(function: Function) -> Any:
    import torch

    class Positional(torch.nn.Module):  # type: ignore[misc]
        """The model, taking its inputs one by one."""

        def __init__(self) -> None:
            super().__init__()
            self.model = function.holder

        def forward(self, *tensors: Any) -> tuple[Any, ...]:
            return tuple(function(*tensors))

    return Positional().eval()


def _ways(given: Inputs, job: Job) -> Iterator[tuple[Inputs, Write]]:
    """What the ONNX model might take, from the most to the least, and what writes it so."""
    yield given, _trace
    if _has_batch(given) and _has_lengths(given):
        batches = {n: _fixed(spec, _BATCH) for n, spec in given.items()}
        lengths = {n: replace(spec, shape=[None, *spec.shape[1:]]) for n, spec in batches.items()}
        yield lengths, _trace_of_any_batch
    yield {name: _fixed(spec, job.batches[0]) for name, spec in given.items()}, _translate


def _trace(module: Any, function: Function, given: Inputs, job: Job) -> None:
    """Write the model with open sizes, by the older exporter.

    Raises:
        ValueError: it depends on a length that should be open.
    """
    sizes = ((_BATCH, _OTHER), (_BATCH, _OPEN)) if _has_lengths(given) else ((_BATCH, _OPEN),)
    _export_alike(module, function, given, job, sizes)


def _trace_of_any_batch(module: Any, function: Function, given: Inputs, job: Job) -> None:
    """Write the model with an open batch, by the older exporter.

    Raises:
        ValueError: it depends on the batch.
    """
    _export_alike(module, function, given, job, ((_OTHER_BATCH, _OPEN), (_BATCH, _OPEN)))


def _export_alike(
    module: Any, function: Function, given: Inputs, job: Job, sizes: Sequence[tuple[int, int]]
) -> None:
    """Export it at some sizes of batch and length, which all have to give the same.

    Raises:
        ValueError: they do not, or what the exporter wrote is no valid model.
    """
    found = []
    for batch, length in sizes:
        _export(module, function, given, job, batch, length)
        found.append(_steps(job.folder / MODEL))
    if found[0] != found[-1]:
        raise ValueError("what it does depends on a size that is open")
    try:
        checker.check_model(job.folder / MODEL, full_check=True)
    except (checker.ValidationError, shape_inference.InferenceError) as error:
        raise ValueError(" ".join(str(error).split())) from error


def _steps(path: Path) -> list[bytes]:
    graph = onnx.load_model(path).graph
    return [part.SerializeToString() for part in (*graph.node, *graph.initializer)]


def _export(
    module: Any, function: Function, given: Inputs, job: Job, batch: int, length: int
) -> None:
    import torch

    axes = {name: _open_axes(name, spec) for name, spec in given.items()}
    torch.onnx.export(
        module,
        _example(given, batch, length),
        job.folder / MODEL,
        dynamo=False,
        dynamic_axes=axes | {name: {0: "batch"} for name in function.outputs if _has_batch(given)},
        **_named(function, job),
    )


def _translate(module: Any, function: Function, given: Inputs, job: Job) -> None:
    """Write the model with fixed sizes, by the newer exporter."""
    import torch

    named = _named(function, job)
    program = torch.onnx.export(module, _example(given), dynamo=True, verbose=False, **named)
    _set_apart(program.model.graph)
    program.save(job.folder / MODEL)


def _named(function: Function, job: Job) -> dict[str, Any]:
    return {
        "input_names": list(function.inputs),
        "output_names": list(function.outputs),
        "opset_version": job.opset,
    }


def _set_apart(graph: Any) -> None:
    """Rename what is called like an output and is none: the exporter does not look."""
    outputs = {value.name: value for value in graph.outputs}
    for node in graph:
        for value in node.outputs:
            if outputs.get(value.name, value) is not value:
                value.name = f"inner/{value.name}"


def _example(given: Inputs, batch: int = _BATCH, length: int = _OPEN) -> tuple[Any, ...]:
    import torch

    fixed = [_fixed(spec, batch, length) for spec in given.values()]
    return tuple(
        torch.ones(tuple(spec.shape), dtype=getattr(torch, str(spec.dtype))) for spec in fixed
    )


def _fixed(spec: Spec, batch: int, length: int = _OPEN) -> Spec:
    sizes = [length if size is None else size for size in spec.sizes]
    return replace(spec, shape=[batch, *sizes[1:]] if spec.has_batch else sizes)


def _open_axes(name: str, spec: Spec) -> dict[int, str]:
    return {
        axis: f"{name}_{axis}" if axis else "batch"
        for axis, size in enumerate(spec.sizes)
        if size is None
    }


def _has_batch(given: Inputs) -> bool:
    return all(spec.has_batch for spec in given.values())


def _has_lengths(given: Inputs) -> bool:
    return any(None in spec.sizes[spec.has_batch :] for spec in given.values())


@contextmanager
def _quiet() -> Iterator[None]:
    """Tracing warns of each size that it takes for a constant, and of being the older exporter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
