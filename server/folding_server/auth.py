"""Who calls, and what they may do: tokens from a file of their hashes, or TLS certificates.

An owner is ``token:`` or ``certificate:`` and a name, or ``anonymous``: none can pass for another.

A line for each token: the SHA-256 of it, whose it is, what it is good for, and until when if it
ends. Lines that begin with # are comments.

    9f86d0…0f00a08 build-server fold,verify,explain 2027-01-01T00:00:00Z
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from folding.errors import BadCall
from folding_server.errors import ServiceError
from folding_server.jobs.runner import DIGEST
from folding_server.logs import LOG

#: What a token may be good for: the kinds of jobs.
SCOPES = frozenset({"fold", "verify", "explain"})
ANONYMOUS = "anonymous"

OWNER = re.compile(r"[A-Za-z0-9._@-]{1,128}")
_OTHERS = 0o006
_GONE = (0,)


@dataclass(frozen=True, slots=True)
class Access:
    """Whose call it is, and what it may be."""

    owner: str
    scopes: frozenset[str] = SCOPES

    def require(self, scope: str) -> None:
        """Refuse what is not allowed.

        Raises:
            ServiceError: SCOPE_MISSING.
        """
        if scope not in self.scopes:
            text = f"this token is not good for {str(scope)!r}"
            raise ServiceError("SCOPE_MISSING", text, hint="Ask for a token with that scope.")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the file."""

    digest: str
    access: Access
    until: datetime | None = None


class Tokens:
    """The file of tokens, read again whenever it changes.

    A change for the worse, such as half a line, leaves things as they were until it is mended. When
    the file is gone no token is good.
    """

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            BadCall: it cannot be read, or a line is none.
        """
        self._path = path
        self._seen = self._state()
        self._entries = self._read()

    def access(self, token: str) -> Access:
        """Whose token it is. How long this takes says nothing about any other token.

        Raises:
            ServiceError: UNAUTHENTICATED.
        """
        self._refresh()
        digest = hashlib.sha256(token.encode(errors="replace")).hexdigest()
        found = [entry for entry in self._entries if hmac.compare_digest(entry.digest, digest)]
        if not found:
            raise _unknown("the token is not one of this server's")
        now = datetime.now(UTC)
        good = [entry for entry in found if entry.until is None or entry.until > now]
        if not good:
            raise _unknown("the token has expired")
        return good[0].access

    def _refresh(self) -> None:
        try:
            state = self._state() if self._path.exists() else _GONE
            if state != self._seen:
                self._seen = state
                self._entries = self._read() if state != _GONE else self._gone()
        except (BadCall, OSError) as error:
            LOG.error("the tokens stay as they were: %s", error)

    def _gone(self) -> list[Entry]:
        LOG.error("there is no %s any more: no token is good", self._path.name)
        return []

    def _state(self) -> tuple[int, ...]:
        try:
            found = self._path.stat()
        except OSError as error:
            raise _unreadable(self._path, error) from error
        return found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode

    def _read(self) -> list[Entry]:
        if self._seen[-1] & _OTHERS:
            LOG.warning("%s is open to all users of this machine", self._path.name)
        try:
            lines = self._path.read_text("utf-8").splitlines()
        except (OSError, UnicodeError) as error:
            raise _unreadable(self._path, error) from error
        return list(_entries(self._path.name, lines))


def _entries(name: str, lines: Iterable[str]) -> Iterable[Entry]:
    for number, text in enumerate(lines, 1):
        if text.strip() and not text.lstrip().startswith("#"):
            try:
                yield _entry(text)
            except ValueError as error:
                hint = "Make lines with python -m folding_server.tokens."
                raise BadCall(f"line {number} of {name} is bad: {error}", hint=hint) from error


def _entry(text: str) -> Entry:
    digest, owner, scopes, until = [*text.split(), "", "", "", ""][:4]
    wished = frozenset(scopes.split(","))
    if len(text.split()) > len(("digest", "owner", "scopes", "until")):
        raise ValueError("it has more than four parts")
    if not DIGEST.fullmatch(digest):
        raise ValueError("it does not begin with a SHA-256")
    if not OWNER.fullmatch(owner):
        raise ValueError("the name of its owner is none")
    if not wished <= SCOPES:
        raise ValueError(f"its scopes are not among {', '.join(sorted(SCOPES))}")
    return Entry(digest, Access(f"token:{owner}", wished), _moment(until) if until else None)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _unreadable(path: Path, error: Exception) -> BadCall:
    why = error.strerror if isinstance(error, OSError) else "it is no text"
    return BadCall(f"the tokens in {path.name} cannot be read: {why}")


def access_of(
    tokens: Tokens | None,
    metadata: Iterable[tuple[str, str | bytes]],
    peer: Mapping[str, Iterable[bytes]],
) -> Access:
    """Whose call it is, from its metadata and what TLS knows of its ``peer``.

    Where there are tokens, every call needs one, whatever its certificate.

    Raises:
        ServiceError: UNAUTHENTICATED.
    """
    if tokens is not None:
        return tokens.access(_bearer(metadata))
    if "x509_pem_cert" not in peer:
        return Access(ANONYMOUS)
    try:
        (name,) = (found.decode() for found in peer.get("x509_common_name", ()) if found)
    except ValueError as error:
        text = "the certificate has not one common name in UTF-8"
        raise _unknown(text, hint="Use one that has.") from error
    return Access(f"certificate:{name}")


def _bearer(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    given = [str(value) for key, value in metadata if key == "authorization"]
    if len(given) != 1 or not given[0].lower().startswith("bearer "):
        raise _unknown("there is no token")
    return given[0].partition(" ")[2].strip()


def _unknown(
    text: str, *, hint: str = "Send a token as metadata: authorization: Bearer <token>."
) -> ServiceError:
    return ServiceError("UNAUTHENTICATED", text, hint=hint)
