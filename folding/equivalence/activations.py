"""The reference at one set of inputs: its outputs, and what flows into and out of its sites."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

from folding.equivalence.feeds import Array, Feed
from folding.equivalence.sessions import Sessions
from folding.equivalence.sites import Site
from folding.equivalence.variants import shape_name, with_outputs

Values = Mapping[str, Any]
Shapes = Mapping[str, tuple[int, ...]]

#: Bytes of activations that are outside of the runtime at a time.
_MOST_BYTES = 1 << 26
_ELEMENT = 4


@dataclass(frozen=True, slots=True)
class First:
    """A first run: the values that are watched, and the shapes of all that is in the sites."""

    values: Values
    shapes: Shapes


def first_run(
    sessions: Sessions, feed: Feed, watched: Iterable[str], names: Iterable[str]
) -> First:
    """Run the reference.

    Args:
        sessions: the reference's.
        feed: its inputs.
        watched: the values to compare.
        names: the values whose shapes are wanted.

    Raises:
        RuntimeRefused: it cannot be run on these inputs.
    """
    wanted = tuple(names)
    variant = partial(with_outputs, sessions.model.proto, tuple(watched), shapes=wanted)
    with sessions.of("first", variant) as session:
        values = session.run_named(feed)
    shapes = {name: tuple(map(int, values.pop(shape_name(name)))) for name in wanted}
    return First(values, shapes)


def grouped(sites: Sequence[Site], shapes: Shapes) -> Iterator[list[Site]]:
    """The sites, as many at a time as there should be activations outside of the runtime."""
    group: list[Site] = []
    held = 0
    for site in sites:
        names = (*site.before.inputs, site.before.output, site.before.output)
        size = sum(prod(shapes[name]) * _ELEMENT for name in names if name in shapes)
        if group and held + size > _MOST_BYTES:
            yield group
            group, held = [], 0
        group.append(site)
        held += size
    if group:
        yield group


def activations(sessions: Sessions, feed: Feed, sites: Sequence[Site]) -> dict[str, Array]:
    """What flows into some sites of the reference, and out of them.

    Raises:
        RuntimeRefused: the runtime gave up.
    """
    names = {name: None for s in sites for name in (*s.before.inputs, s.before.output)}
    key = ("sites", *names)
    variant = partial(with_outputs, sessions.model.proto, tuple(names), shapes=())
    with sessions.of(key, variant) as session:
        values = session.run_named(feed)
    return {name: values[name] if name in values else feed[name] for name in names}
