"""Operators that move or repeat elements: whether an affine can get over one, by trying it."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from graphs import Net
from onnx import ModelProto
from oracle import Array, evaluate
from passing import assert_goes_down, assert_goes_up, assert_stays, random_affine

from folding.affine import ChannelAffine
from folding.plan import Reason


def assert_goes_where_it_can(
    net: Net, affine: ChannelAffine, *, down: bool, reason: Reason = Reason.MIXES_CHANNELS
) -> None:
    """It goes over the node if some affine on one axis does the same there, and else stays."""
    if not can_go(net, affine, down=down):
        assert_stays(net, affine, reason, down=down)
    elif down:
        assert_goes_down(net, affine)
    else:
        assert_goes_up(net, affine)


def can_go(net: Net, affine: ChannelAffine, *, down: bool) -> bool:
    """Whether what an affine does to each element follows from one axis on the other side.

    All sizes must be known. Each element of the input is followed by its number.
    """
    before, after = _numbered(net.model(*net.nodes[-1].output))
    here, there = (before, after) if down else (after, before)
    done: dict[float, set[Any]] = {}
    for place, number in np.ndenumerate(here):
        done.setdefault(number, set()).add(_numbers(affine, place))
    if any(len(numbers) > 1 for numbers in done.values()):
        return False
    wanted = {place: done[number] for place, number in np.ndenumerate(there)}
    return follow_from_one_axis(wanted)


def _numbered(model: ModelProto) -> tuple[Array, Array]:
    """An input that counts its elements, and where they are in the output."""
    value = model.graph.input[0]
    shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    before = np.arange(float(prod(shape))).reshape(shape)
    return before, evaluate(model, {value.name: before})[0]


def _numbers(affine: ChannelAffine, place: tuple[int, ...]) -> tuple[float, float]:
    assert affine.axis is not None
    channel = place[affine.axis]
    return affine.scale.high[channel], affine.shift.high[channel]


def follow_from_one_axis(numbers: dict[tuple[int, ...], Any]) -> bool:
    """Whether the places with the same index on some axis all have the same numbers."""
    return any(_follow_from(axis, numbers) for axis in range(len(next(iter(numbers)))))


def _follow_from(axis: int, numbers: dict[tuple[int, ...], Any]) -> bool:
    at: dict[int, Any] = {}
    return all(at.setdefault(place[axis], n) == n for place, n in numbers.items())


def repeated(affine: ChannelAffine, times: int) -> ChannelAffine:
    """An affine whose every channel is there so many times in a row."""
    return _picked(affine, np.repeat(np.arange(affine.channels or 1), times))


def tiled(affine: ChannelAffine, times: int) -> ChannelAffine:
    """An affine whose channels begin again so many times."""
    return _picked(affine, np.tile(np.arange(affine.channels or 1), times))


def _picked(affine: ChannelAffine, index: Array) -> ChannelAffine:
    return ChannelAffine(affine.scale[index], affine.shift[index], affine.axis)


def patterns(channels: int, axis: int) -> list[ChannelAffine]:
    """Affines with all numbers different, and with every kind of repetition."""
    made = [random_affine(channels, axis)]
    for part in range(1, channels):
        if channels % part == 0:
            few = random_affine(part, axis, seed=part)
            made += [repeated(few, channels // part), tiled(few, channels // part)]
    return made
