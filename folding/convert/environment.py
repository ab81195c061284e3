"""What a process must have in its environment before it imports a framework.

Which backend Keras computes with, and whether TensorFlow has Keras 2 or 3, is settled by the first
import, so that is decided by the source: from its kind, and a peek into what it says of itself.
"""

from __future__ import annotations

import json
import zipfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from folding.convert.job import Job, Kind

_KERAS = (Kind.KERAS, Kind.KERAS_H5)
#: Modules that make a backend of Keras, and one that brings it to ONNX, the favourite first.
_BACKENDS = {"tensorflow": "tf2onnx", "torch": "onnxscript", "jax": "jax2onnx"}


def environment(job: Job, scratch: Path, given: dict[str, str]) -> dict[str, str]:
    """The variables to set.

    Args:
        job: what is to be converted.
        scratch: a folder for whatever a framework writes to the user's home.
        given: what there is already; a backend that the user has chosen stays.
    """
    found = {
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "KERAS_HOME": str(scratch),
        "XDG_CACHE_HOME": str(scratch),
        "TMPDIR": str(scratch),
    }
    if is_legacy_keras(job):
        found["TF_USE_LEGACY_KERAS"] = "1"
    elif job.kind in _KERAS:
        found["KERAS_BACKEND"] = given.get("KERAS_BACKEND") or _backend()
    return found


def is_legacy_keras(job: Job) -> bool:
    """Whether a source was saved by Keras 2."""
    version = ""
    if job.kind is Kind.KERAS:
        version = _of_archive(job.source)
    elif job.kind is Kind.KERAS_H5:
        version = _of_hdf5(job.source)
    return version.startswith("2.")


def _backend() -> str:
    complete = (b for b, converter in _BACKENDS.items() if find_spec(b) and find_spec(converter))
    return next(complete, "tensorflow")


def _of_archive(path: Path) -> str:
    with suppress(OSError, KeyError, ValueError, zipfile.BadZipFile):
        with zipfile.ZipFile(path) as archive:
            metadata: Any = json.loads(archive.read("metadata.json"))
        if isinstance(metadata, dict):
            return str(metadata.get("keras_version", ""))
    return ""


def _of_hdf5(path: Path) -> str:
    import h5py  # noqa: PLC0415 - only who converts such a file has it

    with suppress(OSError), h5py.File(path) as file:
        version = file.attrs.get("keras_version", "")
        return version.decode() if isinstance(version, bytes) else str(version)
    return ""
