"""Commands carried out on a server: the same calls, without onnx in this process."""

# ruff: noqa: PLC0415 - nothing of a server is imported for a --help
from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from folding.errors import BadCall, StorageFailed
from folding.interrupts import held_back

if TYPE_CHECKING:
    from folding.report import Report
    from folding.verification import Verification
    from folding_server.client import Client

_TOKEN = "FOLD_MODEL_TOKEN"  # noqa: S105 - the name of a variable
_TOKEN_HINT = f"Give the token with --token-file, or in the variable {_TOKEN}."
_INSTALL = "Install it: pip install 'fold-model[server]'."
#: The options behind the fields of requests.
_OPTIONS_OF = {
    "header.job.max_expanded_nodes": "--max-expanded-nodes",
    "header.job.max_nesting": "--max-nesting",
    "header.options.freeze": "--freeze",
    "header.options.keep": "--keep",
    "header.run.inputs": "--inputs",
    "header.run.memory_limit_bytes": "--memory-limit",
    "header.run.provider": "--provider",
    "header.run.shapes": "--input-shape",
    "header.run.time_limit_seconds": "--time-limit",
    "header.run.tolerance": "--tolerance",
    "header.target": "--output",
}
_PACKAGES = frozenset({"folding_server", "google", "grpc"})

Command = Callable[..., Any]
T = TypeVar("T")

_FILE = click.Path(path_type=Path)
_OPTIONS = (
    click.option(
        "--server",
        "address",
        metavar="HOST:PORT",
        help="Let a server do it (fold-model serve); also unix:PATH.",
    ),
    click.option(
        "--token-file",
        type=_FILE,
        metavar="PATH",
        help=f"The token to show the server, else the one in the variable {_TOKEN}.",
    ),
    click.option(
        "--tls-ca",
        type=_FILE,
        metavar="PEM",
        help="Who may vouch for the server, if not those whom the system trusts.",
    ),
    click.option("--tls-cert", type=_FILE, metavar="PEM", help="The certificate to show it."),
    click.option("--tls-key", type=_FILE, metavar="PEM", help="The key of that certificate."),
    click.option(
        "--insecure", is_flag=True, help="Speak plain text to a server on another machine."
    ),
)


@dataclass(frozen=True, slots=True)
class Server:
    """The server to call, as the user said it."""

    address: str
    token_file: Path | None = None
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure: bool = False

    def fold(self, source: str, target: str | None, **arguments: Any) -> Report:
        """As ``folding.fold``, there."""
        with self._client() as client:
            return _in_words_of_the_command(client.fold, source, target, **arguments)

    def verify(self, reference: str, candidate: str, **arguments: Any) -> Verification:
        """As ``folding.verifying.verified``, there."""
        with self._client() as client:
            return _in_words_of_the_command(client.verify, reference, candidate, **arguments)

    def explain(self, source: str, **arguments: Any) -> Report:
        """As ``folding.pipeline.explained``, there."""
        with self._client() as client:
            return _in_words_of_the_command(client.explain, source, **arguments)

    def _client(self) -> Client:
        try:
            with held_back():  # C++ ends the process if it is interrupted as it loads.
                from folding_server import malloc
                from folding_server.client import Client
                from folding_server.keys import read_authority
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in _PACKAGES:
                raise
            raise BadCall("what --server needs is not installed", hint=_INSTALL) from error
        malloc.tune()
        token = os.environ.get(_TOKEN) or None
        if self.token_file is not None:
            token = _read(self.token_file).decode(errors="replace").strip()
        chain, key = self._pair()
        return Client(
            self.address,
            token=token,
            root_certificates=None if self.tls_ca is None else read_authority(self.tls_ca),
            private_key=key,
            certificate_chain=chain,
            insecure=self.insecure,
        )

    def _pair(self) -> tuple[bytes, bytes] | tuple[None, None]:
        """The client's own certificate and its key."""
        from folding_server.keys import read_pair

        if self.tls_cert is None and self.tls_key is None:
            return None, None
        if self.tls_cert is None or self.tls_key is None:
            hint = "Give --tls-cert and --tls-key, or neither."
            raise BadCall("a key and a certificate belong together", hint=hint)
        return read_pair(self.tls_cert, self.tls_key)


def server_option(command: Command) -> Command:
    """The options for a server; the command gets them as one ``server``, or None."""

    @functools.wraps(command)
    def wrapped(
        *,
        address: str | None,
        token_file: Path | None,
        tls_ca: Path | None,
        tls_cert: Path | None,
        tls_key: Path | None,
        insecure: bool,
        **rest: Any,
    ) -> Any:
        files = token_file, tls_ca, tls_cert, tls_key
        if address is not None:
            return command(server=Server(address, *files, insecure), **rest)
        if insecure or any(file is not None for file in files):
            raise click.UsageError("--token-file, --tls-... and --insecure need --server.")
        return command(server=None, **rest)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def _in_words_of_the_command(call: Callable[..., T], *paths: str | None, **arguments: Any) -> T:
    """Call the server; what it refuses is called as the command calls it."""
    from folding_server.errors import ServiceError

    try:
        return call(*paths, **_sendable(arguments))
    except ServiceError as error:
        if error.reason == "UNAUTHENTICATED" and "token" in str(error):
            raise ServiceError(error.reason, str(error), hint=_TOKEN_HINT) from error
        option = next((_OPTIONS_OF[f] for f in _OPTIONS_OF if error.field.startswith(f)), None)
        if option is None:
            raise
        text = str(error).replace(error.field, option)
        raise ServiceError(error.reason, text, hint=error.hint, field=error.field) from error


def _sendable(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments that a server takes; it computes digests in any case."""
    if arguments.pop("custom_ops", None) is not None and arguments.get("verify", True):
        hint = "Leave out --server, or --custom-ops."
        raise BadCall("a server loads no library of custom operators", hint=hint)
    arguments.pop("digests")
    progress = arguments.pop("progress")
    return {**arguments, "progress": _by_stage(progress)}


def _by_stage(progress: Callable[[str], None]) -> Callable[[str, float], None]:
    """Tell each stage once, when it begins."""
    last = ""

    def tell(stage: str, fraction: float) -> None:
        nonlocal last
        if stage != last:
            last = stage
            progress(stage)

    return tell


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StorageFailed(f"cannot read {str(path)!r}: {error.strerror}") from error
