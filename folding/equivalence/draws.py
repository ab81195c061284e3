"""Seeded noise for the sites of a model, as the inputs that a noisy variant of it takes.

Half of it is drawn for each element, as sums round, and half for each channel, as the folded
constants do: an average over many elements makes the one vanish but not the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np
from onnx import TensorProto

from folding.doubled import Doubles
from folding.equivalence.feeds import Feed
from folding.equivalence.variants import noise_inputs, wide_type

#: The largest number that is drawn, and the least but for its sign.
MOST = 127
#: Values share their draws, each from another place on, so that there are few of them in memory.
SLACK = 1 << 12


def draws(
    sizes: Mapping[str, Doubles],
    shapes: Mapping[str, tuple[int, ...]],
    types: Mapping[str, int],
    rng: np.random.Generator,
) -> Feed:
    """One draw.

    Args:
        sizes: by how much each value may change, for each channel.
        shapes: those of the values.
        types: their element types.
        rng: what is drawn from.
    """
    largest = max((prod(shapes[name]) for name in sizes), default=0)
    count = largest + SLACK + len(sizes)
    shared = rng.integers(-MOST, MOST, count, np.int8, endpoint=True)
    starts = rng.permutation(SLACK + len(sizes))[: len(sizes)]
    feed = Feed()
    for (name, size), start in zip(sizes.items(), starts.tolist(), strict=True):
        is_double = wide_type(types[name]) == TensorProto.DOUBLE
        wide = np.float64 if is_double else np.float32
        stop = start + prod(shapes[name])
        draw, each, shift = noise_inputs(name)
        feed[draw] = shared[start:stop].reshape(shapes[name])
        # What is too little to be drawn from is the least number: there roundings are absolute.
        least = np.where(size > 0, np.finfo(wide).smallest_subnormal, 0)
        feed[each] = np.asarray(np.maximum(size / MOST, least), wide)
        feed[shift] = np.asarray(size * rng.uniform(-1, 1, size.shape), wide)
    return feed
