"""What operators compute by the text of the ONNX specification, in float64: normalising.

And Einsum, which is none of the other families.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Definition = Callable[[dict[str, Any], Sequence[Any], int], Sequence[Array]]

_EPSILON = float(np.float32(1e-5))


def _at(operand: Array, place: tuple[int, ...]) -> Any:
    """The element of an operand that broadcasting puts at a place of the output."""
    tail = place[len(place) - operand.ndim :]
    return operand[tuple(0 if n == 1 else i for i, n in zip(tail, operand.shape, strict=True))]


def _layer_norm(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> list[Array]:
    """The last axes, from ``axis`` on, are normalised; Scale and B broadcast to x."""
    x, scale = inputs[:2]
    bias = inputs[2] if len(inputs) > 2 and inputs[2] is not None else np.zeros(())
    first = given.get("axis", -1) % x.ndim
    small = x.shape[:first] + (1,) * (x.ndim - first)
    y, mean, inverse = np.zeros(x.shape), np.zeros(small), np.zeros(small)
    for outer in product(*map(range, x.shape[:first])):
        row = x[outer].ravel().tolist()
        average = sum(row) / len(row)
        variance = sum((v - average) ** 2 for v in row) / len(row)
        factor = 1 / np.sqrt(variance + given.get("epsilon", _EPSILON))
        mean[outer], inverse[outer] = average, factor
        for inner in product(*map(range, x.shape[first:])):
            place = outer + inner
            y[place] = (x[place] - average) * factor * _at(scale, place) + _at(bias, place)
    return [y, mean, inverse]


def _rms_norm(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> list[Array]:
    x, scale = inputs
    first = given.get("axis", -1) % x.ndim
    y = np.zeros(x.shape)
    for outer in product(*map(range, x.shape[:first])):
        row = x[outer].ravel().tolist()
        square = sum(v * v for v in row) / len(row)
        for inner in product(*map(range, x.shape[first:])):
            place = outer + inner
            root = np.sqrt(square + given.get("epsilon", _EPSILON))
            y[place] = x[place] / root * _at(scale, place)
    return [y]


def _group_norm(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> list[Array]:
    """A group is so many channels in a row; scale and bias are by group below opset 21."""
    x, scale, bias = inputs
    groups = given["num_groups"]
    width = x.shape[1] // groups
    assert scale.shape == bias.shape == ((x.shape[1],) if opset >= 21 else (groups,))
    y = np.zeros(x.shape)
    for batch, group in product(range(len(x)), range(groups)):
        block = range(group * width, (group + 1) * width)
        values = [v for c in block for v in x[batch, c].ravel().tolist()]
        mean = sum(values) / len(values)
        variance = sum((v - mean) ** 2 for v in values) / len(values)
        root = np.sqrt(variance + given.get("epsilon", _EPSILON))
        for c in block:
            at = c if opset >= 21 else group
            y[batch, c] = scale[at] * (x[batch, c] - mean) / root + bias[at]
    return [y]


def _instance_norm(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> list[Array]:
    x, scale, bias = inputs
    y = np.zeros(x.shape)
    for batch, c in product(*map(range, x.shape[:2])):
        values = x[batch, c].ravel().tolist()
        mean = sum(values) / len(values)
        variance = sum((v - mean) ** 2 for v in values) / len(values)
        root = np.sqrt(variance + given.get("epsilon", _EPSILON))
        y[batch, c] = scale[c] * (x[batch, c] - mean) / root + bias[c]
    return [y]


def _einsum(given: dict[str, Any], inputs: Sequence[Any], opset: int) -> list[Array]:
    """Each output element is the sum, over the letters that it lacks, of the operands' product.

    An axis of length 1 goes with any length. Of an ellipsis there is one operand at most, and it
    stands for digits here.
    """
    left, arrow, right = given["equation"].decode().replace(" ", "").partition("->")
    if not arrow:
        right = "..." * ("..." in left) + "".join(
            sorted(c for c in set(left) - {","} if left.count(c) == 1)
        )
    hidden = max(
        v.ndim - len(t.replace("...", "")) for t, v in zip(left.split(","), inputs, strict=True)
    )
    digits = "0123456789"[:hidden]
    terms, result = left.replace("...", digits).split(","), right.replace("...", digits)
    lengths: dict[str, int] = {}
    for term, value in zip(terms, inputs, strict=True):
        for letter, length in zip(term, value.shape, strict=True):
            lengths[letter] = max(length, lengths.get(letter, 1))
    summed = [letter for letter in lengths if letter not in result]
    y = np.zeros([lengths[letter] for letter in result])
    for place in product(*map(range, y.shape)):
        for rest in product(*(range(lengths[letter]) for letter in summed)):
            where = dict(zip([*result, *summed], place + rest, strict=True))
            factors = [
                _at(value, tuple(where[letter] for letter in term))
                for term, value in zip(terms, inputs, strict=True)
            ]
            y[place] += np.prod(factors)
    return [y]


#: From the attributes, the inputs (None for an absent one) and the opset to all outputs.
DEFINITIONS: dict[str, Definition] = {
    "Einsum": _einsum,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "RMSNormalization": _rms_norm,
}
