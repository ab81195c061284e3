"""Logs: a JSON object a line on standard error, with nothing in it that a client could forge."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from logging.handlers import MemoryHandler
from typing import Any

from folding_server.texts import cut

#: What happened to calls and to the server itself. Fields are given as ``extra={"fields": …}``.
LOG = logging.getLogger("folding_server")

_LONGEST = 200
#: Of a message, which may end with what a process last said.
_LONGEST_MESSAGE = 4096
_LONGEST_TRACE = 8000
_MOST_HELD = 1000


class JsonLines(logging.Formatter):
    """One line of ASCII for each record: JSON escapes all that is not."""

    def format(self, record: logging.LogRecord) -> str:
        told = getattr(record, "fields", {})
        found = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "message": cut(record.getMessage(), _LONGEST_MESSAGE),
            **{name: _short(value) for name, value in told.items()},
        }
        if record.exc_info:
            found["trace"] = cut(self.formatException(record.exc_info), _LONGEST_TRACE)
        return json.dumps(found)

    def formatTime(  # noqa: N802 - the name is logging's
        self, record: logging.LogRecord, datefmt: str | None = None
    ) -> str:
        moment = time.strftime(datefmt or "%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{moment}.{int(record.msecs):03}Z"


def _short(value: Any) -> Any:
    return cut(value, _LONGEST) if isinstance(value, str) else value


def to_stderr() -> Callable[[], None]:
    """Log everything of this process so, also what libraries say, once the result is called."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    held = MemoryHandler(_MOST_HELD, logging.CRITICAL + 1, handler, flushOnClose=False)
    logging.basicConfig(handlers=[held], level=logging.WARNING, force=True)
    LOG.setLevel(logging.INFO)

    def begin() -> None:
        held.flush()
        logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)

    return begin
