"""``fold-model serve``.

The service is another package, which needs more than folding does: it is imported when it is asked
for, here and where a command is to ask a server, and nowhere else in ``folding``.
"""

# ruff: noqa: PLC0415 - folding does without the service
from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from folding.errors import FoldError
from folding.exits import DONE, complain, fault

if TYPE_CHECKING:
    from folding_server.limits import ServerLimits

_MEGABYTE = 1_000_000
_FILE = click.Path(path_type=Path)


class _Seconds(click.FloatRange):
    """A number from 0 on; what is none is in no range, and beyond none either."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        seconds = float(super().convert(value, param, ctx))
        if isnan(seconds):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return seconds


_SECONDS = _Seconds(min=0, min_open=True)


@click.command()
@click.option(
    "--listen",
    required=True,
    multiple=True,
    metavar="HOST:PORT|unix:PATH",
    help="Where to serve; may be repeated. A socket is its owner's alone, and never encrypted.",
)
@click.option("--tls-cert", type=_FILE, metavar="PEM", help="The server's certificate.")
@click.option("--tls-key", type=_FILE, metavar="PEM", help="The key of that certificate.")
@click.option("--client-ca", type=_FILE, metavar="PEM", help="Who signs clients' certificates.")
@click.option("--tokens", type=_FILE, metavar="FILE", help="The hashes of tokens calls may have.")
@click.option("--insecure", is_flag=True, help="Allow plain text over a network.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Jobs that run at once.")
@click.option("--spool", type=_FILE, metavar="DIR", help="Where uploads and results are kept.")
@click.option("--metrics", metavar="HOST:PORT", help="Where Prometheus may ask for metrics.")
@click.option("--reflection", is_flag=True, help="Let clients ask for the API itself.")
@click.option(
    "--max-model-bytes", type=click.IntRange(min=1), metavar="N", help="Of all files of a call."
)
@click.option(
    "--spool-bytes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Of models and results that are kept.",
    show_default="20 GiB, or half of the disk",
)
@click.option("--job-memory", type=click.IntRange(min=1), metavar="MB", help="Memory of a job.")
@click.option("--time-limit", type=_SECONDS, metavar="S", help="The most that a job may take.")
@click.option("--idle", type=_SECONDS, metavar="S", help="Seconds that a message may take.")
@click.option("--grace", type=_Seconds(min=0), metavar="S", help="For running jobs when stopped.")
def serve(**told: Any) -> None:
    """Fold and verify models for others, until SIGTERM, SIGHUP or SIGINT.

    Calls that are in may end then; a second signal ends all at once.

    Exit codes: 0 stopped, 2 bad call.
    """
    try:
        _serve(**told)
    except FoldError as error:
        code, text = fault(error)
        complain(text)
        raise click.exceptions.Exit(code) from error
    raise click.exceptions.Exit(DONE)


def _serve(
    *,
    jobs: int | None,
    max_model_bytes: int | None,
    spool_bytes: int | None,
    job_memory: int | None,
    time_limit: float | None,
    idle: float | None,
    grace: float | None,
    **options: Any,
) -> None:
    from folding_server.serve import Options
    from folding_server.serve import serve as run

    limits = _limits(
        jobs=jobs,
        max_model_bytes=max_model_bytes,
        spool_bytes=spool_bytes,
        job_memory=job_memory and job_memory * _MEGABYTE,
        max_seconds=time_limit,
        idle_seconds=idle,
        grace_seconds=grace,
    )
    run(Options(limits=limits, **options))


def _limits(**told: Any) -> ServerLimits:
    from folding_server.limits import ServerLimits

    return ServerLimits(**{name: value for name, value in told.items() if value is not None})
