"""What is still to be decided: in order, and again where that is needed."""

from __future__ import annotations

import pytest

from folding.agenda import Agenda


def decided(count: int, again: dict[int, list[int]]) -> list[int]:
    """The places in order, where each adds others when it is decided for the first time."""
    agenda, order = Agenda(count), []
    for place in agenda:
        order.append(place)
        for other in again.pop(place, []):
            agenda.add(other)
    return order


@pytest.mark.parametrize(
    ("again", "order"),
    [
        ({}, [0, 1, 2, 3]),
        ({0: [2]}, [0, 1, 2, 3]),
        ({2: [0]}, [0, 1, 2, 3, 0]),
        ({2: [2]}, [0, 1, 2, 3, 2]),
        ({3: [2, 0, 2]}, [0, 1, 2, 3, 0, 2]),
        ({1: [0], 3: [1]}, [0, 1, 2, 3, 0, 1]),
    ],
)
def test_what_is_added_comes_in_this_round_or_in_the_next(
    again: dict[int, list[int]], order: list[int]
) -> None:
    assert decided(4, again) == order


def test_what_is_added_in_a_later_round_comes_in_order() -> None:
    agenda, order = Agenda(4), []
    for place in agenda:
        order.append(place)
        if len(order) == 4:
            agenda.add(1)
        if len(order) == 5:
            agenda.add(0)
            agenda.add(3)

    assert order == [0, 1, 2, 3, 1, 3, 0]
