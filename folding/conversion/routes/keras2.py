"""Keras 2, as it lives on in tf_keras."""

from __future__ import annotations

from typing import Any

from folding.conversion.extras import command
from folding.conversion.function import product
from folding.conversion.job import Job, Product
from folding.conversion.keras.file import read_keras_file
from folding.conversion.keras.loading import load
from folding.conversion.keras.source import source
from folding.conversion.on_tensorflow import OnTensorFlow
from folding.errors import BadCall


def run(job: Job) -> Product:
    """Convert a file that Keras 2 wrote.

    Raises:
        BadCall: it holds code and is not trusted, or has no such output.
        BadModel: it is damaged, uses what is unknown here, or cannot be converted.
    """
    file = read_keras_file(job.source)
    try:
        import tf_keras
    except ImportError:
        raise BadCall(
            f"{str(job.source)!r} is of Keras {file.version}, which tf_keras reads",
            hint=f"Install it: {command('tensorflow')}",
        ) from None
    return convert_model(load(tf_keras, file, trust=job.trust), job)


def convert_model(model: Any, job: Job) -> Product:
    """Convert a live model of tf_keras.

    Raises:
        BadCall: it was never called, or has no such output.
        BadModel: it cannot be converted.
    """
    import tf_keras

    return product(source(tf_keras, model, job), OnTensorFlow, job)
