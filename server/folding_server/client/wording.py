"""What options are called, and their values, in messages: these take nothing but proper text."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

_DIGITS = 16
#: More than any number: what JSON has no word for is read as infinite, here and there.
_VAST = "1e999"
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|Infinity')


def sendable(name: str) -> str:
    """A name as it is sent. For one that is no text, and so in no model, there is a stand-in."""
    try:
        name.encode()
    except UnicodeEncodeError:
        digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
        return f"name-{digest[:_DIGITS]}"
    return name


def stand_ins(names: Iterable[str]) -> dict[str, str]:
    """Those of the names that need one, each with what it stands for."""
    return {sent: name for name in names if (sent := sendable(name)) != name}


def _plain(value: Any) -> Any:
    """What JSON has for an array, for a number of numpy, or for a range."""
    if isinstance(value, range):
        return list(value)
    if not hasattr(value, "tolist"):
        raise TypeError(f"{value!r} is no value of JSON")
    found = value.tolist()
    return float(found) if isinstance(found, type(value)) else found  # As a longdouble stays one.


def value_text(value: Any) -> str:
    """A value to freeze, as JSON in which no = is left: whoever reads it looks for the last one."""
    text = json.dumps(value, default=_plain).replace("=", "\\u003d")
    return _WORD.sub(lambda word: _VAST if word[0] == "Infinity" else word[0], text)
