"""What a command prints in the end: JSON, text, or nothing."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Protocol, TypeVar


class HasJson(Protocol):
    """A report."""

    def to_json(self) -> str:
        """The report as text."""
        ...


Report = TypeVar("Report", bound=HasJson)


def shown(
    json_path: str | None, report: Report, show: Callable[[Report], None], *, quiet: bool
) -> Callable[[], None]:
    """How to print a report, as the options say."""
    if json_path == "-":
        return functools.partial(print, report.to_json(), end="")
    return (lambda: None) if quiet else functools.partial(show, report)
