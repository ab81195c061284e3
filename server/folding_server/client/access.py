"""To which server calls go, and how: plain text or TLS, as whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import grpc

from folding._version import __version__
from folding.errors import BadCall
from folding_server.addresses import parse_address

_OPTIONS: Sequence[tuple[str, int | str]] = (
    ("grpc.primary_user_agent", f"fold-model/{__version__}"),
    # Who else retries would do it with half of a model sent.
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A server that is gone without a word is noticed, however long a job takes.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)
_NO_PROXY = ("grpc.enable_http_proxy", 0)


@dataclass(frozen=True, slots=True)
class Access:
    """A server, and what it is shown.

    Attributes:
        target: ``HOST:PORT``, or ``unix:PATH``.
        token: that says who calls.
        root_certificates: PEM of who may vouch for the server; None for those of the system.
        private_key: PEM of the client's own key, where the server wants one.
        certificate_chain: PEM of the certificate for it.
        insecure: whether to speak plain text to other machines. To this one it is spoken unless
            there are certificates.

    Raises:
        BadCall: the target is none, the parts do not fit together, or others could read the token.
    """

    target: str
    token: str | None = field(default=None, repr=False)
    root_certificates: bytes | None = None
    private_key: bytes | None = field(default=None, repr=False)
    certificate_chain: bytes | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        is_local = parse_address(self.target).is_local
        if (self.private_key is None) != (self.certificate_chain is None):
            raise BadCall("a key and a certificate belong together", hint="Give both, or neither.")
        if self.insecure and self._has_certificates:
            raise BadCall("there are no certificates in plain text", hint="Leave one out.")
        if self.token is None:
            return
        if not (self.token and self.token.isascii() and self.token.isprintable()):
            raise BadCall("the token is not printable ASCII", hint="Give it as it was made.")
        if not (is_local or self.is_encrypted):
            text = f"a token would go to {self.target!r} for all to read"
            raise BadCall(text, hint="Use TLS, or no token.")

    @property
    def is_encrypted(self) -> bool:
        is_local = parse_address(self.target).is_local
        return not self.insecure and (self._has_certificates or not is_local)

    @property
    def _has_certificates(self) -> bool:
        return self.root_certificates is not None or self.private_key is not None

    @property
    def credentials(self) -> grpc.ChannelCredentials:
        """For TLS."""
        return grpc.ssl_channel_credentials(
            self.root_certificates, self.private_key, self.certificate_chain
        )

    @property
    def options(self) -> list[tuple[str, int | str]]:
        """Of the channel."""
        is_local = parse_address(self.target).is_local
        return [*_OPTIONS, *((_NO_PROXY,) if is_local else ())]

    @property
    def metadata(self) -> list[tuple[str, str]]:
        """What every call is sent with."""
        return [] if self.token is None else [("authorization", f"Bearer {self.token}")]
