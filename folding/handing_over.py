"""The end of a fold: the model in its place, then its report."""

from __future__ import annotations

from contextlib import ExitStack

from folding.beside import noted
from folding.calling import Call
from folding.errors import ModelTooLarge, StorageFailed
from folding.report import Report
from folding.spool import STANDARD
from folding.target import Target


def hand_over(report: Report, target: Target, call: Call) -> None:
    """Keep the model, if the report says that it is written, and write the report if it is wanted.

    Raises:
        StorageFailed: the operating system refused.
        ModelTooLarge: it needs two files, and standard output takes one.
    """
    with ExitStack() as stack:
        note = None
        if call.report_to is not None:
            note = stack.enter_context(noted(report.to_json(), call.report_to))
        if report.target is not None:
            if call.target == STANDARD and target.data is not None:
                raise ModelTooLarge(
                    "standard output takes one file, and this model needs two",
                    hint="Name a file with -o.",
                )
            target.keep()
        if note is not None:
            _keep_note(note, call.target if report.target is not None else "")


def _keep_note(note: Target, written: str) -> None:
    """Put the report in its place; ``written`` is what stands already."""
    try:
        note.replace()
    except StorageFailed as error:
        if not written:
            raise
        text = f"{written!r} is written, but its report is not: {error}"
        raise StorageFailed(text, hint=error.hint) from error
