"""Who reads a value: counted, and found without a look at all."""

from __future__ import annotations

from folding.readers import Slots


def test_a_node_that_reads_twice_is_one_reader_with_two_slots() -> None:
    slots = Slots([3, 5, 3])

    slots.remove(3)

    assert (slots.count, list(slots)) == (2, [3, 5])


def test_a_node_without_a_slot_left_reads_no_more() -> None:
    slots = Slots([3, 5])

    slots.remove(3)

    assert (slots.count, 3 in slots, 5 in slots) == (1, False, True)


def test_one_of_many_readers_goes_without_a_look_at_the_others() -> None:
    looks = 0

    class Node(int):
        __hash__ = int.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal looks
            looks += 1
            return int(self) == other

    slots = Slots(map(Node, range(1000)))
    looks = 0

    slots.remove(Node(999))

    assert (slots.count, 999 in slots) == (999, False)
    assert looks < 10
