"""Tools side by side on one model, in turn, and how far they are from their targets."""

from __future__ import annotations

import importlib.util
import shutil
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx
import processes

_PEERS = Path(__file__).with_name("peers.py")


@dataclass(frozen=True, slots=True)
class Workload:
    """A model and the files it is in."""

    files: tuple[Path, ...]

    @property
    def path(self) -> Path:
        """The model itself; external data comes after it."""
        return self.files[0]

    def __str__(self) -> str:
        return f"{sum(file.stat().st_size for file in self.files) / 1e6:,.0f} MB"


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that makes a target of a source."""

    name: str
    command: Callable[[Workload, Path], list[str]]
    is_installed: bool = True


@dataclass(slots=True)
class Measured:
    """What one tool did with one model."""

    is_installed: bool
    times: list[processes.Spent] = field(default_factory=list)
    failure: str | None = None
    peak: int | None = None
    normalisations: int = 0
    nodes: int = 0

    @property
    def seconds(self) -> float | None:
        """The median, or None if there is none."""
        if self.failure or not self.times:
            return None
        return statistics.median(spent.wall for spent in self.times)

    @property
    def cpu(self) -> float:
        """The median that all processors spent."""
        return statistics.median(spent.cpu for spent in self.times)


def _fold_model(name: str, *options: str) -> Tool:
    def command(workload: Workload, target: Path) -> list[str]:
        words = [sys.executable, "-m", "folding", "fold", str(workload.path), "-o", str(target)]
        return [*words, "--quiet", *options]

    return Tool(name, command)


def peer(name: str, label: str = "", module: str = "") -> Tool:
    """A function of ``peers.py``, its name in the tables, and the module that it needs."""

    def command(workload: Workload, target: Path) -> list[str]:
        return [sys.executable, str(_PEERS), name, str(workload.path), str(target)]

    is_installed = importlib.util.find_spec(module or name) is not None
    return Tool(label or name, command, is_installed)


def _copy(workload: Workload, target: Path) -> list[str]:
    return ["cp", *map(str, workload.files), str(target.parent)]


def _copy_to_disk(workload: Workload, target: Path) -> list[str]:
    script = 'cp "$@" "$0" && sync "$0"/*'
    return ["sh", "-c", script, str(target.parent), *map(str, workload.files)]


UNPROVED = _fold_model("fold-model --no-verify", "--no-verify")
PROVED = _fold_model("fold-model")
CP = Tool("cp", _copy, shutil.which("cp") is not None)
SYNCED_CP = Tool("cp, sync", _copy_to_disk, all(map(shutil.which, ("sh", "cp", "sync"))))


def compare(
    workload: Workload, tools: Sequence[Tool], runs: int, folder: Path
) -> dict[str, Measured]:
    """Every tool once in each round, so that what else the machine does befalls all alike."""
    found = {tool.name: Measured(tool.is_installed) for tool in tools}
    for step in [_time] * runs + [_look]:
        for tool in tools:
            measured = found[tool.name]
            if not measured.is_installed or measured.failure:
                continue
            try:
                step(tool, workload, fresh(folder), measured)
            except processes.Failed as error:
                measured.failure = str(error)
    fresh(folder)
    return found


def _time(tool: Tool, workload: Workload, target: Path, measured: Measured) -> None:
    measured.times.append(processes.spent(tool.command(workload, target), workload.files))


def _look(tool: Tool, workload: Workload, target: Path, measured: Measured) -> None:
    """A run of its own for what measuring would slow down."""
    measured.peak = processes.peak(tool.command(workload, target))
    (result,) = target.parent.glob("*.onnx")
    nodes = onnx.load(result, load_external_data=False).graph.node
    measured.nodes = len(nodes)
    measured.normalisations = sum(node.op_type == "BatchNormalization" for node in nodes)


def fresh(folder: Path) -> Path:
    """A target in a folder that nothing is left in."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    (folder / "out").mkdir()
    return folder / "out" / "target.onnx"


def table(found: dict[str, Measured]) -> str:
    """What was measured, the first tool's time relative to the others'."""
    ours, *_ = found
    head = ("tool", "seconds", f"{ours} takes", "CPU seconds", processes.peak_name())
    lines = [markdown(*head, "BatchNormalization left", "nodes left"), "|---|" + "--:|" * 6]
    for name, measured in found.items():
        lines.append(markdown(name, *_cells(measured, found[ours])))
    return "\n".join(lines)


def _cells(measured: Measured, ours: Measured) -> tuple[str, ...]:
    seconds = measured.seconds
    if seconds is None:
        reason = f"fails: {measured.failure}" if measured.is_installed else "not installed"
        return (reason, "", "", "", "", "")
    relative = f"{ours.seconds / seconds:.2f}x" if ours.seconds and ours is not measured else ""
    memory = "?" if measured.peak is None else f"{measured.peak / 1e6:,.0f}"
    left = str(measured.normalisations), f"{measured.nodes:,}"
    return (f"{seconds:.2f}", relative, f"{measured.cpu:.2f}", memory, *left)


def markdown(*cells: str) -> str:
    """One row of a table."""
    return f"| {' | '.join(cells)} |"


def target(what: str, value: float | None, most: float, unit: str = "") -> str:
    """Whether a target is reached, with its numbers."""
    if value is None:
        return f"- not measured: {what}"
    state = "reached" if value <= most else "missed"
    return f"- {state}: {what} {value:.3g}{unit} (at most {most:g}{unit})"


def ratio_target(found: dict[str, Measured], other: str, most: float) -> str:
    """The same for the first tool's time relative to another's."""
    ours = next(iter(found))
    if found[ours].failure:
        return f"- missed: {ours} fails"
    mine, theirs = found[ours], found[other]
    what = f"{ours} / {other} ="
    if mine.seconds is None or theirs.seconds is None:
        return target(what, None, most)
    line = target(what, mine.seconds / theirs.seconds, most, "x")
    return f"{line}; {mine.cpu / theirs.cpu:.3g}x in CPU seconds" if theirs.cpu else line
