"""A constant of the candidate that is not what it must be, and whether that decides.

It makes another function of the model if every number of it takes part in the result, but for what
no input shows (``unseen``), and nothing behind it takes the difference away (``taken_away``). A
table counts if a caller may ask for any number of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from folding.equivalence.foreign.layers import LAYERS
from folding.equivalence.foreign.numbers import Constant
from folding.equivalence.foreign.shifts import is_forgotten
from folding.equivalence.foreign.terms import INPUT, RESHAPE, Term, Value
from folding.floats import FLOATS

#: Where every number of a constant takes part in the result.
COUNTS = LAYERS | {"Add", "BatchNormalization", "Div", "Gemm", "MatMul", "Mul", "PRelu", "Sub"}
#: What gives the numbers that it gets.
_PASSING = ("Cast", "Reshape", RESHAPE, "Squeeze", "Transpose", "Unsqueeze")


@dataclass(frozen=True, slots=True)
class Fault:
    """A constant that is not what it must be: of both sides, and the node that reads it.

    ``doubt`` is why nothing can be said of it, if that is so.
    """

    constant: Constant
    theirs: Constant
    reader: Term | None
    excess: float
    doubt: str = ""

    @property
    def at(self) -> str:
        return self.constant.name or self.layer

    @property
    def layer(self) -> str:
        return self.reader.call.title if self.reader is not None else self.constant.name

    @property
    def title(self) -> str:
        at = f"tensor {self.constant.name!r}" if self.constant.name else "the bias"
        return f"{at} of {self.layer!r}"

    @property
    def sentence(self) -> str:
        return f"{self.title} is not what the reference requires"

    @property
    def is_numeric(self) -> bool:
        """Whether both sides have as many floats of one type."""
        sides = self.constant, self.theirs
        kinds = {(side.elem_type, side.shape) for side in sides}
        is_known = not any(isinstance(side.source, np.ndarray) for side in sides)
        return is_known and len(kinds) == 1 and self.constant.elem_type in FLOATS

    def decides(self, centred: Sequence[Value]) -> bool:
        """Whether it makes another function of the model; of ``centred`` the mean is taken away."""
        constant, reader = self.constant, self.reader
        if reader is None or constant.elem_type not in FLOATS:
            return False
        if _is_table(reader):
            return True
        return reader.call.is_own(*COUNTS) and not is_forgotten(constant, reader, centred)


def _is_table(reader: Term) -> bool:
    """Whether what is read is a table of which who calls the model may ask for any number."""
    if not reader.call.is_own("Gather"):
        return False
    index = reader.call.input(1)
    while isinstance(index, Term) and index.call.is_own(*_PASSING):
        index = index.call.input(0)
    return isinstance(index, Term) and index.call.is_own(INPUT)
