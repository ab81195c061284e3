"""The source opened for a call: everything that can fail, fails here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from folding import guards, soundness
from folding.calling import Call, check_places, clear_places
from folding.model_limits import Limits
from folding.modelfile import Model, open_model
from folding.spool import STANDARD, standard_input


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
            check_places(call, model)
            clear_places(call, model)
        yield model
