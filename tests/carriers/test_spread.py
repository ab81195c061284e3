"""Channels that are spread over several axes, and come together on one again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from math import prod

import numpy as np
import pytest
from graphs import DOUBLE, Net
from onnx import ModelProto, NodeProto
from oracle import Array, evaluate
from passing import Around, affine_of, random_affine

from folding.carriers import Passage
from folding.carriers.blocks import LARGEST
from folding.carriers.spread import Spread, moved_down, moved_up, spread

Dims = tuple[int | str, ...]
MIDDLES = [(2, 3, 4), (2, 12), (6, 4), (3, 2, 2, 2)]
ENDS = [(24,), (2, 12), (6, 4), (4, 3, 2), (2, 2, 6), (2, 1, 3, 4)]


def chain(before: Dims, *steps: Sequence[int], after: Sequence[int] = ()) -> ModelProto:
    """Reshapes by the first and the last step, and Transposes between them."""
    net = Net(DOUBLE)
    first, *perms = steps
    value = net.node("Reshape", net.input(*before), net.integers(*first))
    for perm in perms:
        value = net.node("Transpose", value, perm=perm)
    if after:
        value = net.node("Reshape", value, net.integers(*after))
    return net.model(value)


def moved(
    model: ModelProto, start: Spread | None, *, down: bool = False, around: Around | None = None
) -> Spread | None:
    """What stands at the other end of a row of nodes."""
    around, nodes = around or Around(model), list(model.graph.node)
    rule = moved_down if down else moved_up
    found = start
    for node in nodes if down else nodes[::-1]:
        found = found and rule(found, Passage(node, around))
    return found


def origins(model: ModelProto, before: tuple[int, ...]) -> Array:
    """For each element that comes out, which one of those that went in it is."""
    numbers = np.arange(float(prod(before))).reshape(before)
    return np.asarray(evaluate(model, {"x": numbers})[0].astype(np.int64))


def labels(shape: tuple[int, ...], axis: int) -> Array:
    """The channel of each element."""
    column = np.arange(shape[axis]).reshape(-1, *[1] * (-1 - axis))
    return np.broadcast_to(column, shape)


def assert_spread(found: Spread | None, wanted: Array) -> None:
    """Exactly the axes on which the channel changes, and the channels on them."""
    assert found is not None
    axes = tuple(
        axis for axis in range(-wanted.ndim, 0) if (wanted != wanted.take([0], axis)).any()
    )
    assert found.axes == axes
    at = tuple(slice(None) if axis in axes else 0 for axis in range(-wanted.ndim, 0))
    assert found.channels.tolist() == wanted[at].tolist()


@pytest.mark.parametrize("after", ENDS)
@pytest.mark.parametrize("middle", MIDDLES)
def test_channels_are_where_the_elements_are(
    middle: tuple[int, ...], after: tuple[int, ...]
) -> None:
    """By brute force: any axes, in any order, in both directions."""
    for perm in permutations(range(len(middle))):
        for before in ((24,), (4, 6)):
            model = chain(before, middle, perm, after=after)
            origin = origins(model, before)
            for axis in (a for a in range(-len(after), 0) if after[a] > 1):
                here = np.empty(24, np.int64)
                here[origin.ravel()] = labels(after, axis).ravel()
                start = spread(random_affine(after[axis], axis))
                assert_spread(moved(model, start), here.reshape(before))
            for axis in range(-len(before), 0):
                there = labels(before, axis).ravel()[origin.ravel()]
                start = spread(random_affine(before[axis], axis))
                assert_spread(moved(model, start, down=True), there.reshape(after))


def test_on_one_axis_it_is_an_affine_again() -> None:
    """Condition 2: channel i stands where it is put."""
    given = random_affine(6, -1)
    found = Spread(np.array([3, 0, 4, 1, 5, 2]), (-2,)).of(given)

    assert found is not None
    assert found.axis == -2
    assert found.scale.high.tolist() == given.scale.high[[3, 0, 4, 1, 5, 2]].tolist()
    assert found.shift.high.tolist() == given.shift.high[[3, 0, 4, 1, 5, 2]].tolist()


def test_on_two_axes_it_is_none() -> None:
    """Condition 2, refused."""
    assert Spread(np.arange(6).reshape(2, 3), (-2, -1)).of(random_affine(6, -1)) is None


def test_without_an_axis_nothing_is_spread() -> None:
    """A scalar, and the same number for all channels."""
    assert spread(affine_of(2.0, 1.0, None)) is None
    assert spread(affine_of([2.0, 2.0], [1.0, 1.0], -1)) is None


OPEN: list[Dims] = [("n", 6, "h", "w"), (2, 6, "h", "w"), ("n", 6, 2, 2)]


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("before", OPEN)
def test_other_sizes_may_be_open(before: Dims, *, down: bool) -> None:
    """Condition 1: a batch, rows and columns, where the shapes copy them."""
    model = chain(before, (0, 2, 3, -1), (0, 2, 1, 3), after=(0, 6, -1))
    axis = -3 if down else -2

    found = moved(model, spread(random_affine(6, axis)), down=down)

    order = np.arange(6).reshape(2, 3).T if down else np.arange(6).reshape(3, 2).T
    assert found is not None
    assert found.axes == (-2 if down else -3,)
    assert found.channels.tolist() == order.ravel().tolist()


@pytest.mark.parametrize("down", [False, True])
def test_the_only_size_that_is_not_known_is_worked_out(*, down: bool) -> None:
    """Condition 1: those of the channels themselves, and one of those they are spread over."""
    model = chain(("n", 6), (0, 2, 3), (0, 2, 1), after=(0, 6))
    around = Around(model)
    for value, axis in (("x", 1), (model.graph.node[0].output[0], 2), (model.graph.output[0], 1)):
        name = value if isinstance(value, str) else value.name
        around.values[name].shape.dim[axis].Clear()

    found = moved(model, spread(random_affine(6, -1)), down=down, around=around)

    assert found is not None
    assert found.axes == (-1,)
    assert sorted(found.channels) == [*range(6)]


def test_a_size_that_is_not_known_ends_it() -> None:
    """Condition 1, refused: how many channels a batch has in there."""
    for shape in ((-1, 4), (3, -1, 2), (6, -1, 2), (-1, 3)):
        model = chain(("n", 6, 2), shape)
        found = moved(model, spread(random_affine(6, -2)), down=True)
        assert found is None, shape


def only(model: ModelProto) -> NodeProto:
    (node,) = model.graph.node
    return node


def test_an_unknown_rank_ends_it() -> None:
    """Condition 1, refused: nothing is known of the shape before, or of a reversed one."""
    net = Net(DOUBLE)
    net.node("Reshape", net.input(None, name="x"), net.integers(2, 3))
    net.inputs[0].type.tensor_type.ClearField("shape")
    model = net.model(net.nodes[-1].output[0])
    reversing = Net(DOUBLE)
    reversing.node("Transpose", reversing.input(2, 3))
    around = Around(reversing.model(reversing.nodes[-1].output[0]))
    around.values["x"].ClearField("shape")

    assert moved(model, spread(random_affine(3, -1))) is None
    for rule in (moved_up, moved_down):
        assert rule(Spread(np.arange(3), (-1,)), Passage(reversing.nodes[0], around)) is None


def test_no_size_is_zero() -> None:
    """Condition 1, refused: elements that are not there tell nothing of an order."""
    model = chain((2, 6), (3, 4))
    around = Around(model)
    around.values["x"].shape.dim[0].dim_value = 0
    around.values[only(model).output[0]].shape.dim[1].dim_value = 0

    assert moved_down(Spread(np.arange(6), (-1,)), Passage(only(model), around)) is None


def test_channels_of_another_number_end_it() -> None:
    """Condition 1, refused: inference erred."""
    model = chain((2, 6), (2, 2, 3))
    around = Around(model)
    around.values[only(model).output[0]].shape.dim[1].Clear()

    assert moved_down(Spread(np.arange(6), (-1,)), Passage(only(model), around)) is not None
    assert moved_down(Spread(np.arange(9), (-1,)), Passage(only(model), around)) is None


def test_shapes_of_other_numbers_of_elements_end_it() -> None:
    """Condition 1, refused: inference erred, or no input gets there."""
    model = chain((2, 6), (2, 2, 3))
    around = Around(model)
    around.values["x"].shape.dim[1].dim_value = 9

    assert moved_down(Spread(np.arange(9), (-1,)), Passage(only(model), around)) is None


def test_too_many_elements_end_it() -> None:
    """Condition 1, refused: they would have to be looked at."""
    model = chain((2, LARGEST), (LARGEST, 2))

    assert moved(model, spread(random_affine(2, -2)), down=True) is None
