"""How many steps a Keras model was trained for, as its optimizer counts them.

A file is loaded without its optimizer, so the count is looked up in the file.
"""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from folding.conversion.job import Job, Kind
from folding.conversion.tf1.loading import checkpoint_of, graphs_of

_WEIGHTS, _COUNT = "model.weights.h5", "optimizer/vars/0"
_OPTIMIZER = "optimizer_weights"
#: What the count is called in an .h5, by Keras 3 and 2, and by the optimizers before them.
_NAMED = re.compile(r"(^|/)iter(ation)?(:0)?$")
#: What it is called in a SavedModel, and the weight of new statistics in an update.
_COUNTERS = ("optimizer/_iterations", "optimizer/iter", "global_step", "step")
_DECAY = "AssignMovingAvg/decay"
_FACTOR = "exponential_avg_factor"
#: Larger weights are not read once more for a lint.
_MOST_BYTES = 1 << 29


def trained_steps(model: Any, job: Job) -> int | None:
    """The count of a live model or of the file it was loaded from; None if there is none."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        return int(optimizer.iterations.numpy()) or None
    if job.kind is Kind.KERAS_H5:
        return _in_hdf5(job.source) or None
    if zipfile.is_zipfile(job.source):
        return _in_archive(job) or None
    return None


def _in_archive(job: Job) -> int:
    import h5py

    with zipfile.ZipFile(job.source) as archive:
        if _WEIGHTS not in archive.namelist():
            return 0
        if archive.getinfo(_WEIGHTS).file_size > _MOST_BYTES:
            return 0
        with h5py.File(io.BytesIO(archive.read(_WEIGHTS))) as file:
            return _count(file.get(_COUNT))


def _in_hdf5(path: Any) -> int:
    import h5py

    found: list[int] = []

    def look(name: str, part: Any) -> None:
        if _NAMED.search(name):
            found.append(_count(part))

    with h5py.File(path) as file:
        if _OPTIMIZER in file:
            file[_OPTIMIZER].visititems(look)
    return max(found, default=0)


def _count(part: Any) -> int:
    """A single whole number; 0 for anything else."""
    is_count = getattr(part, "shape", None) == () and part.dtype.kind in "iu"
    return int(part[()]) if is_count else 0


def served_history(folder: Path) -> tuple[float | None, int | None]:
    """The momentum of the averages in a SavedModel, if it is one, and how often they were updated.

    Keras 2 keeps the functions for training beside those that are served, and its optimizer.
    """
    decays = {
        weight
        for graph in graphs_of(folder)
        for function in graph.graph_def.library.function
        for weight in filter(None, map(_weight_of_new, function.node_def))
    }
    momentum = float(str(np.float32(1 - decays.pop()))) if len(decays) == 1 else None
    prefix = str(folder / "variables" / "variables")
    variables = checkpoint_of(prefix)
    keys = (f"{name}/.ATTRIBUTES/VARIABLE_VALUE" for name in _COUNTERS)
    counts = [_count(variables.get_tensor(key)) for key in keys if variables.has_tensor(key)]
    return momentum, max(counts, default=0) or None


def _weight_of_new(node: Any) -> float | None:
    """How much of an average a node for training takes from each batch."""
    if node.name.endswith(_DECAY):
        return next(iter(node.attr["value"].tensor.float_val), None)
    weight = node.attr[_FACTOR].f if node.op.startswith("FusedBatchNorm") else 1
    return weight if 0 < weight < 1 else None
