"""``fold-model fold``."""

# ruff: noqa: PLC0415 - nothing of onnx is imported for a --help
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from folding.commands import options
from folding.commands.output import printed_on_failure, shown
from folding.commands.remote import Server, server_option
from folding.errors import BadCall
from folding.exits import DONE, STRICT, Outcome, guarded

if TYPE_CHECKING:
    from folding.commands.options import Runs
    from folding.layout import Layout
    from folding.model_limits import Limits
    from folding.report import Report


@click.command()
@click.argument("source", type=click.Path())
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(),
    metavar="TARGET",
    help="Where the folded model goes, by default <stem>.folded.onnx; - is standard output.",
)
@options.json_option
@options.strict
@click.option("--no-verify", is_flag=True, help="Write without proving anything.")
@options.freeze
@options.keep
@options.allow_growth
@options.runs
@click.option("--single-file", is_flag=True, help="Put the weights into the model's file.")
@click.option("--external-data", is_flag=True, help="Put the weights into a file of their own.")
@options.follow_links
@options.model_limits
@server_option
@options.quiet
@guarded
def fold(
    *,
    source: str,
    target: str | None,
    json_path: str | None,
    strict: bool,
    no_verify: bool,
    freeze: tuple[str, ...],
    keep: tuple[str, ...],
    allow_growth: bool,
    runs: Runs,
    single_file: bool,
    external_data: bool,
    follow_links: bool,
    limits: Limits,
    server: Server | None,
    quiet: bool,
) -> Outcome:
    """Fold the ONNX model SOURCE, prove that it is the same function, and write it.

    SOURCE is never changed; - is standard input.

    Exit codes: 0 done, 1 not equivalent, 2 bad input or call, 3 --strict and something was kept,
    4 unproven, 130 interrupted. No model is written unless the code is 0 or 3.
    """
    from folding.assignments import parse_all
    from folding.show import Progress, show_report

    is_piped = (target or source) == "-"
    if is_piped and json_path == "-":
        raise BadCall("the model and the report cannot both go to standard output")
    with Progress(enabled=not quiet) as progress, printed_on_failure(json_path):
        report = _run(server)(
            source,
            target,
            verify=not no_verify,
            freeze=parse_all(freeze),
            keep=keep,
            allow_growth=allow_growth,
            **runs.arguments(),
            layout=_layout(single_file=single_file, external_data=external_data),
            follow_links=follow_links,
            limits=limits,
            digests=json_path is not None,
            report_to=None if json_path == "-" else json_path,
            progress=progress,
        )
    code = STRICT if strict and report.plan.kept_for_strict else DONE
    show = functools.partial(show_report, on_error=is_piped)
    return code, shown(json_path, report, show, quiet=quiet)


def _run(server: Server | None) -> Callable[..., Report]:
    if server is not None:
        return server.fold
    from folding.pipeline import fold

    return fold


def _layout(*, single_file: bool, external_data: bool) -> Layout:
    from folding.layout import Layout

    if single_file and external_data:
        raise BadCall("--single-file and --external-data exclude each other")
    if single_file:
        return Layout.SINGLE_FILE
    return Layout.EXTERNAL_DATA if external_data else Layout.AS_SOURCE
