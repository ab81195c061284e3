"""What a match of two models comes to."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Matched:
    """The same function. ``values`` says which value of the candidate is which of the reference.

    ``worst`` is the largest deviation of a number in units of what is allowed, ``at`` its tensor.
    """

    values: dict[str, str]
    worst: float = 0.0
    at: str = ""


@dataclass(frozen=True, slots=True)
class Different:
    """Another function, for certain: all operators and wires match, but numbers do not."""

    why: str
    at: str
    worst: float
    values: dict[str, str]


@dataclass(frozen=True, slots=True)
class NotEstablished:
    """Perhaps the same function, perhaps not.

    ``check`` is which check cannot tell: the parameters if all operators and wires match.
    """

    why: str
    at: str = ""
    values: dict[str, str] = field(default_factory=dict)
    check: str = "frame"


Result = Matched | Different | NotEstablished
