"""What each tool does with each model, and whether its result is still the same function."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import onnx
from reach_judge import deviation
from reach_left import Left, left
from reach_peers import Failed, Process, Tool


class Verdict(StrEnum):
    """What became of the normalisation of a model."""

    FOLDS = "folds"
    PART = "part"
    LEAVES = "leaves"
    WRONG = "wrong"  # The result computes something else.
    INVALID = "invalid"  # The result does not load or run.
    FAILS = "fails"  # There is no result.

    @property
    def is_broken(self) -> bool:
        return self in (Verdict.WRONG, Verdict.INVALID)


@dataclass(frozen=True, slots=True)
class Subject:
    """A model, and how large its inputs are."""

    path: Path
    spread: float = 1.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One tool with one model; ``note`` says what went wrong."""

    verdict: Verdict
    left: Left
    note: str = ""


def trials(tool: Tool, subjects: list[Subject], folder: Path) -> Iterator[Trial]:
    """A tool with one model after the other; its results stay in a folder of its name."""
    results = folder / tool.name.replace(" ", "_")
    results.mkdir()
    with closing(Process(tool.fold)) as folds, closing(Process(deviation)) as judges:
        for subject in subjects:
            yield _trial(folds, judges, subject, results / subject.path.name)


def _trial(folds: Process, judges: Process, subject: Subject, target: Path) -> Trial:
    before = left(onnx.load(subject.path))
    try:
        folds.call(str(subject.path), str(target))
        after = left(onnx.load(target))
    except (Failed, OSError) as error:
        return Trial(Verdict.FAILS, before, str(error))
    try:
        apart = judges.call(str(subject.path), str(target), subject.spread)
    except Failed as error:
        return Trial(Verdict.INVALID, after, str(error))
    if apart > 1:
        return Trial(Verdict.WRONG, after, f"off by {apart:.2g} tolerances")
    return Trial(_verdict(before, after), after)


def _verdict(before: Left, after: Left) -> Verdict:
    if after.weight >= before.weight:
        return Verdict.LEAVES
    return Verdict.PART if after.count else Verdict.FOLDS
