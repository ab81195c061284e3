"""Keras 3: files, and models that live in the caller's program."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

from folding.conversion.extras import command
from folding.conversion.function import Backend, Function, product
from folding.conversion.job import Job, Product
from folding.conversion.keras.file import read_keras_file
from folding.conversion.keras.loading import load
from folding.conversion.keras.on_jax import OnJax
from folding.conversion.keras.on_torch import OnTorch
from folding.conversion.keras.source import source
from folding.conversion.on_tensorflow import OnTensorFlow
from folding.conversion.routes import keras2
from folding.errors import BadCall

#: What does not go by one converter may go by another.
_ON_TORCH = (
    "Convert it with KERAS_BACKEND=torch in the environment, which needs PyTorch: "
    f"{command('torch')}"
)
#: Of each backend of Keras: what converts there, and the module that it needs.
_BACKENDS: dict[str, tuple[Callable[[Function], Backend], str]] = {
    "tensorflow": (partial(OnTensorFlow, otherwise=_ON_TORCH), "tf2onnx"),
    "torch": (OnTorch, "onnxscript"),
    "jax": (OnJax, "jax2onnx"),
}


def run(job: Job) -> Product:
    """Convert a .keras or .h5 file, on the backend that Keras was told to use.

    Raises:
        BadCall: it holds code and is not trusted, or has no such output.
        BadModel: it is damaged, uses what is unknown here, or cannot be converted.
    """
    file = read_keras_file(job.source)
    if file.is_legacy:
        return keras2.run(job)
    return convert_model(load(_keras(), file, trust=job.trust), job)


def convert_model(model: Any, job: Job) -> Product:
    """Convert a live model of Keras 3, or of tf_keras.

    Raises:
        BadCall: it is no Keras model, or was never called, or has no such output.
        BadModel: it cannot be converted.
    """
    if any(kind.__module__.startswith("tf_keras.") for kind in type(model).__mro__):
        return keras2.convert_model(model, job)
    import keras

    if not isinstance(model, keras.Model):
        raise BadCall(f"a {type(model).__name__} is no Keras model")
    backend = _backend(keras.backend.backend())
    return product(source(keras, model, job), backend, job)


def _keras() -> Any:
    """Keras, which imports its backend."""
    try:
        return importlib.import_module("keras")
    except ModuleNotFoundError as error:
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
        raise _not_installed(backend, str(error.name)) from error


def _not_installed(backend: str, module: str) -> BadCall:
    extra = "keras" if backend == "tensorflow" else backend
    text = f"converting a Keras model on {backend} needs {module}, which is not installed"
    return BadCall(text, hint=command(extra))


def _backend(name: str) -> Callable[[Function], Backend]:
    """What converts a model that lives on a backend of Keras."""
    known = ", ".join(_BACKENDS)
    if name not in _BACKENDS:
        text = f"a Keras model on the backend {name!r} cannot be converted"
        raise BadCall(text, hint=f"Set KERAS_BACKEND to one of {known}.")
    backend, needed = _BACKENDS[name]
    if find_spec(needed) is None:
        raise _not_installed(name, needed)
    return backend
