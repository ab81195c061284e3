"""Sites: each folded place beside the one it replaced, on the same activations.

The reference is run, what flows into its sites leaves it, and the candidate's sites are run on
that, side by side; so no error of one site reaches another, and the one at fault has a name.
What both give is compared at sampled elements with the exact result (``deviations``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper

from folding.constants import Constants
from folding.doubled import Doubles
from folding.equivalence.activations import activations, grouped
from folding.equivalence.deviations import ROUNDINGS, Deviation, by_its_own, deviation
from folding.equivalence.feeds import Array, Feed
from folding.equivalence.mismatch import mismatch
from folding.equivalence.runtime import RuntimeRefused
from folding.equivalence.sampling import (
    Region,
    Sampled,
    Unsupported,
    choose,
    evaluate,
)
from folding.equivalence.sampling.values import Coordinates
from folding.equivalence.sessions import Sessions
from folding.equivalence.sites import Site
from folding.equivalence.variants import piece_input, piece_output, pieces
from folding.equivalence.verdict import Check, Status
from folding.floats import FLOATS, FloatType
from folding.graph import index
from folding.modelfile import Model

_POSITIONS = 16
_NOT_FOUND = "they lie inside of bodies, or the candidate has other names for what is around them"
#: For a site that cannot be evaluated: noise of so many roundings of its largest element.
_ROUNDINGS = 64.0


@dataclass(slots=True)
class Sampling:
    """What was found at the sites so far, over all inputs.

    ``noise`` has, for each site of the last inputs, by how much its output may change in each
    channel, and ``overflows`` is whether any of them came near to the largest number of its type.
    ``guilty`` are the sites that failed, worst first; ``mismatches`` has what ``numpy.testing``
    would say of the worst channel of each.
    """

    worst: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    mismatches: dict[str, tuple[str, ...]] = field(default_factory=dict)
    noise: dict[str, Doubles] = field(default_factory=dict)
    overflows: bool = False

    @property
    def guilty(self) -> list[str]:
        failed = [name for name, worst in self.worst.items() if not worst <= 1]
        return sorted(failed, key=lambda name: -self.worst[name])


class SiteCheck:
    """Compares the sites of two models. What it finds adds up over all inputs."""

    def __init__(
        self, reference: Sessions, candidate: Sessions, sites: Sequence[Site], constants: Constants
    ) -> None:
        self._reference, self._candidate, self.sites = reference, candidate, sites
        model, scope = reference.model, constants.scope
        graph = model.proto.graph
        self.regions = {
            site.name: Region(
                model,
                [graph.node[index] for index in site.before.nodes],
                site.before.inputs,
                constants,
                scope.opset,
            )
            for site in sites
        }
        stored = tuple(_stored_types(sessions.model) for sessions in (reference, candidate))
        self._kinds = {site.name: self._kind(site, stored) for site in sites}
        self.found = Sampling()
        #: Those of the candidate, which are needed only where a site fails.
        self._constants: Constants | None = None

    @property
    def values(self) -> list[str]:
        """The values whose shapes are needed."""
        return list(dict.fromkeys(name for r in self.regions.values() for name in r.values))

    def run(self, feed: Feed, shapes: Mapping[str, tuple[int, ...]], seed: int) -> None:
        """Compare all sites at some inputs.

        Raises:
            RuntimeRefused: the runtime gave up on the reference.
        """
        rng = np.random.default_rng(seed)
        self.found.overflows = False
        for group in grouped(self.sites, shapes):
            values = activations(self._reference, feed, group)
            try:
                given = self._run_pieces(group, values)
            except RuntimeRefused as refusal:
                for site in group:
                    self.found.reasons[site.name] = f"its candidate does not run: {refusal}"
                    self.found.worst[site.name] = np.inf
                continue
            for site, output in zip(group, given, strict=True):
                self._compare(site, values, output, shapes, rng)

    def _run_pieces(self, group: Sequence[Site], values: Mapping[str, Array]) -> list[Array]:
        """What the candidate's sites give for the reference's activations."""
        feed: Feed = {}
        for number, site in enumerate(group):
            for ours, theirs in zip(site.before.inputs, site.after.inputs, strict=True):
                feed[piece_input(number, theirs)] = values[ours]
        types = {name: _element_type(array) for name, array in feed.items()}
        variant = partial(pieces, self._candidate.model.proto, [s.after for s in group], types)
        with self._candidate.of(("pieces", *(site.name for site in group)), variant) as session:
            found = session.run_named(feed)
        return [found[piece_output(number)] for number in range(len(group))]

    def _compare(
        self,
        site: Site,
        values: Mapping[str, Array],
        output: Array,
        shapes: Mapping[str, tuple[int, ...]],
        rng: np.random.Generator,
    ) -> None:
        found, name, expected = self.found, site.name, values[site.before.output]
        if output.shape != expected.shape or output.dtype != expected.dtype:
            found.worst[name] = np.inf
            found.reasons[name] = (
                f"{expected.dtype} {expected.shape} became {output.dtype} {output.shape}"
            )
            return
        coords = choose(expected.shape, site.axis, rng, _POSITIONS)
        exact = evaluate(self.regions[name], site.before.output, coords, values, shapes)
        if isinstance(exact, Unsupported):
            found.reasons.setdefault(name, exact.reason)
            found.noise[name] = _guess(expected, self._kinds[name])
            return
        channels = 1 if site.axis is None or not expected.ndim else expected.shape[site.axis]
        places = tuple(coords.T)
        given = expected[places], output[places], channels, self._kinds[name]
        at = deviation(exact, *given)
        if not at.worst <= 1:
            own = self._own(site, coords, values, shapes)
            at = at if isinstance(own, Unsupported) else by_its_own(exact, own, *given)
        found.noise[name] = _aligned(at.half, site.axis)
        found.overflows |= at.overflows
        if at.compared:
            self._note(site, at, expected, output)
        else:
            found.reasons.setdefault(name, "there are no finite numbers at it")

    def _own(
        self,
        site: Site,
        coords: Coordinates,
        values: Mapping[str, Array],
        shapes: Mapping[str, tuple[int, ...]],
    ) -> Sampled | Unsupported:
        """What the candidate's own formula gives at a site."""
        model = self._candidate.model
        pairs = zip(site.before.inputs, site.after.inputs, strict=True)
        given = {theirs: values[ours] for ours, theirs in pairs}
        same = {name: shapes[was] for name, was in site.alike.items() if was in shapes}
        if self._constants is None:
            self._constants = Constants(model, index(model)[0][0], None)
        nodes = [model.proto.graph.node[place] for place in site.after.nodes]
        opset = self._constants.scope.opset
        region = Region(model, nodes, site.after.inputs, self._constants, opset)
        return evaluate(region, site.after.output, coords, given, {**shapes, **same})

    def _note(self, site: Site, at: Deviation, expected: Array, output: Array) -> None:
        if not at.worst <= self.found.worst.get(site.name, -1.0):
            self.found.worst[site.name] = at.worst
            if not at.worst <= 1:
                layer = " ".join(map(repr, site.layers)) or repr(site.name)
                text = f"channel {at.channel} of {site.name!r}, folded into {layer}, is off"
                self.found.reasons[site.name] = text
                one, other = (_channel(a, site.axis, at.channel) for a in (expected, output))
                bound = ROUNDINGS * self._kinds[site.name].roundoff
                self.found.mismatches[site.name] = mismatch(one, other, bound)

    def check(self, skipped: Sequence[str]) -> Check:
        """The result. ``skipped`` are folded affines that are no sites here."""
        found, total = self.found, len(self.sites) + len(skipped)
        if not total:
            return Check("sites", Status.NOT_RUN, "nothing was folded", excused=True)
        compared = list(found.worst)
        worst = max(found.worst, key=lambda name: found.worst[name], default="")
        if found.guilty:
            worst = found.guilty[0]
            text = found.reasons.get(worst, "")
            said = found.mismatches.get(worst, ())
            failed = Check("sites", Status.FAILED, text, found.worst[worst], 1.0, worst)
            return replace(failed, mismatch=said)
        if not compared:
            reason = next(iter(found.reasons.values()), _NOT_FOUND)
            return Check(
                "sites", Status.NOT_RUN, f"no site can be compared: {reason}", excused=True
            )
        text = f"{len(compared)} of {total} compared" if len(compared) < total else ""
        return Check("sites", Status.PASSED, text, found.worst[worst], 1.0, worst)

    def _kind(self, site: Site, stored: tuple[dict[str, int], ...]) -> FloatType:
        """The coarsest float type of a site, in either model."""
        scope = self.regions[site.name].constants.scope
        types = {scope.type(name) for name in (*site.before.inputs, site.before.output)}
        sides = (self._reference, self._candidate)
        for sessions, part, known in zip(sides, (site.before, site.after), stored, strict=True):
            nodes = (sessions.model.proto.graph.node[index] for index in part.nodes)
            types |= {known[name] for node in nodes for name in node.input if name in known}
        floats = [FLOATS[kind] for kind in types if kind in FLOATS]
        return max(floats, key=lambda kind: kind.roundoff, default=FLOATS[TensorProto.FLOAT])


def _stored_types(model: Model) -> dict[str, int]:
    return {tensor.name: tensor.data_type for tensor in model.proto.graph.initializer}


def _element_type(array: npt.NDArray[Any]) -> int:
    return int(helper.np_dtype_to_tensor_dtype(array.dtype))


def _aligned(half: Doubles, axis: int | None) -> Doubles:
    """One number for each channel, in a shape that broadcasts to the value."""
    return half.reshape(-1, *[1] * (-1 - axis)) if axis is not None else half.reshape(())


def _channel(array: Array, axis: int | None, channel: int) -> Array:
    return array if axis is None or not array.ndim else array.take(channel, axis)


def _guess(values: Array, kind: FloatType) -> Doubles:
    largest = float(np.abs(values.astype(np.float64)).max(initial=0.0)) if values.size else 0.0
    return np.asarray(_ROUNDINGS * kind.roundoff * largest)
