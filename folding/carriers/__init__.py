"""What an affine may pass on its way to a layer. One family of operators a file, listed here."""

from __future__ import annotations

from collections.abc import Mapping

from folding.affine import ChannelAffine
from folding.carriers import (
    absolute,
    addition,
    cast,
    choice,
    clip,
    concat,
    depth_space,
    dropout,
    extremes,
    gather,
    grid_sample,
    identity,
    linear,
    pad,
    pooling,
    product,
    reduction,
    relu,
    repeat,
    reshape,
    resize,
    selection,
    split,
    squeeze,
    transpose,
)
from folding.carriers import slice as slicing
from folding.carriers.base import Answer, Carrier, Moved, Passage, Surroundings, asked, ways

CARRIERS: dict[str, Carrier] = {
    operator: carrier
    for carrier in (
        absolute.RULE,
        addition.RULE,
        cast.RULE,
        choice.RULE,
        clip.RULE,
        concat.RULE,
        depth_space.RULE,
        depth_space.SPACE_TO_DEPTH,
        dropout.RULE,
        extremes.RULE,
        gather.RULE,
        grid_sample.RULE,
        identity.RULE,
        linear.CUM_SUM,
        linear.TRILU,
        pad.RULE,
        pooling.RULE,
        pooling.AVERAGE,
        pooling.GLOBAL_AVERAGE,
        pooling.GLOBAL_MAX,
        pooling.GLOBAL_NORM,
        pooling.NORM,
        product.RULE,
        reduction.RULE,
        reduction.EXTREME,
        reduction.NORM,
        reduction.SUM,
        relu.RULE,
        repeat.EXPAND,
        repeat.TILE,
        reshape.RULE,
        reshape.FLATTEN,
        resize.RULE,
        resize.UPSAMPLE,
        selection.COMPRESS,
        selection.REVERSE,
        slicing.RULE,
        split.RULE,
        squeeze.RULE,
        squeeze.UNSQUEEZE,
        transpose.EINSUM,
        transpose.RULE,
    )
    for operator in carrier.operators
}


def carried_down(affines: Mapping[int, ChannelAffine], passage: Passage) -> Answer | None:
    """What a carrier answers; None if there is none, or none that passes anything down."""
    carrier = CARRIERS.get(passage.node.op_type)
    if carrier is not None and carrier.join is not None:
        return asked(carrier.join, affines, passage)
    if carrier is None or carrier.down is None:
        return None
    return asked(carrier.down, affines[passage.place], passage)


__all__ = [
    "CARRIERS",
    "Answer",
    "Carrier",
    "Moved",
    "Passage",
    "Surroundings",
    "asked",
    "carried_down",
    "ways",
]
