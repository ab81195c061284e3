"""Gather: the channels that are gathered keep their numbers, the others get the identity."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from graphs import DOUBLE, FLOAT, INT64, Net, feed_for, run
from onnx import TensorProto, helper
from oracle import evaluate
from passing import affine_of, ask, assert_goes_down, assert_goes_up, assert_stays, random_affine

from folding.affine import ChannelAffine, identity
from folding.plan import Kept, Reason

SHAPE = (2, 7, 5)
SCALAR = affine_of(-2.0, 3.0, None)
UNIFORM = affine_of([-2.0] * 7, [3.0] * 7, -2)


def gathered(
    indices: npt.ArrayLike,
    axis: int | None = 1,
    *,
    opset: int = 13,
    shape: tuple[int | str, ...] = SHAPE,
    elem_type: int = DOUBLE,
    kind: int = INT64,
) -> Net:
    net = Net(elem_type, opset=opset)
    net.store(np.asarray(indices), "i", kind)
    attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
    net.node("Gather", net.input(*shape), "i", out="y", **attributes)
    return net


def at_run_time(*shape: int) -> Net:
    net = Net(DOUBLE)
    net.input(*SHAPE)
    net.node("Gather", "x", net.input(*shape, name="i", elem_type=INT64), out="y", axis=1)
    return net


def answer_of(net: Net, affine: ChannelAffine, *, down: bool) -> ChannelAffine:
    _, answer = ask(net, affine, down=down)
    assert not isinstance(answer, Kept), answer
    return answer[0].affines[0]


@pytest.mark.parametrize("opset", [1, 11, 13])
@pytest.mark.parametrize("kind", [TensorProto.INT32, INT64])
@pytest.mark.parametrize("axis", [1, -2])
@pytest.mark.parametrize("indices", [[0, 1, 2], [6, 3, 1, 0], [-1, 0, -7 + 3], [4], range(7)])
def test_what_is_gathered_keeps_its_numbers(
    indices: list[int], axis: int, kind: int, opset: int
) -> None:
    """Negative indices count from the end; upward the other channels get the identity."""
    net = gathered(list(indices), axis, opset=opset, kind=kind)

    assert_goes_up(net, random_affine(len(indices), -2))
    assert_goes_down(net, random_affine(7, -2))


def test_the_other_channels_get_the_identity() -> None:
    """What is not gathered stays as it is."""
    affine = answer_of(gathered([5, -7]), affine_of([2, 3], [4, 5], -2), down=False)

    assert affine.scale.high.tolist() == [3, 1, 1, 1, 1, 2, 1]
    assert affine.shift.high.tolist() == [5, 0, 0, 0, 0, 4, 0]


@pytest.mark.parametrize("gathering", [0, 1, 2, -1])
@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_an_axis_that_is_not_gathered_moves_by_the_indices_to_its_right(
    rank: int, gathering: int
) -> None:
    """By their rank less one, and not at all where they are to its left."""
    net = gathered(np.ones((2, 1, 3)[:rank], np.int64), gathering)
    for axis in {0, 1, 2} - {gathering % 3}:
        before = axis - 3
        after = before + 1 - rank if axis < gathering % 3 else before

        assert_goes_down(net, random_affine(SHAPE[axis], before))
        assert_goes_up(net, random_affine(SHAPE[axis], after))
        assert answer_of(net, random_affine(SHAPE[axis], before), down=True).axis == after


def test_the_default_axis_is_the_first() -> None:
    """It is 0 in every version."""
    net = gathered([1, 0, 1], None)

    assert_goes_down(net, random_affine(2, -3))
    assert_goes_up(net, affine_of([2, 3, 2], [4, 5, 4], -3))


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_a_scalar_passes(rank: int) -> None:
    """One number for all channels has no axis, whatever is gathered."""
    net = gathered(np.ones((2, 1)[:rank], np.int64))

    assert_goes_up(net, SCALAR)
    assert_goes_down(net, SCALAR)
    for down in (False, True):
        assert answer_of(at_run_time(*(2, 2)[:rank]), SCALAR, down=down) == SCALAR


def test_downward_a_single_index_leaves_a_scalar() -> None:
    """One channel has no axis."""
    net = gathered(-2)

    assert_goes_down(net, random_affine(7, -2))
    assert answer_of(net, random_affine(7, -2), down=True).axis is None


def test_upward_channels_gathered_twice_pass_if_they_are_mapped_alike() -> None:
    """Of a scale or a shift that is one number for all, only the other counts."""
    assert_goes_up(gathered([3, 1, -4]), affine_of([2, 5, 2], [1, 7, 1], -2))
    assert_goes_up(gathered([3, 1, -4]), affine_of(2, [1, 7, 1], -2))
    assert_goes_up(gathered([3, 1, -4]), affine_of([2, 5, 2], 1, -2))


@pytest.mark.parametrize(
    "affine", [affine_of([2, 5, 3], [1, 7, 1], -2), affine_of([2, 5, 2], [1, 7, 0], -2)]
)
def test_upward_channels_gathered_twice_and_mapped_differently_are_refused(
    affine: ChannelAffine,
) -> None:
    """One channel cannot have two scales or shifts (condition 4)."""
    assert_stays(gathered([3, 1, -4]), affine, Reason.MIXES_CHANNELS)


def test_downward_channels_may_be_gathered_twice() -> None:
    """Each copy is mapped as its source."""
    assert_goes_down(gathered([3, 1, -4, 1]), random_affine(7, -2))


def test_channels_over_several_axes_are_refused() -> None:
    """They are no vector any more, nor one yet (conditions 3 and 5)."""
    net = gathered([[1, 2], [0, 3]])

    assert_stays(net, random_affine(7, -2), Reason.UNUSUAL_FORM, down=True)
    assert_stays(net, random_affine(2, -2), Reason.UNUSUAL_FORM)
    assert_stays(net, random_affine(2, -3), Reason.UNUSUAL_FORM)


@pytest.mark.parametrize("net", [gathered([[1, 2], [0, 3]]), gathered([[1], [0]])])
def test_what_is_the_same_for_all_channels_passes_anyway(net: Net) -> None:
    """It is a scalar."""
    assert_goes_down(net, UNIFORM)
    assert_goes_up(net, affine_of([-2.0] * 2, [3.0] * 2, -3))


@pytest.mark.parametrize("shape", [(3,), ()])
def test_indices_of_run_time_are_refused_on_the_axis_of_the_channels(shape: tuple[int]) -> None:
    """It is not known which ones are gathered (condition 2)."""
    net = at_run_time(*shape)

    assert_stays(net, random_affine(7, -2), Reason.SIZES_UNKNOWN, down=True)
    assert answer_of(net, UNIFORM, down=True).axis is None
    if shape:
        assert_stays(net, random_affine(3, -2), Reason.SIZES_UNKNOWN)
        assert answer_of(net, affine_of([-2.0] * 3, 3.0, -2), down=False).axis is None


@pytest.mark.parametrize("index", [7, -8])
def test_indices_out_of_range_are_refused(index: int) -> None:
    """No runtime takes them (condition 2)."""
    net = gathered([0, index])

    assert_stays(net, random_affine(7, -2), Reason.SIZES_UNKNOWN, down=True)
    assert_stays(net, random_affine(2, -2), Reason.SIZES_UNKNOWN)


def test_upward_an_unknown_size_on_the_gathered_axis_is_refused() -> None:
    """It is not known how many channels there are to map (condition 2)."""
    net = gathered([0, 1], shape=("n", "c", 5))

    assert_stays(net, random_affine(2, -2), Reason.SIZES_UNKNOWN)
    assert_goes_up(net, affine_of([2, 2], [3, 3], -2))
    assert_goes_up(net, random_affine(5, -1), n=2, c=7)


@pytest.mark.parametrize("down", [False, True])
def test_an_unknown_rank_is_refused(*, down: bool) -> None:
    """The axis cannot be placed without that of the data, nor of the indices (condition 1)."""
    for name, kind, shape in (("i", DOUBLE, (3,)), ("x", INT64, SHAPE)):
        net = Net(DOUBLE)
        unknown = "x" if name == "i" else "i"
        net.input(*shape, name=name, elem_type=INT64 if name == "i" else DOUBLE)
        net.inputs.append(helper.make_tensor_value_info(unknown, kind, None))
        net.node("Gather", "x", "i", out="y", axis=1)

        assert_stays(net, random_affine(7, -2), Reason.MISSING_AXES, down=down)


def test_downward_channels_that_do_nothing_get_the_identity() -> None:
    """So it is of a single one."""
    affine = affine_of([2, 1, 1, 5, 6, 7, 8], [0, 0, 0, 1, 0, 0, 0], -2)
    for indices in ([1, 2, 1], 2):
        _, answer = ask(gathered(indices), affine, down=True)

        assert not isinstance(answer, Kept)
        assert answer[0].affines[0].equals(identity())


def test_downward_only_the_data_are_gathered() -> None:
    """No affine stands before an index (condition 6)."""
    assert_stays(gathered([0, 1]), SCALAR, Reason.UNUSUAL_FORM, down=True, place=1)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("indices", [1, [0, -1, 0], [[0, 1], [-2, 1]]])
def test_the_definition_agrees_with_onnxruntime(indices: npt.ArrayLike, axis: int) -> None:
    """What the tests above compare with is what the operator is."""
    model = gathered(indices, axis, elem_type=FLOAT).model("y")
    feed = feed_for(model)

    np.testing.assert_allclose(evaluate(model, feed)[0], run(model, feed)[0], rtol=1e-6)
