"""The steps in which a graph computes constants: in which order, and how they are spelled.

Two steps of the same spelling are the same operators on the same stored numbers, so a runtime gives
the same for both, however it rounds. Operators that only move elements leave the spelling as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container
from dataclasses import dataclass, field

import numpy as np
from onnx import NodeProto

from folding.constants import Constants
from folding.doubled import Doubled

#: A computed constant by name, and the scope that computes it.
Step = tuple[Constants, str]
#: A constant that a fold took in, and whether it was added; else it was multiplied or divided by.
Part = tuple[bool, Step]
#: A step as the key of a dictionary.
Place = tuple[int, str]

_MOVING = frozenset(
    {"Expand", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
)


def place(step: Step) -> Place:
    """Where a step is, as long as its scope exists."""
    return id(step[0]), step[1]


def found(home: Constants, name: str) -> Step:
    """A constant that a scope reads, and the scope that has it."""
    while not home.scope.has(name) and home.outer is not None:
        home = home.outer
    return home, name


def node_of(step: Step) -> NodeProto | None:
    """The node that computes a constant; None if it is stored."""
    home, name = step
    return home.node(name)


def reads(step: Step) -> list[Step]:
    """The constants that a step is computed from."""
    node = node_of(step)
    return [] if node is None else [found(step[0], name) for name in node.input if name]


def behind(step: Step, done: Container[Place] = ()) -> list[Step]:
    """A step and those that lead to it, inputs first, without those that are done."""
    todo, seen = [step], dict[Place, Step]()
    while todo:
        one = todo.pop()
        if node_of(one) is not None and place(one) not in done and place(one) not in seen:
            seen[place(one)] = one
            todo += reads(one)
    return sorted(seen.values(), key=_order)


def _order(step: Step) -> tuple[int, int]:
    home, name = step
    level, outer = 0, home.outer
    while outer is not None:
        level, outer = level + 1, outer.outer
    return level, home.scope.producers[name]


@dataclass(slots=True)
class Spellings:
    """How steps are spelled; each is looked at once."""

    known: dict[Place, bytes] = field(default_factory=dict)

    def of(self, step: Step) -> bytes:
        """The same for steps of either model that a runtime computes alike."""
        for one in behind(step, self.known):
            self.known[place(one)] = self._spelled(one)
        return self._read(step)

    def _spelled(self, step: Step) -> bytes:
        node = node_of(step)
        assert node is not None
        if node.op_type in _MOVING:
            return self._read(found(step[0], node.input[0]))
        home, name = step
        if node.op_type == "Constant" or not isinstance(home.value(name), Doubled):
            return _numbers(step)
        digest = hashlib.sha256(f"{node.op_type} {home.scope.type(name)}".encode())
        for said in sorted(a.SerializeToString(deterministic=True) for a in node.attribute):
            digest.update(hashlib.sha256(said).digest())
        for given in node.input:
            digest.update(self._read(found(home, given)) if given else b"-")
        return digest.digest()

    def _read(self, step: Step) -> bytes:
        return self.known.get(place(step)) or _numbers(step)


def _numbers(step: Step) -> bytes:
    """What a constant is, whatever its shape; like no other if it is not evaluated."""
    home, name = step
    value = home.value(name)
    array = value.high if isinstance(value, Doubled) else value
    head = f"{home.scope.type(name)} {place(step) if array is None else array.dtype} "
    content = b"" if array is None else np.ascontiguousarray(array).tobytes()
    return hashlib.sha256(head.encode() + content).digest()
