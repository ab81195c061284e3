"""Where a target keeps its big tensors, as callers say it."""

from __future__ import annotations

from enum import StrEnum


class Layout(StrEnum):
    """Where the target keeps its big tensors."""

    AS_SOURCE = "as the source"
    SINGLE_FILE = "single file"
    EXTERNAL_DATA = "external data"
