"""What normalisations look like in real graphs: each of these can be folded, at least in part."""

from __future__ import annotations

from functools import partial

from reach_models import Pattern

_behind = partial(Pattern, "behind a layer")
_spelled = partial(Pattern, "spelled otherwise")
_through = partial(Pattern, "something between")
_before = partial(Pattern, "before a layer")
_other = partial(Pattern, "beside other operators")
_around = partial(Pattern, "subgraphs and files")

_SEQUENCE = "float[N,5,8] x"
_ROWS = "float[N,8] x"

BEHIND = (
    _behind("Conv", "h = Conv(x, w{6,4,3,3}) y = norm{6}(h)"),
    _behind("Conv, groups and bias", "h = Conv<group=2>(x, w{6,2,3,3}, b{6}) y = norm{6}(h)"),
    _behind("Conv, 1-D", "h = Conv(x, w{6,4,3}) y = norm{6}(h)", "float[N,4,9] x"),
    _behind("ConvTranspose", "h = ConvTranspose<strides=[2,2]>(x, w{4,6,2,2}) y = norm{6}(h)"),
    _behind(
        "Gemm, alpha, beta, transB",
        "h = Gemm<alpha=0.5, beta=0.7, transB=1>(x, w{6,8}, b{6}) y = norm{6}(h)",
        _ROWS,
    ),
    _behind("MatMul", "h = MatMul(x, w{8,6}) y = norm{6}(h)", _ROWS),
    _behind("MatMul, Add", "h = MatMul(x, w{8,6}) k = Add(h, b{6}) y = norm{6}(k)", _ROWS),
    _behind(
        "MatMul, Add over a sequence",
        """h = MatMul(x, w{8,6}) k = Add(h, b{6}) l = Transpose<perm=[0,2,1]>(k) m = norm{6}(l)
        y = Transpose<perm=[0,2,1]>(m)""",
        _SEQUENCE,
    ),
    _behind(
        "Einsum, Mul, Add",
        """h = Einsum<equation="bsi,ijk->bsjk">(x, w{8,2,3}) k = Mul(h, scale{3})
        y = Add(k, vector{3})""",
        _SEQUENCE,
    ),
    _behind("two in a row", "h = Conv(x, w{6,4,3,3}) k = norm{6}(h) y = norm{6}(k)"),
    _behind(
        "int8 weights",
        """w = DequantizeLinear<axis=0>(bytes{6,4,3,3}, step{6}) h = Conv(x, w)
        y = norm{6}(h)""",
    ),
)

SPELLED = (
    _spelled(
        "Conv, Mul, Add (Keras 3)",
        "h = Conv(x, w{6,4,3,3}) k = Mul(h, scale{6,1,1}) y = Add(k, vector{6,1,1})",
    ),
    _spelled(
        "Conv, Sub, Div, Mul, Add",
        """h = Conv(x, w{6,4,3,3}) k = Sub(h, vector_0{1,6,1,1}) l = Div(k, scale_0{1,6,1,1})
        m = Mul(l, scale_1{1,6,1,1}) y = Add(m, vector_1{1,6,1,1})""",
    ),
    _spelled(
        "MatMul, Mul, Add",
        "h = MatMul(x, w{8,6}) k = Mul(h, scale{6}) y = Add(k, vector{6})",
        _ROWS,
    ),
    _spelled(
        "root of the variance computed",
        """r = Sqrt(var{6}) i = Reciprocal(r) s = Mul(i, gamma{6}) o = Mul(mean{6}, s)
        t = Sub(beta{6}, o) h = Conv(x, w{6,4,1,1}) l = Transpose<perm=[0,2,3,1]>(h)
        k = Mul(l, s) y = Add(k, t)""",
    ),
    _spelled(
        "channels last (Keras 3 on torch)",
        """h = Conv(x, w{6,4,3,3}) k = Transpose<perm=[0,2,3,1]>(h) l = Sub(k, vector_0{6})
        m = Mul(l, scale{6}) y = Add(m, vector_1{6})""",
    ),
)

