"""Keras 3: files, and models that live in the caller's program."""

from __future__ import annotations

from typing import Any

from folding.convert.job import Job, Product
from folding.convert.keras.choice import missing
from folding.convert.keras.converting import converted
from folding.convert.keras.file import read_keras_file
from folding.convert.keras.loading import load
from folding.convert.keras.on_jax import OnJax
from folding.convert.keras.on_tensorflow import OnTensorFlow
from folding.convert.keras.on_torch import OnTorch
from folding.convert.routes import keras2
from folding.errors import BadCall

_BACKENDS: dict[str, type[Any]] = {"tensorflow": OnTensorFlow, "torch": OnTorch, "jax": OnJax}


def run(job: Job) -> Product:
    """Convert a .keras or .h5 file, on the backend that Keras was told to use.

    Raises:
        BadCall: it holds code and is not trusted, or has no such output.
        BadModel: it is damaged, uses what is unknown here, or cannot be converted.
    """
    file = read_keras_file(job.source)
    if file.is_legacy:
        return keras2.run(job)
    import keras

    return convert_model(load(keras, file, trust=job.trust), job)


def convert_model(model: Any, job: Job) -> Product:
    """Convert a live model of Keras 3, or of tf_keras.

    Raises:
        BadCall: it is no Keras model, or was never called, or has no such output.
        BadModel: it cannot be converted.
    """
    if type(model).__mro__[-2].__module__.startswith("tf_keras"):
        return keras2.convert_model(model, job)
    import keras

    if not isinstance(model, keras.Model):
        raise BadCall(f"a {type(model).__name__} is no Keras model")
    name = keras.backend.backend()
    lacking = missing(name)
    if lacking:
        raise BadCall(
            f"converting a Keras model on {name} needs {lacking[0]}, which is not installed",
            hint=f"python -m pip install 'fold-model[{name}]'",
        )
    return converted(keras, model, _BACKENDS[name], job)
