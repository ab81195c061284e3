"""Random small models, grown node by node by every rule."""

from __future__ import annotations

from growing.cases import Case, cases, feeds, other_batches

__all__ = ["Case", "cases", "feeds", "other_batches"]
