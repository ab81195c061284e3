"""Scrapes of the metrics: answered, however many connections say nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.request import urlopen

import pytest
from serving import wait_until

from folding_server import scrapes
from folding_server.addresses import parse_address
from folding_server.metrics import Metrics


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """That of metrics which do not wait for long."""
    monkeypatch.setattr(scrapes._Scrape, "timeout", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    with Metrics().served(parse_address(f"127.0.0.1:{port}")):
        yield port


def test_connections_that_say_nothing_cost_few_threads_and_end(
    port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """Then others are answered, and nothing is said of it."""
    before = threading.active_count()
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
        wait_until(lambda: threading.active_count() > before, 5)
        assert threading.active_count() <= before + scrapes._MOST
        wait_until(lambda: threading.active_count() <= before, 10)
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
            assert b"folding_calls" in reply.read()

    assert capfd.readouterr().err == ""
