"""Every fault in every fold of a model, and what each comparison says of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import faults
import numpy as np
from alarms import Case
from faults import Fault
from onnx import ModelProto
from testbed import Bed, Found, Remembered
from tolerances import TOLERANCES, Tolerance

from folding.equivalence.feeds import Feed
from folding.equivalence.kinds import Kind
from folding.equivalence.made_up import made_up
from folding.equivalence.runtime import RuntimeRefused
from folding.equivalence.sites import Site
from folding.equivalence.verdict import Status

#: Models of fewer bytes are quick to run, so that more of their folds are tried.
_SMALL = 1 << 23
_MOST_WIRES = 100


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one fault: who found it, and whether all who name a place name the right one.

    ``alone`` are those of sites and outputs that find it without the proof.
    """

    model: str
    fault: Fault
    found: Found
    caught: frozenset[str]
    alone: frozenset[str]
    others: frozenset[str]

    @property
    def is_located(self) -> bool:
        """Whether its place is named, and no other."""
        return self.fault.is_located(self.found)


@dataclass(slots=True)
class Trial:
    """What was tried on a model. ``false`` are the others that take its right fold for wrong."""

    name: str
    folds: int = 0
    tried: int = 0
    runs: int = 0
    outcomes: list[Outcome] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)
    false: set[str] = field(default_factory=set)
    worst: tuple[float | None, float | None] = (None, None)


def trial(name: str, path: Path, most: int | None, seeds: int) -> Trial:
    """Try the right fold at some seeds, then faults in at most so many folds, and in wires.

    Args:
        name: of the model.
        path: where it is.
        most: how many folds, None for all of them, and a few by the size of the model if 0.
        seeds: how many.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bed = stack.enter_context(Bed(path, folder))
        made = Trial(name, len(bed.sites))
        if not bed.sites:
            return made
        _try_right(bed, made, seeds)
        right = ModelProto.FromString(bed.right.read_bytes())
        count = (6 if right.ByteSize() < _SMALL else 2) if most == 0 else most
        sites = _some(bed.sites, count)
        made.tried = len(sites)
        compared = _Peers(bed)
        for fault in _faults(bed, right, sites, count):
            wrong = folder / "wrong.onnx"
            fault.save(right, wrong)
            where = [fault.site] if fault.site is not None else []
            with bed.candidate(wrong) as theirs:
                found = bed.compare(theirs, where, bed.givens)
                made.outcomes.append(_outcome(name, fault, found, compared.finding(theirs)))
        with bed.candidate(bed.right) as theirs:
            made.false |= compared.finding(theirs)
    return made


def _some(sites: Sequence[Site], count: int | None) -> list[Site]:
    chosen = np.random.default_rng(len(sites)).permutation(len(sites))[:count]
    return [sites[index] for index in sorted(chosen)]


def _faults(
    bed: Bed, right: ModelProto, sites: Sequence[Site], count: int | None
) -> Iterator[Fault]:
    for site in sites:
        yield from faults.faults(bed, site)
    yield from faults.rewirings(bed, right, _MOST_WIRES if count is None else count)


def _outcome(name: str, fault: Fault, found: Found, others: frozenset[str]) -> Outcome:
    alone = [c.name for c in (found.sites, found.alone) if c.status is Status.FAILED]
    caught = frozenset(check.name for check in found.failed)
    return Outcome(name, fault, found, caught, frozenset(alone), others)


def _try_right(bed: Bed, made: Trial, seeds: int) -> None:
    for seed, found in enumerate(bed.prepare(range(seeds))):
        _note(made, seed, found)


def _note(made: Trial, seed: int, found: Found) -> None:
    """Add what was found of a right fold."""
    made.runs += 1
    sites, outputs = made.worst
    made.worst = (_larger(sites, found.sites.worst), _larger(outputs, found.outputs.worst))
    made.alarms += [f"{made.name}, seed {seed}: {c.name}: {c.why}" for c in found.failed]
    idle = [c for c in (found.sites, found.outputs) if c.status is Status.NOT_RUN and not c.excused]
    made.alarms += [f"{made.name}, seed {seed}: {c.name} not run: {c.why}" for c in idle]
    if found.alone.status is Status.FAILED:
        made.false.add("outputs alone")


def _larger(one: float | None, other: float | None) -> float | None:
    return max((value for value in (one, other) if value is not None), default=None)


def try_case(name: str, cases: Iterable[Case], folder: Path) -> Trial:
    """Try right folds of models with inputs of their own."""
    made = Trial(name)
    for seed, case in enumerate(cases):
        path = folder / "case.onnx"
        path.write_bytes(case.model.SerializeToString())
        with Bed(path, folder) as bed, bed.candidate(bed.right) as right:
            for givens in bed.all_inputs(seed, case.feeds):
                _note(made, seed, bed.compare(right, bed.sites, givens))
                bed.givens = bed.givens or givens
            made.false |= _Peers(bed).finding(right)
    return made


class _Peers:
    """What others compare a candidate by, each at its own inputs."""

    def __init__(self, bed: Bed) -> None:
        self._bed = bed
        self._feeds: dict[tuple[str, int], Feed] = {}
        shapes = {name: array.shape for name, array in bed.givens[0].feed.items()}
        for tolerance in TOLERANCES:
            for seed in range(tolerance.inputs):
                key = (tolerance.kind, seed)
                found = made_up(bed.reference.proto, (Kind(key[0]),), seed, shapes=shapes)
                if not isinstance(found, str):
                    self._feeds[key] = found.arrays

    def finding(self, theirs: Remembered) -> frozenset[str]:
        """The names of those that find something wrong; all do where it does not even run."""
        try:
            return frozenset(one.name for one in TOLERANCES if self._is_found(one, theirs))
        except RuntimeRefused:
            return frozenset(one.name for one in TOLERANCES)

    def _is_found(self, tolerance: Tolerance, theirs: Remembered) -> bool:
        keys = ((tolerance.kind, seed) for seed in range(tolerance.inputs))
        feeds = (self._feeds[key] for key in keys if key in self._feeds)
        results = self._bed.results
        return any(tolerance.finds(results(feed), results(feed, theirs)) for feed in feeds)
