"""What the command is given for one input each: ``NAME=VALUE`` and ``NAME:SIZE,SIZE``."""

from __future__ import annotations

import json
from typing import Any

from folding.errors import BadCall

#: What to do about a value that is none.
VALUE_HINT = "Give true, false, a number, or a list such as [1,2]."
_DIGITS = 18


def parse_freeze(text: str) -> tuple[str, Any]:
    """The name and the value in ``NAME=VALUE``; names may have a = in them, values may not.

    Raises:
        BadCall: it is nothing like that.
    """
    name, equals, value = text.rpartition("=")
    if not equals or not name:
        raise BadCall(f"{text!r} is not NAME=VALUE", hint=VALUE_HINT)
    is_text = value.strip().startswith('"')
    try:
        return name, json.loads(value.strip() if is_text else value.strip().lower())
    except (ValueError, RecursionError) as error:
        raise BadCall(f"{value!r} is no value for {name!r}", hint=VALUE_HINT) from error


def parse_all(texts: tuple[str, ...]) -> dict[str, Any]:
    """Several ``NAME=VALUE``.

    Raises:
        BadCall: one is nothing like that, or two have the same name.
    """
    values = dict(map(parse_freeze, texts))
    if len(values) < len(texts):
        raise BadCall("--freeze names an input twice", hint="Give each one value.")
    return values


def parse_shapes(texts: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """What several ``--input-shape`` are given.

    Raises:
        BadCall: a shape is none, or an input has two.
    """
    shapes = dict(map(parse_shape, texts))
    if len(shapes) < len(texts):
        raise BadCall("--input-shape names an input twice", hint="Give each one shape.")
    return shapes


def parse_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """What ``--input-shape`` is given: ``NAME:1,3,224,224``. The name may have colons in it.

    Raises:
        BadCall: it is something else.
    """
    name, _, sizes = text.rpartition(":")
    parts = [part.strip() for part in sizes.split(",")]
    if not name or not all(p.isascii() and p.isdigit() and len(p) <= _DIGITS for p in parts):
        hint = "Write the input's name, a colon and its sizes: --input-shape x:1,3,224,224."
        raise BadCall(f"{text!r} is no NAME:SIZE,SIZE,... of an input", hint=hint)
    shape = tuple(int(part) for part in parts)
    if 0 in shape:
        raise BadCall(f"{text!r} asks for a size of 0", hint="Give sizes from 1 on.")
    return name, shape
