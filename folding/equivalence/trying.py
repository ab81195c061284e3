"""Which inputs two models are run on: the user's, or made-up ones that the source accepts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from math import prod

from folding.equivalence.activations import First
from folding.equivalence.feeds import Feed
from folding.equivalence.jobs import Job
from folding.equivalence.kinds import KINDS, Kind
from folding.equivalence.made_up import Made, candidates, made_up
from folding.equivalence.runtime import NotLoaded, RuntimeRefused
from folding.modelfile import Model

SEED = 0
#: With at most so many elements in its sites and bytes in its files, a model costs little to run,
#: and is run on every kind of input, and in two sizes of what it leaves open.
_FEW_ELEMENTS, _FEW_BYTES = 1 << 20, 1 << 22
_MORE_SIZES = 3


def accepted_inputs(
    job: Job, model: Model, first: Callable[[Feed], First]
) -> Iterator[tuple[str, int, Feed, First]]:
    """Inputs that the source accepts, what they are called, and a first run on each.

    Raises:
        RuntimeRefused: it accepts none.
    """
    if job.feeds is not None:
        yield from (("the user's inputs", SEED, feed, first(feed)) for feed in job.feeds)
        return
    tries = candidates(model.proto, (Kind.NORMAL,), SEED, shapes=job.shapes)
    made, found = _accepted(tries, first)
    yield made.label, made.seed, made.arrays, found
    elements = sum(map(prod, found.shapes.values()))
    is_small = elements <= _FEW_ELEMENTS and model.size <= _FEW_BYTES
    yield from _more(model, made.arrays, first, is_small=is_small)
    if is_small:
        with suppress(RuntimeRefused):  # One size that it accepts is enough.
            made, found = _accepted(islice(tries, _MORE_SIZES), first)
            yield made.label, made.seed, made.arrays, found


def _accepted(tries: Iterable[Made | str], first: Callable[[Feed], First]) -> tuple[Made, First]:
    """The first inputs that the source accepts, and the run on them.

    Raises:
        RuntimeRefused: it accepts none.
    """
    last = RuntimeRefused("an input is no tensor, or too large to be made up")
    for made in tries:
        if isinstance(made, str):
            last = RuntimeRefused(made)
            continue
        try:
            return made, first(made.arrays)
        except NotLoaded:
            raise
        except RuntimeRefused as refusal:
            last = refusal
    raise last


def _more(
    model: Model, accepted: Feed, first: Callable[[Feed], First], *, is_small: bool
) -> Iterator[tuple[str, int, Feed, First]]:
    """Other kinds of inputs of the same shapes, where they cost little."""
    shapes = {name: array.shape for name, array in accepted.items()}
    has_flag = any(array.dtype == bool for array in accepted.values())
    others: list[tuple[Kind, int]]
    others = [(kind, SEED) for kind in KINDS if kind is not Kind.NORMAL] if is_small else []
    if has_flag:
        others.insert(0, (Kind.NORMAL, 1))
    for kind, seed in others:
        made = made_up(model.proto, (kind,), seed, shapes=shapes)
        if isinstance(made, str):
            continue
        try:
            again = first(made.arrays)
        except RuntimeRefused:
            continue  # One kind that it accepts is enough.
        yield made.label, made.seed, made.arrays, again
