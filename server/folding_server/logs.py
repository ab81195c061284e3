"""Logs: a JSON object a line on standard error, with nothing in it that a client could forge."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

from folding_server.texts import cut

#: What happened to calls and to the server itself. Fields are given as ``extra={"fields": …}``.
LOG = logging.getLogger("folding_server")

_LONGEST = 200
_LONGEST_TRACE = 8000


class JsonLines(logging.Formatter):
    """One line of ASCII for each record: JSON escapes all that is not."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        found = {name: _short(value) for name, value in fields.items()}
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


def to_stderr() -> None:
    """Log everything of this process so, also what libraries say."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    LOG.setLevel(logging.INFO)
