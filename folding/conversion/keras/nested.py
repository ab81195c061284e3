"""Structures of Keras: dictionaries and lists in each other, each leaf with a name of its own.

``{"words": a, "sizes": [b, c]}`` has ``words``, ``sizes.0`` and ``sizes.1``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: Makes a leaf of one of another structure, given its name and that.
Make = Callable[[str, Any], Any]


def mapped(structure: Any, make: Make, name: str = "") -> Any:
    """The same structure with other leaves; a leaf is what is neither a dictionary nor a list."""
    if isinstance(structure, dict):
        return {key: mapped(part, make, _joined(name, key)) for key, part in structure.items()}
    if isinstance(structure, list | tuple) and not is_shape(structure):
        parts = [mapped(part, make, _joined(name, n)) for n, part in enumerate(structure)]
        return tuple(parts) if isinstance(structure, tuple) else parts
    return make(name, structure)


def leaves(structure: Any) -> list[tuple[str, Any]]:
    """The leaves with their names, in order."""
    found: list[tuple[str, Any]] = []
    mapped(structure, lambda name, leaf: found.append((name, leaf)))
    return found


def is_shape(structure: Any) -> bool:
    """Whether it is the sizes of one array, which is a leaf, too."""
    return isinstance(structure, list | tuple) and all(
        size is None or isinstance(size, int) for size in structure
    )


def names_in(structure: Any, tensors: list[Any]) -> list[str]:
    """What tensors are called in a dictionary that has all of them; none otherwise."""
    if not isinstance(structure, dict):
        return []
    known: dict[int, list[str]] = {}
    for name, leaf in leaves(structure):
        known.setdefault(id(leaf), []).append(name)
    try:
        return [known[id(tensor)].pop(0) for tensor in tensors]
    except (KeyError, IndexError):
        return []


def _joined(name: str, part: Any) -> str:
    return f"{name}.{part}" if name else str(part)
