"""What a command prints in the end: JSON, text, or nothing."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from folding.errors import StorageFailed, VerificationFailed
from folding.exits import show_safely


class HasJson(Protocol):
    """A report."""

    def to_json(self) -> str:
        """The report as text."""
        ...


Report = TypeVar("Report", bound=HasJson)


@contextmanager
def printed_on_failure(json_path: str | None) -> Iterator[None]:
    """Print the report of a model that was not proved, if reports are to be printed."""
    try:
        yield
    except VerificationFailed as failure:
        if json_path == "-":
            show_safely(functools.partial(print, failure.report.to_json(), end=""))
        raise


def shown(
    json_path: str | None, report: Report, show: Callable[[Report], None], *, quiet: bool
) -> Callable[[], None]:
    """How to print a report, as the options say.

    Raises:
        StorageFailed: it is to be printed, and standard output is closed.
    """
    if json_path == "-":
        if sys.stdout is None:
            text = "the work is done, but the report cannot be printed: standard output is closed"
            raise StorageFailed(text, hint="Name a file with --json.")
        return functools.partial(print, report.to_json(), end="")
    return (lambda: None) if quiet else functools.partial(show, report)
