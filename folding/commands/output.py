"""What a command prints in the end: JSON, text, or nothing."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Protocol, TypeVar

from folding.errors import StorageFailed


class HasJson(Protocol):
    """A report."""

    def to_json(self) -> str:
        """The report as text."""
        ...


Report = TypeVar("Report", bound=HasJson)


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
