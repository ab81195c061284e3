"""Faults that folding tools make, put into a right fold.

Most are a right fold of a source with that fault in it, of which the tensors of one layer are
taken; a few are done to those tensors themselves; the last kind reads another value somewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from faulty_sources import FAULTS, Affine
from onnx import ModelProto
from testbed import Bed, Found

from folding.doubled import Doubled, Doubles
from folding.equivalence.sites import Site
from folding.equivalence.verdict import Check
from folding.planner import plan_model
from folding.protos import named_tensors, title
from folding.recipes import Changed, Scaled
from folding.repeated import Repeated

Array = npt.NDArray[Any]

#: What separates a rounding from a fault, in units of u * A.
_ROUNDINGS = 8.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault in one fold, or in one wire.

    Attributes:
        kind: what went wrong.
        tensors: the new content of tensors of the right fold.
        wire: a node of the right fold, which of its inputs, and what it reads instead.
        site: the folded place, None for a wire.
        places: the names that tell where the fault is.
        size: the largest |stored - T| of an element, in units of 8 u A.
    """

    kind: str
    tensors: Mapping[str, Array]
    wire: tuple[int, int, str] | None
    site: Site | None
    places: frozenset[str]
    size: float

    def is_located(self, found: Found) -> bool:
        """Whether it is found, and its place named by all who name one."""
        named = [check for check in found.failed if check.name != "outputs"]
        return bool(named) and all(self._is_at(check) for check in named)

    def _is_at(self, check: Check) -> bool:
        if check.name == "sites":
            return self.site is not None and check.at == self.site.name
        return check.at in self.places

    def save(self, right: ModelProto, path: Path) -> None:
        """Write the right fold with this fault in it; ``right`` stays as it is."""
        stored = named_tensors(right)
        before = {name: stored[0, name].raw_data for name in self.tensors}
        for name, array in self.tensors.items():
            stored[0, name].raw_data = array.tobytes()
        if self.wire is not None:
            index, slot, name = self.wire
            old, right.graph.node[index].input[slot] = right.graph.node[index].input[slot], name
        path.write_bytes(right.SerializeToString())
        for name, content in before.items():
            stored[0, name].raw_data = content
        if self.wire is not None:
            right.graph.node[index].input[slot] = old


def faults(bed: Bed, site: Site) -> Iterator[Fault]:
    """Every kind of fault that the numbers of a folded place can have."""
    changed = bed.drafts[0].changed
    right = {name: one for name, one in changed.items() if site.name in one.because}
    for kind, change in FAULTS.items():
        source = change(Affine(bed, site))
        wrong = {} if source is None else _tensors(bed, source, right)
        if wrong:
            yield _fault(kind, site, wrong, right)
    for kind, spoil in _OF_TENSORS.items():
        for name, one in right.items():
            if (array := spoil(bed, site, one)) is not None:
                yield _fault(kind, site, {name: array}, right)
                break


def _fault(
    kind: str, site: Site, wrong: Mapping[str, Array], right: Mapping[str, Changed]
) -> Fault:
    sizes = {name: _size(array, right[name]) for name, array in wrong.items()}
    places = frozenset(name for name, size in sizes.items() if size > 0)
    return Fault(kind, wrong, None, site, places, max(sizes.values()))


def _size(stored: Array, changed: Changed) -> float:
    """The largest |stored - T| in units of 8 u A."""
    exact, magnitude = _exact(changed)
    kind = changed.float_type
    allowed = _ROUNDINGS * kind.roundoff * np.maximum(magnitude, kind.tiny)
    return float((np.abs(stored.astype(np.float64) - exact) / allowed).max(initial=0.0))


def _exact(changed: Changed) -> tuple[Doubles, Doubles]:
    """T and A."""
    exact, magnitude = (np.empty(changed.recipe.dims) for _ in range(2))
    assert not isinstance(changed.recipe, Repeated)
    for part in changed.recipe.parts():
        place = slice(part.start, part.start + part.exact.size)
        exact.reshape(-1)[place] = part.exact.reshape(-1)
        magnitude.reshape(-1)[place] = np.broadcast_to(part.magnitude, part.exact.shape).reshape(-1)
    return exact, magnitude


