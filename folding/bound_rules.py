"""How big the outputs of ONNX's operators can be, given the bounds of their inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from onnx import AttributeProto, NodeProto

from folding.bounds import FEW, Bound, counted, integers_of, of_tensor, product
from folding.protos import attribute, integer, integers, is_default_domain
from folding.survey import MOST_DIMENSIONS

Bounds = Sequence[Bound]
Rule = Callable[[NodeProto, Bounds], Bound]

#: Dimensions that an operator without a rule of its own may give to values of fewer.
_USUAL = 5


def of_outputs(node: NodeProto, inputs: Bounds) -> Bound:
    """The bound of every output of an operator that has no bodies."""
    if not is_default_domain(node):
        return Bound(_rank(inputs) + 1)
    return _RULES.get(node.op_type, _other)(node, inputs)


def _at(inputs: Bounds, index: int) -> Bound:
    return inputs[index] if index < len(inputs) else Bound()


def _rank(inputs: Bounds) -> int:
    return max((bound.rank for bound in inputs), default=0)


def _other(node: NodeProto, inputs: Bounds) -> Bound:
    return Bound(max(_rank(inputs), _USUAL))


def _same(node: NodeProto, inputs: Bounds) -> Bound:
    """The numbers of the first input, or some of them."""
    return _at(inputs, 0)._replace(numbers=None, values=None)


def _slice(node: NodeProto, inputs: Bounds) -> Bound:
    part, starts, ends = _same(node, inputs), _at(inputs, 1).values, _at(inputs, 2).values
    if part.rank > 1 or part.size is None or not starts or not ends:
        return part
    is_counted = (starts[0] < 0) == (ends[0] < 0)  # Both from the same end of the vector.
    return part._replace(size=min(part.size, max(ends[0] - starts[0], 0))) if is_counted else part


def _as_many(node: NodeProto, inputs: Bounds) -> Bound:
    """Other numbers, at most as many as the first input has."""
    return Bound(_at(inputs, 0).rank, _at(inputs, 0).size)


def _broadcast(node: NodeProto, inputs: Bounds) -> Bound:
    rank = _rank(inputs)
    if rank > 1:
        return Bound(rank, product(*(bound.size for bound in inputs)))
    sizes = [bound.size for bound in inputs if bound.size is not None]
    return Bound(1, max(sizes, default=1) if len(sizes) == len(inputs) else None)


def _arithmetic(node: NodeProto, inputs: Bounds) -> Bound:
    found = _broadcast(node, inputs)
    if found.size != 1:
        return found
    return found._replace(volume=product(2, *(bound.volume for bound in inputs)))


def _concat(node: NodeProto, inputs: Bounds) -> Bound:
    sizes = [bound.size for bound in inputs if bound.size is not None]
    size = counted(sum(sizes)) if len(sizes) == len(inputs) else None
    return Bound(_rank(inputs), size, product(*(bound.volume for bound in inputs)))


def _constant(node: NodeProto, inputs: Bounds) -> Bound:
    for a in node.attribute:
        match a.type:
            case AttributeProto.TENSOR:
                return of_tensor(a.t)
            case AttributeProto.SPARSE_TENSOR:
                return Bound(len(a.sparse_tensor.dims))
            case AttributeProto.INT | AttributeProto.INTS:
                values = list(a.ints) or [a.i]
                few = len(values) <= FEW
                return integers_of(1, values) if few else Bound(1, len(values), None, len(values))
            case _:
                return Bound(1, max(1, len(a.floats) + len(a.strings)), None, 0)
    return Bound()


def _shape(node: NodeProto, inputs: Bounds) -> Bound:
    return Bound(1, _at(inputs, 0).rank, _at(inputs, 0).size)


def _scalar(node: NodeProto, inputs: Bounds) -> Bound:
    return Bound(0, 1)


def _vector(node: NodeProto, inputs: Bounds) -> Bound:
    return Bound(1)


def _made(shape: Bound) -> int:
    """How many dimensions inference makes of a shape. It is not shown one of too many."""
    return shape.size if shape.size is not None and shape.size <= MOST_DIMENSIONS else 0


def _reshape(node: NodeProto, inputs: Bounds) -> Bound:
    given = integers(node, "shape")  # Before operator set 5.
    rank = len(given) if given is not None else _made(_at(inputs, 1))
    return Bound(rank, product(_at(inputs, 0).size, _at(inputs, 1).volume), _at(inputs, 0).volume)


def _flatten(node: NodeProto, inputs: Bounds) -> Bound:
    return Bound(2, _at(inputs, 0).size)


def _expand(node: NodeProto, inputs: Bounds) -> Bound:
    shape = _at(inputs, 1)
    rank = max(_at(inputs, 0).rank, _made(shape))
    return Bound(rank, product(_at(inputs, 0).size, shape.volume))


def _constant_of_shape(node: NodeProto, inputs: Bounds) -> Bound:
    return Bound(_made(_at(inputs, 0)), _at(inputs, 0).volume)


def _random(node: NodeProto, inputs: Bounds) -> Bound:
    return Bound(len(integers(node, "shape") or ()))


def _axes(node: NodeProto, inputs: Bounds) -> int:
    """How many axes a node names, if inference knows; not all of them need to be different."""
    given, named = integers(node, "axes"), _at(inputs, 1)
    if given is not None:
        return len(given)
    return 0 if named.numbers is None else named.size or 0


def _unsqueeze(node: NodeProto, inputs: Bounds) -> Bound:
    return _at(inputs, 0)._replace(
        rank=_at(inputs, 0).rank + _axes(node, inputs), numbers=None, values=None
    )


def _squeeze(node: NodeProto, inputs: Bounds) -> Bound:
    gone = min(1, _axes(node, inputs))
    return _at(inputs, 0)._replace(
        rank=max(_at(inputs, 0).rank - gone, 0), numbers=None, values=None
    )


def _reduce(node: NodeProto, inputs: Bounds) -> Bound:
    gone = 0 if integer(node, "keepdims", 1) else min(1, _axes(node, inputs))
    return Bound(max(_at(inputs, 0).rank - gone, 0), _at(inputs, 0).size)


def _gather(node: NodeProto, inputs: Bounds) -> Bound:
    data, indices = _at(inputs, 0), _at(inputs, 1)
    size = indices.size if data.rank <= 1 else product(data.size, indices.size)
    volume = data.volume if indices.size == 1 else None
    return Bound(max(data.rank - 1, 0) + indices.rank, size, volume)


def _gather_elements(node: NodeProto, inputs: Bounds) -> Bound:
    return Bound(_at(inputs, 1).rank, _at(inputs, 1).size)


def _both(node: NodeProto, inputs: Bounds) -> Bound:
    return Bound(_at(inputs, 0).rank + _at(inputs, 1).rank)


def _one_more(node: NodeProto, inputs: Bounds) -> Bound:
    return Bound(_rank(inputs) + 1)


def _column_to_image(node: NodeProto, inputs: Bounds) -> Bound:
    return Bound(2 + (_at(inputs, 1).size or 0))


def _einsum(node: NodeProto, inputs: Bounds) -> Bound:
    equation = attribute(node, "equation")
    text = b"" if equation is None else equation.s
    return Bound(len(text.rpartition(b"->")[2]) + (_rank(inputs) if b"." in text else 0))


_SAME = {"Cast", "CastLike", "Dropout", "Identity"}
_AS_MANY = {"Abs", "Ceil", "Clip", "CumSum", "Floor", "Neg", "Not", "Relu", "Round", "Scatter"}
_AS_MANY |= {"ScatterElements", "ScatterND", "Sign", "Sqrt", "Transpose", "Trilu"}
_ARITHMETIC = {"Add", "Div", "Mul", "Sub"}
_BROADCAST = {"And", "BitShift", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"}
_BROADCAST |= {"Max", "Min", "Mod", "Or", "Pow", "Sum", "Where", "Xor"}
_REDUCE = {"ArgMax", "ArgMin", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp"}
_REDUCE |= {"ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"}

_RULES: dict[str, Rule] = {
    "Col2Im": _column_to_image,
    "Concat": _concat,
    "ConcatFromSequence": _one_more,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Einsum": _einsum,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _both,
    "OneHot": _one_more,
    "RandomNormal": _random,
    "RandomUniform": _random,
    "Range": _vector,
    "Reshape": _reshape,
    "Shape": _shape,
    "Size": _scalar,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "StringSplit": _one_more,
    "Unsqueeze": _unsqueeze,
    **dict.fromkeys(_SAME, _same),
    **dict.fromkeys(_AS_MANY, _as_many),
    **dict.fromkeys(_BROADCAST, _broadcast),
    **dict.fromkeys(_ARITHMETIC, _arithmetic),
    **dict.fromkeys(_REDUCE, _reduce),
}
