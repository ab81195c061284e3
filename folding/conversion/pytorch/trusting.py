"""What a job has on files: the source, which may run code as it is read, and samples."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

from folding.conversion.job import Job, Kind
from folding.conversion.pytorch.runs import failures, first_line
from folding.conversion.samples import Feed
from folding.equivalence.input_files import archive
from folding.errors import BadCall, BadModel, StorageFailed

_WHY = {
    Kind.EXPORTED_PROGRAM: "may hold pickled objects, which run code as they are read",
    Kind.TORCHSCRIPT: "is a program of its own, with operators that read and write files",
}
_DAMAGED: tuple[type[Exception], ...] = (EOFError, pickle.UnpicklingError, zipfile.BadZipFile)


def require_trust(job: Job) -> None:
    """Refuse a file unless the user trusts it.

    Raises:
        BadCall: they did not say so.
    """
    if not job.trust:
        text = f"{job.source.name!r} {_WHY[job.kind]}"
        raise BadCall(text, hint="Convert it with --trust if you trust where it comes from.")


def loaded(job: Job, load: Callable[[str], Any]) -> Any:
    """What PyTorch reads from the source.

    Raises:
        BadModel: it cannot.
        StorageFailed: nor can anybody.
    """
    try:
        return load(str(job.source))
    except OSError as error:
        text = f"cannot read {job.source.name!r}: {error.strerror or error}"
        raise StorageFailed(text) from error
    except (*failures(), *_DAMAGED) as error:
        text = f"PyTorch cannot read {job.source.name!r}: {first_line(error)}"
        raise BadModel(text, hint="Save or copy it again, by a version no newer.") from error


def samples_of(job: Job, title: str, names: Sequence[str]) -> Feed:
    """The samples, for a source that does not say what shapes it takes.

    Raises:
        BadCall: there are none.
        StorageFailed: they cannot be read.
    """
    if job.samples is None:
        raise BadCall(f"{title} does not say what shapes it takes", hint=_way(job, names))
    try:
        return archive(job.samples)
    except OSError as error:
        text = f"cannot read {str(job.samples)!r}: {error.strerror or error}"
        raise StorageFailed(text) from error


def _way(job: Job, names: Sequence[str]) -> str:
    """How samples are given: by the option of the command, or to the function."""
    if job.kind is Kind.TORCHSCRIPT:
        arrays = ", ".join(f"{name}=..." for name in names)
        return (
            "Give --sample-inputs FILE.npz (to lint: --inputs FILE.npz), an archive as"
            f" numpy.savez('FILE.npz', {arrays}) writes it; the first axis is the batch."
        )
    arrays = ", ".join(f"{name!r}: ..." for name in names)
    return f"Give sample_inputs={{{arrays}}}, arrays whose first axis is the batch."
