"""Scrapes of the metrics: answered, however many connections say nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from socketserver import ThreadingMixIn
from urllib.request import urlopen

import pytest
from serving import wait_until

from folding_server import scrapes
from folding_server.addresses import parse_address
from folding_server.metrics import Metrics


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """That of metrics which do not wait for long."""
    monkeypatch.setattr(scrapes, "_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    with Metrics().served(parse_address(f"127.0.0.1:{port}")):
        yield port


def is_answered(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
            return b"folding_calls" in reply.read()
    except OSError:
        return False


def test_connections_that_say_little_end(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then does not keep others out."""
    monkeypatch.setattr(scrapes, "_SECONDS", 4.0)
    before = threading.active_count()
    with ExitStack() as stack:
        drips = list[socket.socket]()
        for number in range(scrapes._MOST):
            drip = socket.create_connection(("127.0.0.1", port), timeout=5)
            drips.append(stack.enter_context(drip))
            wait_until(lambda most=before + number: threading.active_count() > most, 5)
        assert not is_answered(port)

        def is_answered_now() -> bool:
            for drip in drips:
                with suppress(OSError):
                    drip.send(b"G")
            return is_answered(port)

        wait_until(is_answered_now, 15)


def test_they_are_answered_again_when_threads_can_be_started_again(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be answered takes no room."""

    def none_left(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(ThreadingMixIn, "process_request", none_left)
        assert not any(is_answered(port) for _ in range(scrapes._MOST))
    assert is_answered(port)


def test_the_log_says_which_port_was_taken(caplog: pytest.LogCaptureFixture) -> None:
    """Port 0 is any that is free."""
    caplog.set_level("INFO", "folding_server")
    with Metrics().served(parse_address("127.0.0.1:0")):
        (record,) = caplog.records
        told = vars(record)["fields"]["address"]
        assert is_answered(int(told.removeprefix("127.0.0.1:")))


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
        assert is_answered(port)

    assert capfd.readouterr().err == ""
