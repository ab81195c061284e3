"""A Resize to ask its rule about."""

from __future__ import annotations

from typing import Any

from graphs import DOUBLE, FLOAT, Net
from passing import affine_of

SHAPE = (2, 3, 4, 5)
#: By scales, and by sizes.
SCALES, SIZES = (1.0, 1.0, 2.0, 0.75), (2, 3, 7, 3)
#: All of the first two axes, more than there is of one and less of the other.
PART = (0.0, 0.0, -0.25, 0.25, 1.0, 1.0, 1.5, 0.75)
SCALAR = affine_of(-2.0, 3.0, None)
UNIFORM = affine_of([-2.0] * 5, 3.0, -1)
HALF_PIXEL_FOR_NEAREST = "tf_half_pixel_for_nn"
CROPPING = "tf_crop_and_resize"
COORDINATES = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
ROUNDINGS = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
LINEAR_INSIDE: dict[str, Any] = {"mode": "linear", "exclude_outside": 1}
MODES: list[dict[str, Any]] = [
    *({"mode": "nearest", "nearest_mode": rounding} for rounding in ROUNDINGS),
    {"mode": "linear"},
    {"mode": "cubic"},
    {"mode": "cubic", "cubic_coeff_a": -0.5},
    {"mode": "cubic", "exclude_outside": 1},
    LINEAR_INSIDE,
]
ANTIALIASED: list[dict[str, Any]] = [
    {"mode": mode, "antialias": 1, "exclude_outside": outside}
    for mode in ("linear", "cubic")
    for outside in (0, 1)
]


def resized(
    scales: tuple[float, ...] = (),
    sizes: tuple[int, ...] = (),
    *,
    opset: int = 13,
    elem_type: int = DOUBLE,
    shape: tuple[int | str, ...] = SHAPE,
    **attributes: Any,
) -> Net:
    """By scales or sizes; what is not given is an empty tensor, which opset 11 asks for."""
    net = Net(elem_type, opset=opset)
    net.input(*shape)
    inputs = [net.store(scales, "scales", FLOAT)]
    if opset >= 11:
        inputs.insert(0, net.store([], "roi"))
        inputs += [net.integers(*sizes, name="sizes")] if sizes else []
    net.node("Resize", "x", *inputs, out="y", **attributes)
    return net


def cropped(
    *region: float,
    scales: tuple[float, ...] = (),
    sizes: tuple[int, ...] = (),
    opset: int = 13,
    elem_type: int = DOUBLE,
    shape: tuple[int | str, ...] = SHAPE,
    **attributes: Any,
) -> Net:
    """By ``tf_crop_and_resize``: where the axes begin, then where they end."""
    net = Net(elem_type, opset=opset)
    net.input(*shape)
    by = [net.store(scales, "scales", FLOAT)] if scales else ["", net.integers(*sizes)]
    roi = net.store(region, "roi")
    given = {"coordinate_transformation_mode": CROPPING, **attributes}
    net.node("Resize", "x", roi, *by, out="y", **given)
    return net


def upsampled(opset: int, scales: tuple[float, ...] = (1, 1, 2, 1.5), **attributes: Any) -> Net:
    net = Net(attributes.pop("elem_type", DOUBLE), opset=opset)
    net.input(*SHAPE)
    if opset < 9:
        net.node("Upsample", "x", out="y", scales=scales, **attributes)
    else:
        net.node("Upsample", "x", net.store(scales, "scales", FLOAT), out="y", **attributes)
    return net
