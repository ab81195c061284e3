"""Loading a Keras file, and saying why it cannot be in one sentence."""

from __future__ import annotations

import re
import sys
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from folding.conversion.contained import is_contained
from folding.conversion.keras.file import WEIGHTS, KerasFile
from folding.conversion.keras.found import judging
from folding.conversion.keras.reach import linked
from folding.conversion.keras.virtual_batches import mended
from folding.errors import BadCall, BadModel

#: How Keras 3 and Keras 2 say that a class is none of theirs.
_UNKNOWN = re.compile(
    r"Could not (?:locate|deserialize) (?:class|function) '(?P<new>[^']+)'"
    r"|Cannot deserialize object of type `(?P<lost>[^`]+)`"
    r"|Unknown [a-z ]+: '?(?P<old>[\w>]+)'?"
)
#: Where Keras says what is behind an error that it wraps into its own.
_BEHIND = re.compile(r"(?:Exception|Error) encountered[^:]*:\s*(?P<text>\S.*)")
_UNSAFE = re.compile(r"safe_mode|unsafe deserialization|disallowed", re.IGNORECASE)
#: Where Keras 2 and Keras 3 make functions of the code in a file.
_MAKERS = ("tf_keras.src.utils.generic_utils", "keras.src.utils.python_utils")
#: Where Keras 2 finds the classes and functions that a .keras file names.
_FINDER, _FINDS = "tf_keras.src.saving.serialization_lib", "_retrieve_class_or_fn"
_FAULTS = (
    AttributeError,
    ImportError,
    IndexError,
    KeyError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def load(library: Any, file: KerasFile, *, trust: bool) -> Any:
    """The model, without what it was trained with.

    Raises:
        BadCall: it holds code, and is not trusted.
        BadModel: it is damaged, or a class of it is unknown here.
    """
    file.require_contained(trust=trust)
    if not trust:
        _require_contained(file)
    try:
        if not trust:
            _refuse_code()
        mending = mended(library) if file.is_legacy else nullcontext()
        with mending, _ending_well(file.path) as path:
            return library.saving.load_model(path, compile=False, safe_mode=not trust)
    except _FAULTS as error:
        raise _explained(file, str(error)) from error


@contextmanager
def _ending_well(path: Path) -> Iterator[str]:
    """The path of a file, or of a link to it that ends as Keras wants its format to."""
    endings = (".keras",) if zipfile.is_zipfile(path) else (".h5", ".hdf5")
    if path.name.endswith(endings):
        yield str(path)
        return
    with TemporaryDirectory() as folder:
        link = Path(folder, f"model{endings[0]}")
        link.symlink_to(path.absolute())
        yield str(link)


def _require_contained(file: KerasFile) -> None:
    """Refuse arrays that lie in other files, and operators that may do more than compute."""
    for part, other in _elsewhere(file):
        raise file.reads(part, other)
    for layer, described in file.operators if file.is_legacy else ():
        from google.protobuf.json_format import ParseDict, ParseError
        from tensorflow.core.framework.node_def_pb2 import NodeDef

        try:
            node = ParseDict(described, NodeDef())
        except ParseError as error:
            text = f"{layer} of {str(file.path)!r} cannot be read: {error}"
            raise BadModel(text, hint="Save it again.") from error
        if not is_contained(node):
            text = f"{layer} of {str(file.path)!r} may use files, the network or foreign code"
            hint = "Convert it with --trust if you know who made it: it is run to compare results."
            raise BadCall(f"{text}: it is {node.op}", hint=hint)


def _elsewhere(file: KerasFile) -> list[tuple[str, str]]:
    """The arrays of a file that lie in other files, and those."""
    import h5py

    try:
        with ExitStack() as stack:
            arrays: Any = file.path
            if zipfile.is_zipfile(file.path):
                archive = stack.enter_context(zipfile.ZipFile(file.path))
                arrays = stack.enter_context(archive.open(WEIGHTS))
            return linked(stack.enter_context(h5py.File(arrays, "r")))
    except (*_FAULTS, zipfile.BadZipFile, EOFError) as error:
        raise _explained(file, str(error)) from error


def _refuse_code() -> None:
    """Let this process make no function of stored code, wherever a description hides some."""

    def refused(*args: Any, **kwargs: Any) -> Any:
        raise ValueError("unsafe deserialization of a function")

    for name in _MAKERS:
        if name in sys.modules:
            vars(sys.modules[name])["func_load"] = refused
    if _FINDER in sys.modules:
        known = vars(sys.modules[_FINDER])
        known[_FINDS] = judging(known[_FINDS])


def _explained(file: KerasFile, message: str) -> BadCall | BadModel:
    unknown = _UNKNOWN.search(message)
    if unknown:
        name = unknown["new"] or unknown["lost"] or unknown["old"]
        return BadModel(
            f"{str(file.path)!r} uses {name!r}, which Keras {file.version} does not have",
            hint="Convert the model itself, with folding.convert, in the program that defines it.",
        )
    if _UNSAFE.search(message):
        return BadCall(
            f"{str(file.path)!r} holds code",
            hint="Give --trust if you know where the file comes from: loading it runs that code.",
        )
    behind = _BEHIND.findall(message)
    first = (behind or [message.strip().partition("\n")[0]])[-1].strip()
    text = f"Keras cannot load {str(file.path)!r}, of Keras {file.version}: {first}"
    return BadModel(text, hint="Copy or save it again.")
