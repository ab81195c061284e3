"""Texts that come from models and clients, made fit to be sent on."""

from __future__ import annotations

from folding.exits import printable


def cut(text: str, most: int) -> str:
    """The first ``most`` bytes of ``text`` in UTF-8, without half a character at the end.

    What has no UTF-8, as a lone surrogate, becomes a question mark.
    """
    return text[:most].encode(errors="replace")[:most].decode(errors="ignore")


def line(text: str, most: int) -> str:
    """The same as one line that moves no cursor."""
    return cut(printable(text[:most]), most)
