"""Random small models, grown node by node by every rule."""

from __future__ import annotations

from growing.cases import Case, cases, feeds

__all__ = ["Case", "cases", "feeds"]
