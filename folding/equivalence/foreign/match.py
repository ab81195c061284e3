"""A bisimulation up to names: are the outputs of both sides made alike, from the inputs on?

Two values match if both are the same input, or constants that are equal as ``deviation`` has it, or
made by the same operator with the same attributes from values that match, pair by pair. Graphs are
finite and without cycles, so values that match are equal in every run, but for what ``deviation``
allows. Each pair is looked at once, from the outputs upwards.

Operators whose inputs may come in any order take them by their keys; where keys are alike, by
their names, else in order, which may be the wrong one: then nothing is said of numbers that differ.

Another operator or attribute is no proof of another function: strides do not matter where the
result is one element wide, nor do dilations of a kernel of one. So it is left to the runs.

What is no function of its inputs, or may not be (a random operator, one that is not ONNX's own),
matches one of the other side at most: two draws are not one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import isnan, nan

from folding.equivalence.foreign.arranging import arranged
from folding.equivalence.foreign.broadcasting import broadcast
from folding.equivalence.foreign.deviation import deviation
from folding.equivalence.foreign.drowned import is_lost, lost_in_bias
from folding.equivalence.foreign.faults import Fault
from folding.equivalence.foreign.numbers import Constant
from folding.equivalence.foreign.reading import is_linear, is_smooth
from folding.equivalence.foreign.result import Different, Matched, NotEstablished, Result
from folding.equivalence.foreign.rounding import Ways
from folding.equivalence.foreign.shifts import centred
from folding.equivalence.foreign.strangers import cause
from folding.equivalence.foreign.taken_away import is_taken_away
from folding.equivalence.foreign.terms import FORMAL, Call, Term, Value
from folding.equivalence.foreign.unlike import said_of, unlike
from folding.equivalence.foreign.unseen import is_unseen
from folding.equivalence.foreign.widened import Narrowed, narrowed
from folding.protos import DRAWING


class _Mismatch(Exception):
    """Two values that are not made alike; becomes a NotEstablished."""

    def __init__(self, why: str, at: str) -> None:
        super().__init__(why)
        self.why, self.at = why, at


@dataclass(slots=True)
class Match:
    """Pairs that were found, and those still to be looked at."""

    todo: list[tuple[Value, Value, Term | None]]
    values: dict[str, str] = field(default_factory=dict)
    worst: float = 0.0
    at: str = ""
    faults: list[Fault] = field(default_factory=list)
    is_certain: bool = True
    _outputs: list[Value] = field(default_factory=list)
    _centred: list[Value] = field(default_factory=list)
    #: With what was compared, since the identity of what is gone may be that of something else.
    _seen: dict[tuple[int, int, str], tuple[Value, Value]] = field(default_factory=dict)
    _narrowed: Narrowed = field(default_factory=dict)
    _twins: dict[int, int] = field(default_factory=dict)
    _ways: Ways = field(default_factory=Ways)

    def result(self) -> Result:
        self._outputs = [ours for ours, _, _ in self.todo]
        try:
            while self.todo:
                ours, theirs, reader = self.todo.pop()
                pair = id(ours), id(theirs), _role(reader) if isinstance(ours, Constant) else ""
                look = self._again if pair in self._seen else self._pair
                self._seen[pair] = ours, theirs
                look(ours, theirs, reader)
        except _Mismatch as mismatch:
            return NotEstablished(f"{mismatch.why}{cause(ours, theirs)}", mismatch.at)
        return self._judged() if self.faults else Matched(self.values, self.worst, self.at)

    def _again(self, ours: Value, theirs: Value, reader: Term | None) -> None:
        """A constant that is not what it must be is so for each layer that reads it."""
        known = [f for f in self.faults if f.constant is ours and f.theirs is theirs]
        if known and all(fault.reader is not reader for fault in known):
            self.faults.append(replace(known[0], reader=reader))

    def _pair(self, ours: Value, theirs: Value, reader: Term | None) -> None:
        if isinstance(ours, Constant) and isinstance(theirs, Constant):
            self._constants(ours, theirs, reader)
        elif isinstance(ours, Term) and isinstance(theirs, Term):
            self._centred += filter(None, [centred(ours)])
            self._terms(ours, narrowed(ours, theirs, self._narrowed))
        else:
            said = "computed from the inputs" if isinstance(ours, Term) else "constant"
            at = ours.name or (reader.call.title if reader is not None else "")
            raise _Mismatch(f"only in the reference, {at!r} is {said}", at)

    def _constants(self, ours: Constant, theirs: Constant, reader: Term | None) -> None:
        smooth, linear = is_smooth(reader), is_linear(reader)
        found = deviation(ours, theirs, self._ways, is_linear=linear, is_smooth=smooth)
        if found <= 1 and is_lost(ours, theirs, reader):
            found = nan
        if not found <= 1:
            fault = Fault(ours, theirs, reader, found)
            self.faults.append(replace(fault, doubt=self._doubt(fault)) if isnan(found) else fault)
        elif found >= self.worst:
            self.worst, self.at = found, ours.name or self.at

    def _doubt(self, fault: Fault) -> str:
        """Why nothing can be said of a constant."""
        ours, theirs, reader = fault.constant, fault.theirs, fault.reader
        if ours.shape != theirs.shape:
            return f"{fault.title} has another shape in the candidate"
        if reader is not None and not is_smooth(reader):
            found = deviation(ours, theirs, self._ways, is_linear=False, is_smooth=True)
            if found <= 1:
                said = said_of(reader.call)
                return f"{fault.title} is rounded otherwise, and {said} may decide by a last bit"
        return (
            f"what {fault.at!r} must be, or what the candidate computes for it, is not finite,"
            " too small, or rounded beyond what can be told"
        )

    def _terms(self, ours: Term, theirs: Term) -> None:
        one, other = ours.call, theirs.call
        if (why := unlike(ours, theirs)) is not None:
            raise _Mismatch(why, one.title)
        if (bias := lost_in_bias(one, other)) is not None:
            lost = Fault(bias, bias, ours, nan)
            self.faults.append(replace(lost, doubt=self._doubt(lost)))
        # A Dropout that is left draws: others are seen through.
        if one.domain or one.is_own(FORMAL, *DRAWING):
            self._only(one, other)
        if ours.name and theirs.name:
            self.values.setdefault(ours.name, theirs.name)
        for body, twin in zip(one.bodies, other.bodies, strict=True):
            for formal, its in zip(body.formals, twin.formals, strict=True):
                self._twins[id(formal.call)] = id(its.call)
            self.todo += [(a, b, ours) for a, b in zip(body.results, twin.results, strict=True)]
        self._inputs(ours, theirs)

    def _inputs(self, ours: Term, theirs: Term) -> None:
        one, other = ours.call, theirs.call
        given: Sequence[Value | None] = other.inputs
        if one.commutes:
            given, is_certain = arranged(one.inputs, other.inputs)
            self.is_certain = self.is_certain and is_certain
        for slot, (a, b) in enumerate(zip(one.inputs, given, strict=True)):
            if isinstance(a, Constant) and isinstance(b, Constant):
                self.todo.append((*broadcast(a, b, ours, theirs), ours))
            elif a is not None and b is not None:
                self.todo.append((a, b, ours))
            elif a is not b:
                raise _Mismatch(
                    f"input {slot} of {one.title!r} is there on one side only", one.title
                )

    def _only(self, one: Call, other: Call) -> None:
        """A call that nothing but its twin may match; formals have theirs from their node."""
        twin = self._twins.get(id(one))
        if twin is None and not one.is_own(FORMAL) and id(other) not in self._twins:
            self._twins[id(one)], self._twins[id(other)] = id(other), id(one)
        elif twin != id(other):
            raise _Mismatch(f"{one.title!r} stands for two values of the candidate", one.title)

    def _need_not_show(self) -> bool:
        """Whether no output shows that the constants are others."""
        are_unseen = all(is_unseen(fault, self._outputs) for fault in self.faults)
        return are_unseen or is_taken_away(self.faults, self._outputs)

    def _judged(self) -> Different | NotEstablished:
        """What constants that do not match mean, everything else being alike."""
        unknown = next((fault for fault in self.faults if isnan(fault.excess)), None)
        if unknown is not None:
            return NotEstablished(unknown.doubt, unknown.at, self.values, check="parameters")
        first = max(self.faults, key=lambda fault: fault.excess)
        layers = {fault.layer for fault in self.faults}
        if not self.is_certain:
            why = f"{first.sentence}, if it is the right one of several that are alike"
            return NotEstablished(why, first.at)
        doubtful = [fault for fault in self.faults if not fault.decides(self._centred)]
        if not doubtful and self._need_not_show():
            doubtful = self.faults
        if doubtful:
            fault = doubtful[0]
            why = f"{fault.sentence}, which need not matter"
            return NotEstablished(why, fault.at, self.values, check="parameters")
        if len(layers) > 1:
            names = ", ".join(sorted(map(repr, layers)))
            why = (
                f"the constants of several layers differ, which may make up for each other: {names}"
            )
            return NotEstablished(why, first.at, self.values, check="parameters")
        return Different(first.sentence, first.at, first.excess, self.values)


def _role(reader: Term | None) -> str:
    """Readers of one role ask the same of a constant."""
    return "" if reader is None or reader.call.domain else reader.call.operator
