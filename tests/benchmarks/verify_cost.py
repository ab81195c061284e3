"""What ``verify`` costs, beside running both models once the usual way.

    python -m pip install '.[bench]' && python tests/benchmarks/verify_cost.py REFERENCE.onnx ...

folds each model (without arguments a CNN of 236 MB, a MobileNet of 13 MB and one of ``models/``),
and measures in processes of their own, all in turn: creating a session of each of the two files
with onnxruntime's defaults and running it once; ``verify``, with the process that runs the models;
and in this process the proof alone, frame and parameters, beside reading both files. CPU seconds,
medians of some runs; memory is the most that the process and those it starts have at one time
(``processes.peak``), the largest of some runs.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import architectures
import processes

import folding
from folding.equivalence.frame import check_frame
from folding.equivalence.parameters import check_parameters
from folding.modelfile import open_model
from folding.planner import plan_model

USUAL = """
import sys
import numpy as np
import onnxruntime as ort
rng = np.random.default_rng(0)
for path in sys.argv[1:]:
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    feed = {}
    for value in session.get_inputs():
        shape = [size if isinstance(size, int) else 2 for size in value.shape]
        feed[value.name] = rng.standard_normal(shape).astype("f4")
    session.run(None, feed)
"""
VERIFY = ["-m", "folding", "verify", "--quiet"]
_SMALL = Path(__file__).parent.parent.parent / "models" / "torch_cnn.onnx"


_PEAKS = 2
_MEGABYTE = 1e6


def _models(folder: Path, given: list[Path]) -> Iterator[Path]:
    if given:
        yield from given
        return
    for name, make in (("cnn", architectures.cnn(100)), ("mobilenet", architectures.mobilenet)):
        path = folder / f"{name}.onnx"
        make(path)
        yield path
        path.unlink()
    yield _SMALL


def _proof(one: Path, other: Path) -> None:
    with open_model(one) as reference, open_model(other) as candidate:
        drafts = plan_model(reference, {}).drafts
        check_frame(reference, candidate, drafts)
        check_parameters(candidate, drafts)


def _cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _row(path: Path, folder: Path, runs: int) -> str:
    other = folder / f"{path.stem}.folded.onnx"
    folding.fold(path, other, verify=False)
    files = [str(path), str(other)]
    commands = ([sys.executable, "-c", USUAL, *files], [sys.executable, *VERIFY, *files])
    spent = [[processes.spent(words, [path, other]).cpu for words in commands] for _ in range(runs)]
    usual, verify = (statistics.median(column) for column in zip(*spent, strict=True))
    peaks = [[processes.peak(words) or 0 for words in commands] for _ in range(_PEAKS)]
    theirs, ours = (max(column) / _MEGABYTE for column in zip(*peaks, strict=True))
    reads = statistics.median(
        _cpu(lambda: [file.read_bytes() for file in (path, other)]) for _ in range(runs)
    )
    proof = statistics.median(_cpu(lambda: _proof(path, other)) for _ in range(runs))
    other.unlink()
    cells = (path.name, f"{usual:.2f}", f"{verify:.2f}", f"{verify / usual:.2f}x")
    memory = (f"{theirs:.0f}", f"{ours:.0f}", f"{ours / max(theirs, 1):.2f}x")
    return " | ".join((*cells, *memory, f"{reads:.4f}", f"{proof:.4f}", f"{proof / reads:.2f}x"))


def main() -> None:
    """Print one row for each model, in CPU seconds."""
    parser = argparse.ArgumentParser(description="Measure what verify costs.")
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--runs", type=int, default=5, help="of each (default: 5)")
    options = parser.parse_args()
    memory = processes.peak_name()
    print(f"usual, verify: CPU seconds, then {memory}; reading both, proof: CPU seconds.\n")
    print(
        "| model | usual | verify | ratio | usual | verify | ratio | reading both | proof | ratio |"
    )
    print("|---|" + "--:|" * 9)
    with tempfile.TemporaryDirectory() as name:
        for path in _models(Path(name), options.models):
            print(f"| {_row(path, Path(name), options.runs)} |", flush=True)


if __name__ == "__main__":
    main()
