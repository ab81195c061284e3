"""What the process does that converts: one job, in an environment of its own.

It is started by ``child``, which kills it if need be and believes nothing that it answers.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from folding.conversion.environment import environment
from folding.conversion.job import Job, Kind, Product
from folding.conversion.products import as_plain
from folding.errors import BadModel, LeftInTraining, StorageFailed

#: The file of the scratch folder that whatever is printed goes to.
SAID = "said"
#: How long it may get, and how often that is looked at, in seconds.
_LONGEST, _OFTEN = 1 << 24, 0.5
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_STREAMS = (1, 2)


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
    _listen(Path(scratch, SAID))
    os.chdir(scratch)
    tempfile.tempdir = scratch
    with _clear(job):
        os.environ.update(environment(job, Path(scratch)))
        return as_plain(_product(job, route))


def _product(job: Job, route: str) -> Product:
    """What a route makes of a job; of a source in training mode what is to be said of it."""
    module, name = route.split(":")
    try:
        product: Product = getattr(importlib.import_module(module), name)(job)
    except LeftInTraining as refusal:
        if not job.for_lints:
            raise
        return Product("", "", (), (), unchecked=str(refusal), lints=refusal.lints)
    return product


def _listen(path: Path) -> None:
    """Let all that is printed, by Python, by C or by another program, go to a file.

    A pipe that nobody empties would stop whoever prints too much, or fail.
    """
    log = path.open("a", buffering=1, encoding="utf-8", errors="backslashreplace")
    for stream in _STREAMS:
        os.dup2(log.fileno(), stream)
    sys.stdout = sys.stderr = log
    threading.Thread(target=_keep_short, args=(log.fileno(),), daemon=True).start()


def _keep_short(descriptor: int) -> None:
    while True:
        time.sleep(_OFTEN)
        if os.fstat(descriptor).st_size > _LONGEST:
            os.ftruncate(descriptor, 0)


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
