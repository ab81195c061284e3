"""Several places to serve at, and how to ask whether a server is ready."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from certificates import authority, needs_openssl, signed
from serving import serving

from folding.v1 import folding_pb2 as pb
from folding.v1.folding_pb2_grpc import FoldingServiceStub
from folding_server.probe import probe


@needs_openssl
def test_a_socket_beside_an_encrypted_port_is_for_the_machine_itself(tmp_path: Path) -> None:
    """The port takes TLS only; the socket takes plain text, and the probe asks there."""
    ca = authority(tmp_path)
    pair = signed(tmp_path, "server", ca)
    socket = f"unix:{tmp_path}/socket"
    words = ["--listen", socket, "--tls-cert", str(pair.cert), "--tls-key", str(pair.key)]
    with serving(tmp_path, *words) as server:
        assert server.lines()[0] == f"fold-model: serving on {server.target}, {socket}"
        assert probe(socket) == 0
        assert probe(server.target) == 1  # It is encrypted.
        credentials = grpc.ssl_channel_credentials(ca.cert.read_bytes())
        with grpc.secure_channel(server.target, credentials) as channel:
            found = FoldingServiceStub(channel).GetServerInfo(pb.GetServerInfoRequest(), timeout=20)
            assert found.jobs == 2
    assert probe(socket) == 1


@pytest.mark.parametrize(("words", "code"), [(["unix:/nowhere/socket"], 1), ([], 2)])
def test_the_probe_is_an_exit_code(words: list[str], code: int) -> None:
    """1 where nothing answers, 2 for a call without a target."""
    command = [sys.executable, "-m", "folding_server.probe", *words]
    assert subprocess.run(command, check=False, capture_output=True, timeout=60).returncode == code
