"""``fold-model verify``."""

# ruff: noqa: PLC0415 - nothing of onnx is imported for a --help
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from folding.commands import options
from folding.commands.output import shown
from folding.commands.remote import Server, server_option
from folding.errors import BadCall
from folding.exits import DIFFERENT, DONE, UNPROVEN, Outcome, guarded

if TYPE_CHECKING:
    from folding.commands.options import Runs
    from folding.model_limits import Limits
    from folding.show import Progress
    from folding.verification import Verification

_CODES = {"equivalent": DONE, "different": DIFFERENT, "unproven": UNPROVEN}


@click.command()
@click.argument("reference", type=click.Path())
@click.argument("candidate", type=click.Path())
@options.runs
@options.follow_links
@options.model_limits
@server_option
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
    server: Server | None,
    json_path: str | None,
    junit: str | None,
    quiet: bool,
) -> Outcome:
    """Say whether the model CANDIDATE is the same function as REFERENCE, and how that is known.

    It does not matter what made CANDIDATE. What is found is named as in REFERENCE. One of both may
    be -, which is standard input.

    Exit codes: 0 equivalent, 1 different, 2 bad input or call, 4 unproven, 130 interrupted.
    """
    from folding.show import Progress, show_verification

    if junit == "-":
        raise BadCall("--junit takes the path of a file")
    with Progress(enabled=not quiet) as progress:
        done = _run(server)(
            reference,
            candidate,
            **runs.arguments(),
            follow_links=follow_links,
            limits=limits,
            digests=json_path is not None,
            report_to=None if json_path == "-" else json_path,
            junit_to=junit,
            progress=progress,
        )
    return _CODES[done.verdict.name], shown(json_path, done, show_verification, quiet=quiet)


def _run(server: Server | None) -> Callable[..., Verification]:
    return _here if server is None else server.verify


def _here(
    reference: str,
    candidate: str,
    *,
    follow_links: bool,
    limits: Limits,
    digests: bool,
    report_to: str | None,
    junit_to: str | None,
    progress: Progress,
    **runs: Any,
) -> Verification:
    from folding.equivalence.running import Wish
    from folding.verifying import verified

    return verified(
        reference,
        candidate,
        Wish(**runs),
        follow_links=follow_links,
        limits=limits,
        digests=digests,
        report_to=report_to,
        junit_to=junit_to,
        progress=progress,
    )
