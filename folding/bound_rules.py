"""How much shape inference may know of what an operator makes of its inputs, whatever they are.

Reshape(x, s), Expand(x, s), ConstantOfShape(s)   as many dimensions as s has numbers
Gather(x, i)                                      those of x and of i, less one
Concat(x, y)                                      the sum of the lengths
most operators                                    as much as of an input
an operator that is not listed here               the sum of the dimensions, of any length
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from onnx import AttributeProto, NodeProto

from folding.bounds import ANY, NOTHING, Bound, Bounds, computed, of_integers, of_tensor
from folding.protos import attribute, integer, integers
from folding.slices import selected

Rule = Callable[[NodeProto, Bounds], Bound]


def _constant(node: NodeProto, inputs: Bounds) -> Bound:
    given = next(iter(node.attribute), AttributeProto())
    if given.type == AttributeProto.TENSOR:
        return of_tensor(given.t)._replace(typed=len(node.attribute) == 1)
    if given.type in (AttributeProto.INT, AttributeProto.INTS):
        return of_integers(given.ints or [given.i], int(given.type == AttributeProto.INTS))
    rank, count = len(given.sparse_tensor.dims), len(given.floats) + len(given.strings)
    return Bound(max(rank, 1), ANY if rank else count, exact=False, values=())


def _at(inputs: Bounds, index: int) -> Bound:
    return inputs[index] if index < len(inputs) else NOTHING


def _most(inputs: Bounds, *, exact: bool = True) -> Bound:
    return computed(max(b.rank for b in inputs), max(b.dim for b in inputs), inputs, exact=exact)


def _keep(node: NodeProto, inputs: Bounds) -> Bound:
    return computed(inputs[0].rank, inputs[0].dim, exact=inputs[0].exact)


def _broadcast(node: NodeProto, inputs: Bounds) -> Bound:
    return _most(inputs)


def joined(bounds: Bounds) -> Bound:
    """The bound of a value that may be any of these."""
    return _most(bounds, exact=False)


def _resize(node: NodeProto, inputs: Bounds) -> Bound:
    return computed(inputs[0].rank, ANY, inputs[:1], exact=inputs[0].rank > 1)


def _window(node: NodeProto, inputs: Bounds) -> Bound:
    most = _most(inputs)
    return most._replace(dim=min(most.dim + sum(map(abs, integers(node, "pads") or ())) + 1, ANY))


def _slice(node: NodeProto, inputs: Bounds) -> Bound:
    data, given = inputs[0], [b.values or () for b in inputs[1:]]
    if data.rank == 1 and len(given) > 1 and all(len(values) == 1 for values in given):
        (start,), (end,), *rest = given
        step = rest[1][0] if len(rest) > 1 else 1
        if step:
            return computed(1, len(selected(start, end, step, data.dim)), inputs[:1])
    return computed(data.rank, data.dim, inputs[:1], exact=data.rank > 1)


def _concat(node: NodeProto, inputs: Bounds) -> Bound:
    return computed(max(b.rank for b in inputs), sum(b.dim for b in inputs), inputs)


def _matmul(node: NodeProto, inputs: Bounds) -> Bound:
    return _most(inputs, exact=min(b.rank for b in inputs) > 1)


def _gather(node: NodeProto, inputs: Bounds) -> Bound:
    data, places = inputs[0], _at(inputs, 1)
    if data.rank <= 1:
        return computed(places.rank, places.dim, inputs)
    rank = data.rank - 1 + places.rank
    return computed(rank, max(data.dim, places.dim), inputs, exact=rank > 1)


def _sum(node: NodeProto, inputs: Bounds) -> Bound:
    return computed(sum(b.rank for b in inputs) + 1, ANY, exact=False)


def _image(node: NodeProto, inputs: Bounds) -> Bound:
    return computed(max(4, _most(inputs).rank), ANY, exact=False)


def _one_more(node: NodeProto, inputs: Bounds) -> Bound:
    return computed(_most(inputs).rank + 1, ANY, exact=False)


def _squeeze(node: NodeProto, inputs: Bounds) -> Bound:
    data, axes = inputs[0], {*(integers(node, "axes") or _at(inputs, 1).values or ())}
    forward = sum(0 <= axis < data.rank for axis in axes)
    gone = max(forward, sum(-data.rank <= axis < 0 for axis in axes))  # -1 and 3 may be the same.
    exact = gone == len(axes) > 0 and data.rank - gone != 1
    return computed(data.rank - gone, data.dim, inputs[:1], exact=exact)


def _reduce(node: NodeProto, inputs: Bounds) -> Bound:
    if integer(node, "keepdims", 1) == 1:
        return _most(inputs[:1])
    axis = [of_integers([integer(node, "axis", 0)], 1)]
    axes = axis if node.op_type.startswith("Arg") else inputs[1:]
    return _squeeze(node, [inputs[0], *axes])


def _unsqueeze(node: NodeProto, inputs: Bounds) -> Bound:
    given, axes = integers(node, "axes"), _at(inputs, 1)
    axes = axes if given is None else of_integers(given, 1)
    rank = inputs[0].rank + axes.dim
    exact = bool(axes.values) and all(-rank <= axis < rank for axis in axes.values or ())
    return computed(rank, inputs[0].dim, inputs[:1], exact=exact)


def _shaped(node: NodeProto, inputs: Bounds) -> Bound:
    """As many dimensions as the shape has numbers, which are their lengths or divide the whole."""
    given = integers(node, "shape")
    shape = inputs[-1] if given is None else of_integers(given, 1)
    data = inputs[0] if len(inputs) > 1 or given else NOTHING
    whole = data.dim**data.rank if node.op_type == "Reshape" else data.dim
    kept = data if node.op_type == "Expand" else NOTHING
    rank, exact = max(shape.dim, kept.rank), shape.exact and kept.exact
    return computed(rank, max(whole, shape.number), exact=exact and rank > 1)


def _transpose(node: NodeProto, inputs: Bounds) -> Bound:
    given, data = integers(node, "perm"), inputs[0]
    return _most(inputs, exact=given is None or len(given) == data.rank)


def _shape(node: NodeProto, inputs: Bounds) -> Bound:
    data, end = inputs[0], attribute(node, "end")
    dims = range(data.rank)[integer(node, "start", 0) : None if end is None else end.i]
    # Of fewer dimensions, other places from the end are there, and may be more.
    count = len(dims) if data.exact else data.rank
    return computed(1, count, inputs)._replace(number=data.dim, written=count)


def _range(node: NodeProto, inputs: Bounds) -> Bound:
    """Its length is known only of constants."""
    known = all(b.values is not None for b in inputs)
    start, limit, step = (b.values[0] if b.values else 0 for b in inputs)
    return computed(1, (len(range(start, limit, step)) if step else ANY) if known else 1)


def _einsum(node: NodeProto, inputs: Bounds) -> Bound:
    equation = attribute(node, "equation")
    text = b"" if equation is None else equation.s
    rank = len(text.rpartition(b"->")[2]) + (_most(inputs).rank if b"." in text else 0)
    return computed(rank, _most(inputs).dim, exact=False)


def _random(node: NodeProto, inputs: Bounds) -> Bound:
    return computed(len(integers(node, "shape") or ()), ANY, exact=False)


_BROADCASTING = """
    Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Gemm Greater GreaterOrEqual Less
    LessOrEqual Max Mean Min Mod Mul Or Pow Sub Sum Where Xor
