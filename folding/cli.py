"""The ``fold-model`` command: options in, a report and an exit code out. All work is elsewhere."""

from __future__ import annotations

import functools
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from folding._version import __version__
from folding.errors import BadCall, VerificationFailed
from folding.exits import DONE, STRICT, Outcome, guarded, show_safely

if TYPE_CHECKING:
    from folding.report import Report
    from folding.writing import Layout

_PATH = click.Path(path_type=Path)

_source = click.argument("source", type=click.Path())
_json = click.option(
    "--json", "json_path", metavar="PATH|-", help="Write the report as JSON; - prints it instead."
)
_strict = click.option(
    "--strict", is_flag=True, help="Exit with 3 if a normalisation is not folded completely."
)
_follow_links = click.option(
    "--follow-links", is_flag=True, help="Take external data that links from another folder."
)
_max_nesting = click.option(
    "--max-nesting",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    metavar="N",
    help="How many bodies and called functions may be in one another (bodies: never above 32).",
)
_max_expanded_nodes = click.option(
    "--max-expanded-nodes",
    type=click.IntRange(min=1),
    default=100_000,
    show_default=True,
    metavar="N",
    help="How many nodes the calls of functions may stand for.",
)


@click.group(name="fold-model", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="fold-model %(version)s", help="Print the version.")
def app() -> None:
    """Fold trained normalisation into the layers beside it, and prove the result."""


@app.command()
@_source
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(),
    metavar="TARGET",
    help="Where the folded model goes, by default <stem>.folded.onnx; - is standard output.",
)
@_json
@_strict
@click.option("--no-verify", is_flag=True, help="Write without proving anything.")
@click.option("--inputs", type=_PATH, metavar="PATH", help="An .npz with an array for each input.")
@click.option("--single-file", is_flag=True, help="Put the weights into the model's file.")
@click.option("--external-data", is_flag=True, help="Put the weights into a file of their own.")
@_follow_links
@_max_nesting
@_max_expanded_nodes
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@guarded
def fold(
    *,
    source: str,
    target: str | None,
    json_path: str | None,
    strict: bool,
    no_verify: bool,
    inputs: Path | None,
    single_file: bool,
    external_data: bool,
    follow_links: bool,
    max_nesting: int,
    max_expanded_nodes: int,
    quiet: bool,
) -> Outcome:
    """Fold the ONNX model SOURCE, prove that it is the same function, and write it.

    SOURCE is never changed; - is standard input.

    Exit codes: 0 done, 1 not equivalent, 2 bad input or call, 3 --strict and something was kept,
    4 unproven, 130 interrupted. No model is written unless the code is 0 or 3.
    """
    from folding.guards import Limits
    from folding.pipeline import fold as run
    from folding.show import Progress, show_report

    is_piped = (target or source) == "-"
    if is_piped and json_path == "-":
        raise BadCall("the model and the report cannot both go to standard output")
    with Progress(enabled=not quiet) as progress:
        try:
            report = run(
                source,
                target,
                verify=not no_verify,
                inputs=inputs,
                layout=_layout(single_file=single_file, external_data=external_data),
                follow_links=follow_links,
                limits=Limits(max_nesting, max_expanded_nodes),
                digests=json_path is not None,
                report_to=None if json_path == "-" else json_path,
                progress=progress,
            )
        except VerificationFailed as failure:
            if json_path == "-":
                show_safely(functools.partial(print, failure.report.to_json(), end=""))
            raise
    code = STRICT if strict and report.plan.kept_for_strict else DONE
    show = functools.partial(show_report, on_error=is_piped)
    return code, _shown(json_path, report, show, quiet=quiet)


def _layout(*, single_file: bool, external_data: bool) -> Layout:
    from folding.writing import Layout

    if single_file and external_data:
        raise BadCall("--single-file and --external-data exclude each other")
    if single_file:
        return Layout.SINGLE_FILE
    return Layout.EXTERNAL_DATA if external_data else Layout.AS_SOURCE


@app.command()
@_source
@_json
@_strict
@_follow_links
@_max_nesting
@_max_expanded_nodes
@guarded
def explain(
    *,
    source: str,
    json_path: str | None,
    strict: bool,
    follow_links: bool,
    max_nesting: int,
    max_expanded_nodes: int,
) -> Outcome:
    """Say what folding SOURCE would do and why, without doing it.

    Exit codes: 0 done, 2 bad input or call, 3 --strict and something would be kept.
    """
    from folding.guards import Limits
    from folding.pipeline import explained as run
    from folding.show import Progress, show_plan

    with Progress(enabled=True) as progress:
        report = run(
            source,
            follow_links=follow_links,
            limits=Limits(max_nesting, max_expanded_nodes),
            digests=json_path is not None,
            report_to=None if json_path == "-" else json_path,
            progress=progress,
        )
    code = STRICT if strict and report.plan.kept_for_strict else DONE
    return code, _shown(json_path, report, show_plan, quiet=False)


def _shown(
    json_path: str | None, report: Report, show: Callable[[Report], None], *, quiet: bool
) -> Callable[[], None]:
    if json_path == "-":
        return functools.partial(print, report.to_json(), end="")
    return (lambda: None) if quiet else functools.partial(show, report)


def main() -> None:
    """The command, without the guard that ``folding.__main__`` puts around it."""
    if sys.stderr is None:  # Closed by the caller; ``print`` would go to standard output.
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()
