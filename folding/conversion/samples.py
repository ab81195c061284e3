"""What the framework and the graph are both run on, and the files that it is kept in.

Where the user gives no samples some are made up: the same seed gives the same ones. The first axis
of an input is the batch if it is open; where that of any input is fixed, there is one batch only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from folding.conversion.job import Job
from folding.equivalence.input_files import archive
from folding.errors import BadCall, StorageFailed

Array = npt.NDArray[Any]
Feed = dict[str, Array]

#: What the names of arrays begin with in a file of references.
IN, OUT = "in_", "out_"
#: The size of what is open besides the batch; large enough for a few windows and strides.
_OPEN = 32
#: Types of one byte are mostly pictures.
_BYTE = 1
#: How far from zero whole numbers are that a source need not take: half of them are near.
_NEAR, _FAR = 9, 300


@dataclass(frozen=True, slots=True)
class Spec:
    """What an input takes. A size that is open is None; one of less than 1 is open, too."""

    shape: Sequence[int | None]
    dtype: npt.DTypeLike

    @property
    def sizes(self) -> tuple[int | None, ...]:
        """The sizes, None where they are open."""
        return tuple(None if size is None or size < 1 else int(size) for size in self.shape)

    @property
    def has_batch(self) -> bool:
        """Whether its first axis is open."""
        return bool(self.shape) and self.sizes[0] is None


def sample_inputs(job: Job, inputs: Mapping[str, Spec]) -> Iterator[Feed]:
    """Inputs for each batch size of a job, by the source's names.

    Raises:
        BadCall: the user's samples do not fit the inputs.
        StorageFailed: they cannot be read.
    """
    given = None if job.samples is None else _given(job.samples, inputs)
    for batch in _batches(job, inputs, given):
        if given is not None:
            yield {name: _part(given[name], spec, batch) for name, spec in inputs.items()}
        else:
            yield {
                name: _made(spec, batch, np.random.default_rng([job.seed, batch, place]))
                for place, (name, spec) in enumerate(inputs.items())
            }


def further_inputs(job: Job, inputs: Mapping[str, Spec]) -> Feed | None:
    """Inputs that a source may refuse: whole numbers below zero and large ones, and mixed masks.

    What converters get wrong of those shows nowhere else. A single flag stays off, as it may be
    that for training.

    Returns:
        None where the user gives samples, or nothing takes whole numbers or masks.
    """
    kinds = {np.dtype(spec.dtype).kind for spec in inputs.values()}
    if job.samples is not None or kinds.isdisjoint("biu"):
        return None
    batch = _batches(job, inputs, None)[-1]
    return {
        name: _further(_made(spec, batch, rng), rng)
        for place, (name, spec) in enumerate(inputs.items())
        for rng in [np.random.default_rng([job.seed, batch, place, 1])]
    }


def _further(usual: Array, rng: np.random.Generator) -> Array:
    if usual.dtype.kind == "b" and usual.ndim:
        return rng.integers(0, 2, usual.shape).astype(bool)
    if usual.dtype.kind not in "iu":
        return usual
    limits = np.iinfo(usual.dtype)
    near, far = (rng.integers(-most, most + 1, usual.shape) for most in (_NEAR, _FAR))
    numbers = np.where(rng.integers(0, 2, usual.shape), near, far)
    return np.clip(numbers, limits.min, limits.max).astype(usual.dtype)


def has_numbers_alone(values: npt.ArrayLike) -> bool:
    """Whether none of them is NaN or an infinity."""
    array = _plain(values)
    return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())


def _batches(job: Job, inputs: Mapping[str, Spec], given: Feed | None) -> list[int]:
    if not inputs or not all(spec.has_batch for spec in inputs.values()):
        return list(job.batches[:1])
    if given is None:
        return list(job.batches)
    rows = min(len(array) for array in given.values())
    return sorted({min(batch, rows) for batch in job.batches})


def _part(array: Array, spec: Spec, batch: int) -> Array:
    return array[:batch] if spec.has_batch else array


def _made(spec: Spec, batch: int, rng: np.random.Generator) -> Array:
    open_sizes = [batch if spec.has_batch else _OPEN, *[_OPEN] * len(spec.shape)]
    shape = [o if size is None else size for size, o in zip(spec.sizes, open_sizes, strict=False)]
    dtype = np.dtype(spec.dtype)
    if dtype.kind == "b":
        return np.zeros(shape, dtype)
    if dtype.kind in "OSU":
        return np.full(shape, "a", dtype)
    if dtype.kind in "iu":
        most = int(np.iinfo(dtype).max) if dtype.itemsize == _BYTE else 1
        return rng.integers(0, most, shape, dtype, endpoint=True)
    return rng.normal(size=shape).astype(dtype)


def _given(path: Path, inputs: Mapping[str, Spec]) -> Feed:
    """The user's samples, once they fit."""
    try:
        found = archive(path)
    except OSError as error:
        raise StorageFailed(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    known = f"Give each of {', '.join(map(repr, inputs))}."
    for name in found:
        if name not in inputs:
            text = f"the samples {str(path)!r} have {name!r}, which is no input of the source"
            raise BadCall(text, hint=known)
    return {name: _fitting(path, found.get(name), name, spec) for name, spec in inputs.items()}


def _fitting(path: Path, array: Array | None, name: str, spec: Spec) -> Array:
    if array is None:
        text = f"the samples {str(path)!r} have no array {name!r}"
        raise BadCall(text, hint="Give one for each input of the source.")
    sizes = spec.sizes
    fits = array.ndim == len(sizes) and all(
        wanted in (None, size) for wanted, size in zip(sizes, array.shape, strict=True)
    )
    shown = "x".join("?" if size is None else str(size) for size in sizes) or "a scalar"
    if not fits or 0 in array.shape:
        text = f"the samples {name!r} have the shape {'x'.join(map(str, array.shape))}"
        raise BadCall(text, hint=f"The source takes {shown}, and at least one example.")
    if not np.can_cast(array.dtype, spec.dtype, "same_kind"):
        text = f"the samples {name!r} are of type {array.dtype}"
        raise BadCall(text, hint=f"The source takes {np.dtype(spec.dtype)}.")
    return array.astype(spec.dtype)


def write_reference(
    job: Job, number: int, inputs: Mapping[str, npt.ArrayLike], outputs: Mapping[str, npt.ArrayLike]
) -> str:
    """Keep what the framework was given and what it computed, both by the graph's names.

    Returns:
        The name of the file, for ``Product.references``.
    """
    arrays = {IN + name: _plain(array) for name, array in inputs.items()}
    arrays |= {OUT + name: _plain(array) for name, array in outputs.items()}
    return _write(job, f"reference-{number}.npz", arrays)


def write_statistics(job: Job, number: int, arrays: Mapping[str, npt.ArrayLike]) -> str:
    """Keep the arrays of one normalisation.

    Returns:
        The name of the file, for ``Statistics.arrays``.
    """
    found = {name: _plain(array) for name, array in arrays.items()}
    return _write(job, f"statistics-{number}.npz", found)


def _write(job: Job, name: str, arrays: Feed) -> str:
    np.savez(job.folder / name, allow_pickle=False, **arrays)
    return name


def _plain(values: npt.ArrayLike) -> Array:
    """As a .npz can hold it: types that numpy lacks are widened, texts need no pickle."""
    array = np.asarray(values)
    if array.dtype.kind in "OS":
        return array.astype(np.str_)
    return array if array.dtype.isbuiltin == 1 else array.astype(np.float32)
