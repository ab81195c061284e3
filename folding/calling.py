"""What a caller asks for, and whether what is to be written can go where it shall."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from folding.clock import Clock
from folding.errors import BadCall
from folding.layout import Layout
from folding.spool import STANDARD
from folding.target import HasFiles, check_apart, check_target, identity
from folding.waiting import remove_stale

if TYPE_CHECKING:
    from folding.equivalence.feeds import Inputs


@dataclass(frozen=True, slots=True)
class Call:
    """What the caller asked for; ``source`` and ``target`` as the caller named them."""

    source: str
    clock: Clock
    report_to: Path | None
    digests: bool
    target: str = ""
    path: Path | None = None
    layout: Layout = Layout.AS_SOURCE
    inputs: Inputs | None = None
    allow_growth: bool = False

    @property
    def places(self) -> list[Path]:
        """The files to write."""
        return [place for place in (self.path, self.report_to) if place is not None]


def target_of(
    source: str | os.PathLike[str], target: str | os.PathLike[str] | None, layout: Layout
) -> str:
    """Where a folded model goes, as the caller said it or by default.

    Raises:
        BadCall: there is no default for it, or it cannot take the layout, or that is none.
    """
    if layout not in tuple(Layout):
        raise BadCall(f"{layout!r} is no layout", hint="Give one of folding.Layout.")
    to = _default_target(os.fspath(source)) if target is None else os.fspath(target)
    if to == STANDARD and layout is Layout.EXTERNAL_DATA:
        raise BadCall("standard output takes one file", hint="Name a file with -o.")
    return to


def _default_target(source: str) -> str:
    if source == STANDARD:
        return STANDARD
    path = Path(source)
    if not path.name:
        raise BadCall(f"{source!r} names no file", hint="Name the .onnx file.")
    return str(path.with_name(f"{path.stem}.folded.onnx"))


def check_places(call: Call, model: HasFiles) -> None:
    """Refuse to write where another file of the call is, or no file can be.

    Raises:
        BadCall: naming the path.
    """
    # A Path has forgotten what the path ended with.
    if call.path is not None and os.path.split(call.target)[1] in ("", "."):
        raise BadCall(f"{call.target!r} names a folder", hint="Name a file in it.")
    for place in call.places:
        check_target(place, model)
        if isinstance(call.inputs, (str, os.PathLike)):
            check_apart(place, Path(call.inputs), "the file of the inputs")
    if call.report_to is not None and call.path is not None:
        check_apart(call.report_to, call.path, "the target")


def clear_places(call: Call, model: HasFiles) -> None:
    """Remove what killed runs left at the places to write to; never what this one reads."""
    read = {file.identity for file in model.files}
    if isinstance(call.inputs, (str, os.PathLike)):
        with suppress(OSError):  # If it is not there, whoever reads it says so.
            read.add(identity(Path(call.inputs)))
    for place in call.places:
        remove_stale(place, read)
