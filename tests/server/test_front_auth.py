"""Tokens and certificates: who may call, and until when."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from folding.errors import BadCall
from folding_server.auth import SCOPES, Tokens, access_of
from folding_server.errors import ServiceError
from folding_server.jobs.runner import Kind
from folding_server.tokens import make

TOKEN = "open sesame"  # noqa: S105 - of no server
OTHER = "another"


def line(token: str, *parts: str) -> str:
    return " ".join([hashlib.sha256(token.encode()).hexdigest(), *parts]) + "\n"


def tokens(path: Path, *lines: str) -> Tokens:
    path.write_text("".join(lines))
    path.chmod(0o600)
    return Tokens(path)


def test_a_token_says_whose_it_is(tmp_path: Path) -> None:
    """Each token has its own owner and scopes; comments and blank lines are none."""
    known = tokens(
        tmp_path / "t",
        "# ours\n\n",
        line(TOKEN, "alice", "fold"),
        line(OTHER, "bob", "verify,explain", "2999-01-01"),
    )

    assert known.access(TOKEN).owner == "token:alice"
    assert known.access(OTHER).scopes == {"verify", "explain"}


@pytest.mark.parametrize("token", ["", "open", TOKEN.upper(), "\udc80", "é"])
def test_a_token_that_is_not_there_is_refused(tmp_path: Path, token: str) -> None:
    """Only the very same text is the same token."""
    with pytest.raises(ServiceError) as caught:
        tokens(tmp_path / "t", line(TOKEN, "alice", "fold")).access(token)

    assert caught.value.reason == "UNAUTHENTICATED"


@pytest.mark.parametrize("moment", ["2020-01-01", "2020-01-01T00:00:00Z", "2020-01-01T00:00+02:00"])
def test_a_token_that_has_ended_is_refused(tmp_path: Path, moment: str) -> None:
    """Moments without a zone are UTC."""
    with pytest.raises(ServiceError, match="expired") as caught:
        tokens(tmp_path / "t", line(TOKEN, "alice", "fold", moment)).access(TOKEN)

    assert caught.value.reason == "UNAUTHENTICATED"


def test_a_scope_that_a_token_lacks_is_refused(tmp_path: Path) -> None:
    """What it is good for it is good for, and for nothing else."""
    access = tokens(tmp_path / "t", line(TOKEN, "alice", "fold")).access(TOKEN)
    access.require("fold")

    with pytest.raises(ServiceError) as caught:
        access.require(Kind.VERIFY)

    assert caught.value.reason == "SCOPE_MISSING"
    assert str(caught.value) == "this token is not good for 'verify'"


def test_the_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """A token that is taken out of the file is good no longer, and a new one is."""
    path = tmp_path / "t"
    known = tokens(path, line(TOKEN, "alice", "fold"))
    path.write_text(line(OTHER, "bob", "fold"))
    os.utime(path, ns=(1, 1))

    assert known.access(OTHER).owner == "token:bob"
    with pytest.raises(ServiceError):
        known.access(TOKEN)


def test_a_file_that_goes_bad_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The tokens stay as they were, and the log says so."""
    known = tokens(tmp_path / "t", line(TOKEN, "alice", "fold"))
    (tmp_path / "t").write_text("half a li")

    assert known.access(TOKEN).owner == "token:alice"
    assert "the tokens stay as they were" in caplog.text


