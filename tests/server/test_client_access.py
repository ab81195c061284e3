"""Who a client says it is, and that nobody else hears it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from certificates import authority, needs_openssl, signed
from fake_service import Call, faked
from files import conv_net, save
from serving import serving

import folding
from folding_server.client import Client, ServiceError, transfer
from folding_server.client.access import Access


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_PAUSES", (0.01,))


def nothing(call: Call) -> Iterator[dict[str, Any]]:
    return iter(())


def test_a_token_goes_with_every_call() -> None:
    """As HTTP has it."""
    with faked(nothing) as fake, Client(fake.target, token="secret") as client:  # noqa: S106
        client.info()

    assert ("authorization", "Bearer secret") in fake.calls[0].context.invocation_metadata()


def test_what_runs_here_is_asked_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says of one."""
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("no_grpc_proxy", raising=False)
    monkeypatch.setenv("grpc_proxy", "http://127.0.0.1:1")
    with faked(nothing) as fake, Client(fake.target) as client:
        assert client.info().version == "9.9"


@pytest.mark.parametrize("target", ["example.com:1", "10.0.0.1:1", "0.0.0.0:1", "[2001::1]:1"])
def test_a_token_never_goes_to_another_machine_in_plain_text(target: str) -> None:
    """Not even if plain text is allowed."""
    with pytest.raises(folding.BadCall, match="for all to read"):
        Client(target, token="secret", insecure=True)  # noqa: S106


@pytest.mark.parametrize(
    ("target", "is_encrypted"),
    [
        ("127.0.0.1:1", False),
        ("localhost:1", False),
        ("[::1]:1", False),
        ("unix:/a/socket", False),
        ("example.com:1", True),
        ("10.0.0.1:1", True),
    ],
)
def test_other_machines_are_called_by_tls(target: str, is_encrypted: bool) -> None:  # noqa: FBT001
    """Unless the caller wants it otherwise; this one is, where there are certificates."""
    assert Access(target).is_encrypted is is_encrypted
    assert Access(target, insecure=True).is_encrypted is False
    assert Access(target, root_certificates=b"PEM").is_encrypted is True


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"private_key": b"PEM"}, "belong together"),
        ({"certificate_chain": b"PEM"}, "belong together"),
        ({"root_certificates": b"PEM", "insecure": True}, "no certificates in plain text"),
        ({"token": "a\nb"}, "not printable ASCII"),
        ({"token": ""}, "not printable ASCII"),
        ({"token": "\u00e4"}, "not printable ASCII"),
    ],
)
def test_what_does_not_fit_together_is_a_bad_call(arguments: dict[str, Any], why: str) -> None:
    """Before anything is sent."""
    with pytest.raises(folding.BadCall, match=why):
        Client("127.0.0.1:1", **arguments)


@pytest.mark.parametrize("target", ["", "somewhere", "unix:", ":1", "host:port", "host:70000"])
def test_what_is_no_address_is_a_bad_call(target: str) -> None:
    """It is named."""
    with pytest.raises(folding.BadCall, match="is no address"):
        Client(target)


def test_no_secret_is_in_what_is_printed_of_a_client() -> None:
    """Logs are for others."""
    shown = repr(Access("127.0.0.1:1", "secret", b"ROOT", b"KEY", b"CHAIN"))

    assert "secret" not in shown
    assert "KEY" not in shown


@needs_openssl
def test_a_client_and_a_server_know_each_other_by_certificates(tmp_path: Path) -> None:
    """Both ways; who has none, or trusts others, gets no further than a clear error."""
    ca, stranger = authority(tmp_path), authority(tmp_path, "stranger")
    theirs, ours = signed(tmp_path, "server", ca), signed(tmp_path, "client", ca)
    words = ["--tls-cert", theirs.cert, "--tls-key", theirs.key, "--client-ca", ca.cert]
    root = ca.cert.read_bytes()
    pair: dict[str, Any] = {
        "private_key": ours.key.read_bytes(),
        "certificate_chain": ours.cert.read_bytes(),
    }
    source = save(conv_net(), tmp_path / "m.onnx")
    (tmp_path / "server").mkdir()

    with serving(tmp_path / "server", *map(str, words)) as server:
        port = server.target.rpartition(":")[2]
        with Client(f"localhost:{port}", root_certificates=root, **pair) as client:
            assert client.fold(source).plan.counts["folded"] == 1
        strange: dict[str, Any] = {"root_certificates": stranger.cert.read_bytes(), **pair}
        alone: dict[str, Any] = {"root_certificates": root}
        for others in (alone, strange, {}):
            with (
                Client(f"localhost:{port}", **others) as client,
                pytest.raises(ServiceError, match="cannot be reached") as caught,
            ):
                client.info()
            assert "TLS" in caught.value.hint
