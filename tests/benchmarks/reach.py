"""Which normalisations fold-model folds, beside every peer that is installed.

    python -m pip install '.[bench]' onnxscript && python tests/benchmarks/reach.py

makes small models (``reach_patterns.py``, ``reach_traps.py``) and whole networks with random
weights (``reach_nets.py``) in a temporary folder, lets each tool fold them, counts what is left
(``reach_left.py``), and runs every result beside its source on three inputs in onnxruntime without
optimisation (``reach_judge.py``). Peers that are not installed are left out.

    folds     nothing is left
    part      less is left: of a scale and a shift, the shift
    -         all is left
    WRONG     the result computes something else
    INVALID   the result does not load, or does not take the inputs that the source takes
    fails     there is no result

In the traps ``-`` may be all that is right. The exit code is 1 if fold-model breaks a model, or
leaves more of one than can be done.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import onnx
import reach_tables
from reach_left import left
from reach_nets import NETS
from reach_peers import TOOLS, Tool
from reach_tables import MODELS, SUBJECTS, Found
from reach_trials import Subject, trials


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare what fold-model and its peers fold.")
    names = [tool.name for tool in TOOLS[1:]]
    parser.add_argument("--peer", choices=names, action="append", help="this one; repeatable")
    parser.add_argument("--folder", type=Path, help="keep all models in this new folder")
    parser.add_argument("--json", type=Path, help="write what was found, with the reasons, here")
    return parser.parse_args()


def _tools(chosen: Sequence[str] | None) -> list[Tool]:
    ours, *others = TOOLS
    return [ours, *(t for t in others if t.is_installed and (not chosen or t.name in chosen))]


def made(folder: Path) -> list[Subject]:
    """The sources of all models, the networks last."""
    folder.mkdir(parents=True)
    subjects = []
    for number, pattern in enumerate(MODELS):
        subjects.append(Subject(folder / f"{number:02}.onnx", pattern.spread))
        onnx.save(pattern.model(), subjects[-1].path)
    for net in NETS:
        subjects.append(Subject(folder / f"{net.name}.onnx"))
        net.save(subjects[-1].path)
    return subjects


def _versions(tools: Sequence[Tool]) -> str:
    modules = dict.fromkeys(["onnx", *(tool.module for tool in tools[1:])])
    left_out = [tool.name for tool in TOOLS if not tool.is_installed]
    found = ", ".join(f"{module} {metadata.version(module)}" for module in modules)
    return f"{found}{'; not installed: ' if left_out else ''}{', '.join(left_out)}"


def _written(found: Found, path: Path, versions: str) -> None:
    rows = [
        {
            "group": model.group,
            "model": model.name,
            "tools": {name: asdict(results[place]) for name, results in found.items()},
        }
        for place, model in enumerate(SUBJECTS)
    ]
    path.write_text(json.dumps({"versions": versions, "models": rows}, indent=1))


def main() -> int:
    """Print the tables; 1 if fold-model does not do what it should."""
    options = _options()
    with ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        tools, subjects = _tools(options.peer), made(folder / "sources")
        print(versions := _versions(tools))
        found = {tool.name: list(trials(tool, subjects, folder)) for tool in tools}
        before = [left(onnx.load(subject.path)) for subject in subjects[len(MODELS) :]]
    for table in (reach_tables.patterns(found), reach_tables.summary(found)):
        print(f"\n{table}")
    print(f"\n{reach_tables.nets(found, before)}\n")
    if options.json:
        _written(found, options.json, versions)
    lines = reach_tables.missed(found)
    print("\n".join(lines) or "- met: fold-model does all that can be done, and breaks nothing")
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main())
