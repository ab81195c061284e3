"""Shapes in words: those of ``--input-shape``."""

from __future__ import annotations

import pytest

from folding.assignments import parse_shape
from folding.errors import BadCall


@pytest.mark.parametrize(
    ("text", "name", "shape"),
    [
        ("x:1,3,224,224", "x", (1, 3, 224, 224)),
        ("x:7", "x", (7,)),
        ("serving/X:0:1, 64", "serving/X:0", (1, 64)),
        (" x :1", " x ", (1,)),
    ],
)
def test_a_shape_in_words_is_read(text: str, name: str, shape: tuple[int, ...]) -> None:
    assert parse_shape(text) == (name, shape)


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "x:", ":1,2", "1,2", "x:1,,2", "x:1,2,", "x:a", "x:-1,3", "x:1.5", "x:1x3"),
        *("x:٣", "x:²", "x:1_000", "x:0,3", "X:0", "x:" + "9" * 5000),
    ],
)
def test_what_is_no_shape_is_refused(text: str) -> None:
    with pytest.raises(BadCall, match=r"of an input|size of 0"):
        parse_shape(text)
