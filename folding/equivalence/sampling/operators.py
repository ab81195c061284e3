"""The operators that regions are evaluated through: one function each."""

from __future__ import annotations

import operator

from folding.equivalence.sampling import (
    elementwise,
    layers,
    moves,
    pooling,
    products,
    quantised,
)
from folding.equivalence.sampling.pull import Operator

OPERATORS: dict[str, Operator] = {
    "Add": elementwise.arithmetic(operator.add),
    "AveragePool": pooling.average_pool,
    "BatchNormalization": elementwise.batch_normalization,
    "Cast": elementwise.cast,
    "Clip": elementwise.clip,
    "Concat": moves.concat,
    "Conv": layers.conv,
    "ConvTranspose": layers.conv_transpose,
    "DequantizeLinear": quantised.dequantize_linear,
    "Div": elementwise.arithmetic(operator.truediv),
    "Dropout": elementwise.dropout,
    "Flatten": moves.reshape,
    "Gather": moves.gather,
    "Gemm": products.gemm,
    "GlobalAveragePool": pooling.over_space(pooling.mean),
    "GlobalMaxPool": pooling.over_space(pooling.largest),
    "Identity": elementwise.identity,
    "LeakyRelu": elementwise.leaky_relu,
    "MatMul": products.matmul,
    "MaxPool": pooling.max_pool,
    "Mul": elementwise.arithmetic(operator.mul),
    "Neg": elementwise.negative,
    "PRelu": elementwise.p_relu,
    "Pad": moves.pad,
    "ReduceMean": pooling.over_axes(pooling.mean, since=18),
    "ReduceSum": pooling.over_axes(pooling.total, since=13),
    "Relu": elementwise.relu,
    "Reshape": moves.reshape,
    "Slice": moves.slice_,
    "Split": moves.split,
    "Squeeze": moves.reshape,
    "Sub": elementwise.arithmetic(operator.sub),
    "Sum": elementwise.arithmetic(operator.add),
    "Transpose": moves.transpose,
    "Unsqueeze": moves.reshape,
}
