"""What a process must have in its environment before it imports a framework.

Which backend Keras computes with, and whether TensorFlow has Keras 2 or 3, is settled by the first
import, so that is decided by the source: from its kind, and a peek into what it says of itself.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from folding.conversion.job import Job, Kind
from folding.conversion.keras.file import read_keras_file

_KERAS = (Kind.KERAS, Kind.KERAS_H5)
_CHOSEN = "KERAS_BACKEND"
#: The backends of Keras, the first choice first, and what brings each to ONNX.
_BACKENDS = {"tensorflow": "tf2onnx", "torch": "onnxscript", "jax": "jax2onnx"}
#: No device but the processor, whose results are the same anywhere, and no chatter.
_QUIET = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
#: Where frameworks keep what they write to the user's home.
_HOMES = ("KERAS_HOME", "TMPDIR", "XDG_CACHE_HOME")


def environment(job: Job, scratch: Path) -> dict[str, str]:
    """The variables to set.

    Args:
        job: what is to be converted.
        scratch: a folder for whatever a framework writes besides.

    Raises:
        FoldError: the source is damaged.
    """
    found = _QUIET | dict.fromkeys(_HOMES, str(scratch))
    if job.kind in _KERAS:
        is_legacy = read_keras_file(job.source).is_legacy
        found |= {"TF_USE_LEGACY_KERAS": "1"} if is_legacy else {_CHOSEN: _backend()}
    return found


def _backend() -> str:
    """What the user has chosen, else the first that is there with its converter."""
    there = (one for one, converter in _BACKENDS.items() if find_spec(one) and find_spec(converter))
    return os.environ.get(_CHOSEN) or next(there, next(iter(_BACKENDS)))
