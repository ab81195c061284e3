"""What the process does that converts: one job, in an environment of its own.

It is started by ``child``, which kills it if need be and believes nothing that it answers.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from folding.convert.environment import environment
from folding.convert.job import Job, Kind, Product
from folding.convert.products import as_plain
from folding.errors import BadModel, StorageFailed

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_STANDARD_ERROR = 2


class Said(io.TextIOBase):
    """What Python prints, on standard error as far as that takes it; the rest is lost.

    Nobody reads it until the process has ended, so waiting would never end.
    """

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return _STANDARD_ERROR

    def write(self, text: str) -> int:
        with suppress(OSError):
            os.write(_STANDARD_ERROR, text.encode(errors="backslashreplace"))
        return len(text)


def run(job: Job, route: str, scratch: str) -> dict[str, Any]:
    """Convert.

    Args:
        job: what and how.
        route: the function for it, as ``module:function``.
        scratch: a folder for whatever is written besides.

    Returns:
        The product as plain data.

    Raises:
        FoldError: the source cannot be converted, or not like that.
    """
    sys.stdout = sys.stderr = Said()
    os.dup2(_STANDARD_ERROR, 1)
    os.chdir(scratch)
    tempfile.tempdir = scratch
    with _clear(job):
        os.environ.update(environment(job, Path(scratch)))
        module, name = route.split(":")
        product: Product = getattr(importlib.import_module(module), name)(job)
    return as_plain(product)


@contextmanager
def _clear(job: Job) -> Iterator[None]:
    """Say of what no route foresees what it means."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        text = f"cannot keep what is made of {job.source.name!r}: {error.strerror}"
        raise StorageFailed(text, hint="Let TMPDIR name a folder with room.") from error
    except zipfile.BadZipFile as error:
        if job.kind not in (Kind.KERAS, Kind.EXPORTED_PROGRAM, Kind.TORCHSCRIPT):
            raise
        text = f"{job.source.name!r} is damaged: {error}"
        raise BadModel(text, hint="Save or copy it again.") from error
