"""Which inputs two models are run on: the user's, or made-up ones that the source accepts.

The first are normal numbers, with flags that are false; if the source refuses those in every size,
flags that are true, then either, then other kinds of numbers (of a large model, each of whose tries
costs a session, zeros alone). A small model is run on every kind and in two sizes of what it leaves
open, and in a different one for each name; a large one on the first it accepts, and on integers of
all magnitudes where any will do. Flags are tried both ways whatever a model's size is; in
a small one also either within one array, and each alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import chain, count, islice
from math import prod

import numpy as np
from onnx import TensorProto

from folding.equivalence.activations import First
from folding.equivalence.feeds import Feed, required
from folding.equivalence.jobs import Job
from folding.equivalence.kinds import KINDS, Kind
from folding.equivalence.made_up import Made, candidates, has_free_integers, made_up
from folding.equivalence.runtime import NotLoaded, RuntimeRefused
from folding.equivalence.shapes import open_dimensions
from folding.modelfile import Model

SEED = 0
#: Seeds of which flags are all true, and of which they are either.
_TRUE, _EITHER = 1, 2
#: With at most so many elements in its sites and bytes in its files, a model costs little to run,
#: and is run on every kind of input, and in several sizes of what it leaves open.
_FEW_ELEMENTS, _FEW_BYTES = 1 << 20, 1 << 22
_MORE_SIZES = 3
#: Of more flags, so many are tried alone, and of more open dimensions in a size of their own.
_MOST_FLAGS = _MOST_OPEN = 8

Tried = tuple[str, int, Feed, First]
Run = Callable[[Feed], First]


def accepted_inputs(job: Job, model: Model, first: Run) -> Iterator[Tried]:
    """Inputs that the source accepts, what they are called, and a first run on each.

    Raises:
        RuntimeRefused: it accepts none.
    """
    if job.feeds is not None:
        yield from (("the user's inputs", SEED, feed, first(feed)) for feed in job.feeds)
        return
    tries = candidates(model.proto, (Kind.NORMAL,), SEED, shapes=job.shapes)
    made, found = _accepted(chain(tries, _others(job, model)), first)
    yield made.label, made.seed, made.arrays, found
    elements = sum(map(prod, found.shapes.values()))
    is_small = elements <= _FEW_ELEMENTS and model.size <= _FEW_BYTES
    yield from _more(model, made, first, is_small=is_small)
    if is_small:
        with suppress(RuntimeRefused):  # One size that it accepts is enough.
            made, found = _accepted(islice(tries, _MORE_SIZES), first)
            yield made.label, made.seed, made.arrays, found
        yield from _apart(job, model, made, first)


def _apart(job: Job, model: Model, accepted: Made, first: Run) -> Iterator[Tried]:
    """Inputs whose open dimensions have different sizes, as far as the source accepts such."""
    shapes = {name: array.shape for name, array in accepted.arrays.items()}
    dimensions = open_dimensions(model.proto, job.shapes or {})[:_MOST_OPEN]
    sizes = [shapes[name][axis] for (name, axis), *_ in dimensions]
    last: tuple[Made, First] | None = None
    for number, places in enumerate(dimensions):
        size = sizes[number]
        if sizes.count(size) == 1:
            continue
        fresh = next(size * times for times in count(2) if size * times not in sizes)
        changed = dict(shapes)
        for name, axis in places:
            changed[name] = (*changed[name][:axis], fresh, *changed[name][axis + 1 :])
        made = made_up(model.proto, (Kind.NORMAL,), SEED, shapes=changed)
        with suppress(RuntimeRefused):
            last = _accepted([made], first)
            shapes, sizes[number] = changed, fresh
    if last is not None:
        made, found = last
        yield made.label, made.seed, made.arrays, found


def _others(job: Job, model: Model) -> Iterator[Made | str]:
    """What to try where the usual inputs are refused in every size: other flags, then numbers."""
    seeds = (_TRUE, _EITHER) if _flags(model) else ()
    turns = [(Kind.NORMAL, seed) for seed in seeds]
    kinds = KINDS if model.size <= _FEW_BYTES else (Kind.ZEROS,)
    turns += [(kind, SEED) for kind in kinds if kind is not Kind.NORMAL]
    for kind, seed in turns:
        yield from candidates(model.proto, (kind,), seed, shapes=job.shapes)


def _flags(model: Model) -> list[str]:
    """The inputs that are booleans."""
    kinds = {value.name: value.type.tensor_type.elem_type for value in required(model.proto)}
    return [name for name, kind in kinds.items() if kind == TensorProto.BOOL]


def _accepted(tries: Iterable[Made | str], first: Run) -> tuple[Made, First]:
    """The first inputs that the source accepts, and the run on them.

    Raises:
        RuntimeRefused: it accepts none; with what it said of the first ones.
    """
    refusal: RuntimeRefused | None = None
    for made in tries:
        if isinstance(made, str):
            refusal = refusal or RuntimeRefused(made)
            continue
        try:
            return made, first(made.arrays)
        except NotLoaded:
            raise
        except RuntimeRefused as error:
            refusal = refusal or error
    raise refusal or RuntimeRefused("an input is no tensor, or too large to be made up")


def _more(model: Model, accepted: Made, first: Run, *, is_small: bool) -> Iterator[Tried]:
    """Other inputs of the same shapes: other flags, and other kinds where they cost little."""
    for made in _of_same_shapes(model, accepted, is_small=is_small):
        try:
            again = first(made.arrays)
        except RuntimeRefused:
            continue  # One kind that it accepts is enough.
        yield made.label, made.seed, made.arrays, again


def _of_same_shapes(model: Model, accepted: Made, *, is_small: bool) -> Iterator[Made]:
    shapes = {name: array.shape for name, array in accepted.arrays.items()}
    flags = _flags(model)
    turns = [(Kind.NORMAL, _TRUE)] if flags else []
    if not is_small and has_free_integers(model.proto, accepted.arrays):
        turns.append((Kind.UNIFORM, SEED))
    if is_small:
        turns += [(Kind.NORMAL, _EITHER)] if flags else []
        turns += [(kind, SEED) for kind in KINDS]
    for kind, seed in turns:
        if (kind, seed) == (accepted.kind, accepted.seed):
            continue
        made = made_up(model.proto, (kind,), seed, shapes=shapes)
        if isinstance(made, Made):
            yield made
    if is_small and len(flags) > 1:
        yield from (_alone(accepted, flags, flag) for flag in flags[:_MOST_FLAGS])


def _alone(accepted: Made, flags: list[str], flag: str) -> Made:
    """The same inputs, but of all flags only one is true."""
    arrays = {name: np.full_like(accepted.arrays[name], name == flag) for name in flags}
    label = f"{accepted.label}, of all flags only {flag!r} true"
    return replace(accepted, label=label, arrays={**accepted.arrays, **arrays})
