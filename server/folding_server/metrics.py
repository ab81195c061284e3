"""What Prometheus can ask of a server, in a registry of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from folding.errors import BadCall
from folding_server import threads
from folding_server.addresses import Address
from folding_server.logs import LOG
from folding_server.scrapes import Scrapes

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000)


class Metrics:
    """Counters of calls, bytes and jobs; ``gauge`` adds what is asked for when it is scraped."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.calls = self._counter("calls", "Calls that have ended", "method", "code")
        self.call_seconds = self._histogram("call_seconds", "What calls took", "method")
        self.received = self._counter("received_bytes", "Bytes of files received")
        self.sent = self._counter("sent_bytes", "Bytes of files sent")
        self.job_seconds = self._histogram("job_seconds", "What jobs took with their wait", "kind")
        self.cached = self._counter("cached_answers", "Calls answered without a job")
        self.deaths = self._counter("worker_deaths", "Processes of jobs that were ended", "reason")

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Something that is asked for at each scrape."""
        Gauge(f"folding_{name}", text, registry=self.registry).set_function(value)

    @contextmanager
    def served(self, address: Address) -> Iterator[None]:
        """Answer scrapes over HTTP at ``address``; the log says which port that is.

        Raises:
            BadCall: nothing can be served there.
        """
        try:
            server = Scrapes(address.host, address.port, self.registry)
            thread = Thread(target=server.serve_forever, name="metrics", daemon=True)
            threads.start(thread)
        except OSError as error:
            raise BadCall(
                f"no metrics can be served at {address.text}: {error.strerror}"
            ) from error
        bound = address.bound(server.server_port)
        LOG.info("metrics", extra={"fields": {"address": bound}})
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"folding_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        name = f"folding_{name}"
        return Histogram(name, text, labels, registry=self.registry, buckets=_SECONDS)