_CONV = "h = Conv(x, w{6,4,3,3})"

THROUGH = (
    _through("Transpose", f"{_CONV} k = Transpose<perm=[0,1,3,2]>(h) y = norm{{6}}(k)"),
    _through("Reshape", f"{_CONV} k = Reshape(h, ints[0,6,36]) y = norm{{6}}(k)"),
    _through(
        "Flatten",
        "h = Conv(x, w{6,4,8,8}) k = Flatten(h) y = norm{6}(k)",
    ),
    _through("Squeeze", "h = Conv(x, w{6,4,1,8}) k = Squeeze(h, ints[3]) y = norm{6}(k)"),
    _through(
        "Pad, reflecting",
        f'{_CONV} k = Pad<mode="reflect">(h, ints[0,0,1,1,0,0,1,1]) y = norm{{6}}(k)',
    ),
    _through("MaxPool", f"{_CONV} k = MaxPool<kernel_shape=[2,2]>(h) y = norm{{6}}(k)"),
    _through("AveragePool", f"{_CONV} k = AveragePool<kernel_shape=[2,2]>(h) y = norm{{6}}(k)"),
    _through("GlobalAveragePool", f"{_CONV} k = GlobalAveragePool(h) y = norm{{6}}(k)"),
    _through("ReduceMean", f"{_CONV} k = ReduceMean<axes=[2,3], keepdims=0>(h) y = norm{{6}}(k)"),
    _through(
        "Concat",
        "h = Conv(x, w_0{6,4,3,3}) k = Conv(x, w_1{2,4,3,3}) l = Concat<axis=1>(h, k) "
        "y = norm{8}(l)",
    ),
    _through(
        "Split, both parts",
        f"{_CONV} k, l = Split<axis=1>(h, ints[2,4]) y = norm{{2}}(k) z = norm{{4}}(l)",
        outputs="y, z",
    ),
    _through("Slice", f"{_CONV} k = Slice(h, ints[1], ints[5], ints[2]) y = norm{{6}}(k)"),
    _through(
        "Resize",
        f"{_CONV} k = Resize(h, , factors{{4}}) y = norm{{6}}(k)",
    ),
    _through("Relu (a scale)", f"{_CONV} k = Relu(h) y = Mul(k, scale{{6,1,1}})"),
    _through(
        "Add of two branches",
        "h = Conv(x, w_0{6,4,3,3}) k = Conv(x, w_1{6,4,3,3}) l = Add(h, k) y = norm{6}(l)",
    ),
    _through(
        "squeeze-and-excite (a scale)",
        f"""{_CONV} k = GlobalAveragePool(x) l = Conv(k, w_1{{6,4,1,1}}) m = Sigmoid(l)
        n = Mul(h, m) y = Mul(n, scale{{6,1,1}})""",
    ),
)

BEFORE = (
    _before("Conv, at the network's input", "h = norm{4}(x) y = Conv(h, w{6,4,3,3})"),
    _before("Conv, groups", "h = norm{4}(x) y = Conv<group=2>(h, w{6,2,3,3})"),
    _before(
        "Mul, Add, Conv padded with zeros (the shift stays)",
        """h = Mul(x, scale{4,1,1}) k = Add(h, vector{4,1,1})
        y = Conv<pads=[1,1,1,1]>(k, w{6,4,3,3})""",
        best="part",
    ),
    _before(
        "Mul, Add, ConvTranspose (the shift stays)",
        "h = Mul(x, scale{4,1,1}) k = Add(h, vector{4,1,1}) y = ConvTranspose(k, w{4,6,2,2})",
        best="part",
    ),
    _before("Gemm", "h = norm{8}(x) y = Gemm<transB=1>(h, w{6,8}, b{6})", _ROWS),
    _before("MatMul", "h = norm{8}(x) y = MatMul(h, w{8,6})", _ROWS),
    _before(
        "pooling, BN, Conv",
        "h = MaxPool<kernel_shape=[2,2]>(x) k = norm{4}(h) y = Conv(k, w{6,4,3,3})",
    ),
    _before("Relu, BN, Conv", "h = Relu(x) k = norm{4}(h) y = Conv(k, w{6,4,3,3})"),
    _before(
        "Relu, BN, Flatten, Gemm",
        "h = Relu(x) k = norm{4}(h) l = Flatten(k) y = Gemm(l, w{256,6}, b{6})",
    ),
    _before(
        "Relu, BN, GlobalAveragePool, Gemm",
        """h = Relu(x) k = norm{4}(h) l = GlobalAveragePool(k) m = Flatten(l)
        y = Gemm(m, w{4,6}, b{6})""",
    ),
    _before(
        "two layers",
        "h = Relu(x) k = norm{4}(h) y = Conv(k, w_0{6,4,3,3}) z = Conv(k, w_1{2,4,1,1})",
        outputs="y, z",
    ),
)

