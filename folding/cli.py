"""The ``fold-model`` command: options in, a report and an exit code out. All work is elsewhere."""

from __future__ import annotations

import io
import os
import sys

import click

from folding._version import __version__
from folding.commands.check import check
from folding.commands.convert import convert
from folding.commands.explain import explain
from folding.commands.fold import fold
from folding.commands.lint import lint
from folding.commands.serve import serve
from folding.commands.verify import verify


@click.group(
    name="fold-model",
    commands=[fold, explain, convert, verify, check, lint, serve],
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="fold-model %(version)s", help="Print the version.")
def app() -> None:
    """Fold trained normalisation into the layers beside it, and prove the result."""


def main() -> None:
    """The command, without the guard that ``folding.__main__`` puts around it."""
    if sys.stderr is None:  # Closed by the caller; ``print`` would go to standard output.
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()
