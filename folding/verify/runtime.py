"""The one place that runs a model: onnxruntime on the CPU, on the skeleton where it can."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import onnxruntime
from onnx import ModelProto
from onnxruntime.capi import onnxruntime_pybind11_state

from folding.modelfile import Model
from folding.protos import tensors
from folding.source import Span

_PROTOBUF_LIMIT = (1 << 31) - 1

#: onnxruntime's errors have no common base of their own.
_RUNTIME_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    TypeError,
    *(
        error
        for error in vars(onnxruntime_pybind11_state).values()
        if isinstance(error, type) and issubclass(error, Exception)
    ),
)


class RuntimeRefused(Exception):
    """The runtime cannot load or run a model. Callers turn it into a check that says so."""


class Session:
    """A model ready to run.

    The weights are mapped from the model's own files by the runtime; only the skeleton is handed
    over. A model whose files the runtime will not map is loaded by its path.
    """

    def __init__(self, model: Model, *, optimised: bool) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        levels = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = (
            levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
        )
        self._session = self._open(model, options)
        self.outputs = [value.name for value in self._session.get_outputs()]

    @staticmethod
    def _open(model: Model, options: Any) -> Any:
        providers = ["CPUExecutionProvider"]
        mapped = _mapped(model)
        if model.path is not None:
            options.add_session_config_entry(
                "session.model_external_initializers_file_folder_path", str(model.path.parent)
            )
        try:
            if mapped is not None:
                return onnxruntime.InferenceSession(mapped, options, providers=providers)
            return onnxruntime.InferenceSession(str(model.path), options, providers=providers)
        except _RUNTIME_ERRORS as error:
            raise RuntimeRefused(_first_line(error)) from error

    def run(self, feed: dict[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """All outputs, in the order of the graph.

        Raises:
            RuntimeRefused: the runtime gave up, for example because shapes do not fit.
        """
        values = self._session.get_inputs() + self._session.get_overridable_initializers()
        known = {value.name for value in values}
        try:
            found: list[npt.NDArray[Any]] = self._session.run(
                None, {name: array for name, array in feed.items() if name in known}
            )
        except _RUNTIME_ERRORS as error:
            raise RuntimeRefused(_first_line(error)) from error
        return found


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def _mapped(model: Model) -> bytes | None:
    """The skeleton with each token replaced by the place in a file; None if one is elsewhere."""
    if any(not isinstance(content, Span) for content in model.contents):
        return None
    copy = ModelProto()
    copy.CopyFrom(model.proto)
    for tensor in tensors(copy):
        content = model.content(tensor)
        if not isinstance(content, Span):
            continue
        assert model.path is not None
        if not content.file.path.is_relative_to(model.path.parent):
            return None
        del tensor.external_data[:]
        for key, value in (
            ("location", content.file.path.relative_to(model.path.parent).as_posix()),
            ("offset", str(content.start)),
            ("length", str(content.size)),
        ):
            tensor.external_data.add(key=key, value=value)
    return copy.SerializeToString() if copy.ByteSize() < _PROTOBUF_LIMIT else None
