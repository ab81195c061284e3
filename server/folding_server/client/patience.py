"""The end of calls in which nothing happens: gRPC sees only that a server is there."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import Any

from folding_server.errors import ServiceError

#: Seconds until it is looked again whether somebody waits.
_LOOK = 1.0


class Patience:
    """Cancels a call when its caller has waited for one thing longer than so many seconds."""

    def __init__(self, call: Any, server: str, seconds: float) -> None:
        self._call, self._server, self._seconds = call, server, seconds
        self._since, self._ran_out = inf, False
        self._over = threading.Event()
        threading.Thread(target=self._watch, name="fold-model-patience", daemon=True).start()

    def end(self) -> None:
        """The call is over."""
        self._over.set()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Wait for one thing.

        Raises:
            ServiceError: it took too long, whatever else was said of the call then.
        """
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._since = inf
            if self._ran_out:
                raise ServiceError(
                    "NO_ANSWER",
                    f"the server {self._server!r} said nothing for {self._seconds:g} s",
                    hint="Try again, or ask its operator whether it works.",
                )

    def _watch(self) -> None:
        while (left := self._since + self._seconds - time.monotonic()) > 0:
            if self._over.wait(min(left, _LOOK)):
                return
        self._ran_out = True
        self._call.cancel()
