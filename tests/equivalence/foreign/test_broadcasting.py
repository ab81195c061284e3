"""Constants of other shapes that are broadcast to the same numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from graphs import Net
from onnx import ModelProto
from pairs import judged

from folding.equivalence.foreign import Different, Matched, NotEstablished, broadcasting

Shape = tuple[int | str, ...]


def reading(
    operator: str, values: npt.ArrayLike, shape: Shape = (2, 3, 4, 4), *, is_computed: bool = False
) -> ModelProto:
    """A constant that an operator reads, stored or computed from one that is turned around."""
    net = Net()
    x = net.node("Sigmoid", net.input(*shape))
    array = np.asarray(values, np.float32)
    constant = net.node("Neg", net.store(-array)) if is_computed else net.store(array, "c")
    net.node(operator, x, constant, out="y")
    return net.model("y")


@pytest.mark.parametrize("operator", ["Mul", "PRelu", "Max"])
@pytest.mark.parametrize("is_computed", [False, True])
def test_as_many_equal_numbers_as_there_are_channels_are_one(
    operator: str,
    is_computed: bool,  # noqa: FBT001
) -> None:
    """Which of both a tool writes is its own affair."""
    one, other = np.full((3, 1, 1), 0.5), np.full((1,), 0.5)
    models = reading(operator, one), reading(operator, other, is_computed=is_computed)
    assert isinstance(judged(*models), Matched)
    assert isinstance(judged(*models[::-1]), Matched)


def test_a_constant_that_is_written_out_for_every_element_is_the_same() -> None:
    """Numbers that are there more often than they need be are the same numbers."""
    one = np.arange(1.0, 4.0).reshape(3, 1, 1)
    models = reading("Add", one), reading("Add", np.broadcast_to(one, (2, 3, 4, 4)))
    assert isinstance(judged(*models), Matched)


@pytest.mark.parametrize("place", [(0, 0, 0), (2, 3, 3)])
def test_one_other_number_is_a_fault(place: tuple[int, int, int]) -> None:
    """Each number is compared with that which it is broadcast to."""
    other = np.full((3, 4, 4), 2.0)
    other[place] = 2.5
    assert isinstance(judged(reading("Mul", 2.0), reading("Mul", other)), Different)


def test_a_constant_may_make_a_result_longer() -> None:
    """What is one channel long at run time has three behind a constant of three."""
    shape = (2, "c", 4, 4)
    models = reading("Mul", np.full((3, 1, 1), 2.0), shape), reading("Mul", 2.0, shape)
    assert isinstance(judged(*models), NotEstablished)


def test_constants_of_which_neither_fits_the_other_are_no_match() -> None:
    """There is no shape in which both could be compared."""
    models = reading("Add", np.ones((3, 1, 1))), reading("Add", np.ones((2, 1, 1, 1, 1)))
    assert isinstance(judged(*models), NotEstablished)
    models = reading("Add", np.ones((4,))), reading("Add", np.ones((3,)), (2, 3, 4, 3))
    assert isinstance(judged(*models), NotEstablished)


def test_constants_that_are_not_laid_over_something_are_compared_as_they_are() -> None:
    """A row that is picked twice is not one that is picked once."""
    models = []
    for indices in ([1], [1, 1]):
        net = Net()
        net.node("Gather", net.input(5, 2), net.integers(*indices), out="y")
        models.append(net.model("y"))
    assert not isinstance(judged(*models), Matched)


def test_what_would_be_large_is_not_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """No array is made that no model has."""
    monkeypatch.setattr(broadcasting, "ELEMENTS", 2)
    models = reading("Mul", np.full((3, 1, 1), 0.5)), reading("Mul", 0.5)
    assert isinstance(judged(*models), NotEstablished)
