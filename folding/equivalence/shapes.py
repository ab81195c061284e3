"""The shapes of made-up inputs: the model's, the user's, and sizes for what both leave open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from operator import index
from typing import Any

from onnx import ModelProto, ValueInfoProto

from folding.equivalence.feeds import dims_of, fits, required, shown, tensor_type
from folding.errors import BadCall

_MOST_ELEMENTS = 1 << 24

Shapes = Mapping[str, Sequence[int]]


def check_shapes(model: ModelProto, wished: Any) -> dict[str, tuple[int, ...]]:
    """The user's shapes, each of whole numbers and one that its input can have.

    Raises:
        BadCall: they are something else, or contradict the model or each other.
    """
    hint = "Give a sequence of sizes for the name of an input, like {'x': (1, 3, 224, 224)}."
    if not isinstance(wished, Mapping):
        raise BadCall(f"shapes are sizes by input name, not a {type(wished).__name__}", hint=hint)
    found = {}
    for name, sizes in wished.items():
        try:
            is_text = isinstance(sizes, (str, bytes))
            found[name] = () if is_text else tuple(map(index, sizes))
        except TypeError:
            is_text = True
        if is_text:
            raise BadCall(f"the shape given for input {name!r} is {sizes!r}", hint=hint)
    _named(required(model), found)
    return found


def shapes_of(
    model: ModelProto, wished: Shapes, open_size: int, leading: int
) -> dict[str, tuple[int, ...]] | str:
    """The shape of each input, or a sentence why one cannot be made up.

    Args:
        model: what is to be run.
        wished: the shapes that the user wants, by input.
        open_size: for dimensions that are still open.
        leading: for those of them that are the first of an input.

    Raises:
        BadCall: the user's shapes contradict the model, or each other.
    """
    values = required(model)
    named = _named(values, wished)
    found: dict[str, tuple[int, ...]] = {}
    tensors = [(value.name, tensor_type(value)) for value in values]
    for _, tensor in tensors:
        for first in dims_of(tensor)[:1] if tensor else ():
            named.setdefault(first, leading)
    for name, tensor in tensors:
        if tensor is None:
            return f"input {name!r} is no tensor of a known type, so it cannot be made up"
        found[name] = tuple(wished.get(name) or _filled(dims_of(tensor), named, open_size, leading))
        if prod(found[name]) > _MOST_ELEMENTS:
            return f"input {name!r} has too many elements to be made up"
    return found


def open_dimensions(model: ModelProto, wished: Shapes) -> list[list[tuple[str, int]]]:
    """Where each dimension is that the model and the user leave open: its inputs and axes.

    Those of one name are one; those without a name are one each.
    """
    found: dict[object, list[tuple[str, int]]] = {}
    for value in required(model):
        for axis, dim in enumerate(dims_of(value.type.tensor_type)):
            if isinstance(dim, str) and value.name not in wished:
                found.setdefault(dim or (value.name, axis), []).append((value.name, axis))
    return list(found.values())


def _filled(
    dims: list[int | str], named: Mapping[int | str, int], open_size: int, leading: int
) -> list[int]:
    """One shape. Open dimensions without a name have nothing to do with each other."""
    sizes = [leading, *(open_size for _ in dims[1:])]
    return [
        dim if isinstance(dim, int) else named[dim] if dim and dim in named else size
        for dim, size in zip(dims, sizes, strict=False)
    ]


def _named(values: Sequence[ValueInfoProto], wished: Shapes) -> dict[int | str, int]:
    """The sizes of open dimensions that follow from the shapes that the user wants."""
    known, sizes = {value.name: value for value in values}, dict[int | str, int]()
    for name, shape in wished.items():
        if name not in known:
            hint = f"Those it requires: {', '.join(known)}."
            raise BadCall(f"a shape is given for {name!r}, which is no input to give", hint=hint)
        if not all(isinstance(size, int) and size > 0 for size in shape):
            raise BadCall(f"the shape given for input {name!r} has a size that is none: {shape}")
        tensor = known[name].type.tensor_type
        if not fits(tensor, shape):
            given = "x".join(map(str, shape))
            raise BadCall(f"input {name!r} is {shown(tensor)}, the shape given is {given}")
        for dim, size in zip(dims_of(tensor), shape, strict=False):
            if dim and sizes.setdefault(dim, size) != size:
                text = f"the shapes given make {dim!r} of input {name!r} both {sizes[dim]} and "
                raise BadCall(f"{text}{size}", hint="Dimensions of one name have one size.")
    return sizes


def described(model: ModelProto, wished: Shapes, open_size: int, leading: int) -> str:
    """What to say of such shapes, behind other words."""
    own = [value for value in required(model) if value.name not in wished]
    dims = [dims_of(value.type.tensor_type) for value in own]
    parts = ["", *(f"{name!r} {'x'.join(map(str, shape))}" for name, shape in wished.items())]
    if any(isinstance(d, str) for found in dims for d in found):
        parts.append(f"open dimensions {open_size}")
        if leading != min(open_size, 2) and any(isinstance(d, str) for f in dims for d in f[:1]):
            parts.append(f"leading ones {leading}")
    return ", ".join(parts)
