"""What a process must have in its environment before it imports a framework.

Which backend Keras computes with, and whether TensorFlow has Keras 2 or 3, is settled by the first
import, so that is decided by the source: from its kind, and a peek into what it says of itself.
"""

from __future__ import annotations

from pathlib import Path

from folding.convert.job import Job, Kind
from folding.convert.keras import choice
from folding.convert.keras.file import read_keras_file

_KERAS = (Kind.KERAS, Kind.KERAS_H5)
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
        FoldError: the source is damaged, or no framework here can read it.
    """
    found = _QUIET | dict.fromkeys(_HOMES, str(scratch))
    if job.kind in _KERAS:
        found |= choice.environment(read_keras_file(job.source))
    return found
