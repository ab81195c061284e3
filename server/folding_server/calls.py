"""One call as the whole server sees it: whose, how much, how it ended."""

from __future__ import annotations

import secrets
import time
from contextvars import ContextVar
from dataclasses import dataclass, field

from folding_server.auth import Access
from folding_server.logs import LOG
from folding_server.metrics import Metrics


@dataclass(slots=True)
class Call:
    """What is known of it. ``received`` and ``sent`` count the bytes of files."""

    method: str
    peer: str
    access: Access = field(default_factory=lambda: Access("", frozenset()))
    request_id: str = field(default_factory=lambda: secrets.token_hex(8))
    started: float = field(default_factory=time.monotonic)
    received: int = 0
    sent: int = 0
    code: str = "OK"
    reason: str = ""
    message: str = ""

    def note(self, metrics: Metrics) -> None:
        """Tell the log and the metrics that it has ended."""
        seconds = time.monotonic() - self.started
        metrics.calls.labels(self.method, self.code).inc()
        metrics.call_seconds.labels(self.method).observe(seconds)
        metrics.received.inc(self.received)
        metrics.sent.inc(self.sent)
        fields = {
            "request_id": self.request_id,
            "method": self.method,
            "owner": self.access.owner,
            "peer": self.peer,
            "code": self.code,
            "reason": self.reason,
            "why": self.message,
            "received": self.received,
            "sent": self.sent,
            "seconds": round(seconds, 6),
        }
        LOG.info("call", extra={"fields": fields})


#: The call that this task answers.
CALL: ContextVar[Call] = ContextVar("CALL")
