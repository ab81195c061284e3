"""Names for what lies in dictionaries and lists."""

from __future__ import annotations

import pytest

from folding.conversion.keras.nested import is_shape, leaves, mapped, names_in


def test_each_leaf_has_a_name_of_its_own() -> None:
    """The keys and places on the way to it, the outermost first."""
    found = leaves({"words": "a", "sizes": ["b", {"left": "c"}]})
    assert found == [("words", "a"), ("sizes.0", "b"), ("sizes.1.left", "c")]
    assert leaves("a") == [("", "a")]
    assert leaves(("a", "b")) == [("0", "a"), ("1", "b")]


def test_a_structure_keeps_its_form() -> None:
    """Lists stay lists, tuples tuples and dictionaries in their order."""
    shapes = {"z": (None, 4), "p": ([2, 3], (5,))}
    made = mapped(shapes, lambda name, sizes: f"{name}{list(sizes)}")
    assert made == {"z": "z[None, 4]", "p": ("p.0[2, 3]", "p.1[5]")}
    assert list(made) == ["z", "p"]


@pytest.mark.parametrize("sizes", [(), (None, 4), [2, 3]])
def test_sizes_of_an_array_are_a_leaf(sizes: list[int | None]) -> None:
    """They are numbers, or open."""
    assert is_shape(sizes)
    assert not is_shape([sizes, sizes])


def test_tensors_are_called_by_the_keys_of_a_dictionary_that_has_them() -> None:
    """In whatever order; each use of one has its own. Without a dictionary nothing is said."""
    one, two = object(), object()
    structure = {"a": one, "b": [two, one]}
    assert names_in(structure, [two, one, one]) == ["b.0", "a", "b.1"]
    assert names_in(structure, [two, object()]) == []
    assert names_in(structure, [two, two]) == []
    assert names_in([one, two], [one, two]) == []
