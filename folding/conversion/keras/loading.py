"""Loading a Keras file, and saying why it cannot be in one sentence."""

from __future__ import annotations

import re
import sys
from contextlib import nullcontext
from typing import Any

from folding.conversion.keras.file import KerasFile
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
    try:
        if not trust:
            _refuse_code()
        with mended(library) if file.is_legacy else nullcontext():
            return library.saving.load_model(str(file.path), compile=False, safe_mode=not trust)
    except _FAULTS as error:
        raise _explained(file, str(error)) from error


def _refuse_code() -> None:
    """Let this process make no function of stored code, wherever a description hides some."""

    def refused(*args: Any, **kwargs: Any) -> Any:
        raise ValueError("unsafe deserialization of a function")

    for name in _MAKERS:
        if name in sys.modules:
            vars(sys.modules[name])["func_load"] = refused


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
