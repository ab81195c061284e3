"""What recurrent layers compute by the text of the ONNX specification, in float64.

With the default activations, and without peepholes and limits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Attributes = dict[str, Any]
Definition = Callable[[Attributes, Sequence[Any], int], Sequence[Array]]
#: One step: the input, W, R, both halves of the bias, the state before, and the attributes.
Cell = Callable[[Array, Array, Array, Array, Array, list[Array], Attributes], list[Array]]


def _sigmoid(value: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-value)))


def _rnn(
    x: Array, w: Array, r: Array, wb: Array, rb: Array, state: list[Array], given: Attributes
) -> list[Array]:
    return [np.tanh(x @ w.T + state[0] @ r.T + wb + rb)]


def _gru(
    x: Array, w: Array, r: Array, wb: Array, rb: Array, state: list[Array], given: Attributes
) -> list[Array]:
    (h,) = state
    (wz, wr, wh), (rz, rr, rh) = np.split(w, 3), np.split(r, 3)
    (bz, br, bh), (cz, cr, ch) = np.split(wb, 3), np.split(rb, 3)
    z = _sigmoid(x @ wz.T + h @ rz.T + bz + cz)
    reset = _sigmoid(x @ wr.T + h @ rr.T + br + cr)
    late = given.get("linear_before_reset", 0)
    recurrent = reset * (h @ rh.T + ch) if late else (reset * h) @ rh.T + ch
    return [(1 - z) * np.tanh(x @ wh.T + recurrent + bh) + z * h]


def _lstm(
    x: Array, w: Array, r: Array, wb: Array, rb: Array, state: list[Array], given: Attributes
) -> list[Array]:
    h, c = state
    i, o, f, g = np.split(x @ w.T + h @ r.T + wb + rb, 4, axis=1)
    c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    return [_sigmoid(o) * np.tanh(c), c]


def _layer(cell: Cell, states: int) -> Definition:
    def definition(given: Attributes, inputs: Sequence[Any], opset: int) -> Sequence[Array]:
        x, w, r, b, lengths, *begin = [*inputs, *[None] * 7][: 5 + states]
        layout = given.get("layout", 0)
        x = np.swapaxes(x, 0, 1) if layout else x
        steps, batch, _ = x.shape
        directions, hidden = r.shape[0], r.shape[2]
        b = np.zeros((directions, 2 * w.shape[1])) if b is None else b
        lengths = np.full(batch, steps) if lengths is None else lengths
        y = np.zeros((steps, directions, batch, hidden))
        last = [np.zeros((directions, batch, hidden)) for _ in range(states)]
        for d, row in np.ndindex(directions, batch):
            backwards = d == 1 or given.get("direction") == b"reverse"
            state = [np.zeros((1, hidden)) if h is None else h[d, row : row + 1] for h in begin]
            order = range(lengths[row])
            for step in reversed(order) if backwards else order:
                at = x[step, row : row + 1]
                wb, rb = np.split(b[d], 2)
                state = cell(at, w[d], r[d], wb, rb, state, given)
                y[step, d, row] = state[0][0]
            for place, value in enumerate(state):
                last[place][d, row] = value[0]
        if layout:
            return [y.transpose(2, 0, 1, 3), *(value.swapaxes(0, 1) for value in last)]
        return [y, *last]

    return definition


DEFINITIONS: dict[str, Definition] = {
    "GRU": _layer(_gru, 1),
    "LSTM": _layer(_lstm, 2),
    "RNN": _layer(_rnn, 1),
}
