"""Where ONNX's shape inference is wrong on Einsum, as of version 1.23.

It takes the length of a letter from the first operand that has it. Runtimes let an operand of
length one be as long as the others are, so a length of one is in doubt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from onnx import NodeProto

from folding.protos import attribute

#: The dimensions of a value, None for each unknown one.
Lengths = tuple[int | None, ...]
_REST = "..."


def equation_of(node: NodeProto) -> str:
    """The equation of an Einsum without its spaces, empty if it has none."""
    equation = attribute(node, "equation")
    return equation.s.decode("ascii", "replace").replace(" ", "") if equation else ""


def may_be_longer(equation: str, shapes: Sequence[Lengths | None]) -> bool:
    """Whether inference gives a result a length of one that may be another.

    Args:
        equation: that of the Einsum, without spaces.
        shapes: those of its operands, as far as they are known.
    """
    first: dict[str | int, int | None] = {}
    terms = equation.partition("->")[0].split(",")
    for term, shape in zip(terms, shapes, strict=False):
        if shape is None and 1 in first.values():
            return True
        for letter, size in _lengths(term, shape or ()):
            if first.setdefault(letter, size) == 1 != size:
                return True
    return False


def _lengths(term: str, shape: Lengths) -> Iterator[tuple[str | int, int | None]]:
    """The letters of an operand with their lengths; axes without one are counted from the right."""
    left, rest, right = term.partition(_REST)
    behind = len(shape) - len(right)
    yield from zip(left, shape, strict=False)
    if rest:
        yield from ((axis - behind, shape[axis]) for axis in range(len(left), behind))
        yield from zip(right, shape[behind:], strict=False)
