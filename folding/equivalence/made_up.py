"""Made-up inputs: seeded, of the shapes that the model or the user names, and what it allows.

What a model leaves open is tried in several sizes until it accepts one. Dimensions of one name have
one size. Where several kinds of numbers are wanted and the inputs have a batch, its entries take
one each, so that one run tests them all. (Numbers of such a batch must be compared entry by entry:
the errors that are right beside large ones would hide wrong ones beside small ones.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import ModelProto

from folding.equivalence.feeds import Array, Feed, dtype_of, required
from folding.equivalence.kinds import Kind, floats
from folding.equivalence.shapes import Shapes, described, shapes_of
from folding.equivalence.uses import Use, Uses
from folding.floats import FLOATS

#: Sizes to try for dimensions that the model leaves open; a leading one, the batch, is 2 or 1.
OPEN_SIZES = (2, 1, 8, 32, 224)
#: Kinds that make integers of which any will do large and negative, too.
_WIDE = frozenset({Kind.UNIFORM, Kind.LARGE})
#: Seeds from here on have booleans of both truths in one array.
_BOTH = 2


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """Made-up inputs: ``label`` says in full what they are, ``kind`` is "mixed" for several."""

    label: str
    kind: str
    seed: int
    arrays: Feed


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
        found = shapes_of(model, shapes or {}, open_size, leading)
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

    Booleans are false throughout for seed 0, true for seed 1, and either for the seeds after. The
    rest is as for ``candidates``, but in one size for all open dimensions, and another one for
    those of them that are the leading ones of an input.
    """
    first = leading or min(open_size, max(2, len(kinds)))
    found = shapes_of(model, shapes or {}, open_size, first)
    if isinstance(found, str):
        return found
    uses, arrays = None, Feed()
    for place, value in enumerate(required(model)):
        tensor, shape = value.type.tensor_type, found[value.name]
        dtype = dtype_of(tensor)
        rng = np.random.default_rng([seed, place])
        if dtype.kind == "b":
            arrays[value.name] = _flags(seed, rng, shape)
        elif dtype.kind in "iuO":
            uses = uses or Uses(model, found)
            use = uses.of(value.name)
            arrays[value.name] = _discrete(use, kinds[0], rng, shape, dtype)
        else:
            arrays[value.name] = floats(kinds, seed, place, shape, dtype, tensor.elem_type)
    used = _used(model, kinds, found)
    kind = "mixed" if len(used) > 1 else str(used[0])
    names = f" ({', '.join(used)})" if len(used) > 1 else ""
    rest = described(model, shapes or {}, open_size, first)
    return Made(f"{kind}{names}, seed {seed}{rest}", kind, seed, arrays)


def _used(
    model: ModelProto, kinds: Sequence[Kind], shapes: Mapping[str, tuple[int, ...]]
) -> Sequence[Kind]:
    """The kinds that some input has an entry for; the first one has all."""
    entries = [
        shapes[value.name][0]
        for value in required(model)
        if shapes[value.name] and value.type.tensor_type.elem_type in FLOATS
    ]
    return kinds[: max(entries, default=1)]


def _flags(seed: int, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return np.full(shape, bool(seed)) if seed < _BOTH else rng.integers(0, 2, shape).astype(bool)


def _discrete(
    use: Use, kind: Kind, rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array:
    """Integers or texts: 0 and 1, which most models mean something by, where any will do."""
    keys = [key for key in use.keys if isinstance(key, str) == (dtype.kind == "O")]
    if keys:
        return np.array(keys, dtype)[rng.integers(0, len(keys), shape)].reshape(shape)
    if dtype.kind == "O":
        return np.full(shape, "a", object)
    if use.is_free and kind in _WIDE:
        return _wide(rng, shape, dtype)
    low, high = 0, 1
    if use.low is not None and use.high is not None:
        low, high = use.low, use.high
    elif dtype.itemsize == 1:  # Pictures and quantised numbers.
        low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    least, most = high if kind is Kind.LARGE else low, low if kind is Kind.ZEROS else high
    return rng.integers(least, most, shape, dtype, endpoint=True)


def _wide(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Integers of all magnitudes whose squares the type still has, of both signs if it has them."""
    bits = np.iinfo(dtype).bits // 2 - (dtype.kind == "i")
    sizes = np.floor(np.exp2(rng.uniform(0, bits, shape)))
    signs = rng.choice((-1, 1), shape) if dtype.kind == "i" else 1
    return np.asarray(sizes * signs).astype(dtype)


def has_free_integers(model: ModelProto, accepted: Feed) -> bool:
    """Whether the model takes integers of which any will do; ``accepted`` are some inputs."""
    names = [name for name, array in accepted.items() if array.dtype.kind in "iu"]
    if not names:
        return False
    uses = Uses(model, {name: array.shape for name, array in accepted.items()})
    return any(uses.of(name).is_free for name in names)
