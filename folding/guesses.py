"""Shapes that ONNX's inference leaves open though they follow from the nodes.

It gives up where a rank is not known before a convolution, and on operators that it has no rule
for. What is said here holds whatever the unknown sizes are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from folding.inference import Shape

if TYPE_CHECKING:
    from folding.graph import Scope

_KEEPING = """
    Abs BatchNormalization Cast Clip Dropout Elu Erf Gelu GroupNormalization HardSigmoid HardSwish
    Identity InstanceNormalization LayerNormalization LeakyRelu Mish Neg PRelu RMSNormalization Relu
    Selu Sigmoid Softplus Swish Tanh
"""
_KEEP_SHAPE = frozenset(_KEEPING.split())
_BROADCASTING = frozenset({"Add", "Div", "Mul", "Sub"})


def guess_shapes(scope: Scope) -> None:
    """Fill in what follows of a convolution's weight, and of what keeps or broadcasts shapes."""
    #: Values of which more is known than inference found.
    told: set[str] = set()
    for index, operator in enumerate(scope.operators):
        reads, makes = scope.reads[index], scope.makes[index]
        if not makes or not reads or index in scope.foreign:
            continue
        before = scope.shapes.get(makes[0])
        is_norm = operator == "BatchNormalization" and len(reads) > 1
        if before is not None and not is_norm and told.isdisjoint(reads):
            continue
        shape = _guessed(scope, operator, reads)
        if is_norm:
            shape = _with_channels(before or shape, scope.shape(reads[1]))
        if shape is not None and shape != before:
            scope.shapes[makes[0]] = shape if before is None else _together(before, shape)
            told.add(makes[0])
            if makes[0] not in scope.types and operator != "Cast":
                scope.types[makes[0]] = scope.type(reads[0])


def _guessed(scope: Scope, operator: str, reads: tuple[str, ...]) -> Shape | None:
    if operator == "Conv":
        return _of_conv(scope, reads)
    if operator in _KEEP_SHAPE:
        return scope.shape(reads[0])
    if operator in _BROADCASTING and len(reads) == 2:  # noqa: PLR2004
        return _broadcast(scope.shape(reads[0]), scope.shape(reads[1]))
    return None


def _with_channels(shape: Shape | None, scales: Shape | None) -> Shape | None:
    """A BatchNormalization's data has as many channels as there are scales."""
    if shape is None or len(shape) < 2 or shape[1] is not None or not scales:  # noqa: PLR2004
        return shape
    return shape[0], scales[0], *shape[2:]


def _together(one: Shape, other: Shape) -> Shape:
    """What either knows of the same dimensions."""
    if len(one) != len(other):
        return one
    return tuple(a if a is not None else b for a, b in zip(one, other, strict=True))


def _of_conv(scope: Scope, reads: tuple[str, ...]) -> Shape | None:
    weight = scope.shape(reads[1]) if len(reads) > 1 else None
    if weight is None or len(weight) < 3:  # noqa: PLR2004
        return None
    return (None, weight[0], *[None] * (len(weight) - 2))


def _broadcast(one: Shape | None, other: Shape | None) -> Shape | None:
    """The shape of an elementwise operator's result, as far as it is known."""
    if one is None or other is None:
        return None
    rank = max(len(one), len(other))
    pairs = zip(((1,) * (rank - len(one))) + one, ((1,) * (rank - len(other))) + other, strict=True)
    return tuple(_joined(a, b) for a, b in pairs)


def _joined(one: int | None, other: int | None) -> int | None:
    """One dimension of two; of an unknown one and a known one above 1, the known one."""
    if one is None or other is None:
        known = other if one is None else one
        return known if known is not None and known > 1 else None
    return other if one == 1 else one
