"""``fold-model check``: a gate for repositories that models are committed to."""

# ruff: noqa: PLC0415 - nothing of onnx is imported for a --help
from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from folding._version import __version__
from folding.commands import options
from folding.commands.output import shown
from folding.errors import FoldError
from folding.exits import BAD, DONE, STRICT, Outcome, complain, fault, guarded

if TYPE_CHECKING:
    from folding.model_limits import Limits
    from folding.plan import Decision
    from folding.show import Progress


@dataclass(frozen=True, slots=True)
class Checked:
    """One file: what could be folded in it, or why it cannot be read."""

    path: str
    foldable: Sequence[Decision] = ()
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "foldable": [decision.to_dict() for decision in self.foldable],
            "error": self.error or None,
        }


@dataclass(frozen=True, slots=True)
class Findings:
    """What ``check`` found, file by file."""

    files: Sequence[Checked]

    @property
    def code(self) -> int:
        """The exit code: an error counts more than what is unfolded."""
        if any(file.error for file in self.files):
            return BAD
        return STRICT if any(file.foldable for file in self.files) else DONE

    def to_json(self) -> str:
        """The JSON report as text; ``check.schema.json`` describes it."""
        report = {"version": __version__, "files": [file.to_dict() for file in self.files]}
        return json.dumps(report, indent=2, allow_nan=False) + "\n"


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE...")
@options.follow_links
@options.model_limits
@options.json_option
@options.quiet
@guarded
def check(
    *,
    files: tuple[str, ...],
    follow_links: bool,
    limits: Limits,
    json_path: str | None,
    quiet: bool,
) -> Outcome:
    """Say of every FILE whether something in it can be folded, and what. Nothing is changed.

    A file that cannot be read does not keep the others from being checked; - is standard input.

    Exit codes: 0 nothing can be folded, 2 bad input or call, 3 something can, 130 interrupted.
    """
    from folding.notes import check_apart_from, write_notes
    from folding.show import Progress, show_findings

    note = None if json_path is None or json_path == "-" else Path(json_path)
    if note is not None:
        check_apart_from(note, [Path(file) for file in files])
    with Progress(enabled=not quiet) as progress:
        checked = (_checked(f, limits, progress, follow_links=follow_links) for f in files)
        found = Findings(list(checked))
    if note is not None:
        write_notes([(note, found.to_json())])
    return found.code, shown(json_path, found, show_findings, quiet=quiet)


def _checked(path: str, limits: Limits, progress: Progress, *, follow_links: bool) -> Checked:
    from folding.pipeline import explain

    try:
        plan = explain(path, follow_links=follow_links, limits=limits, progress=progress)
    except (FoldError, MemoryError) as error:
        _, text = fault(error)
        complain(text)
        return Checked(path, error=text)
    return Checked(path, [decision for decision in plan.decisions if decision.is_folded])
