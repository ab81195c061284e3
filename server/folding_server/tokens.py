"""``python -m folding_server.tokens OWNER``: make a token, and its line for the file of tokens."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime, timedelta

import click

from folding_server.auth import OWNER, SCOPES

_BYTES = 32


@click.command()
@click.argument("owner")
@click.option("--scopes", default=",".join(sorted(SCOPES)), show_default=True, metavar="SCOPE,...")
@click.option("--days", type=click.IntRange(min=1), help="How long it is good; no end by default.")
def make(owner: str, scopes: str, days: int | None) -> None:
    """Make a token for OWNER: the first line is the token, the second goes into the file."""
    if not OWNER.fullmatch(owner):
        raise click.BadParameter("it may have letters, digits and ._@- in it")
    if not SCOPES.issuperset(scopes.split(",")):
        raise click.BadParameter(f"scopes are {', '.join(sorted(SCOPES))}")
    token = secrets.token_urlsafe(_BYTES)
    line = [hashlib.sha256(token.encode()).hexdigest(), owner, scopes]
    if days is not None:
        line.append((datetime.now(UTC) + timedelta(days)).isoformat(timespec="seconds"))
    click.echo(token)
    click.echo(" ".join(line))


if __name__ == "__main__":
    make()
