"""What was done to a model before it was planned on, because the user said so or must know.

Plain data, for the reports and the command.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Branch(NamedTuple):
    """An If that is gone, and which of its branches stands in its place."""

    node: str
    taken: str


class Inlined(NamedTuple):
    """A model-local function that is gone, and how many nodes called it."""

    name: str
    calls: int


@dataclass(frozen=True, slots=True)
class Preparation:
    """What was frozen, decided and inlined; and what was asked to be kept.

    ``frozen`` has the values as plain numbers, truth values and lists of them.
    """

    frozen: Mapping[str, Any] = field(default_factory=dict)
    branches: Sequence[Branch] = ()
    inlined: Sequence[Inlined] = ()
    keep: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "frozen": [{"name": name, "value": value} for name, value in self.frozen.items()],
            "branches": [branch._asdict() for branch in self.branches],
            "inlined": [function._asdict() for function in self.inlined],
            "keep": list(self.keep),
        }

    def lines(self) -> Iterator[str]:
        """The same for people. What is kept is told where it is."""
        for name, value in self.frozen.items():
            yield f"frozen: {name} = {str(value).lower()}"
        for node, taken in self.branches:
            yield f"If {node!r} gave way to its {taken}"
        for name, calls in self.inlined:
            yield f"inlined: function {name!r}, called {calls} time{'s' if calls > 1 else ''}"


NOTHING = Preparation()
