"""Cast between float types, where no number changes that would not change anyway.

    x ─ Cast(to wide) ─ affine ─ Cast(to narrow) ─ y        before
    x ─ affine ─ Cast(to wide) ─ Cast(to narrow) ─ y        after

    x ─ affine ─ Cast(to wide) ─ y                          before
    x ─ Cast(to wide) ─ affine ─ y                          after

1. From a type to itself: always, if the type is known.
2. Upward over a cast to a wider type (every value of the narrow one is a value of the wide one), if
   every reader of the affine's output converts it back to the narrow type: then the result is
   rounded once, as before, and a rounding of the intermediate falls away.
3. Downward over a cast to a wider type: a rounding falls away.
4. Everything else rounds, or gives a result that was wide the precision of the narrow type.
"""

from __future__ import annotations

from onnx import TensorProto

from folding.affine import ChannelAffine
from folding.carriers.base import Carrier, Passage, stay
from folding.plan import Kept, Reason
from folding.protos import integer

_WIDER: dict[int, set[int]] = {
    TensorProto.FLOAT16: {TensorProto.FLOAT, TensorProto.DOUBLE},
    TensorProto.BFLOAT16: {TensorProto.FLOAT, TensorProto.DOUBLE},
    TensorProto.FLOAT: {TensorProto.DOUBLE},
}


def up(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    before, after = _types(passage)
    narrows_again = passage.narrows_to == before
    passes = before == after != 0 or (narrows_again and _widens(before, after))
    return affine if passes else stay(Reason.CAST_ROUNDS, passage)


def down(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    before, after = _types(passage)
    passes = before == after != 0 or _widens(before, after)
    return affine if passes else stay(Reason.CAST_ROUNDS, passage)


def _types(passage: Passage) -> tuple[int, int]:
    return passage.around.type(passage.node.input[0]), integer(passage.node, "to", 0)


def _widens(before: int, after: int) -> bool:
    return after in _WIDER.get(before, ())


RULE = Carrier(("Cast",), up, down, keeps_numbers=True)
