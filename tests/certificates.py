"""Certificates for TLS, made by openssl as they are needed; none is good for long."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")

_ALT_NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key."""

    cert: Path
    key: Path


def authority(folder: Path, name: str = "ca") -> Pair:
    """One that signs others."""
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    _openssl(*_new(pair, name), "-x509", "-days", "1")
    return pair


def signed(folder: Path, name: str, by: Pair, subject: str | None = None) -> Pair:
    """A certificate for ``localhost`` with this common name."""
    pair, request = Pair(folder / f"{name}.pem", folder / f"{name}.key"), folder / f"{name}.csr"
    _openssl(*_new(Pair(request, pair.key), name, subject))
    extensions = folder / f"{name}.ext"
    extensions.write_text(_ALT_NAMES)
    _openssl(
        *("x509", "-req", "-in", str(request), "-out", str(pair.cert), "-days", "1"),
        *("-CA", str(by.cert), "-CAkey", str(by.key), "-CAcreateserial"),
        *("-extfile", str(extensions)),
    )
    return pair


def _new(pair: Pair, name: str, subject: str | None = None) -> list[str]:
    words = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    return [
        *words,
        *("-keyout", str(pair.key), "-out", str(pair.cert)),
        *("-subj", f"/CN={name}" if subject is None else subject),
    ]


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=60)  # noqa: S607
