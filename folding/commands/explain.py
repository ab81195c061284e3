"""``fold-model explain``."""

# ruff: noqa: PLC0415 - nothing of onnx is imported for a --help
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from folding.commands import options
from folding.commands.output import shown
from folding.commands.remote import Server, server_option
from folding.exits import DONE, STRICT, Outcome, guarded

if TYPE_CHECKING:
    from folding.model_limits import Limits
    from folding.report import Report


@click.command()
@click.argument("source", type=click.Path())
@options.json_option
@options.strict
@options.freeze
@options.keep
@options.allow_growth
@options.follow_links
@options.model_limits
@server_option
@guarded
def explain(
    *,
    source: str,
    json_path: str | None,
    strict: bool,
    freeze: tuple[str, ...],
    keep: tuple[str, ...],
    allow_growth: bool,
    follow_links: bool,
    limits: Limits,
    server: Server | None,
) -> Outcome:
    """Say what folding SOURCE would do and why, without doing it.

    Exit codes: 0 done, 2 bad input or call, 3 --strict and something would be kept.
    """
    from folding.assignments import parse_all
    from folding.show import Progress, show_plan

    with Progress(enabled=True) as progress:
        report = _run(server)(
            source,
            freeze=parse_all(freeze),
            keep=keep,
            allow_growth=allow_growth,
            follow_links=follow_links,
            limits=limits,
            digests=json_path is not None,
            report_to=None if json_path == "-" else json_path,
            progress=progress,
        )
    code = STRICT if strict and report.plan.kept_for_strict else DONE
    return code, shown(json_path, report, show_plan, quiet=False)


def _run(server: Server | None) -> Callable[..., Report]:
    if server is not None:
        return server.explain
    from folding.pipeline import explained

    return explained
