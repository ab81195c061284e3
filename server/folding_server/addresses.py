"""Where the server listens: HOST:PORT, or unix:PATH."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from folding.errors import BadCall

_UNIX = "unix:"


@dataclass(frozen=True, slots=True)
class Address:
    """HOST:PORT, where port 0 is any that is free, or unix:PATH."""

    text: str

    @property
    def path(self) -> Path | None:
        """Of the unix socket, if it is one."""
        is_unix = self.text.startswith(_UNIX)
        return Path(self.text.removeprefix(_UNIX)) if is_unix else None

    @property
    def host(self) -> str:
        return self.text.rpartition(":")[0].removeprefix("[").removesuffix("]")

    @property
    def port(self) -> int:
        return int(self.text.rpartition(":")[2])

    @property
    def is_local(self) -> bool:
        """Whether only this machine can call it."""
        if self.path is not None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def bound(self, port: int) -> str:
        """The same with the port that it was given."""
        return self.text if self.path is not None else f"{self.text.rpartition(':')[0]}:{port}"


def parse_address(text: str) -> Address:
    """What ``--listen`` and ``--metrics`` are given.

    Raises:
        BadCall: it is neither HOST:PORT nor unix:PATH.
    """
    host, colon, port = text.rpartition(":")
    if text.startswith(_UNIX):
        is_good = bool(text.removeprefix(_UNIX))
    else:
        is_good = bool(host and colon) and port.isascii() and port.isdigit() and int(port) < 1 << 16
    if not is_good:
        hint = "Write 127.0.0.1:50051, or unix:/run/fold-model.sock."
        raise BadCall(f"{text!r} is no address", hint=hint)
    return Address(text)


def check_privacy(address: Address, *, is_encrypted: bool, is_insecure: bool) -> None:
    """Refuse to send models and tokens over a network for all to read.

    Raises:
        BadCall: that is what would happen.
    """
    if not (address.is_local or is_encrypted or is_insecure):
        hint = "Give --tls-cert and --tls-key, or --insecure if the network is safe."
        raise BadCall(f"{address.text} can be reached from outside without encryption", hint=hint)


def check_scrapes(address: Address, *, is_insecure: bool) -> None:
    """Refuse to serve metrics where they cannot be, or for all to read.

    Raises:
        BadCall: that is what would happen.
    """
    if address.path is not None:
        hint = "Give --metrics as HOST:PORT."
        raise BadCall(f"metrics cannot be served at {address.text!r}", hint=hint)
    if not (address.is_local or is_insecure):
        text = f"metrics at {address.text} can be read from outside without encryption"
        raise BadCall(text, hint="Give --insecure if the network is safe.")