def test_without_the_file_no_token_is_good(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Who takes it away wants nobody in; when it is there again, so are its tokens."""
    text = line(TOKEN, "alice", "fold")
    known = tokens(tmp_path / "t", text)
    (tmp_path / "t").unlink()

    for _ in range(2):
        with pytest.raises(ServiceError) as caught:
            known.access(TOKEN)
        assert caught.value.reason == "UNAUTHENTICATED"
    assert caplog.text.count("no token is good") == 1
    tokens(tmp_path / "t", text)
    assert known.access(TOKEN).owner == "token:alice"


def test_a_token_may_be_given_anew(tmp_path: Path) -> None:
    """A line that has ended does not stand in the way of another one of the same token."""
    old, new = line(TOKEN, "alice", "fold", "2020-01-01"), line(TOKEN, "alice", "verify")

    for text in (old + new, new + old):
        assert tokens(tmp_path / "t", text).access(TOKEN).scopes == {"verify"}


def test_no_owner_can_pass_for_another(tmp_path: Path) -> None:
    """Neither who has no name nor who has a strange one."""
    names = [b"anonymous", b"alice", b"token:alice", b"\\xff", "\xff".encode()]
    peers = [{"x509_pem_cert": [b"-----"], "x509_common_name": [name]} for name in names]
    known = tokens(tmp_path / "t", line(TOKEN, "alice", "fold"), line(OTHER, "anonymous", "fold"))
    found = [access_of(None, [], peer).owner for peer in ({}, *peers)]
    found += [known.access(token).owner for token in (TOKEN, OTHER)]

    assert len(set(found)) == 8


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("x alice fold", "SHA-256"),
        (line(TOKEN, "al/ice", "fold"), "owner"),
        (line(TOKEN, "alice"), "scopes"),
        (line(TOKEN, "alice", "fold,admin"), "scopes"),
        (line(TOKEN, "alice", "fold", "tomorrow"), "tomorrow"),
        (line(TOKEN, "alice", "fold", "2999-01-01", "more"), "four"),
    ],
)
def test_a_bad_line_is_refused_at_the_start(tmp_path: Path, bad: str, why: str) -> None:
    """The sentence names the line and what is wrong with it."""
    with pytest.raises(BadCall, match=f"line 2 of t is bad.*{why}"):
        tokens(tmp_path / "t", "# first\n", bad)


def test_a_file_that_is_not_there_is_refused_at_the_start(tmp_path: Path) -> None:
    """One sentence, with the name of the file."""
    with pytest.raises(BadCall, match="tokens in t cannot be read"):
        Tokens(tmp_path / "t")


def test_a_file_that_is_open_to_all_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It works, but the log warns."""
    path = tmp_path / "t"
    path.write_text(line(TOKEN, "alice", "fold"))
    path.chmod(0o644)

    Tokens(path)

    assert "open to all users" in caplog.text


@pytest.mark.parametrize(
    "metadata",
    [
        [],
        [("authorization", "Basic x")],
        [("authorization", f"Bearer {TOKEN}"), ("authorization", f"Bearer {TOKEN}")],
        [("other", f"Bearer {TOKEN}")],
    ],
)
def test_a_call_without_a_token_is_refused(
    tmp_path: Path, metadata: list[tuple[str, str | bytes]]
) -> None:
    """Where there are tokens a call needs exactly one, whatever its certificate says."""
    known = tokens(tmp_path / "t", line(TOKEN, "alice", "fold"))

    with pytest.raises(ServiceError) as caught:
        access_of(known, metadata, {"x509_common_name": [b"alice"]})

    assert caught.value.reason == "UNAUTHENTICATED"


def test_without_tokens_the_certificate_says_who_calls() -> None:
    """Its common name; without a certificate all are one owner."""
    known = {"x509_pem_cert": [b"-----"], "x509_common_name": [b"alice"]}
    assert access_of(None, [], known).owner == "certificate:alice"
    assert access_of(None, [], {}).owner == "anonymous"
    assert access_of(None, [], {}).scopes == SCOPES
    for nameless in ([], [b""], [b"al", b"ice"], [b"\xff"]):
        with pytest.raises(ServiceError, match="not one common name"):
            access_of(None, [], {**known, "x509_common_name": nameless})


def test_a_made_token_is_good(tmp_path: Path) -> None:
    """What the command prints is a token, and the line that makes it one."""
    words = ["ci", "--scopes", "fold", "--days", "3"]
    token, entry = CliRunner().invoke(make, words).output.splitlines()

    access = tokens(tmp_path / "t", entry + "\n").access(token)

    assert (access.owner, set(access.scopes)) == ("token:ci", {"fold"})
    assert len(token) > 40


@pytest.mark.parametrize("words", [["a b"], ["ci", "--scopes", "admin"], ["ci", "--days", "0"]])
def test_a_token_of_nobody_or_for_nothing_is_not_made(words: list[str]) -> None:
    """What the file would not take is refused here already."""
    assert CliRunner().invoke(make, words).exit_code == 2
