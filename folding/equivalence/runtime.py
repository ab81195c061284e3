"""The one place that runs a model: onnxruntime on the CPU, on the skeleton.

The runtime is kept from making copies that a check does not need:

- Layers read their weights from a map of the model's files that nobody can write to. (The runtime's
  own maps can be written to, so the system counts them as data of the process, however little of
  them it touches.)
- Kernels do not pack the weights of a large model anew, nor does the optimiser change the layout of
  its convolutions: both only move numbers, at the price of a second or third copy of each weight.
  Small models are packed and laid out as they are by default.
- Buffers are not planned ahead. With open dimensions the planner compares every value with every
  other one before it, which for thousands of nodes takes minutes; the arena recycles memory anyway.
- Threads that have nothing to do sleep. A model is run once or twice, so waking them costs nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnxruntime
from onnx import ModelProto, TensorProto, helper
from onnxruntime.capi import onnxruntime_pybind11_state

from folding.equivalence.jobs import CPU, Engine
from folding.equivalence.limits import NO_MEMORY
from folding.equivalence.maps import Maps
from folding.errors import BadCall
from folding.modelfile import Model
from folding.protos import bodies, is_default_domain, names, tensors
from folding.source import SourceFile, Span

_PROTOBUF_LIMIT = (1 << 31) - 1
#: Models of more bytes are run without copies of their weights.
_LARGE = 1 << 25
#: Nodes whose constants the runtime's optimiser leaves alone under their name. (Constants beside a
#: Transpose it transposes in their place; those it must read from the file by itself.)
_LAYERS = frozenset({"Conv", "ConvTranspose", "Gather", "Gemm", "MatMul"})

#: onnxruntime's errors have no common base of their own; not to map a file is an OSError.
_RUNTIME_ERRORS: tuple[type[Exception], ...] = (
    OSError,
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


class NotLoaded(RuntimeRefused):
    """The runtime does not take a model at all."""


class Session(AbstractContextManager["Session"]):
    """A model ready to run: the runtime gets the skeleton, and the weights where they are.

    Args:
        model: where the weights are.
        proto: another skeleton over the same weights, if not the model's own.
        optimised: whether the runtime may optimise the graph.
        engine: what runs it.

    Raises:
        NotLoaded: the runtime does not take it.
        MemoryError: there is not enough memory for it.
    """

    def __init__(
        self,
        model: Model,
        proto: ModelProto | None = None,
        *,
        optimised: bool = False,
        engine: Engine = CPU,
    ) -> None:
        folder, places = _places(model.files)
        model = replace(model, proto=model.proto if proto is None else proto)
        is_large = model.size > _LARGE
        options = _options(folder, optimised=optimised, is_large=is_large)
        _register(options, engine)
        try:
            maps = Maps()
            weights = dict(_weights(model, maps))
            for name, value in weights.items():
                options.add_initializer(name, value)
            self._session = onnxruntime.InferenceSession(
                _located(model, places).SerializeToString(),
                options,
                providers=[engine.provider],
                disabled_optimizers=["NchwcTransformer"] if is_large else [],
            )
        except _RUNTIME_ERRORS as error:
            _check_memory(error)
            raise NotLoaded(_first_line(error)) from error
        self._maps, self._weights = maps, weights  # The runtime reads them, but keeps neither.
        self.outputs = [value.name for value in self._session.get_outputs()]

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the memory, and let go of the files."""
        self._session = None
        self._weights.clear()
        self._maps.close()

    def run_named(self, feed: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
        """All outputs by their names; raises like ``run``."""
        return dict(zip(self.outputs, self.run(feed), strict=True))

    def run(self, feed: dict[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """All outputs, in the order of the graph.

        Raises:
            RuntimeRefused: the runtime gave up, for example because shapes do not fit.
            MemoryError: there is not enough memory.
        """
        values = self._session.get_inputs() + self._session.get_overridable_initializers()
        known = {value.name for value in values}
        try:
            with self._maps.trimmed():
                found: list[npt.NDArray[Any]] = self._session.run(
                    None, {name: array for name, array in feed.items() if name in known}
                )
        except _RUNTIME_ERRORS as error:
            _check_memory(error)
            raise RuntimeRefused(_first_line(error)) from error
        return found


def _register(options: Any, engine: Engine) -> None:
    if engine.custom_ops is not None:
        try:
            options.register_custom_ops_library(engine.custom_ops)
        except _RUNTIME_ERRORS as error:
            text = f"{engine.custom_ops!r} is no library of custom operators: {_first_line(error)}"
            raise BadCall(text, hint="Give one that was built for onnxruntime.") from error


def _options(folder: str, *, optimised: bool, is_large: bool) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.enable_mem_reuse = False
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = (
        levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
    )
    for key, value in (
        ("session.intra_op.allow_spinning", "0"),
        ("session.disable_prepacking", str(int(is_large))),
        ("session.model_external_initializers_file_folder_path", folder),
    ):
        options.add_session_config_entry(key, value)
    return options


def _check_memory(error: Exception) -> None:
    """Raise MemoryError if that is what the runtime means: it says nothing of the model."""
    if any(text in str(error) for text in NO_MEMORY):
        raise MemoryError(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def _weights(model: Model, maps: Maps) -> Iterator[tuple[str, Any]]:
    """The weights in files that only layers of the main graph read, as the runtime takes them."""
    others = _read_by_others(model.proto)
    for tensor in model.proto.graph.initializer:
        content = model.content(tensor)
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        is_plain = dtype.isbuiltin == 1 and tensor.data_type != TensorProto.STRING
        if not (isinstance(content, Span) and content.size and is_plain) or tensor.name in others:
            continue
        if not content.file.stays_open:  # A map would keep it open; the runtime reads it itself.
            continue
        array = maps.view(content).view(dtype).reshape(tensor.dims)
        yield (
            tensor.name,
            onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array, tensor.data_type),
        )


def _read_by_others(proto: ModelProto) -> set[str]:
    """The names that mean something elsewhere than as the constant of a layer."""
    found: set[str] = set()
    for node in proto.graph.node:
        if node.op_type not in _LAYERS or not is_default_domain(node):
            found.update(node.input)
    for body in bodies(proto.graph):
        found.update(names(body))
    return found


def _places(files: list[SourceFile]) -> tuple[str, dict[SourceFile, str]]:
    """The folder that all are in, be it by links that the user lets pass, and where in it.

    Without those whose path is no UTF-8, which the runtime cannot open.
    """
    paths = {file: file.path.resolve() for file in files}
    paths = {file: path for file, path in paths.items() if _is_text(path)}
    folder = os.path.commonpath([path.parent for path in paths.values()]) if paths else ""
    return folder, {file: path.relative_to(folder).as_posix() for file, path in paths.items()}


def _is_text(path: Path) -> bool:
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _located(model: Model, places: dict[SourceFile, str]) -> ModelProto:
    """The skeleton with each token replaced by the place in a file, or by its bytes."""
    copy = ModelProto()
    copy.CopyFrom(model.proto)
    for tensor in tensors(copy):
        content = model.content(tensor)
        if isinstance(content, Span):
            del tensor.external_data[:]
            if content.file not in places:
                tensor.ClearField("data_location")
                tensor.raw_data = content.read(0, content.size)
                continue
            for key, value in (
                ("location", places[content.file]),
                ("offset", str(content.start)),
                ("length", str(content.size)),
            ):
                tensor.external_data.add(key=key, value=value)
    if copy.ByteSize() > _PROTOBUF_LIMIT:
        raise NotLoaded("it is larger than 2 GB in memory")
    return copy
