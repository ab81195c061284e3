"""Where an exact fold needs care, or where there is none."""

from __future__ import annotations

from functools import partial

from onnx import TensorProto
from reach_models import Pattern

_trap = partial(Pattern, "traps")
_CONV = "h = Conv(x, w{6,4,3,3})"
_SEQUENCE = "float[N,5,8] x"

TRAPS = (
    _trap(
        "axis 1 of a square MatMul",
        "h = MatMul(x, w{8,5}) y = norm{5}(h)",
        _SEQUENCE,
        best="leaves",
    ),
    _trap(
        "MatMul, Transpose of a square",
        "h = MatMul(x, w{8,6}) k = Transpose<perm=[1,0]>(h) y = norm{6}(k)",
        "float[6,8] x",
        best="leaves",
    ),
    _trap(
        "MatMul, Reshape: rows become channels",
        "h = MatMul(x, w{8,6}) k = Reshape(h, ints[1,6,6]) y = norm{6}(k)",
        "float[6,8] x",
        best="leaves",
    ),
    _trap(
        "MatMul, Reshape, Transpose: positions become channels",
        """h = MatMul(x, w{8,6}) k = Reshape(h, ints[2,6,2,6]) l = Transpose<perm=[0,1,3,2]>(k)
        y = norm{6}(l)""",
        "float[24,8] x",
        best="leaves",
    ),
    _trap(
        "MatMul, Reshape, Transpose: parts of its outputs",
        """h = MatMul(x, w{8,6}) k = Reshape(h, ints[-1,2,3]) l = Transpose<perm=[0,2,1]>(k)
        y = norm{3}(l)""",
        "float[N,8] x",
    ),
    _trap(
        "constant on another axis of the same length",
        f"{_CONV} k = Mul(h, scale{{6}}) y = Add(k, vector{{6}})",
        best="leaves",
    ),
    _trap(
        "training mode",
        f"""{_CONV} y, m, v = BatchNormalization<training_mode=1>(h, gamma{{6}}, beta{{6}},
        mean{{6}}, var{{6}})""",
        outputs="y, m, v",
        best="leaves",
    ),
    _trap(
        "training mode, statistics unused",
        f"""{_CONV} y, m, v = BatchNormalization<training_mode=1>(h, gamma{{6}}, beta{{6}},
        mean{{6}}, var{{6}})""",
        best="leaves",
    ),
    _trap(
        "live statistics",
        f"""{_CONV} m = ReduceMean<axes=[0,2,3]>(h) d = Sub(h, m) q = Mul(d, d)
        v = ReduceMean<axes=[0,2,3]>(q) a = Add(v, epsilon{{}}) r = Sqrt(a) n = Div(d, r)
        k = Mul(n, scale{{6,1,1}}) y = Add(k, vector{{6,1,1}})""",
        best="leaves",
    ),
    _trap(
        "float16 weights that would overflow",
        "h = Conv(x, huge{6,4,3,3}) k = Mul(h, eight{6,1,1}) y = Sigmoid(k)",
        "float16[N,4,8,8] x",
        elem_type=TensorProto.FLOAT16,
        spread=1e-5,
        best="leaves",
    ),
    _trap("weight is an output, too", f"{_CONV} y = norm{{6}}(h)", outputs="y, w"),
    _trap(
        "a branch reads the value between",
        f"""{_CONV} y = norm{{6}}(h) z = If(flag) <then_branch = a () => (float[N,6,6,6] p)
        {{ p = Identity(h) }}, else_branch = b () => (float[N,6,6,6] q) {{ q = Neg(h) }}>""",
        "float[N,4,8,8] x, bool flag",
        "y, z",
        best="leaves",
    ),
    _trap(
        "the value between is an output", f"{_CONV} y = norm{{6}}(h)", outputs="y, h", best="leaves"
    ),
    _trap(
        "two normalisations of one value",
        f"{_CONV} y = norm{{6}}(h) z = norm{{6}}(h)",
        outputs="y, z",
        best="leaves",
    ),
    _trap(
        "one weight, two layers that differ",
        f"{_CONV} k = Conv(z, w) l = norm{{6}}(h) m = norm{{6}}(k) y = Sub(l, m)",
        "float[N,4,8,8] x, float[N,4,8,8] z",
    ),
    _trap(
        "overridable parameters",
        f"{_CONV} y = BatchNormalization(h, gamma{{6}}, beta{{6}}, mean{{6}}, var{{6}})",
        overridable=("gamma",),
        best="leaves",
    ),
    _trap(
        "weight is an input",
        "h = Conv(x, f) y = norm{6}(h)",
        "float[N,4,8,8] x, float[6,4,3,3] f",
        best="leaves",
    ),
    _trap(
        "Gemm, beta 0",
        "h = Gemm<beta=0.0, transB=1>(x, w{6,8}, b{6}) y = norm{6}(h)",
        "float[N,8] x",
    ),
    _trap(
        "Gemm, transA and a bias of one column",
        "h = Gemm<transA=1>(x, w{8,6}, b{5,1}) y = norm{6}(h)",
        "float[8,5] x",
    ),
    _trap(
        "ConvTranspose, groups of several outputs",
        "h = ConvTranspose<group=2>(x, w{4,3,2,2}) y = norm{6}(h)",
    ),
    _trap(
        "MaxPool, scales of both signs",
        f"{_CONV} k = MaxPool<kernel_shape=[2,2]>(h) y = Mul(k, signs{{6,1,1}})",
        best="leaves",
    ),
    _trap(
        "Relu, scales of both signs",
        f"{_CONV} k = Relu(h) y = Mul(k, signs{{6,1,1}})",
        best="leaves",
    ),
    _trap(
        "Pad with zeros behind the layer",
        f"{_CONV} k = Pad(h, ints[0,0,1,1,0,0,1,1]) y = norm{{6}}(k)",
        best="leaves",
    ),
    _trap(
        "AveragePool that counts its padding",
        f"""{_CONV} k = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1>(h)
        y = norm{{6}}(k)""",
        best="leaves",
    ),
    _trap(
        "before a Conv padded with zeros",
        'h = norm{4}(x) y = Conv<auto_pad="SAME_UPPER">(h, w{6,4,3,3})',
        best="leaves",
    ),
    _trap(
        "residual Add whose sum others read",
        "h = Conv(x, w{4,4,1,1}) k = Add(x, h) l = norm{4}(k) m = Relu(l) y = Add(m, k)",
        best="leaves",
    ),
)
