"""A real server for the calls of one module, which may leave nothing behind in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from serving import Server, serving

from folding.v1.folding_pb2_grpc import FoldingServiceStub


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all calls: none may leave anything that another one notices."""
    with serving(tmp_path_factory.mktemp("server")) as server:
        yield server
    assert [line for line in server.lines() if '"level": "error"' in line] == []


@pytest.fixture
def stub(server: Server) -> Iterator[FoldingServiceStub]:
    with server.stub() as stub:
        yield stub
