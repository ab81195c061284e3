"""Which Keras reads a file, and on which backend: decided before either is imported."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec

from folding.convert.keras.file import KerasFile
from folding.errors import BadCall

#: The modules that converting on a backend needs, backends in order of preference.
NEEDS = {
    "tensorflow": ("tensorflow", "tf2onnx"),
    "torch": ("torch", "onnxscript"),
    "jax": ("jax", "jax2onnx"),
}
_CHOSEN = "KERAS_BACKEND"


def environment(file: KerasFile) -> Mapping[str, str]:
    """The variables to be set before Keras is imported for a file.

    Raises:
        BadCall: no backend is installed, or that which the user chose is none of those known here.
    """
    if file.is_legacy:
        return {"TF_USE_LEGACY_KERAS": "1"}
    return {_CHOSEN: os.environ.get(_CHOSEN) or _best(file)}


def _best(file: KerasFile) -> str:
    """The first that is installed; PyTorch before others where it alone runs without a compiler."""
    names = sorted(NEEDS, key="torch".__ne__) if file.is_channels_first else NEEDS
    for name in names:
        if not missing(name):
            return name
    raise BadCall(
        "Keras has none of its backends: TensorFlow, PyTorch and JAX are not installed",
        hint="python -m pip install 'fold-model[keras]'",
    )


def missing(backend: str) -> list[str]:
    """The modules that a backend needs and that are not installed.

    Raises:
        BadCall: Keras has a backend of that name perhaps, and no converter to ONNX.
    """
    if backend not in NEEDS:
        known = ", ".join(NEEDS)
        raise BadCall(
            f"a Keras model on the backend {backend!r} cannot be converted",
            hint=f"Set {_CHOSEN} to one of {known}, or not at all.",
        )
    return [module for module in NEEDS[backend] if find_spec(module) is None]
