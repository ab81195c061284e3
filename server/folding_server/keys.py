"""The keys for TLS, read and tried before anything is served with them."""

from __future__ import annotations

import ssl
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
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key, password="")  # Nobody is there to be asked for one.
        if client_ca is not None:
            context.load_verify_locations(client_ca)
        ca = client_ca.read_bytes() if client_ca is not None else None
        return Keys(cert.read_bytes(), key.read_bytes(), ca)
    except (OSError, ValueError) as error:  # One of ssl is an OSError.
        why = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        files = ", ".join(str(path) for path in (cert, key, client_ca) if path is not None)
        hint = "Give PEM files that belong together; the key must not be encrypted."
        raise BadCall(f"{files} cannot be used for TLS: {why}", hint=hint) from error
