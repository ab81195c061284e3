"""Cast between float types, where no number changes that would not change anyway.

    x ─ Cast(to wide) ─ affine ─ Cast(to narrow) ─ y        before
    x ─ affine ─ Cast(to wide) ─ Cast(to narrow) ─ y        after

1. From a type to itself: always.
2. To a wider type (every value of the narrow one is a value of the wide one), if every reader of
   the affine's output converts it back to the narrow type: then the result is rounded once, as
   before, and a rounding of the intermediate falls away.
3. Everything else rounds, or gives a result that was wide the precision of the narrow type.
"""

from __future__ import annotations

from onnx import TensorProto

from folding.affine import ChannelAffine
from folding.carriers.base import Carrier, Passage
from folding.plan import Kept, Reason
from folding.protos import integer, title

_WIDER: dict[int, set[int]] = {
    TensorProto.FLOAT16: {TensorProto.FLOAT, TensorProto.DOUBLE},
    TensorProto.BFLOAT16: {TensorProto.FLOAT, TensorProto.DOUBLE},
    TensorProto.FLOAT: {TensorProto.DOUBLE},
}


def up(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    before = passage.around.type(passage.node.input[0])
    after = integer(passage.node, "to", 0)
    widens = after in _WIDER.get(before, ()) and passage.narrows_to == before
    if before == after or widens:
        return affine
    return Kept(Reason.CAST_ROUNDS, title(passage.node), "Cast")


RULE = Carrier(("Cast",), up, keeps_numbers=True, asks_numbers=False)
