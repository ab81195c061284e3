"""The user's inputs in files: .npz archives, and folders of ``input_0.pb`` as ONNX's own tests.

Nothing pickled is ever loaded, and no file can lead to another one.
"""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto, numpy_helper

from folding.equivalence.feeds import Array, Feed, required
from folding.equivalence.input_paths import check_kind, input_folders, numbered
from folding.errors import BadCall, StorageFailed

#: What numpy, zipfile and onnx raise for files that are not what they seem.
_DAMAGED = (
    EOFError,
    KeyError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def read(path: Path, model: ModelProto) -> Iterator[tuple[str, Feed]]:
    """Each set of inputs in a file or a folder, with what to call it in messages.

    Raises:
        BadCall: there are none, or they are damaged.
        StorageFailed: the operating system refuses.
    """
    try:
        check_kind(path)
        if not path.is_dir():
            yield repr(str(path)), archive(path)
            return
        for folder in input_folders(path):
            yield repr(str(folder)), _folder(folder, model)
    except OSError as error:
        raise StorageFailed(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    except MemoryError as error:
        raise StorageFailed(f"{str(path)!r} holds arrays larger than the memory") from error


def archive(path: Path) -> Feed:
    """The arrays in a .npz by their names.

    Raises:
        BadCall: it is none.
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except _DAMAGED as error:
        hint = "Save it with numpy.savez, without pickled objects."
        raise BadCall(f"{str(path)!r} is no .npz file of plain arrays", hint=hint) from error


def _folder(folder: Path, model: ModelProto) -> Feed:
    """By the names in the files, or in the order of the required inputs if none has a name."""
    paths = numbered(folder)
    for number in range(len(paths)):
        if number not in paths:
            raise BadCall(f"{str(folder)!r} lacks input_{number}.pb", hint="Number them from 0.")
    tensors = [_tensor(paths[number]) for number in range(len(paths))]
    arrays = [_array(paths[number], tensor) for number, tensor in enumerate(tensors)]
    named = [tensor.name for tensor in tensors]
    if any(named):
        _check_names(paths, named, model)
    else:
        named = [value.name for value in required(model)]
    if len(tensors) > len(named):
        count = f"the model requires only {len(named)} inputs"
        raise BadCall(f"{str(paths[len(named)])!r} is no input: {count}", hint="Take it away.")
    return dict(zip(named, arrays))  # noqa: B905 - load names what is missing


def _check_names(paths: Mapping[int, Path], named: Sequence[str], model: ModelProto) -> None:
    """Each must be another input's: by the order alone nothing would be known of the rest."""
    known = [value.name for value in model.graph.input]
    for number, name in enumerate(named):
        file = repr(str(paths[number]))
        if not name:
            hint = "Name all tensors after inputs, or none."
            raise BadCall(f"{file} holds a tensor without a name, others have one", hint=hint)
        if name not in known:
            hint = f"Its inputs: {', '.join(known)}; tensors without names are taken in order."
            raise BadCall(f"{file} holds {name!r}, which is no input of the model", hint=hint)
        if name in named[:number]:
            raise BadCall(f"{file} holds the input {name!r} again", hint="Give each input once.")


def _tensor(path: Path) -> TensorProto:
    check_kind(path)
    try:
        tensor = TensorProto.FromString(path.read_bytes())
    except DecodeError as error:
        raise _no_tensor(path) from error
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        hint = "Save it with onnx.numpy_helper.from_array."
        raise BadCall(f"{str(path)!r} keeps its data in another file", hint=hint)
    return tensor


def _array(path: Path, tensor: TensorProto) -> Array:
    if any(size < 0 for size in tensor.dims):
        raise _no_tensor(path)
    try:
        return numpy_helper.to_array(tensor)
    except _DAMAGED as error:
        raise _no_tensor(path) from error


def _no_tensor(path: Path) -> BadCall:
    hint = "Write a TensorProto, as onnx.numpy_helper.from_array makes."
    return BadCall(f"{str(path)!r} holds no tensor that can be read", hint=hint)