def _rounded(changed: Changed) -> Array:
    return changed.float_type.round(_exact(changed)[0])


def _tensors(bed: Bed, source: Any, right: Mapping[str, Changed]) -> dict[str, Array]:
    """The folded numbers of a faulty source, if it is folded as the right one is."""
    changed = plan_model(source, bed.refused).drafts[0].changed
    if any(n not in changed or changed[n].recipe.dims != c.recipe.dims for n, c in right.items()):
        return {}
    found = {name: _rounded(changed[name]) for name in right}
    return {n: a for n, a in found.items() if a.tobytes() != _rounded(right[n]).tobytes()}


# --- faults of tensors ----------------------------------------------------------------------------
def _zeroed(bed: Bed, site: Site, changed: Changed) -> Array | None:
    """The weight in the middle is lost."""
    if not isinstance(changed.recipe, Scaled):
        return None
    values = _rounded(changed)
    values.reshape(-1)[values.size // 2] = 0
    return values


def _operators(bed: Bed, site: Site) -> set[str]:
    return {bed.reference.proto.graph.node[index].op_type for index in site.before.nodes}


def _by_row(bed: Bed, site: Site, changed: Changed) -> Array | None:
    """A ConvTranspose's weight gets its factors by input channel."""
    if "ConvTranspose" not in _operators(bed, site) or not isinstance(changed.recipe, Scaled):
        return None
    dims, scale = changed.recipe.dims, changed.recipe.factors[0].scale
    rows = np.arange(dims[0]).reshape(-1, *[1] * (len(dims) - 1)) % scale.size
    return _times(changed, rows)


def _across(bed: Bed, site: Site, changed: Changed) -> Array | None:
    """The weight has the same size along two axes, and gets its factors along the wrong one."""
    if "ConvTranspose" in _operators(bed, site) or not isinstance(changed.recipe, Scaled):
        return None
    dims, channel = changed.recipe.dims, changed.recipe.factors[0].channel
    along = [axis for axis, size in enumerate(channel.shape) if size > 1]
    other = [a for a in range(len(dims)) if along and a != along[0] and dims[a] == dims[along[0]]]
    if len(along) != 1 or not other:
        return None
    return _times(changed, np.swapaxes(channel, along[0], other[0]))


def _times(changed: Changed, channel: Array) -> Array:
    """The source of a weight times its factors, the first of them in another order."""
    recipe = changed.recipe
    assert isinstance(recipe, Scaled)
    first, *others = recipe.factors
    scale, source = first.scale.high, recipe.source
    values = source.high if isinstance(source, Doubled) else recipe.constants.load(source)
    wide = values.astype(np.float64).reshape(recipe.dims)
    for factor in others:
        wide = wide * factor.scale.high[factor.channel]
    return changed.float_type.round(wide * scale[channel])


_OF_TENSORS: dict[str, Callable[[Bed, Site, Changed], Array | None]] = {
    "one weight zeroed": _zeroed,
    "ConvTranspose scaled by row": _by_row,
    "wrong axis of a square": _across,
}
REWIRED = "edge rewired"
KINDS: Sequence[str] = (*FAULTS, *_OF_TENSORS, REWIRED)


# --- wires ----------------------------------------------------------------------------------------
def rewirings(bed: Bed, right: ModelProto, most: int) -> list[Fault]:
    """Some inputs of nodes outside of any fold, each replaced by another value of its form."""
    folded = {index for site in bed.sites for index in site.after.nodes}
    scope = bed.constants.scope
    seen = {value.name: -1 for value in right.graph.input if value.name not in scope.initializers}
    found = []
    for index, node in enumerate(right.graph.node):
        for slot, name in enumerate(node.input if index not in folded else ()):
            for other in reversed(seen) if name in seen else ():
                same = scope.type(name) == scope.type(other) and scope.shape(name) is not None
                if other != name and same and scope.shape(name) == scope.shape(other):
                    places = frozenset({title(node), name, other})
                    found.append(Fault(REWIRED, {}, (index, slot, other), None, places, np.inf))
                    break
        seen.update((name, index) for name in node.output if name in scope.producers)
    rng = np.random.default_rng(len(found))
    chosen = rng.permutation(len(found))[:most]
    return [found[index] for index in sorted(chosen)]
