"""Outputs: both models run end to end, to find what is wired otherwise.

A fold of ours is compared with the reference in units of the noise that rounding at the folded
sites brings about (``noise``). Where there is no such measure, because a fold lies inside of a
body, or because the candidate is somebody else's whose other changes round as well, an output may
differ by the general bound, as a whole and in each channel (``distance``). What differs by more is
compared with the noise that the reference's own rounding brings about (``rounding``), and may be
four times as large: a reference that cancels large numbers is no better known than that. Where that
noise is a tenth of an output or more, the inputs say nothing of it.

Outputs that are discrete are judged by the float values that they are made from (``observed``), and
themselves by what no noise changes; what is made without rounding must be the same.

The reference runs with graph optimisation disabled, because the runtime's own fusions are wrong
on some graphs; the candidate runs that way and at the default level. Where the *reference* changes
between the two levels as well, the runtime is blamed in a warning, not the fold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

import numpy as np

from folding.doubled import Doubles
from folding.equivalence.activations import First, Values
from folding.equivalence.decided import Made, decided, has_numbers
from folding.equivalence.distance import MOST, distance, general_bound
from folding.equivalence.feeds import Feed
from folding.equivalence.mismatch import mismatch
from folding.equivalence.noise import RATIO, explained, float_type, ratio
from folding.equivalence.optimised import Optimised
from folding.equivalence.runtime import RuntimeRefused
from folding.equivalence.sessions import Sessions
from folding.equivalence.shaken import Drawn, Shaken
from folding.equivalence.variants import with_outputs
from folding.equivalence.verdict import Check, Status
from folding.plan import Warned

_OVERFLOW = "numbers overflow on all inputs"
_NOTHING = "no output has a finite number on these inputs that is not lost in rounding"


@dataclass(slots=True)
class OutputCheck:
    """Compares what two models give. What it finds adds up over all inputs.

    ``watched`` has, for each output, the values that are compared for it: names of the reference
    and of the candidate. ``exact`` are the outputs that are made without rounding. With
    ``measured`` False the sites' noise is not all that explains a difference; ``tolerance`` is the
    user's, if any. ``excused`` is whether the proof can do without this check.
    """

    reference: Sessions
    candidate: Sessions
    watched: dict[str, tuple[tuple[str, str], ...]]
    exact: frozenset[str]
    shaken: Shaken
    measured: bool
    tolerance: float | None
    excused: bool = True
    worst: Check = field(default_factory=lambda: Check("outputs", Status.PASSED))
    warnings: list[Warned] = field(default_factory=list)
    insensitive: set[str] = field(default_factory=set)
    sensitive: set[str] = field(default_factory=set)
    explained: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    compared: bool = False
    has_evidence: bool = False
    skipped: str = ""

    def run(self, feed: Feed, first: First, noise: Mapping[str, Doubles]) -> None:
        """Compare the candidate with what the reference gave for some inputs.

        Raises:
            RuntimeRefused: the runtime gave up on the reference with noise.
        """
        self.compared = True
        if self.worst.status is not Status.PASSED:
            return
        there = {value.name for value in self.candidate.model.proto.graph.output}
        missing = [output for output in self.watched if output not in there]
        if missing:
            self._fail(f"the candidate has no output {missing[0]!r}", missing[0])
            return
        theirs = tuple(name for pairs in self.watched.values() for _, name in pairs)
        variant = partial(with_outputs, self.candidate.model.proto, theirs, shapes=())
        try:
            with self.candidate.of("outputs", variant) as session:
                given = session.run_named(feed)
        except RuntimeRefused as refusal:
            self._fail(f"the candidate does not run: {refusal}")
            return
        rounding = cache(partial(self.shaken.everywhere, feed, noise, first.shapes))
        at_sites = cache(partial(self.shaken.at_sites, feed, noise, first.shapes))
        for output, pairs in self.watched.items():
            drawn = at_sites if self.measured else rounding
            self._compare(output, pairs, first.values, given, drawn)
        if self.worst.status is Status.PASSED:
            self._run_optimised(feed, first.values, given, rounding)

    def _compare(
        self,
        output: str,
        pairs: tuple[tuple[str, str], ...],
        expected: Values,
        given: Values,
        drawn: Drawn,
    ) -> None:
        for ours, theirs in pairs:
            is_itself = ours == output
            what = f"output {ours!r}" if is_itself else f"{ours!r}, behind which is {output!r},"
            one, other = expected[ours], given[theirs]
            if self.measured and self.tolerance is None and float_type(one) is not None:
                self._note_ratio(what, ours, one, other, [d[ours] for d in drawn()] or [one])
            else:
                self._note_distance(what, ours, one, other, drawn)
        if (output, output) not in pairs:
            same = [np.array_equal(expected[ours], given[theirs]) for ours, theirs in pairs]
            is_alike = bool(same) and all(same)
            self._note_decided(output, expected[output], given[output], drawn, is_alike=is_alike)

    def _note_decided(self, at: str, one: Any, other: Any, drawn: Drawn, *, is_alike: bool) -> None:
        made = Made(exact=at in self.exact, alike=is_alike, measured=self.measured)
        apart = decided(one, other, made, self._bound(), partial(self._noisy, at, drawn))
        self.has_evidence |= has_numbers(one)
        if apart:
            self._fail(f"output {at!r}: {apart}", at, mismatch=mismatch(one, other, 0.0))

    def _note_ratio(self, what: str, at: str, one: Any, other: Any, noisy: list[Any]) -> None:
        kind = float_type(one)
        assert kind is not None
        found = ratio(one, other, noisy, kind)
        (self.sensitive if found.arrived else self.insensitive).add(at)
        self.has_evidence |= has_numbers(one)
        lines = () if found.worst <= RATIO else mismatch(one, other, self._bound())
        if found.why:
            self._fail(f"{what}: {found.why}", at, mismatch=lines)
        elif not found.worst <= RATIO:
            text = f"{what} differs by {found.worst:.2g} times what rounding explains"
            if not found.arrived:
                text = f"{what} differs, where rounding in the folds changes nothing"
            self._fail(text, at, (found.worst, RATIO), lines)
        else:
            self._pass(at, found.worst, RATIO)

    def _note_distance(self, what: str, at: str, one: Any, other: Any, drawn: Drawn) -> None:
        found, bound = distance(one, other, by_channel=self.tolerance is None), self._bound()
        if isinstance(found, float) and found <= bound:
            self.has_evidence |= has_numbers(one)
            self._pass(at, found, bound)
        elif not self._is_explained(at, one, other, drawn):
            lines = mismatch(one, other, bound)
            if isinstance(found, str):
                self._fail(f"{what}: {found}", at, mismatch=lines)
            else:
                text = f"{what} differs by {found:.2g} of its size"
                self._fail(text, at, (found, bound), lines)

    def _noisy(self, name: str, drawn: Drawn) -> list[Any]:
        return [] if self.tolerance is not None else [draw[name] for draw in drawn()]

    def _is_explained(self, at: str, one: Any, other: Any, drawn: Drawn) -> bool:
        """Whether rounding explains a difference; if it may be anything, that is no evidence."""
        noisy = self._noisy(at, drawn)
        worst = explained(one, other, noisy)
        if worst is None:
            return False
        usual = distance(one, noisy[0])
        if isinstance(usual, str) or usual >= MOST:
            self.lost.add(at)
            return True
        self.has_evidence |= has_numbers(one)
        self.explained.add(at)
        self._pass(at, worst, RATIO)
        return True

    def _bound(self) -> float:
        if self.tolerance is not None:
            return self.tolerance
        return general_bound(self.reference.model.proto)

    def _pass(self, at: str, worst: float, bound: float) -> None:
        """Remember what came nearest to its bound."""
        before = self.worst
        is_worse = before.bound is None or worst * before.bound >= (before.worst or 0.0) * bound
        if before.status is Status.PASSED and is_worse:
            self.worst = Check("outputs", Status.PASSED, "", worst, bound, at)

    def _fail(
        self,
        why: str,
        at: str = "",
        worst: tuple[float | None, float | None] = (None, None),
        mismatch: tuple[str, ...] = (),
    ) -> None:
        if self.worst.status is Status.PASSED:
            self.worst = Check("outputs", Status.FAILED, why, *worst, at, mismatch=mismatch)

    def check(self) -> Check:
        """The result."""
        if not self.compared or self.skipped:
            excused = self.excused or bool(self.skipped)
            return Check("outputs", Status.NOT_RUN, self.skipped or _OVERFLOW, excused=excused)
        if self.worst.status is Status.PASSED and not self.has_evidence and self.watched:
            return Check("outputs", Status.NOT_RUN, _NOTHING, excused=self.excused)
        return replace(self.worst, why="; ".join(filter(None, (self.worst.why, *self._notes()))))

    def _notes(self) -> Iterator[str]:
        if self.tolerance is not None:
            yield "the tolerance is the user's"
        if self.worst.status is not Status.PASSED:
            return
        blind = self.insensitive - self.sensitive
        if blind:
            yield f"insensitive to the folds: {_listed(blind)}"
        if self.explained:
            yield f"as far off as the reference's own rounding: {_listed(self.explained)}"
        if self.lost:
            yield f"lost in the reference's own rounding on some inputs: {_listed(self.lost)}"

    def _run_optimised(self, feed: Feed, expected: Values, given: Values, drawn: Drawn) -> None:
        """Run the candidate as users do; blame the runtime for what it does to the source, too."""
        seen = [o for o, pairs in self.watched.items() if pairs == ((o, o),)]
        runs = Optimised(
            seen,
            self._bound(),
            lambda o, other: explained(expected[o], other, self._noisy(o, drawn)) is not None,
        )
        found = runs.fault(self.candidate, feed, given)
        if found is None:
            return
        blamed = runs.fault(self.reference, feed, expected)
        if blamed is None:
            why = f"under onnxruntime's graph optimisation, but not without it, {found.why}"
            self.worst = replace(found, why=why)
            return
        text = "onnxruntime computes the source otherwise with its graph optimisation than without"
        if not self.warnings:
            self.warnings.append(Warned("RUNTIME_OPTIMISER_DIFFERS", blamed.at, text))


def _listed(names: set[str]) -> str:
    return ", ".join(map(repr, sorted(names)[:3]))
