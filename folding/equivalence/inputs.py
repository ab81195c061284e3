"""What the models are run on: the user's own inputs, or seeded random ones."""

from __future__ import annotations

import os
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, ValueInfoProto, helper

from folding.errors import BadCall, StorageFailed

Feed = dict[str, npt.NDArray[Any]]
Inputs = Mapping[str, npt.ArrayLike] | str | os.PathLike[str]

SEED = 0
#: Sizes to try for dimensions that the model leaves open; a leading one, the batch, is 2 or 1.
OPEN_SIZES = (2, 1, 8, 32, 224)
_MOST_ELEMENTS = 1 << 24
_PIECE = 1 << 15

#: What numpy and zipfile raise for files that are not what they seem.
_DAMAGED = (
    EOFError,
    KeyError,
    NotImplementedError,
    OverflowError,
    SyntaxError,
    TypeError,
    ValueError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def required(model: ModelProto) -> list[ValueInfoProto]:
    """The inputs that a caller must give."""
    given = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in given]


def load(inputs: Inputs, model: ModelProto) -> Feed:
    """The user's inputs, for every required input of the model.

    Args:
        inputs: arrays by input name, or the path of an .npz file with them.
        model: the model to be run.

    Raises:
        BadCall: one is missing, unknown, or of another type or rank.
        StorageFailed: the file cannot be read.
    """
    given = _read(Path(inputs)) if isinstance(inputs, (str, os.PathLike)) else dict(inputs)
    known = {value.name: value for value in model.graph.input}
    feed: Feed = {}
    for name, values in given.items():
        if name not in known:
            raise BadCall(
                f"the model has no input {name!r}", hint=f"Its inputs: {', '.join(known)}."
            )
        feed[name] = _fitting(known[name], np.asarray(values))
    missing = [value.name for value in required(model) if value.name not in feed]
    if missing:
        raise BadCall(f"the inputs lack {missing[0]!r}", hint="Give an array for every input.")
    return feed


def _read(path: Path) -> dict[str, npt.ArrayLike]:
    try:
        with path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except _DAMAGED as error:
        hint = "Save it with numpy.savez, without pickled objects."
        raise BadCall(f"{str(path)!r} is no .npz file of plain arrays", hint=hint) from error
    except OSError as error:
        raise StorageFailed(f"cannot read {str(path)!r}: {error.strerror or error}") from error


def _fitting(value: ValueInfoProto, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if value.type.WhichOneof("value") != "tensor_type":
        raise BadCall(f"input {value.name!r} is no tensor; only tensors can be given")
    tensor = value.type.tensor_type
    wanted = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    if array.dtype != wanted:
        raise BadCall(f"input {value.name!r} is {wanted}, the array given is {array.dtype}")
    dims = [d.dim_value or None for d in tensor.shape.dim]
    fits = len(dims) == array.ndim and all(
        d in (None, n) for d, n in zip(dims, array.shape, strict=True)
    )
    if tensor.HasField("shape") and not fits:
        shape = "x".join("?" if d is None else str(d) for d in dims)
        raise BadCall(f"input {value.name!r} is {shape}, the array given is {array.shape}")
    return array


def random_feed(model: ModelProto, open_size: int, *, truth: bool = False) -> Feed | None:
    """Seeded inputs with open dimensions of that size; None if one is no tensor, or too large."""
    rng = np.random.default_rng(SEED)
    feed: Feed = {}
    for value in required(model):
        if value.type.WhichOneof("value") != "tensor_type":
            return None
        tensor = value.type.tensor_type
        shape = [d.dim_value or open_size for d in tensor.shape.dim]
        if shape and not tensor.shape.dim[0].dim_value:
            shape[0] = min(open_size, 2)
        if prod(shape) > _MOST_ELEMENTS:
            return None
        dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        if dtype.kind == "b":
            feed[value.name] = np.full(shape, truth)
        elif dtype.kind in "iu":
            feed[value.name] = rng.integers(0, 2, shape).astype(dtype)
        elif dtype.kind == "O":
            feed[value.name] = np.full(shape, "a", object)
        else:
            feed[value.name] = _normal(rng, shape, dtype)
    return feed


def _normal(rng: np.random.Generator, shape: list[int], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Normal numbers. They are drawn in float64, so not all at once."""
    drawn = np.empty(prod(shape), dtype)
    for start in range(0, drawn.size, _PIECE):
        piece = drawn[start : start + _PIECE]
        piece[:] = rng.standard_normal(piece.size)
    return drawn.reshape(shape)
