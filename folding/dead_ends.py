"""Where ways down have ended, so that not every affine walks there to find out.

What stops an affine at a value for good stops all others that come there. So do the values above,
if whatever passes them must come there. Behind an output of a Split nothing may be left of an
affine; only those that change the same channels are known to come as far.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from folding.affine import ChannelAffine
from folding.plan import Kept, Reason

#: Reasons that hold for every affine that comes there, and whatever else is folded.
_FOREVER = frozenset({Reason.GRAPH_OUTPUT, Reason.CAPTURED, Reason.CUSTOM_OPERATOR, Reason.NO_RULE})


@dataclass(slots=True)
class Way:
    """The values that a walk came to: each one's affine, and the value above it.

    To those in ``cut`` nothing may be left of another affine.
    """

    above: dict[str, str] = field(default_factory=dict)
    affines: dict[str, ChannelAffine] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)


class DeadEnds:
    """What stops affines behind values: all along an axis, or those that change some channels."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, int | None, bytes], Kept] = {}

    def known(self, name: str, affine: ChannelAffine) -> Kept | None:
        """What stopped an affine like this one behind a value."""
        found = self._found.get((name, affine.axis, b""))
        return found or self._found.get((name, affine.axis, affine.changes))

    def remember(self, refusal: Kept, name: str, way: Way) -> None:
        """Keep in mind what stopped a walk at a value, for all that come there."""
        value, every = name if refusal.reason in _FOREVER else None, True
        while value is not None:
            affine = way.affines[value]
            key = value, affine.axis, b"" if every else affine.changes
            if key in self._found:
                return
            self._found[key] = refusal
            every = every and value not in way.cut
            value = way.above.get(value)
