"""``fold-model verify``."""

# ruff: noqa: PLC0415 - nothing of onnx is imported for a --help
from __future__ import annotations

from typing import TYPE_CHECKING

import click

from folding.commands import options
from folding.commands.output import shown
from folding.errors import BadCall
from folding.exits import DIFFERENT, DONE, UNPROVEN, Outcome, guarded

if TYPE_CHECKING:
    from folding.commands.options import Runs
    from folding.guards import Limits

_CODES = {"equivalent": DONE, "different": DIFFERENT, "unproven": UNPROVEN}


@click.command()
@click.argument("reference", type=click.Path())
@click.argument("candidate", type=click.Path())
@options.runs
@options.follow_links
@options.model_limits
@options.json_option
@click.option("--junit", metavar="PATH", help="Write the report as JUnit XML too.")
@options.quiet
@guarded
def verify(
    *,
    reference: str,
    candidate: str,
    runs: Runs,
    follow_links: bool,
    limits: Limits,
    json_path: str | None,
    junit: str | None,
    quiet: bool,
) -> Outcome:
    """Say whether the model CANDIDATE is the same function as REFERENCE, and how that is known.

    It does not matter what made CANDIDATE. What is found is named as in REFERENCE. One of both may
    be -, which is standard input.

    Exit codes: 0 equivalent, 1 different, 2 bad input or call, 4 unproven, 130 interrupted.
    """
    from folding.equivalence.running import Wish
    from folding.show import Progress, show_verification
    from folding.verifying import verified as run

    if junit == "-":
        raise BadCall("--junit takes the path of a file")
    with Progress(enabled=not quiet) as progress:
        done = run(
            reference,
            candidate,
            Wish(**runs.arguments()),
            follow_links=follow_links,
            limits=limits,
            digests=json_path is not None,
            report_to=None if json_path == "-" else json_path,
            junit_to=junit,
            progress=progress,
        )
    return _CODES[done.verdict.name], shown(json_path, done, show_verification, quiet=quiet)