"""
_KEEPING = """
    Abs Acos Acosh Asin Asinh Atan Atanh BatchNormalization BitwiseNot Cast CastLike Ceil Celu Clip
    Cos Cosh CumSum DequantizeLinear Dropout DynamicQuantizeLinear Elu Erf Exp Floor Gelu
    GlobalAveragePool GlobalLpPool GlobalMaxPool GroupNormalization HardSigmoid HardSwish Hardmax
    Identity InstanceNormalization IsInf IsNaN LRN LayerNormalization LeakyRelu Log LogSoftmax
    LpNormalization MeanVarianceNormalization Mish Neg Not PRelu QuantizeLinear RMSNormalization
    Reciprocal Relu ReverseSequence Round Selu Shrink Sigmoid Sign Sin Sinh Softmax Softplus
    Softsign Sqrt Swish Tan Tanh ThresholdedRelu Trilu
"""
#: Operators whose outputs have no more of anything than their first input, or than all inputs.
LIKE_FIRST = frozenset(_KEEPING.split())
KEEPING = LIKE_FIRST | {*_BROADCASTING.split(), "Transpose"}
#: Operators that move a kernel over an image.
WINDOWS = frozenset({"AveragePool", "Conv", "ConvInteger", "LpPool", "MaxPool", "QLinearConv"})
_SCALING = frozenset({"Resize", "Upsample"})
#: Operators that data propagation evaluates.
PROPAGATING = {"Add", "Cast", "Concat", "Gather", "MeanVarianceNormalization", "Mul", "Size"}
PROPAGATING |= {"Slice", "Squeeze", "Sub", "Unsqueeze"}

_LISTS: dict[Rule, str] = {
    _keep: _KEEPING,
    _broadcast: _BROADCASTING,
    _window: " ".join(WINDOWS),
    _concat: "Concat",
    _constant: "Constant",
    _einsum: "Einsum",
    lambda _, inputs: computed(2, inputs[0].dim ** inputs[0].rank): "Flatten",
    _gather: "Gather",
    _image: """Attention Bernoulli CausalConvWithState DeformConv Det GridSample LinearAttention
    MaxRoiPool MaxUnpool Multinomial NonMaxSuppression NonZero RandomNormalLike RandomUniformLike
    RoiAlign RotaryEmbedding SwiGLU TensorScatter""",
    lambda _, inputs: joined(
        inputs
    ): """Compress GatherElements Scatter ScatterElements ScatterND SequenceAt
    SequenceConstruct SequenceErase SequenceInsert""",
    _matmul: "MatMul MatMulInteger QLinearMatMul",
    _one_more: "GRU LSTM OneHot RNN",
    _random: "RandomNormal RandomUniform",
    _range: "Range",
    _reduce: """ArgMax ArgMin ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean
    ReduceMin ReduceProd ReduceSum ReduceSumSquare""",
    _resize: """CenterCropPad ConvTranspose DepthToSpace Pad Resize SpaceToDepth Split Tile TopK
    Upsample""",
    _shape: "Shape",
    _shaped: "ConstantOfShape Expand Reshape",
    lambda _, inputs: Bound(number=inputs[0].dim, written=1): "Size",
    _slice: "Slice",
    _squeeze: "Squeeze",
    _transpose: "Transpose",
    _unsqueeze: "Unsqueeze",
}
_RULES = {name: rule for rule, names in _LISTS.items() for name in names.split()}


def has_counted_lengths(node: NodeProto) -> bool:
    """Whether no length is computed by an operator as a difference."""
    return _RULES.get(node.op_type, _sum) not in (_image, _sum) and node.op_type not in _SCALING


def of_operator(node: NodeProto, inputs: Bounds) -> Bound:
    """The bound of each output of one of ONNX's operators."""
    return _RULES.get(node.op_type, _sum)(node, inputs or [NOTHING])


def propagated(node: NodeProto, inputs: Bounds, found: Bound) -> Bound:
    """The bound ``found`` of the output of an operator that data propagation evaluates."""
    if not all(b.written for b in inputs):
        return found
    numbers = [b.number for b in inputs]
    match node.op_type:
        case "Add" | "Sub":
            number = sum(numbers)
        case "Mul":
            number = prod(numbers)
        case "Concat":
            number = max(numbers)
        case _:
            number = max(numbers[0], found.number)
    return found._replace(number=min(number, ANY), written=max(found.dim, 1))
