"""What fold-model's checks find of the faults that folding tools make, and what tolerances find.

    python -m pip install '.[test]' && PYTHONPATH=tests python tests/benchmarks/fault_detection.py

puts faults of many kinds into right folds of many models, tries right folds that a comparison may
take for wrong ones, prints tables, and fails if a fault is missed or a right fold is not.

A fault counts if a number is off by more than 8 u A, with u the unit roundoff of its type and A the
folding formula with absolute values and plus signs; an edge that was rewired always does. It is
found if one of the four checks fails; its place is named if all that name a place name the right
one: the tensor, the affine, the node. The columns behind are comparisons by runs only: sites and
outputs as they judge a file of which nothing is proved, then the tolerances of others
(``tolerances``). Outputs are judged here even where a site has failed; users are told of the site.

Everything runs in this process, since one for each fault would take most of the time.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import fault_tables
from alarms import CASES
from fault_models import models
from fault_trials import Trial, trial, try_case

from folding.floats import FLOATS

_PACKAGES = ("onnx", "numpy", "onnxruntime")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Put faults into folds, and look who finds them.")
    parser.add_argument("--all", action="store_true", help="every fold, not a sample of a few")
    parser.add_argument("--models", type=Path, help="also the models of this folder")
    parser.add_argument("--seeds", type=int, default=10, help="for right folds (default: 10)")
    parser.add_argument("--only", help="models and cases with this in their names")
    return parser.parse_args()


def _trials(options: argparse.Namespace, folder: Path) -> Iterator[Trial]:
    for name, path in models(folder, options.models):
        if options.only is None or options.only in name:
            one = trial(name, path, None if options.all else 0, options.seeds)
            if one.folds:
                yield one


def _right_folds(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Trial]]:
    for name, (make, types) in CASES.items():
        for elem_type in types if options.only is None or options.only in name else ():
            cases = (make(elem_type, seed) for seed in range(options.seeds))
            yield FLOATS[elem_type].name, try_case(name, cases, folder)


def main() -> int:
    """Print the tables; 1 if a requirement is not met."""
    options, start = _options(), time.perf_counter()
    versions = ", ".join(f"{package} {metadata.version(package)}" for package in _PACKAGES)
    system = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    print(f"{versions}; {system}, {os.cpu_count()} CPUs.")
    with tempfile.TemporaryDirectory() as folder:
        trials = list(_trials(options, Path(folder) / "models"))
        right = list(_right_folds(options, Path(folder)))
    outcomes = [outcome for one in trials for outcome in one.outcomes]
    lines, is_met = fault_tables.requirements(trials, [one for _, one in right])
    for title, table in (
        ("Faults that are found, in percent", fault_tables.kinds(outcomes) if outcomes else ""),
        (f"Models, {options.seeds} seeds", fault_tables.models(trials)),
        (f"Right folds, {options.seeds} seeds", fault_tables.alarms(right)),
        ("Requirements", "\n".join(lines)),
    ):
        print(f"\n**{title}**\n\n{table}")
    print(f"\n{time.perf_counter() - start:.0f} s.")
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
