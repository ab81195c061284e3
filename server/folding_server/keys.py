"""The keys for TLS, read and tried before anything is served with them."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from folding.errors import BadCall


@dataclass(frozen=True, slots=True)
class Keys:
    """The bytes of the PEM files for TLS; ``client_ca`` signs the certificates clients need."""

    cert: bytes
    key: bytes
    client_ca: bytes | None


def read_keys(cert: Path | None, key: Path | None, client_ca: Path | None) -> Keys | None:
    """The keys for TLS, or None if there shall be none.

    Raises:
        BadCall: one is missing, cannot be read, or is no key.
    """
    if cert is None and key is None and client_ca is None:
        return None
    if cert is None or key is None:
        raise BadCall(
            "TLS needs both a certificate and a key", hint="Give --tls-cert and --tls-key."
        )
    return Keys(*read_pair(cert, key), None if client_ca is None else read_authority(client_ca))


def read_pair(cert: Path, key: Path) -> tuple[bytes, bytes]:
    """A certificate and its key, tried unless they come through pipes, which are read once.

    Raises:
        BadCall: one cannot be read, or is none, or they do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    hint = "Give PEM files that belong together; the key must not be encrypted."
    with _usable(f"{cert} and {key}", hint):
        found = cert.read_bytes(), key.read_bytes()
        if cert.is_file() and key.is_file():
            context.load_cert_chain(cert, key, password="")  # Nobody is there to be asked for one.
    return found


def read_authority(path: Path) -> bytes:
    """Certificates that may vouch for others, tried as a pair is.

    Raises:
        BadCall: it cannot be read, or has none.
    """
    with _usable(str(path), "Give a PEM file of certificates."):
        found = path.read_bytes()
        if path.is_file():
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(path)
    return found


@contextmanager
def _usable(files: str, hint: str) -> Iterator[None]:
    """Say in words of the caller what ssl finds."""
    try:
        yield
    except (OSError, ValueError) as error:  # One of ssl is an OSError.
        why = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise BadCall(f"{files} cannot be used for TLS: {why}", hint=hint) from error
