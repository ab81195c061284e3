"""A Pad to ask its rule about."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from graphs import DOUBLE, Net
from oracle import evaluate
from passing import ask, random_affine

from folding.affine import ChannelAffine
from folding.plan import Kept

SHAPE = (2, 3, 4, 5)
#: Begins and ends of the last two axes.
AROUND = (0, 0, 1, 2, 0, 0, 3, 0)
CROPPED = (0, 0, -1, 0, 0, 0, 0, -2)
REPEATING = [
    ("reflect", 13),
    ("edge", 13),
    ("edge", 2),
    ("reflect", 10),
    ("wrap", 19),
    ("wrap", 25),
]
#: Those that onnxruntime has kernels for.
RUN = [form for form in REPEATING if form[1] >= 7]
#: One of its scales is zero.
SCALE = random_affine(3, -3, sign=1, shift=False)
MINUS_INFINITY = -np.inf


def padded(
    pads: tuple[int, ...] = AROUND,
    value: float | None = None,
    *,
    opset: int = 13,
    axes: tuple[int, ...] = (),
    elem_type: int = DOUBLE,
    **attributes: Any,
) -> Net:
    net = Net(elem_type, opset=opset)
    net.input(*SHAPE)
    if opset < 11:
        number: dict[str, Any] = {} if value is None else {"value": value}
        net.node("Pad", "x", out="y", pads=pads, **number, **attributes)
        return net
    given = [net.integers(*pads), "" if value is None else net.store(value, "p")]
    if axes:
        given.append(net.integers(*axes))
    net.node("Pad", "x", *given, out="y", **attributes)
    return net


def constants_of(net: Net, affine: ChannelAffine, *, down: bool = False) -> dict[int, float]:
    """What becomes of the constants, which are scalars."""
    _, answer = ask(net, affine, down=down)
    assert not isinstance(answer, Kept), answer
    return {slot: value.high.item() for slot, value in answer[0].constants.items()}


def pad(value: npt.NDArray[Any], number: float) -> npt.NDArray[Any]:
    """What an operator with that number gives."""
    return evaluate(padded(value=number).model("y"), {"x": value})[0]
