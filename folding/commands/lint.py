"""``fold-model lint``."""

# ruff: noqa: PLC0415 - nothing of onnx is imported for a --help
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from folding.commands import options
from folding.commands.output import shown
from folding.exits import DONE, STRICT, Outcome, guarded

if TYPE_CHECKING:
    from folding.model_limits import Limits


@click.command()
@click.argument("source", type=click.Path())
@options.json_option
@click.option("--strict", is_flag=True, help="Exit with 3 if anything is found.")
@click.option("--no-run", is_flag=True, help="Do not run the model; some findings need that.")
@options.freeze
@options.run_inputs
@options.run_shapes
@options.trust
@options.follow_links
@options.model_limits
@options.quiet
@guarded
def lint(
    *,
    source: str,
    json_path: str | None,
    strict: bool,
    no_run: bool,
    freeze: tuple[str, ...],
    inputs: Path | None,
    shapes: tuple[str, ...],
    trust: bool,
    follow_links: bool,
    limits: Limits,
    quiet: bool,
) -> Outcome:
    """Say what looks wrong in how the model SOURCE was trained or exported.

    SOURCE is an ONNX file, - standard input, or whatever convert takes, which is converted for it.
    Each finding has a code, its place, the cause and the remedy.

    Exit codes: 0 done, 2 bad input or call, 3 --strict and something was found, 130 interrupted.
    """
    from folding import lint as lints
    from folding.assignments import parse_all, parse_shapes
    from folding.notes import check_apart_from, write_notes
    from folding.show import Progress, show_lints

    note = None if json_path is None or json_path == "-" else Path(json_path)
    if note is not None:
        check_apart_from(note, [Path(source)])
    with Progress(enabled=not quiet) as progress:
        found = lints.lint(
            source,
            run=not no_run,
            inputs=inputs,
            shapes=parse_shapes(shapes),
            freeze=parse_all(freeze),
            follow_links=follow_links,
            limits=limits,
            trust=trust,
            progress=progress,
        )
    if note is not None:
        write_notes([(note, found.to_json())])
    code = STRICT if strict and found.findings else DONE
    return code, shown(json_path, found, show_lints, quiet=quiet)
