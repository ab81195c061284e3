"""What rests on constants alone, but is not evaluated: told from what comes at run time."""

from __future__ import annotations

from folding.constants import Constants
from folding.protos import DRAWING

#: Operators of a constant expression that are looked through.
_MOST_NODES = 32


def is_unevaluated(constants: Constants, name: str) -> bool:
    """Whether a value is the same in every run by a few operators that are not evaluated."""
    scope, names = constants.scope, [name]
    if name in constants:
        return False
    for _ in range(_MOST_NODES):
        names = [other for other in names if other and other not in constants]
        if not names:
            return True
        index = scope.producers.get(names.pop())
        if index is None or index in scope.foreign or index in scope.nesting:
            return False
        if not scope.reads[index] or scope.operators[index] in DRAWING:
            return False
        names.extend(scope.reads[index])
    return False


def unevaluated(constants: Constants) -> frozenset[str]:
    """The values of a scope that rest on constants alone, by operators that are not evaluated."""
    scope = constants.scope
    found: set[str] = set()
    for index, reads in enumerate(scope.reads):
        if not all(name in found or name in constants for name in reads if name):
            continue
        is_own = index not in scope.foreign and index not in scope.nesting
        if is_own and any(reads) and scope.operators[index] not in DRAWING:
            found.update(name for name in scope.makes[index] if name not in constants)
    return frozenset(found)
