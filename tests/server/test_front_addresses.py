"""Addresses: where is served, and what may be sent there."""

from __future__ import annotations

import pytest

from folding.errors import BadCall
from folding_server.addresses import check_privacy, check_scrapes, parse_address


@pytest.mark.parametrize(
    ("text", "is_local"),
    [
        ("127.0.0.1:0", True),
        ("127.9.9.9:1", True),
        ("[::1]:5", True),
        ("localhost:5", True),
        ("unix:/run/x", True),
        ("0.0.0.0:5", False),
        ("[::]:5", False),
        ("10.0.0.1:5", False),
        ("example.org:5", False),
    ],
)
def test_plain_text_stays_on_this_machine(text: str, *, is_local: bool) -> None:
    """Everything else needs encryption, or the word that it is wanted so."""
    address = parse_address(text)
    check_privacy(address, is_encrypted=True, is_insecure=False)
    check_privacy(address, is_encrypted=False, is_insecure=True)

    assert address.is_local == is_local
    if not is_local:
        with pytest.raises(BadCall, match="without encryption"):
            check_privacy(address, is_encrypted=False, is_insecure=False)


@pytest.mark.parametrize(
    ("text", "is_insecure", "why"),
    [
        ("unix:/run/x", True, "cannot be served"),
        ("0.0.0.0:5", False, "without encryption"),
        ("example.org:5", False, "without encryption"),
    ],
)
def test_metrics_are_not_for_everybody(text: str, why: str, *, is_insecure: bool) -> None:
    """They are plain text over HTTP."""
    with pytest.raises(BadCall, match=why):
        check_scrapes(parse_address(text), is_insecure=is_insecure)
    check_scrapes(parse_address("127.0.0.1:5"), is_insecure=False)
    check_scrapes(parse_address("0.0.0.0:5"), is_insecure=True)


@pytest.mark.parametrize("text", ["", "50051", ":50051", "host:", "host:x", "host:65536", "unix:"])
def test_what_is_no_address_is_refused(text: str) -> None:
    """One sentence, with an example."""
    with pytest.raises(BadCall, match="is no address"):
        parse_address(text)


def test_an_address_knows_its_parts() -> None:
    """Also that of IPv6, which has colons of its own."""
    address = parse_address("[::1]:0")

    assert (address.host, address.port, address.bound(7)) == ("::1", 0, "[::1]:7")
    assert parse_address("unix:a.sock").bound(1) == "unix:a.sock"