OTHER = (
    _other(
        "LayerNormalization, Mul, Add",
        "h = LayerNormalization(x, gamma{8}, beta{8}) k = Mul(h, scale{8}) y = Add(k, vector{8})",
        _SEQUENCE,
    ),
    _other(
        "InstanceNormalization, BN",
        "h = InstanceNormalization(x, gamma{4}, beta{4}) y = norm{4}(h)",
    ),
    _other(
        "embedding, Mul, Add",
        "h = Gather(table{9,6}, ids) k = Mul(h, scale{6}) y = Add(k, vector{6})",
        "int64[N,5] ids",
    ),
)

_BODY = "m = Conv(s, w{4,4,1,1}) t = norm{4}(m)"

AROUND = (
    _around(
        "branches of an If",
        """y = If(flag) <then_branch = a () => (float[N,6,6,6] p) { h = Conv(x, w{6,4,3,3})
        p = norm{6}(h) }, else_branch = b () => (float[N,6,6,6] q) { k = Conv(x, v{6,4,3,3})
        q = norm{6}(k) }>""",
        "float[N,4,8,8] x, bool flag",
    ),
    _around(
        "body of a Loop",
        f"""n = Constant<value_int=2>() c = Constant<value = bool {{1}}>() y = Loop(n, c, x)
        <body = b (int64 i, bool g, float[N,4,8,8] s) => (bool o, float[N,4,8,8] t)
        {{ o = Identity(g) {_BODY} }}>""",
        outputs="float[N,4,8,8] y",
    ),
    _around(
        "body of a Scan",
        f"""y, z = Scan<num_scan_inputs=1, body = b (float[N,4,8,8] i, float[N,4,8,8] j)
        => (float[N,4,8,8] t, float[N,4,8,8] u) {{ s = Add(i, j) {_BODY} u = Identity(t)
        }}>(x, xs)""",
        "float[N,4,8,8] x, float[3,N,4,8,8] xs",
        "y, z",
    ),
    _around(
        "model-local function",
        "y = local.Block(x, w{6,4,3,3}, gamma{6}, beta{6}, mean{6}, var{6})",
        functions="""<domain: "local", opset_import: ["" : 17]> Block (x, w, g, b, m, v) => (y)
        { h = Conv(x, w) y = BatchNormalization(h, g, b, m, v) }""",
    ),
    _around(
        "one weight, two layers that agree",
        """h = Conv(x, w{6,4,3,3}) k = Conv(z, w) l = BatchNormalization(h, gamma{6}, beta{6},
        mean{6}, var{6}) m = BatchNormalization(k, gamma, beta, mean, var) y = Sub(l, m)""",
        "float[N,4,8,8] x, float[N,4,8,8] z",
    ),
    _around("IR version 3", "h = Conv(x, w{6,4,3,3}) y = norm{6}(h)", ir_version=3),
)

PATTERNS = (*BEHIND, *SPELLED, *THROUGH, *BEFORE, *OTHER, *AROUND)
