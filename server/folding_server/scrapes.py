"""What Prometheus asks: few connections at once, and none that takes long, whatever it does."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from socketserver import ThreadingMixIn
from threading import BoundedSemaphore
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

#: Who comes when so many are there is sent away.
_MOST = 16
_SECONDS = 5.0


class Scrapes(ThreadingMixIn, WSGIServer):
    """Answers with the metrics of a registry; raises ``OSError`` where it cannot listen."""

    daemon_threads = True

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        self._free = BoundedSemaphore(_MOST)
        self._begun = dict[socket.socket, float]()
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family = found[0][0]
        super().__init__((host, port), _Scrape)
        self.set_app(make_wsgi_app(registry))

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer on a thread, if there is one left; ``RuntimeError`` if none can be started."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._begun[request] = time.monotonic()
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # The loop that called says it to ``handle_error``, and goes on.
            self._done(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and leave the thread to another."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._done(request)

    def _done(self, request: socket.socket) -> None:
        del self._begun[request]
        self._free.release()

    def service_actions(self) -> None:
        """End what takes too long: this is called twice a second."""
        oldest = time.monotonic() - _SECONDS
        for request in [each for each, start in self._begun.copy().items() if start < oldest]:
            with suppress(OSError):  # It has just ended.
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever is gone or said nothing is no matter for the log."""


class _Scrape(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        """Scrapes come every few seconds."""
