"""Who may call over what: TLS, certificates of clients, tokens, and what each may see."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from certificates import Pair, authority, needs_openssl, signed
from files import conv_net, save
from grpc_health.v1 import health_pb2, health_pb2_grpc
from serving import Server, refused, serving
from wire import Refusal, ask, model_of, refusal

from folding.v1 import folding_pb2 as pb
from folding.v1.folding_pb2_grpc import FoldingServiceStub

INFO = pb.GetServerInfoRequest()
PAST = "2020-01-01T00:00:00Z"


@contextmanager
def secure(server: Server, ca: Pair, own: Pair | None = None) -> Iterator[FoldingServiceStub]:
    """Calls over TLS, by a client that has a certificate or not."""
    credentials = grpc.ssl_channel_credentials(
        ca.cert.read_bytes(),
        own.key.read_bytes() if own else None,
        own.cert.read_bytes() if own else None,
    )
    with grpc.secure_channel(server.target, credentials) as channel:
        yield FoldingServiceStub(channel)


def refusal_of_info(stub: FoldingServiceStub, *tokens: str) -> Refusal:
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetServerInfo(INFO, timeout=10, metadata=bearer(*tokens))
    return refusal(caught.value)


def bearer(*tokens: str) -> tuple[tuple[str, str | bytes], ...]:
    return tuple(("authorization", f"Bearer {token}") for token in tokens)


def entry(token: str, *rest: str) -> str:
    return " ".join([hashlib.sha256(token.encode()).hexdigest(), *rest])


@needs_openssl
def test_tls_is_spoken_with_the_keys_given(tmp_path: Path) -> None:
    """A client that trusts the authority gets in, also from outside; plain text does not."""
    ca = authority(tmp_path)
    own = signed(tmp_path, "server", ca)
    words = ["--tls-cert", str(own.cert), "--tls-key", str(own.key)]
    with serving(tmp_path, *words) as server:
        with secure(server, ca) as stub:
            assert stub.GetServerInfo(INFO, timeout=10).jobs == 2
        with server.stub() as stub:
            assert refusal_of_info(stub).code is grpc.StatusCode.UNAVAILABLE
        with secure(server, authority(tmp_path, "other")) as stub:
            assert refusal_of_info(stub).code is grpc.StatusCode.UNAVAILABLE


@needs_openssl
def test_clients_need_a_certificate_if_they_shall(tmp_path: Path) -> None:
    """Its common name is the owner; another authority's certificate is none."""
    ca, other = authority(tmp_path), authority(tmp_path, "other")
    own = signed(tmp_path, "server", ca)
    words = ["--tls-cert", str(own.cert), "--tls-key", str(own.key), "--client-ca", str(ca.cert)]
    with serving(tmp_path, *words) as server:
        with secure(server, ca, signed(tmp_path, "alice", ca)) as stub:
            assert stub.GetServerInfo(INFO, timeout=10).jobs == 2
        with secure(server, ca, signed(tmp_path, "nameless", ca, "/O=some")) as stub:
            assert refusal_of_info(stub).reason == "UNAUTHENTICATED"
        for client in (None, signed(tmp_path, "mallory", other)):
            with secure(server, ca, client) as stub:
                assert refusal_of_info(stub).code is grpc.StatusCode.UNAVAILABLE
    owners = [json.loads(line)["owner"] for line in server.lines()[1:] if '"call"' in line]
    assert owners == ["certificate:alice", ""]


@needs_openssl
def test_keys_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    """In one sentence that names the files, before anything is served."""
    ca = authority(tmp_path)
    one, two = signed(tmp_path, "one", ca), signed(tmp_path, "two", ca)

    code, text = refused(tmp_path, "--tls-cert", str(one.cert), "--tls-key", str(two.key))

    assert (code, text.count("\n")) == (2, 1)
    assert "cannot be used for TLS" in text


def test_tokens_say_who_calls_and_what_for(tmp_path: Path) -> None:
    """Without one nobody gets in, but to ask for the health; files are their owner's alone."""
    model, contents = model_of(save(conv_net(seed=31), tmp_path / "net.onnx"))
    asked = pb.ExplainHeader(model=model)
    tokens = tmp_path / "tokens"
    lines = [
        entry("a", "alice", "fold,explain"),
        entry("b", "bob", "explain"),
        entry("c", "carol", "fold", PAST),
    ]
    tokens.write_text("\n".join(lines) + "\n")
    tokens.chmod(0o600)
    with serving(tmp_path, "--tokens", str(tokens)) as server, server.stub() as stub:
        for given in ([], ["d"], ["c"], ["a", "b"]):
            found = refusal_of_info(stub, *given)
            assert (found.code, found.reason) == (
                grpc.StatusCode.UNAUTHENTICATED,
                "UNAUTHENTICATED",
            )
        assert stub.GetServerInfo(INFO, timeout=10, metadata=bearer("b")).jobs == 2

        sent = [
            ask(stub.Explain, pb.ExplainRequest, asked, contents, metadata=bearer(token))
            for token in ("a", "a", "b")
        ]
        assert [list(answer.accepted.wanted) for answer in sent] == [[0], [], [0]]
        with pytest.raises(grpc.RpcError) as caught:
            ask(stub.Fold, pb.FoldRequest, pb.FoldHeader(model=model), metadata=bearer("b"))
        tokens.write_text(entry("d", "dave", "fold") + "\n")
        assert refusal_of_info(stub, "a").reason == "UNAUTHENTICATED"
        assert stub.GetServerInfo(INFO, timeout=10, metadata=bearer("d")).jobs == 2
        with grpc.insecure_channel(server.target) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            assert health.Check(health_pb2.HealthCheckRequest(), timeout=5).status == 1

    found = refusal(caught.value)
    assert (found.code, found.reason) == (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")
    assert "Bearer" not in server.log.read_text()


def test_the_first_line_says_where_it_serves(tmp_path: Path) -> None:
    """Whatever there is to warn of comes afterwards, and does come."""
    tokens = tmp_path / "tokens"
    tokens.write_text(entry("a", "alice", "fold") + "\n")
    tokens.chmod(0o644)
    with serving(tmp_path, "--tokens", str(tokens)) as server:
        assert server.lines()[0] == f"fold-model: serving on {server.target}"
        assert "open to all users" in server.lines()[1]


def test_reflection_needs_a_token_too(tmp_path: Path) -> None:
    """Where calls need tokens, all but health do."""
    tokens = tmp_path / "tokens"
    tokens.write_text(entry("a", "alice", "fold") + "\n")
    tokens.chmod(0o600)
    name = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    words = ["--tokens", str(tokens), "--reflection"]
    with (
        serving(tmp_path, *words, ready=False) as server,
        grpc.insecure_channel(server.target) as channel,
    ):
        method: Any = channel.stream_stream(name)
        with pytest.raises(grpc.RpcError) as caught:
            list(method(iter([b":\0"]), timeout=5))
        replies = method(iter([b":\0"]), metadata=bearer("a"), timeout=5)
        assert b"folding.v1.FoldingService" in b"".join(replies)

    assert refusal(caught.value).reason == "UNAUTHENTICATED"
