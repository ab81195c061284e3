"""Nodes that a model has for nothing."""

from __future__ import annotations

from collections.abc import Container
from itertools import chain

from folding.graph import Scope


def unread(scope: Scope, staying: Container[int] = ()) -> set[int]:
    """The nodes of whose results none is read but by others of them; ``staying`` are none."""
    found: set[int] = set()
    for index in reversed(range(len(scope.nodes))):
        if index not in staying and not any(
            _is_read(scope, name, found) for name in scope.makes[index] if name
        ):
            found.add(index)
    return found


def _is_read(scope: Scope, name: str, unread: set[int]) -> bool:
    if name in scope.outputs or name in scope.captured:
        return True
    readers = chain(scope.readers.get(name, ()), scope.measurers.get(name, ()))
    return any(index not in unread for index in readers)
