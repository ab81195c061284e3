"""How fast fold-model is, and how much memory it takes, beside every peer that is installed.

    python -m pip install '.[bench]' && python tests/benchmarks/fold_speed.py

makes its models in a temporary folder (15 GB of disk), runs each tool as a whole process, all in
turn, and prints tables with the medians of five runs. A timed run starts with its sources in the
page cache, without old outputs, and with nothing left to write to the disk. fold-model waits until
its output is on the disk (fsync), as ``cp, sync`` does; ``cp`` and the peers do not.

onnxruntime optimises at its basic level, the one whose result other runtimes can read; onnxslim,
onnxoptimizer and onnxsim do what they do by default, which is no comparison of outputs. onnxsim is
called both by its function, from file to file, and as its command, which takes longer.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path

from sections import SECTIONS, Bench

_PACKAGES = ("onnx", "numpy", "onnxruntime", "onnxslim", "onnxoptimizer", "onnxsim")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure fold-model beside its peers.")
    names = [section.__name__ for section in SECTIONS]
    parser.add_argument("--only", choices=names, action="append", help="this section; repeatable")
    parser.add_argument("--runs", type=int, default=5, help="of each tool (default: 5)")
    parser.add_argument("--quick", action="store_true", help="small models, to try this program")
    parser.add_argument("--folder", type=Path, help="keep the models here, and use those in it")
    return parser.parse_args()


def _versions() -> str:
    found = []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    system = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    return f"{', '.join(found)}; {system}, {os.cpu_count()} CPUs"


def _bench(options: argparse.Namespace, stack: ExitStack) -> Bench:
    folder: Path | None = options.folder
    if folder is None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    folder.mkdir(parents=True, exist_ok=True)
    return Bench(folder, options.runs, options.quick)


def main() -> None:
    """Print the sections that were asked for, each as soon as it is measured."""
    options = _options()
    with ExitStack() as stack:
        bench = _bench(options, stack)
        print(f"{_versions()}; medians of {bench.runs} whole processes.")
        for section in SECTIONS:
            if options.only and section.__name__ not in options.only:
                continue
            done = section(bench)
            print(
                f"\n**{done.title}**\n\n{done.table}\n",
                *([] if bench.quick else done.targets),
                sep="\n",
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
