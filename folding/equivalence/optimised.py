"""The candidate as users run it: with the runtime's graph optimisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from folding.equivalence.activations import Values
from folding.equivalence.distance import MOST, ROUNDINGS, distance
from folding.equivalence.feeds import Feed
from folding.equivalence.mismatch import mismatch
from folding.equivalence.runtime import RuntimeRefused
from folding.equivalence.sessions import Sessions
from folding.equivalence.verdict import Check, Status


@dataclass(frozen=True, slots=True)
class Optimised:
    """What the runtime's default level makes of a model.

    ``outputs`` are those that can be seen without changing what is optimised, ``bound`` is how far
    they may be off, and ``explains`` whether rounding explains what one is.
    """

    outputs: Sequence[str]
    bound: float
    explains: Callable[[str, Any], bool]

    def fault(self, sessions: Sessions, feed: Feed, plain: Values) -> Check | None:
        """What it does to a model, if it is more than rounding.

        Args:
            sessions: the model's.
            feed: its inputs.
            plain: its outputs without optimisation.
        """
        # The optimiser may compute in float32 what the model has in float64.
        bound = max(self.bound, min(MOST, ROUNDINGS * 2.0**-24))
        try:
            with sessions.of("optimised", optimised=True) as session:
                given = session.run_named(feed)
        except RuntimeRefused as refusal:
            return Check("outputs", Status.FAILED, f"the candidate does not run: {refusal}")
        for output in self.outputs:
            found = distance(plain[output], given[output])
            if isinstance(found, float) and found <= bound:
                continue
            if self.explains(output, given[output]):
                continue
            if isinstance(found, str):
                return Check("outputs", Status.FAILED, f"output {output!r}: {found}", at=output)
            text = f"output {output!r} differs by {found:.2g} of its size"
            lines = mismatch(plain[output], given[output], bound)
            return Check("outputs", Status.FAILED, text, found, bound, output, mismatch=lines)
        return None
