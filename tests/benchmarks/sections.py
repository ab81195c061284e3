"""What is measured, section by section, beside the targets that it has."""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import architectures
import comparison
import processes
from architectures import Make
from comparison import (
    CP,
    PROVED,
    SYNCED_CP,
    UNPROVED,
    Measured,
    Tool,
    Workload,
    markdown,
    peer,
    ratio_target,
    target,
)

_PEERS = [
    *(peer(name) for name in ("onnxruntime", "onnxslim", "onnxoptimizer", "onnxsim")),
    peer("onnxsim_command", "onnxsim, command", "onnxsim"),
]
_COPIES = (CP, SYNCED_CP)
_BIG_RUNTIME = peer("onnxruntime_external", "onnxruntime", "onnxruntime")
_PARSER = peer("parse", "onnx.load, onnx.save", "onnx")

_LINEAR = 2.2  # What a doubling may cost: twice, and a little for caches that become too small.
_OUR_LIMIT, _THEIR_LIMIT = 150_000, 300_000  # Kilobytes.


@dataclass(frozen=True, slots=True)
class Section:
    """A title, a table, and a line for each target."""

    title: str
    table: str
    targets: list[str]


@dataclass(frozen=True, slots=True)
class Bench:
    """Where the models are, and how much is asked of them."""

    folder: Path
    runs: int
    quick: bool

    def size(self, full: int, small: int) -> int:
        """One of two sizes."""
        return small if self.quick else full

    def workload(self, name: str, make: Make) -> Workload:
        """The model of that name, made if it is not there yet."""
        path = self.folder / f"{name}{'-quick' if self.quick else ''}.onnx"
        data = Path(f"{path}.data")
        if not path.exists():
            with tempfile.TemporaryDirectory(dir=self.folder) as unfinished:
                make(Path(unfinished) / path.name)
                # The model comes last: where it is, all of it is.
                for file in sorted(Path(unfinished).iterdir(), reverse=True):
                    file.replace(self.folder / file.name)
        return Workload((path, data) if data.exists() else (path,))

    def cnn(self, times: int = 1) -> Workload:
        """236 MB, or a multiple."""
        layers = self.size(100, 4) * times
        return self.workload(f"cnn-{layers}", architectures.cnn(layers))

    def external(self) -> Workload:
        """3 GB in two files."""
        layers, width = self.size(160, 4), self.size(244_140, 6_000)
        return self.workload("external", architectures.external(layers, width))

    def compare(self, workload: Workload, *tools: Tool) -> dict[str, Measured]:
        """The tools on one model, by their names."""
        return comparison.compare(workload, tools, self.runs, self.folder)


def cnn(bench: Bench) -> Section:
    """Many bytes in one file."""
    found = bench.compare(workload := bench.cnn(), UNPROVED, *_COPIES, *_PEERS)
    bounds = {"onnxruntime": 0.5, "onnxslim": 0.2, "onnxsim": 0.1, "onnxsim, command": 0.1}
    targets = [ratio_target(found, name, most) for name, most in bounds.items()]
    return Section(f"CNN, {workload}", comparison.table(found), targets)


def mobilenet(bench: Bench) -> Section:
    """Few bytes, so that starting counts."""
    workload = bench.workload("mobilenet", architectures.mobilenet)
    found = bench.compare(workload, UNPROVED, *_COPIES, *_PEERS)
    bounds = {"onnxruntime": 2.0, "onnxslim": 0.55}
    targets = [ratio_target(found, name, most) for name, most in bounds.items()]
    return Section(f"MobileNetV2-like, {workload}", comparison.table(found), targets)


def external(bench: Bench) -> Section:
    """More than a protobuf message can hold; the other peers take minutes and many gigabytes."""
    found = bench.compare(workload := bench.external(), UNPROVED, *_COPIES, _BIG_RUNTIME)
    title = f"External data, {workload}, half of it convolutions"
    return Section(title, comparison.table(found), [ratio_target(found, "cp", 2.5)])


def verified(bench: Bench) -> Section:
    """Folding with its proof, against folding alone."""
    found = bench.compare(workload := bench.cnn(), PROVED, peer("onnxslim"))
    title = f"CNN, {workload}, with the proof (onnxslim folds only)"
    return Section(title, comparison.table(found), [ratio_target(found, "onnxslim", 1.0)])


