"""Outputs: both models run end to end, to find what is wired otherwise.

The candidate is compared with the reference in units of the noise that rounding at the folded sites
brings about (``noise``). Where there is no such measure, because a fold lies inside of a body, or
because the candidate is somebody else's whose other changes round as well, an output may differ by
2^12 roundings of the coarsest float type in the model, at most by a tenth, in the root mean square
relative to the reference's own; or by four times that noise, if that is more. Outputs that are
discrete are judged by the float values that they are made from (``observed``).

The reference runs with graph optimisation disabled, because the runtime's own fusions are wrong
on some graphs; the candidate runs that way and at the default level. Where the *reference* changes
between the two levels as well, the runtime is blamed in a warning, not the fold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

import numpy as np
from onnx import ModelProto

from folding.doubled import Doubles
from folding.equivalence.activations import First, Shapes
from folding.equivalence.distance import MOST, ROUNDINGS, distance, general_bound
from folding.equivalence.draws import draws
from folding.equivalence.feeds import Feed
from folding.equivalence.noise import RATIO, flipped, ratio
from folding.equivalence.runtime import RuntimeRefused
from folding.equivalence.sessions import Sessions
from folding.equivalence.variants import with_noise, with_outputs
from folding.equivalence.verdict import Check, Status
from folding.floats import FLOATS
from folding.plan import Warned

#: How often noise is drawn: for small outputs of small models more often, as chance plays a part.
_DRAWS, _MORE_DRAWS = 2, 8
_SEED = 0
_OVERFLOW = "numbers overflow on all inputs"
_FEW_ELEMENTS, _FEW_BYTES = 1 << 14, 1 << 22

Values = Mapping[str, Any]


@dataclass(slots=True)
class OutputCheck:
    """Compares what two models give. What it finds adds up over all inputs.

    ``watched`` has, for each output, the values that are compared for it: names of the reference
    and of the candidate. ``types`` are those of the sites' outputs, which get noise; with
    ``measured`` False there is no measure but the general bound, or the user's ``tolerance``.
    """

    reference: Sessions
    candidate: Sessions
    watched: dict[str, tuple[tuple[str, str], ...]]
    types: dict[str, int]
    measured: bool
    tolerance: float | None
    worst: Check = field(default_factory=lambda: Check("outputs", Status.PASSED))
    warnings: list[Warned] = field(default_factory=list)
    insensitive: set[str] = field(default_factory=set)
    sensitive: set[str] = field(default_factory=set)
    compared: bool = False
    skipped: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The values of the reference that are compared."""
        return tuple(ours for pairs in self.watched.values() for ours, _ in pairs)

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
        drawn = cache(partial(self._draws, feed, noise, first.shapes))
        for output, pairs in self.watched.items():
            self._compare(output, pairs, first.values, given, drawn)
        if self.worst.status is Status.PASSED:
            self._run_optimised(feed, first.values, given)

    def _draws(self, feed: Feed, noise: Mapping[str, Doubles], shapes: Shapes) -> list[Values]:
        """What the reference gives with noise on its sites."""
        types = {name: self.types[name] for name in noise}
        if not types:
            return []
        rng = np.random.default_rng(_SEED)
        variant = partial(_noisy, self.reference.model.proto, self.names, types)
        with self.reference.of("noise", variant) as session:
            found: list[Values]
            found = [session.run_named({**feed, **draws(noise, shapes, types, rng)})]
            least = min((np.size(found[0][name]) for name in self.names), default=0)
            is_small = least < _FEW_ELEMENTS and self.reference.model.size <= _FEW_BYTES
            while len(found) < (_MORE_DRAWS if is_small else _DRAWS):
                found.append(session.run_named({**feed, **draws(noise, shapes, types, rng)}))
        return found

    def _compare(
        self,
        output: str,
        pairs: tuple[tuple[str, str], ...],
        expected: Values,
        given: Values,
        drawn: Callable[[], list[Values]],
    ) -> None:
        for ours, theirs in pairs:
            what = (
                f"output {output!r}" if ours == output else f"{ours!r}, behind which is {output!r},"
            )
            one, other = expected[ours], given[theirs]
            found = None if self._is_measured(one) else distance(one, other)
            # What is far off may be no better known: then the noise of the sites says so.
            is_far = isinstance(found, float) and not found <= self._bound()
            if found is None or (is_far and self.tolerance is None and drawn()):
                noisy = [draw[ours] for draw in drawn()] or [one]
                self._note_ratio(what, ours, one, other, noisy)
            else:
                self._note_distance(what, ours, found)
        if (output, output) not in pairs:
            alike = all(np.array_equal(expected[o], given[t]) for o, t in pairs) and bool(pairs)
            apart = self._decided(output, expected[output], given[output], drawn, alike=alike)
            if apart:
                self._fail(f"output {output!r}: {apart}", output)

    def _decided(
        self, output: str, one: Any, other: Any, drawn: Callable[[], list[Values]], *, alike: bool
    ) -> str:
        """What is wrong with an output that was decided, if anything is.

        ``alike`` is whether all that it was decided from is the very same in both.
        """
        if alike:
            found = distance(one, other)
            is_near = isinstance(found, float) and found <= self._bound()
            return "" if is_near else "it differs, though what it is made from does not"
        if self._is_measured(one) and isinstance(other, np.ndarray):
            return flipped(one, other, [draw[output] for draw in drawn()])
        found = distance(one, other)
        flips = isinstance(one, np.ndarray) and one.dtype.kind == "f" and one.shape == other.shape
        return found if isinstance(found, str) and not flips else ""

    def _is_measured(self, value: Any) -> bool:
        return isinstance(value, np.ndarray) and self.measured and self.tolerance is None

    def _note_ratio(self, what: str, at: str, one: Any, other: Any, noisy: list[Any]) -> None:
        kind = next((k for k in FLOATS.values() if k.dtype == one.dtype), None)
        if kind is None:
            self._note_distance(what, at, distance(one, other))
            return
        found = ratio(one, other, noisy, kind)
        (self.sensitive if found.arrived else self.insensitive).add(at)
        if found.why:
            self._fail(f"{what}: {found.why}", at)
        elif not found.worst <= RATIO:
            text = f"{what} differs by {found.worst:.2g} times what rounding explains"
            if not found.arrived:
                text = f"{what} differs, where rounding in the folds changes nothing"
            self._fail(text, at, found.worst, RATIO)
        elif found.worst >= (self.worst.worst or 0.0) and self.worst.status is Status.PASSED:
            self.worst = Check("outputs", Status.PASSED, "", found.worst, RATIO, at)

    def _note_distance(self, what: str, at: str, found: float | str) -> None:
        bound = self._bound()
        if isinstance(found, str):
            self._fail(f"{what}: {found}", at)
        elif not found <= bound:
            self._fail(f"{what} differs by {found:.2g} of its size", at, found, bound)
        elif found >= (self.worst.worst or 0.0) and self.worst.status is Status.PASSED:
            self.worst = Check("outputs", Status.PASSED, "", found, bound, at)

    def _bound(self) -> float:
        if self.tolerance is not None:
            return self.tolerance
        return general_bound(self.reference.model.proto)

    def _fail(
        self, why: str, at: str = "", worst: float | None = None, bound: float | None = None
    ) -> None:
        if self.worst.status is Status.PASSED:
            self.worst = Check("outputs", Status.FAILED, why, worst, bound, at)

    def _run_optimised(self, feed: Feed, expected: Values, given: Values) -> None:
        """Run the candidate as users do; blame the runtime for what it does to the source, too."""
        found = self._optimised(self.candidate, feed, {o: given.get(o) for o in self.watched})
        if found is None:
            return
        blamed = self._optimised(self.reference, feed, expected)
        if blamed is None:
            why = f"under onnxruntime's graph optimisation, but not without it, {found.why}"
            self.worst = replace(found, why=why)
            return
        text = "onnxruntime computes the source otherwise with its graph optimisation than without"
        if not self.warnings:
            self.warnings.append(Warned("RUNTIME_OPTIMISER_DIFFERS", blamed.at, text))

    def _optimised(self, sessions: Sessions, feed: Feed, plain: Values) -> Check | None:
        """What the runtime's default level does to a model, if it is more than rounding."""
        # The optimiser may compute in float32 what the model has in float64.
        bound = max(self._bound(), min(MOST, ROUNDINGS * 2.0**-24))
        try:
            with sessions.of("optimised", optimised=True) as session:
                given = session.run_named(feed)
        except RuntimeRefused as refusal:
            return Check("outputs", Status.FAILED, f"the candidate does not run: {refusal}")
        for output, pairs in self.watched.items():
            if pairs != ((output, output),):
                continue  # Only outputs can be seen without changing what is optimised.
            found = distance(plain[output], given[output])
            if isinstance(found, str):
                return Check("outputs", Status.FAILED, f"output {output!r}: {found}", at=output)
            if not found <= bound:
                text = f"output {output!r} differs by {found:.2g} of its size"
                return Check("outputs", Status.FAILED, text, found, bound, output)
        return None

    def check(self) -> Check:
        """The result."""
        if not self.compared or self.skipped:
            return Check("outputs", Status.NOT_RUN, self.skipped or _OVERFLOW, excused=True)
        found, notes = self.worst, []
        if self.tolerance is not None:
            notes.append("the tolerance is the user's")
        blind = sorted(self.insensitive - self.sensitive)
        if blind and found.status is Status.PASSED:
            notes.append(f"insensitive to the folds: {', '.join(map(repr, blind[:3]))}")
        return replace(found, why="; ".join(filter(None, (found.why, *notes))))


def _noisy(proto: ModelProto, names: tuple[str, ...], types: dict[str, int]) -> ModelProto:
    return with_outputs(with_noise(proto, types), names, shapes=())
