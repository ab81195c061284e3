"""The reference again with noise: at its folded sites, or wherever it rounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from onnx import ModelProto

from folding.doubled import Doubles
from folding.equivalence.activations import Shapes, Values
from folding.equivalence.draws import draws
from folding.equivalence.feeds import Feed
from folding.equivalence.rounding import rounding_feed, with_rounding
from folding.equivalence.runtime import RuntimeRefused, Session
from folding.equivalence.sessions import Sessions
from folding.equivalence.variants import shape_name, with_noise, with_outputs

#: How often noise is drawn: for small outputs of small models more often, as chance plays a part.
_DRAWS, _MORE_DRAWS = 2, 8
_SEED = 0
_FEW_ELEMENTS, _FEW_BYTES = 1 << 14, 1 << 22

Noise = Mapping[str, Doubles]
#: Some runs with noise, made when they are first asked for.
Drawn = Callable[[], list[Values]]


@dataclass(frozen=True, slots=True)
class Shaken:
    """The reference with noise, run so often that chance plays no great part.

    ``names`` are the values that are wanted. ``sites`` has the types of the sites' outputs, and
    ``rounded`` those of all values that are rounded.
    """

    reference: Sessions
    names: tuple[str, ...]
    sites: Mapping[str, int]
    rounded: Mapping[str, int] = field(default_factory=dict)

    def at_sites(self, feed: Feed, noise: Noise, shapes: Shapes) -> list[Values]:
        """What the reference gives with noise on its sites alone; nothing if it has none.

        Raises:
            RuntimeRefused: the runtime gave up on it.
        """
        types = {name: self.sites[name] for name in noise}
        if not types:
            return []
        proto = self.reference.model.proto
        with self.reference.of("noise", partial(_noisy, proto, self.names, types, {})) as session:
            return self._drawn(session, lambda rng: {**feed, **draws(noise, shapes, types, rng)})

    def everywhere(self, feed: Feed, noise: Noise, shapes: Shapes) -> list[Values]:
        """What it gives with noise wherever it rounds; nothing if it cannot be run that way."""
        types = {name: self.sites[name] for name in noise}
        rounded = {name: kind for name, kind in self.rounded.items() if name not in types}
        if not rounded and not types:
            return []
        proto = self.reference.model.proto
        try:
            sizes = self._shapes(feed, tuple(rounded))
            variant = partial(_noisy, proto, self.names, types, rounded)
            with self.reference.of("rounding", variant) as session:
                return self._drawn(
                    session,
                    lambda rng: {
                        **rounding_feed(feed, sizes, rounded, rng),
                        **draws(noise, shapes, types, rng),
                    },
                )
        except RuntimeRefused:
            return []

    def _shapes(self, feed: Feed, names: tuple[str, ...]) -> Shapes:
        variant = partial(with_outputs, self.reference.model.proto, (), shapes=names)
        with self.reference.of("shapes", variant) as session:
            found = session.run_named(feed)
        return {name: tuple(map(int, found[shape_name(name)])) for name in names}

    def _drawn(self, session: Session, feed: Callable[[np.random.Generator], Feed]) -> list[Values]:
        rng = np.random.default_rng(_SEED)
        found: list[Values] = [session.run_named(feed(rng))]
        arrays = (found[0][name] for name in self.names)
        least = min((a.size for a in arrays if isinstance(a, np.ndarray)), default=0)
        is_small = least < _FEW_ELEMENTS and self.reference.model.size <= _FEW_BYTES
        while len(found) < (_MORE_DRAWS if is_small else _DRAWS):
            found.append(session.run_named(feed(rng)))
        return found


def _noisy(
    proto: ModelProto, names: tuple[str, ...], sites: Mapping[str, int], rounded: Mapping[str, int]
) -> ModelProto:
    return with_outputs(with_rounding(with_noise(proto, sites), rounded), names, shapes=())
