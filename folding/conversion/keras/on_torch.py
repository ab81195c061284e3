"""Keras on PyTorch: through TorchScript with open sizes, else through torch.export with fixed ones.

torch.export cannot follow Keras with an open batch, and the older exporter knows fewer operators.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from folding.conversion.function import Function
from folding.conversion.job import MODEL, Job
from folding.conversion.samples import Array, Feed, Spec
from folding.errors import Unconvertible

#: What stands for open sizes while a model is traced: 1 would be taken for a size to broadcast.
_BATCH, _OPEN = 2, 32


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
            What the ONNX model takes: perhaps one batch size only.

        Raises:
            Unconvertible: no exporter takes it.
        """
        from torch.onnx import errors

        faults = (errors.OnnxExporterError, RuntimeError, TypeError, ValueError)
        given, module = self.function.inputs, _module(self.function)
        try:
            with _quiet():
                _export(module, self.function, given, job, dynamo=False)
        except faults as first:
            given = {name: _fixed(spec, job.batches[0]) for name, spec in given.items()}
            try:
                with _quiet():
                    _export(module, self.function, given, job, dynamo=True)
            except faults:
                text = str(first).strip().partition("\n")[0]
                raise Unconvertible(f"torch.onnx cannot export the model: {text}") from first
        return given

    def run(self, feed: Feed) -> list[Array]:
        """What Keras computes."""
        import torch

        with torch.no_grad():
            found = self.function(*(torch.from_numpy(array) for array in feed.values()))
        return [tensor.numpy() for tensor in found]


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


def _export(
    module: Any, function: Function, given: Mapping[str, Spec], job: Job, *, dynamo: bool
) -> None:
    import torch

    example = tuple(_example(spec) for spec in given.values())
    named = {
        "input_names": list(given),
        "output_names": list(function.outputs),
        "opset_version": job.opset,
    }
    path = job.folder / MODEL
    if dynamo:
        torch.onnx.export(module, example, dynamo=True, verbose=False, **named).save(path)
        return
    axes = {name: _open_axes(name, spec) for name, spec in given.items()}
    outputs = {name: {0: "batch"} for name in function.outputs if _has_batch(given)}
    torch.onnx.export(module, example, path, dynamo=False, dynamic_axes=axes | outputs, **named)


def _example(spec: Spec) -> Any:
    import torch

    sizes = _fixed(spec, _BATCH).shape
    return torch.ones(tuple(sizes), dtype=getattr(torch, str(spec.dtype)))


def _fixed(spec: Spec, batch: int) -> Spec:
    sizes = [_OPEN if size is None else size for size in spec.sizes]
    return replace(spec, shape=[batch, *sizes[1:]] if spec.has_batch else sizes)


def _open_axes(name: str, spec: Spec) -> dict[int, str]:
    return {
        axis: f"{name}_{axis}" if axis else "batch"
        for axis, size in enumerate(spec.sizes)
        if size is None
    }


def _has_batch(given: Mapping[str, Spec]) -> bool:
    return all(spec.has_batch for spec in given.values())


@contextmanager
def _quiet() -> Iterator[None]:
    """Tracing warns of each size that it takes for a constant, and of being the older exporter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
