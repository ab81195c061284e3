"""Models that are objects of a framework, told by the names of their classes' modules.

Whoever has such an object has imported its framework; nobody else has to.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from folding.conversion.job import Job, Kind, Product
from folding.conversion.routing import LIVE
from folding.errors import BadCall, FoldError, Unconvertible
from folding.source import SourceFile

_KERAS = ("keras", "tf_keras")


@dataclass(frozen=True, slots=True)
class Live:
    """A live model: the object, what it is, and what to call it. It has no files."""

    model: Any
    kind: Kind
    name: str
    files: Sequence[SourceFile] = ()


def live(source: Any) -> Live | None:
    """The live model that an object is; None for what may be a path.

    Raises:
        BadCall: it is neither.
    """
    if isinstance(source, str) or hasattr(source, "__fspath__"):
        return None
    for kind in type(source).__mro__:
        package = kind.__module__.partition(".")[0]
        if package in _KERAS and kind.__name__ == "Model":
            return Live(source, Kind.KERAS, type(source).__name__)
        if package == "torch" and kind.__name__ == "Module":
            return Live(source, Kind.EXPORTED_PROGRAM, type(source).__name__)
    text = f"the source is a {type(source).__name__}"
    raise BadCall(text, hint="Give a path, a keras.Model or a torch.nn.Module.")


def converted_here(found: Live, job: Job) -> Product:
    """What came of a live model, converted in this process.

    Raises:
        Unconvertible: the framework or the converter failed.
        FoldError: the route has raised it.
    """
    module, function = LIVE[found.kind].split(":")
    convert = getattr(importlib.import_module(module), function)
    before = dict(os.environ)  # PyTorch names a folder there for what it compiles.
    try:
        product: Product = convert(found.model, job)
    except (FoldError, MemoryError):
        raise
    except Exception as error:  # Frameworks' errors have no common base; the message names it.
        lines = str(error).strip().splitlines() or [""]
        text = f"the {found.name} cannot be converted: {type(error).__name__}: {lines[0]}"
        raise Unconvertible(text) from error
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
    return product
