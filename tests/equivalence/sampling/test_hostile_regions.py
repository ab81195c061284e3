"""Nodes without any sense, whose results are said to be of any shape."""

from __future__ import annotations

from typing import Any

import numpy as np
from graphs import Net
from hypothesis import given
from hypothesis import strategies as st
from samples import everywhere, region_of, untyped

from folding.equivalence.sampling import Sampled, Unsupported, evaluate
from folding.equivalence.sampling.operators import OPERATORS

NUMBERS = st.integers(-3, 4) | st.sampled_from([1 << 31, -(1 << 62), (1 << 63) - 1])
SEVERAL = st.lists(NUMBERS, min_size=1, max_size=6)
SHAPES = st.lists(st.integers(0, 4), max_size=5).map(tuple)
ATTRIBUTES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("axis", "group", "keepdims", "ceil_mode", "transA", "transB", "to"), NUMBERS),
    **dict.fromkeys(("perm", "pads", "strides", "dilations", "kernel_shape", "axes"), SEVERAL),
    **dict.fromkeys(("split", "starts", "ends", "output_shape", "output_padding"), SEVERAL),
    **dict.fromkeys(("alpha", "beta", "epsilon", "min", "max", "value"), st.floats(width=32)),
    **dict.fromkeys(("spatial", "training_mode", "is_test", "count_include_pad"), NUMBERS),
    "auto_pad": st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET", "\u00e9"]),
    "mode": st.sampled_from(["constant", "reflect", "edge", "wrap", "linear", "cubic", "CRD", ""]),
    **dict.fromkeys(("blocksize", "num_groups", "p", "antialias", "exclude_outside"), NUMBERS),
    **dict.fromkeys(("scales",), st.lists(st.floats(width=32), min_size=1, max_size=5)),
    "equation": st.text("abc.,-> ", max_size=9) | st.sampled_from(["ab,bc->ac", "...a,ab->...b"]),
    "coordinate_transformation_mode": st.sampled_from(["asymmetric", "align_corners", "tf"]),
    "keep_aspect_ratio_policy": st.sampled_from(["stretch", "not_larger", "none"]),
}


@given(st.data())
def test_nonsense_is_evaluated_or_refused(data: st.DataObject) -> None:
    """Never is it an error, and never are there more or fewer numbers than were asked for."""
    net = Net(opset=data.draw(st.integers(1, 22)), ir_version=10)
    x = net.input(*data.draw(SHAPES))
    shape = [dim.dim_value for dim in net.inputs[0].type.tensor_type.shape.dim]
    names = [
        net.weight(*data.draw(SHAPES)),
        net.integers(*data.draw(st.lists(NUMBERS, max_size=5))),
        x,
        "",
        "missing",
    ]
    operator = data.draw(st.sampled_from(sorted(OPERATORS)))
    inputs = data.draw(st.lists(st.sampled_from(names), max_size=5))
    chosen = data.draw(st.sets(st.sampled_from(sorted(ATTRIBUTES)), max_size=5))
    given = {name: data.draw(ATTRIBUTES[name]) for name in sorted(chosen)}
    net.node(operator, x, *inputs, out="y", **given)
    result = data.draw(SHAPES | st.just(tuple(shape)))
    coords = everywhere(result)
    feed = {"x": np.ones(shape, np.float32)}

    found = evaluate(region_of(untyped(net, "y")), "y", coords, feed, {"y": result})

    assert isinstance(found, Sampled | Unsupported)
    if isinstance(found, Sampled):
        assert found.value.shape == found.magnitude.shape == (len(coords),)
