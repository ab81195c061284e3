"""Operators of other domains in a candidate: why what stands behind them is another one.

No shape is known behind them, so much that would be seen through is not. What does not match is
then found far from its cause, which users are told as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from folding.equivalence.foreign.terms import Call, Term, Value
from folding.equivalence.foreign.unlike import said_of


def cause(ours: Value, theirs: Value) -> str:
    """What to add to a sentence that says that two values do not match; perhaps nothing."""
    known = {(call.domain, call.operator) for call in _calls(ours) if call.domain}
    strange = (call for call in _calls(theirs) if call.domain)
    found = next((c for c in strange if (c.domain, c.operator) not in known), None)
    if found is None or (isinstance(theirs, Term) and found is theirs.call):
        return ""
    return f"; it stands behind {said_of(found)}, of which ONNX says nothing"


def _calls(value: Value) -> Iterator[Call]:
    """What makes a value, the nearest first."""
    todo, seen = deque([value]), set[int]()
    while todo:
        term = todo.popleft()
        if isinstance(term, Term) and id(term.call) not in seen:
            seen.add(id(term.call))
            yield term.call
            todo += [given for given in term.call.inputs if given is not None]
