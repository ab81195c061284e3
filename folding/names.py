"""New names for a model, which clash with none that it has."""

from __future__ import annotations

from collections.abc import Iterable

from folding.graph import Scope


class Names:
    """All names of a model, to find new ones that clash with none."""

    def __init__(self, scopes: Iterable[Scope]) -> None:
        self.numbers: dict[str, int] = {}
        self.taken: set[str] = set()
        for scope in scopes:
            self.taken.update(
                scope.producers,
                scope.readers,
                scope.measurers,
                scope.inputs,
                scope.initializers,
                scope.outputs,
            )

    def fresh(self, wish: str) -> str:
        """The name wished for, or with the next free number behind it."""
        name, count = wish, self.numbers.get(wish, 1)
        while name in self.taken:
            name, count = f"{wish}_{count}", count + 1
        self.numbers[wish] = count
        self.taken.add(name)
        return name
