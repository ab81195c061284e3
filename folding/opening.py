"""What a caller asks for, and the source opened for it: everything that can fail, fails here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from folding import guards, soundness
from folding.clock import Clock
from folding.errors import BadCall
from folding.guards import Limits
from folding.modelfile import Model, open_model
from folding.spool import STANDARD, standard_input
from folding.target import check_apart, check_target, identity
from folding.waiting import remove_stale
from folding.writing import Layout

if TYPE_CHECKING:
    from folding.equivalence.inputs import Inputs


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


@contextmanager
def opened(call: Call, limits: Limits, *, follow_links: bool) -> Iterator[Model]:
    """The source, open, after everything is refused that would fail later or harm a file."""
    with ExitStack() as stack:
        is_piped = call.source == STANDARD
        path = stack.enter_context(standard_input()) if is_piped else Path(call.source)
        with call.clock.stage("read"):
            opening = open_model(
                path, name=call.source, follow_links=follow_links, nesting=limits.nesting
            )
            model = stack.enter_context(opening)
            guards.check(model.proto, call.source, limits)
            soundness.check(model, call.source)
            _check_places(call, model)
            _clear_places(call, model)
        yield model


def _check_places(call: Call, model: Model) -> None:
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


def _clear_places(call: Call, model: Model) -> None:
    """Remove what killed runs left at the places to write to; never what this one reads."""
    read = {file.identity for file in model.files}
    if isinstance(call.inputs, (str, os.PathLike)):
        with suppress(OSError):  # If it is not there, whoever reads it says so.
            read.add(identity(Path(call.inputs)))
    for place in call.places:
        remove_stale(place, read)