def memory(bench: Bench) -> Section:
    """Whether a process gets by with little memory of its own."""
    title = "Both big models under `ulimit -d` (kilobytes of private data)"
    if sys.platform != "linux":
        return Section(title, "Only Linux counts all private memory there.", [])
    rows = [markdown("tool", "ulimit -d", "CNN", "external data"), "|---|--:|---|---|"]
    outcomes = {}
    for tools, limit in (
        ((UNPROVED, UNPROVED), _OUR_LIMIT),
        ((PROVED, PROVED), _OUR_LIMIT),
        ((_PEERS[0], _BIG_RUNTIME), _THEIR_LIMIT),
        ((_PARSER, _PARSER), _THEIR_LIMIT),
    ):
        models = (bench.cnn(), bench.external())
        ends = [_limited(bench, *pair, limit) for pair in zip(tools, models, strict=True)]
        outcomes[tools[0].name] = ends
        rows.append(markdown(tools[0].name, f"{limit:,}", *ends))
    failing = sum(end != "ok" for end in outcomes[UNPROVED.name])
    fails = target("models that `fold --no-verify` fails on", failing, 0)
    return Section(title, "\n".join(rows), [fails])


def _limited(bench: Bench, tool: Tool, workload: Workload, limit: int) -> str:
    words = tool.command(workload, comparison.fresh(bench.folder))
    try:
        processes.run(processes.limited(words, limit))
    except processes.Failed as error:
        return f"fails: {error}"
    return "ok"


def growth(bench: Bench) -> Section:
    """Whether twice the model takes twice the time."""
    memory_name = processes.peak_name()
    head = ("model", "seconds", "for each doubling", "CPU seconds", memory_name)
    rows = [markdown(*head), "|---|" + "--:|" * 4]
    factors = []
    for label, doublings, pair in _pairs(bench):
        small, large = (bench.compare(workload, UNPROVED)[UNPROVED.name] for workload in pair)
        factor = math.inf
        if small.seconds and large.seconds:
            factor = (large.seconds / small.seconds) ** (1 / doublings)
        factors.append(factor)
        rows.append(markdown(label, *_grown(small, large, factor)))
    what = f"the worst doubling takes (linear, and {_LINEAR - 2:.0%} for caches)"
    worst = target(what, max(factors), _LINEAR, "x")
    return Section("Growth, `fold --no-verify`", "\n".join(rows), [worst])


def _grown(small: Measured, large: Measured, factor: float) -> tuple[str, ...]:
    both = (small, large)
    times = (f"{m.seconds:.2f}" if m.seconds else f"fails: {m.failure}" for m in both)
    peaks = ("?" if m.peak is None else f"{m.peak / 1e6:,.0f}" for m in both)
    cpu = (f"{m.cpu:.2f}" if m.seconds else "" for m in both)
    return " to ".join(times), f"{factor:.2f}x", " to ".join(cpu), " to ".join(peaks)


def _pairs(bench: Bench) -> Iterator[tuple[str, int, tuple[Workload, Workload]]]:
    """A label, how often the size doubles, and both models."""
    yield "CNN, 1x and 4x bytes", 2, (bench.cnn(), bench.cnn(4))
    for label, make, full in (
        ("chain of {:,} and {:,} nodes", architectures.chain, 20_000),
        ("chain of {:,} and {:,} nodes", architectures.chain, 200_000),
        ("a value with {:,} and {:,} readers", architectures.readers, 100_000),
        ("{:,} and {:,} initializers", architectures.initializers, 1_000_000),
    ):
        large = bench.size(full, full // 25)
        sizes = (large // 2, large)
        name = make.__name__
        small_model, large_model = (bench.workload(f"{name}-{size}", make(size)) for size in sizes)
        yield label.format(*sizes), 1, (small_model, large_model)


def start(bench: Bench) -> Section:
    """What a process costs that does nothing yet."""
    rows = [markdown("command", "seconds"), "|---|--:|"]
    targets = []
    for name, words, most in (
        ("fold-model --help", ["-m", "folding", "--help"], 0.3),
        ("import folding", ["-c", "import folding"], 0.25),
    ):
        spent = [processes.spent([sys.executable, *words], ()) for _ in range(bench.runs)]
        seconds = statistics.median(one.wall for one in spent)
        rows.append(markdown(f"`{name}`", f"{seconds:.2f}"))
        targets.append(target(f"`{name}` takes", seconds, most, " s"))
    return Section("Start", "\n".join(rows), targets)


SECTIONS: tuple[Callable[[Bench], Section], ...] = (
    cnn,
    mobilenet,
    external,
    verified,
    memory,
    growth,
    start,
)
