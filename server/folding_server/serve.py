"""Starting the server, in the one order that works.

The forkserver, from which the processes of jobs come, must start before grpc is imported: a process
that has gRPC's threads cannot be forked. The allocator is tuned before either allocates.
"""

# ruff: noqa: PLC0415 - the order of the imports is what this module is for
from __future__ import annotations

import asyncio
import gc
import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from folding.errors import BadCall
from folding_server import descriptors, malloc
from folding_server.limits import ServerLimits

_NEEDED = (
    "google.rpc",
    "grpc",
    "grpc_health",
    "grpc_reflection",
    "grpc_status",
    "prometheus_client",
    "psutil",
)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command is told.

    Attributes:
        listen: HOST:PORT or unix:PATH, at least one.
        metrics: HOST:PORT for Prometheus, or none.
        spool: the folder for uploads and results; a private one if there is none.
        tokens: the file of tokens that calls need; none for calls by all.
        tls_cert, tls_key: PEM files of the server's own certificate.
        client_ca: PEM file of what signs the certificates that clients need.
        insecure: whether plain text may go over a network.
        reflection: whether clients may ask for the API itself.
        limits: how much of everything is taken.
    """

    listen: Sequence[str]
    metrics: str | None = None
    spool: Path | None = None
    tokens: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    insecure: bool = False
    reflection: bool = False
    limits: ServerLimits = field(default_factory=ServerLimits)


def check_installed() -> None:
    """Refuse to go on without the packages of the extra.

    Raises:
        BadCall: one is missing.
    """
    missing = [name for name in _NEEDED if not _is_installed(name)]
    if missing:
        hint = "Run pip install 'fold-model[server]'."
        raise BadCall(f"the service needs {missing[0]!r}, which is not installed", hint=hint)


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # Not even the package that it is in.
        return False


def serve(options: Options) -> None:
    """Serve until SIGTERM, SIGHUP or SIGINT has come and all is done.

    Raises:
        BadCall: an option is wrong, or something is not installed.
        StorageFailed: the spool cannot be used.
    """
    check_installed()
    from folding_server.jobs.confinement import hide
    from folding_server.jobs.forkserver import start_forkserver

    malloc.tune()
    limits = replace(options.limits, chunk_bytes=malloc.chunk_bytes())
    hide()
    start_forkserver()
    descriptors.allow_all()  # Jobs keep what the system gives everybody.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # It would write lines that are not JSON.
    from folding_server.app import run

    gc.enable()  # The command does without, but a server lives long.
    asyncio.run(run(replace(options, limits=limits)))
