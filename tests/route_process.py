"""One process that runs routes: what Keras computes with is settled by its first import.

Run as ``python route_process.py``, with jobs as JSON on standard input; answers, in their order,
are JSON in the file named by the first argument.
"""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from folding.conversion.job import Job, Kind
from folding.conversion.routing import ROUTES
from folding.errors import FoldError, LeftInTraining


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """The product of a job as plain data, or the error that it ended with."""
    kind = Kind[asked.pop("kind")]
    source, folder = (Path(asked.pop(name)) for name in ("source", "folder"))
    job = Job(source, kind, folder, **asked)
    job.folder.mkdir(parents=True)
    module, name = ROUTES[kind].split(":")
    try:
        return asdict(getattr(importlib.import_module(module), name)(job))
    except FoldError as error:
        lints = error.lints if isinstance(error, LeftInTraining) else ()
        return {
            "error": type(error).__name__,
            "message": str(error),
            "hint": error.hint,
            "lints": [[lint.code, lint.at] for lint in lints],
        }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps([answer(job) for job in json.load(sys.stdin)]))
