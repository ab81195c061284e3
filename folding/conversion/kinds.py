"""What a source is, by its content and not by its name alone.

Nothing of it is run or unpickled for that, and no framework is needed.
"""

from __future__ import annotations

import glob
import mmap
import os
import zipfile
from collections.abc import Collection
from pathlib import Path

from folding.conversion.job import Kind
from folding.conversion.protobufs import kind_of_protobuf
from folding.errors import BadCall, BadModel, StorageFailed

#: What a source may be, for a sentence.
SOURCES = (
    "a .keras or .h5 file of Keras, a SavedModel folder, a frozen .pb or a .meta of TensorFlow, a"
    " .pt2 or TorchScript file of PyTorch, or a .tflite file"
)
_EXPECTED = f"Give {SOURCES}."
_HDF5, _ZIP, _TFLITE, _PICKLE = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"TFL3", b"\x80"
_HEAD = 16
_KERAS_PARTS = ("config.json", "metadata.json", "model.weights.h5")
_VARIABLES = (b"VarHandleOp", b"VariableV2", b"VarIsInitializedOp")
#: What holds the graph of a SavedModel, and what holds it as text.
SAVED_GRAPH, _AS_TEXT = "saved_model.pb", "saved_model.pbtxt"


def kind_of(path: Path) -> tuple[Kind, Path]:
    """What is at a path, and where it begins: the prefix of a checkpoint stands for its .meta.

    Raises:
        BadCall: it is nothing that can be converted.
        BadModel: it is a part of something, or damaged.
        StorageFailed: it cannot be read.
    """
    try:
        if path.is_dir():
            return _kind_of_folder(path), path
        if not path.exists():
            return Kind.META_GRAPH, _meta_of(path)
        if not path.is_file():
            raise BadCall(f"{str(path)!r} is no regular file", hint=_EXPECTED)
        return _kind_of_file(path), path
    except OSError as error:
        raise StorageFailed(f"cannot read {str(path)!r}: {error.strerror or error}") from error


def _meta_of(path: Path) -> Path:
    """The .meta of a checkpoint that was given by its prefix."""
    meta = path.with_name(f"{path.name}.meta")
    if not path.name or not meta.is_file():
        raise StorageFailed(f"cannot read {str(path)!r}: No such file or directory")
    if kind_of_protobuf(meta) is not Kind.META_GRAPH:
        raise BadModel(f"{str(meta)!r} is no graph of TensorFlow 1", hint=_EXPECTED)
    _check_checkpoint(meta)
    return meta


def _kind_of_folder(folder: Path) -> Kind:
    names = {entry.name for entry in folder.iterdir()}
    if SAVED_GRAPH in names:
        _check_variables(folder)
        return Kind.SAVED_MODEL
    if _AS_TEXT in names:
        text = f"{str(folder)!r} is a SavedModel as text: it has {_AS_TEXT}, and no {SAVED_GRAPH}"
        raise BadCall(text, hint="Save it again with as_text=False.")
    if names & {"variables", "fingerprint.pb", "keras_metadata.pb"}:
        text = f"{str(folder)!r} is half a SavedModel: it has no {SAVED_GRAPH}"
        raise BadModel(text, hint="Copy or save the whole folder again.")
    metas = sorted(name for name in names if name.endswith(".meta"))
    if metas:
        text = f"{str(folder)!r} is a folder of TensorFlow 1 checkpoints"
        raise BadCall(text, hint=f"Name one of them, such as {str(folder / metas[-1])!r}.")
    raise BadCall(f"the folder {str(folder)!r} is no SavedModel", hint=_EXPECTED)


def _check_variables(folder: Path) -> None:
    """A graph with variables needs what they hold: an index, and all the data that it names."""
    if not _has(folder / SAVED_GRAPH, _VARIABLES):
        return
    variables = folder / "variables"
    for pattern in ("variables.index", "variables.data-*"):
        if not any(variables.glob(pattern)):
            text = f"{str(folder)!r} is half a SavedModel: it has no variables/{pattern}"
            raise BadModel(text, hint="Copy or save the whole folder again.")


def _kind_of_file(path: Path) -> Kind:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        raise BadModel(f"{str(path)!r} is empty", hint=_EXPECTED)
    if head.startswith(_ZIP):
        return _kind_of_archive(path)
    if head.startswith(_HDF5):
        return _kind_of_hdf5(path)
    if head[4:8] == _TFLITE:
        return Kind.TFLITE
    found = _kind_of_other(path)
    if found is None and head.startswith(_PICKLE):
        raise _pickled(path)
    if found is None:
        raise BadCall(f"{str(path)!r} is no model that can be converted", hint=_EXPECTED)
    return found


def _kind_of_other(path: Path) -> Kind | None:
    """What protobuf wrote, or what lies beside a checkpoint."""
    if path.suffix == ".index" or path.suffix.startswith(".data-"):
        meta = path.with_suffix(".meta")
        text = f"{str(path)!r} holds the variables of a checkpoint, but no graph"
        raise BadCall(text, hint=f"Name its graph, {str(meta)!r}.")
    found = kind_of_protobuf(path)
    if found is Kind.META_GRAPH:
        _check_checkpoint(path)
    return found


def _check_checkpoint(meta: Path) -> None:
    prefix = meta.with_suffix("")
    index = Path(f"{prefix}.index")
    if _has(meta, _VARIABLES) and not index.is_file() and not prefix.is_file():
        text = f"{str(meta)!r} is half a checkpoint: {index.name!r} is not beside it"
        raise BadModel(text, hint="Put .meta, .index and .data files of one name together.")
    if index.is_file() and not any(prefix.parent.glob(f"{glob.escape(prefix.name)}.data-*")):
        text = f"{str(meta)!r} is half a checkpoint: {prefix.name + '.data-*'!r} is not beside it"
        raise BadModel(text, hint="Put .meta, .index and .data files of one name together.")


def _kind_of_hdf5(path: Path) -> Kind:
    if not _has(path, (b"model_config",)):
        text = f"{str(path)!r} holds weights, but not the layers that they belong to"
        raise BadModel(text, hint="Save the whole model with model.save().")
    return Kind.KERAS_H5


def _kind_of_archive(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    # NotImplementedError is zipfile's for a version of the format that it does not know, ValueError
    # for a directory whose numbers make no sense.
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise BadModel(f"{str(path)!r} is damaged: {error}", hint="Copy it again.") from error
    if set(_KERAS_PARTS[:2]) & set(names):
        for part in _KERAS_PARTS:
            if part not in names:
                text = f"{str(path)!r} is half a Keras file: it has no {part}"
                raise BadModel(text, hint="Save the model again with model.save().")
        return Kind.KERAS
    inner = {name.partition("/")[2] for name in names}
    if "models/model.json" in inner or "serialized_exported_program.json" in names:
        return Kind.EXPORTED_PROGRAM
    if "constants.pkl" in inner:
        return Kind.TORCHSCRIPT
    if "data.pkl" in inner:
        raise _pickled(path)
    raise BadCall(f"{str(path)!r} is an archive, but not of a model", hint=_EXPECTED)


def _pickled(path: Path) -> BadCall:
    return BadCall(
        f"{str(path)!r} is a pickle, as torch.save writes: weights or objects without a program",
        hint="Load it where its classes are, and save torch.export.export(...) as .pt2, or give"
        " the module itself to folding.convert.",
    )


def _has(path: Path, texts: Collection[bytes]) -> bool:
    """Whether one of some texts is in a file, which may be large."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return any(data.find(text) >= 0 for text in texts)
