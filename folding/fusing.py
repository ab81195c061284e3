"""Products with a quantised weight that onnxruntime computes with rounded activations.

    x ─ MatMul(DequantizeLinear(q, scale, zero)) ─ y         what the model says
    x ─ MatMulNBits(q, scale, zero) ─ y                      what the default session runs

That operator rounds ``x`` to 8 bits, which is off by some thousandths. It stands in for a MatMul,
or a Gemm whose B is not transposed, if the weight has one scale of shape (), one for each column
(``axis`` 1) or for each block, and no other node reads the scale or the zero point. A model that
has such products is computed so before and after a fold. One that has none must not get one by it:
nobody would look for where its digits went.

1. One scale of shape (1,) does not become one for each column.
2. A scale or zero point that others read too does not become the layer's own; nor is it left to
   another one, of such a product. (A QuantizeLinear of the same weight does not count.)
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from folding.draft import Draft
from folding.protos import integer
from folding.tensors import constant_dims

if TYPE_CHECKING:
    from folding.quantised import Rescaled

_SCALE, _ZERO, _WEIGHT = 1, 2, 1


def fuses_anew(draft: Draft, reader: int, slot: int, change: Rescaled) -> bool:
    """Whether a fold into the scale of a layer's weight would make it, or another, such a product.

    Args:
        draft: the folds decided so far.
        reader: the layer.
        slot: where it reads the weight.
        change: what becomes of the DequantizeLinear.
    """
    names = draft.node(change.node).input
    is_product = slot == _WEIGHT and _multiplies(draft, reader)
    if is_product and change.axis == 1 and constant_dims(draft, names[_SCALE]) == (1,):
        return True
    changes = names[_SCALE : _ZERO + 1] if change.axis is not None else [names[_SCALE]]
    others = [_others(draft, name, change.node) for name in changes if name]
    if is_product:
        return any(others)
    return any(len(left) == 1 and _feeds(draft, left[0]) for left in others)


def _multiplies(draft: Draft, index: int) -> bool:
    """Whether a node may be replaced by such a product."""
    node = draft.node(index)
    return node.op_type == "MatMul" or (node.op_type == "Gemm" and not integer(node, "transB", 0))


def _others(draft: Draft, name: str, index: int) -> list[int]:
    """The nodes that read the scale or zero point of another one too; two of them if more do."""
    found = (other for other in draft.readers(name) if other != index)
    return [*islice((o for o in found if draft.node(o).op_type != "QuantizeLinear"), 2)]


def _feeds(draft: Draft, index: int) -> bool:
    """Whether a node is a DequantizeLinear before such a product."""
    node = draft.node(index)
    readers = draft.readers(node.output[0]) if node.op_type == "DequantizeLinear" else ()
    return any(_multiplies(draft, reader) for reader in readers)
