"""What a caller asks for, and the source opened for it: everything that can fail, fails here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from folding import guards, soundness
from folding.clock import Clock
from folding.guards import Limits
from folding.modelfile import Model, open_model
from folding.spool import STANDARD, standard_input
from folding.target import check_apart, check_target
from folding.writing import Layout


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
            for place in (call.path, call.report_to):
                if place is not None:
                    check_target(place, model)
            if call.report_to is not None and call.path is not None:
                check_apart(call.report_to, call.path)
        yield model
