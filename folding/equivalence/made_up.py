"""Made-up inputs: seeded, of the shapes that the model or the user names, and what it allows.

What a model leaves open is tried in several sizes until it accepts one. Dimensions of one name have
one size. Where several kinds of numbers are wanted and the inputs have a batch, its entries take
one each, so that one run tests them all. (Numbers of such a batch must be compared entry by entry:
the errors that are right beside large ones would hide wrong ones beside small ones.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from onnx import ModelProto, ValueInfoProto

from folding.equivalence.feeds import (
    Array,
    Feed,
    dims_of,
    dtype_of,
    fits,
    required,
    shown,
    tensor_type,
)
from folding.equivalence.kinds import Kind, floats
from folding.equivalence.uses import Use, Uses
from folding.errors import BadCall
from folding.floats import FLOATS

#: Sizes to try for dimensions that the model leaves open; a leading one, the batch, is 2 or 1.
OPEN_SIZES = (2, 1, 8, 32, 224)
_MOST_ELEMENTS = 1 << 24
_DIGITS = 18
#: Seeds from here on have booleans of both truths in one array.
_BOTH = 2

Shapes = Mapping[str, Sequence[int]]


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """Made-up inputs: ``label`` says in full what they are, ``kind`` is "mixed" for several."""

    label: str
    kind: str
    seed: int
    arrays: Feed


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


def candidates(
    model: ModelProto, kinds: Sequence[Kind], seed: int, *, shapes: Shapes | None = None
) -> Iterator[Made | str]:
    """Inputs to try one after the other, until the model accepts some.

    Args:
        model: what is to be run.
        kinds: one kind of numbers, or several for the entries of a batch.
        seed: the same one gives the same inputs.
        shapes: those that the user wants, by input.

    Yields:
        Inputs, each of other shapes than those before, or a sentence why some cannot be made.

    Raises:
        BadCall: the user's shapes contradict the model.
    """
    batch, tried = max(2, len(kinds)), set()
    sizes = [(size, batch if size > 1 else 1) for size in OPEN_SIZES]
    sizes += [(size, 1) for size in OPEN_SIZES if size > 2]  # noqa: PLR2004 - below are those above
    for open_size, leading in sizes:
        found = _sizes(model, shapes or {}, open_size, leading)
        key = found if isinstance(found, str) else tuple(found.items())
        if key not in tried:
            tried.add(key)
            yield made_up(model, kinds, seed, shapes=shapes, open_size=open_size, leading=leading)


def made_up(
    model: ModelProto,
    kinds: Sequence[Kind],
    seed: int,
    *,
    shapes: Shapes | None = None,
    open_size: int = 2,
    leading: int | None = None,
) -> Made | str:
    """Seeded inputs, or a sentence why there are none.

    Booleans are false throughout for seed 0, true for seed 1, and either for the seeds after.

    Args:
        model: what is to be run.
        kinds: one kind of numbers, or several for the entries of a batch.
        seed: the same one gives the same inputs.
        shapes: those that the user wants, by input.
        open_size: for dimensions that are still open.
        leading: for those of them that are the first of an input.

    Raises:
        BadCall: the user's shapes contradict the model.
    """
    first = leading or min(open_size, max(2, len(kinds)))
    found = _sizes(model, shapes or {}, open_size, first)
    if isinstance(found, str):
        return found
    uses, arrays, mixed = None, Feed(), 1
    for place, value in enumerate(required(model)):
        tensor, shape = value.type.tensor_type, found[value.name]
        dtype = dtype_of(tensor)
        rng = np.random.default_rng([seed, place])
        if dtype.kind == "b":
            arrays[value.name] = _flags(seed, rng, shape)
        elif dtype.kind in "iuO":
            uses = uses or Uses(model, found)
            arrays[value.name] = _discrete(uses.of(value.name), kinds[0], rng, shape, dtype)
        else:
            arrays[value.name] = floats(kinds, seed, place, shape, dtype, tensor.elem_type)
            entries = shape[0] if shape and tensor.elem_type in FLOATS else 1
            mixed = max(mixed, min(len(kinds), entries))
    used = kinds[:mixed]
    kind = "mixed" if mixed > 1 else str(kinds[0])
    label = f"{kind} ({', '.join(used)})" if mixed > 1 else kind
    label += f", seed {seed}{_opened(model, shapes or {}, open_size, first)}"
    return Made(label, kind, seed, arrays)


def _sizes(
    model: ModelProto, wished: Shapes, open_size: int, leading: int
) -> dict[str, tuple[int, ...]] | str:
    """The shape of each input."""
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


def _flags(seed: int, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return np.full(shape, bool(seed)) if seed < _BOTH else rng.integers(0, 2, shape).astype(bool)


def _discrete(
    use: Use, kind: Kind, rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array:
    """Integers or texts."""
    keys = [key for key in use.keys if isinstance(key, str) == (dtype.kind == "O")]
    if keys:
        return np.array(keys, dtype)[rng.integers(0, len(keys), shape)].reshape(shape)
    if dtype.kind == "O":
        return np.full(shape, "a", object)
    low, high = 0, 1
    if use.low is not None and use.high is not None:
        low, high = use.low, use.high
    elif dtype.itemsize == 1:  # Pictures and quantised numbers.
        low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    least, most = high if kind is Kind.LARGE else low, low if kind is Kind.ZEROS else high
    return rng.integers(least, most, shape, dtype, endpoint=True)


def _opened(model: ModelProto, wished: Shapes, open_size: int, leading: int) -> str:
    """What the label says of the shapes."""
    own = [value for value in required(model) if value.name not in wished]
    dims = [dims_of(value.type.tensor_type) for value in own]
    parts = ["", *(f"{name!r} {'x'.join(map(str, shape))}" for name, shape in wished.items())]
    if any(isinstance(d, str) for found in dims for d in found):
        parts.append(f"open dimensions {open_size}")
        if leading != min(open_size, 2) and any(isinstance(d, str) for f in dims for d in f[:1]):
            parts.append(f"leading ones {leading}")
    return ", ".join(parts)
