"""What looks wrong in how a model was trained or exported, said with its cause and its remedy.

    from folding.lint import lint
    for finding in lint("model.onnx").findings: ...

Nothing here changes a model or keeps it from being folded.

    finding.py      what is found: a closed list of codes
    graphs.py       what the lints look at: the graphs as they were planned on, dead code left out
    looking.py      the lints of a model's graphs, which fold and explain ask, too
    linting.py      lint(): open, prepare, look, run
    the others      one family of lints each
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from folding.lint.finding import Code, Finding
    from folding.lint.linting import Linted, lint

__all__ = ["Code", "Finding", "Linted", "lint"]

_HOMES = {"Code": "finding", "Finding": "finding", "Linted": "linting", "lint": "linting"}


def __getattr__(name: str) -> Any:
    """Import what needs onnx only when it is asked for."""
    from importlib import import_module  # noqa: PLC0415

    if name in _HOMES:
        return getattr(import_module(f"folding.lint.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'folding.lint' has no attribute {name!r}")
