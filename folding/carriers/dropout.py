"""Dropout at inference, which passes its input on.

    x ─ Dropout ─ affine ─ y        before
    x ─ affine ─ Dropout ─ y        after, and the other way round

Cases, by the versions of the operator in the ONNX specification:

1. opset 12 and later: active only if the input ``training_mode`` is true. It must be absent or a
   constant false; with ``ratio`` 0 alone nothing is said about the mask.
2. opset 7 to 11: inference only.
3. opset 6 and below: ``is_test`` must be set.
4. nothing passes from the second output, the mask, nor from another input than the data. The mask
   may have readers: at inference it does not depend on the data.
"""

from __future__ import annotations

from folding.affine import ChannelAffine
from folding.carriers.base import Carrier, Passage, stay
from folding.plan import Kept, Reason
from folding.protos import integer

_ALWAYS_INFERENCE = 7
_TRAINING_INPUT = 12
_TRAINING_SLOT = 2


def _pass(affine: ChannelAffine, passage: Passage) -> ChannelAffine | Kept:
    node, around = passage.node, passage.around
    if passage.place != 0:
        return stay(Reason.UNUSUAL_FORM, passage)
    if around.opset < _ALWAYS_INFERENCE:
        active = not integer(node, "is_test", 0)
    elif around.opset < _TRAINING_INPUT or len(node.input) <= _TRAINING_SLOT:
        active = False
    else:
        mode = node.input[_TRAINING_SLOT]
        active = bool(mode) and around.integers(mode) != (0,)
    return stay(Reason.DROPOUT_ACTIVE, passage) if active else affine


RULE = Carrier(("Dropout",), _pass, _pass, keeps_numbers=True)
