"""What looks wrong in how a model was trained or exported, said with its cause and its remedy.

Nothing here changes a model or keeps it from being folded.

    finding.py      what is found: a closed list of codes
    graphs.py       what the lints look at: the graphs as they were planned on, dead code left out
    looking.py      the lints of a model's graphs, which fold and explain ask, too
    linting.py      lint(): open, prepare, look, run
    the others      one family of lints each

``folding.lint`` is this package, and may be called: it is the function ``lint`` of ``linting``.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from folding.lint.finding import Finding


class _Callable(ModuleType):
    """The package as a function."""

    def __call__(self, *args: Any, **options: Any) -> list[Finding]:
        from folding.lint.linting import lint  # noqa: PLC0415 - it needs onnx

        return lint(*args, **options)


sys.modules[__name__].__class__ = _Callable
