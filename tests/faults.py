"""Faults that folding tools make, put into a right fold.

Most are a right fold of a source with that fault in it, of which the tensors of one layer are
taken; a few are done to those tensors themselves; the last kind reads another value somewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto
from testbed import Bed

from folding.doubled import Doubled, Doubles
from folding.equivalence.sites import Site
from folding.planner import plan_model
from folding.protos import attribute, named_tensors, title
from folding.recipes import Changed, Scaled

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
    right = {
        name: changed for name, changed in bed.drafts[0].changed.items() if site.name in changed.because
    }
    for kind, change in _OF_SOURCES.items():
        source = change(_Affine(bed, site))
        wrong = {} if source is None else _tensors(bed, source, right)
        if wrong:
            yield _fault(kind, site, wrong, right)
    for kind, spoil in _OF_TENSORS.items():
        for name, changed in right.items():
            if (array := spoil(bed, site, changed)) is not None:
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
    pairs = [(p.exact.copy(), p.magnitude + np.zeros_like(p.exact)) for p in changed.recipe.parts()]
    exact, magnitude = (np.concatenate([one.reshape(-1) for one in ones]) for ones in zip(*pairs, strict=True))
    return exact.reshape(changed.recipe.dims), magnitude.reshape(changed.recipe.dims)


def _rounded(changed: Changed) -> Array:
    return changed.float_type.round(_exact(changed)[0])


def _tensors(bed: Bed, source: Any, right: Mapping[str, Changed]) -> dict[str, Array]:
    """The folded numbers of a faulty source, if it is folded as the right one is."""
    changed = plan_model(source, bed.refused).drafts[0].changed
    if any(n not in changed or changed[n].recipe.dims != c.recipe.dims for n, c in right.items()):
        return {}
    found = {name: _rounded(changed[name]) for name in right}
    return {n: a for n, a in found.items() if a.tobytes() != _rounded(right[n]).tobytes()}


# --- faults of a source ---------------------------------------------------------------------------
class _Affine:
    """The affine at the end of a folded place, and how to change its constants."""

    def __init__(self, bed: Bed, site: Site) -> None:
        self.model = bed.reference
        nodes = self.model.proto.graph.node
        makers = {nodes[index].op_type: index for index in site.before.nodes}
        self._constants = bed.constants
        self.norm = makers.get("BatchNormalization")
        self.factor = makers.get("Mul", makers.get("Div"))
        self.term = makers.get("Add", makers.get("Sub"))
        self.channels = {i: self._slot(nodes[i]) for i in (self.factor, self.term) if i is not None}

    def _slot(self, node: NodeProto) -> int | None:
        return next((k for k, name in enumerate(node.input) if name in self._constants), None)

    def value(self, index: int, slot: int) -> Doubles:
        found = self._constants.value(self.model.proto.graph.node[index].input[slot])
        assert isinstance(found, Doubled)
        return found.high

    @property
    def epsilon(self) -> float:
        assert self.norm is not None
        found = attribute(self.model.proto.graph.node[self.norm], "epsilon")
        return float(np.float32(1e-5)) if found is None else found.f

    @property
    def scale(self) -> Doubles:
        """What the affine multiplies by."""
        assert self.norm is not None
        return self.value(self.norm, 1) / np.sqrt(self.value(self.norm, 4) + self.epsilon)

    def with_constants(
        self, index: int, values: Mapping[int, Doubles], epsilon: float | None = None
    ) -> Any:
        """The source with other constants in a node."""
        copy = ModelProto()
        copy.CopyFrom(self.model.proto)
        node = copy.graph.node[index]
        for slot, array in values.items():
            kind = self._constants.scope.type(node.input[slot])
            from folding.floats import FLOATS

            name = f"faulty:{slot}"
            stored = FLOATS[kind].round(array)
            copy.graph.initializer.append(
                TensorProto(name=name, dims=array.shape, data_type=kind, raw_data=stored.tobytes())
            )
            node.input[slot] = name
        if epsilon is not None:
            kept = [a for a in node.attribute if a.name != "epsilon"]
            del node.attribute[:]
            node.attribute.extend(kept)
            node.attribute.add(name="epsilon", type=1, f=epsilon)
        return replace(self.model, proto=copy)

    def rescaled(self, change: Callable[[Doubles], Doubles]) -> Any:
        """The source with another factor for each channel."""
        if self.norm is not None:
            scale = change(self.scale)
            one = np.full_like(scale, 1 - self.epsilon)
            return self.with_constants(self.norm, {1: scale, 4: one})
        if self.factor is None or (slot := self.channels[self.factor]) is None:
            return None
        return self.with_constants(self.factor, {slot: change(self.value(self.factor, slot))})

    def changed(self, slot: int, change: Callable[[Doubles], Doubles]) -> Any:
        """The source with another parameter of the normalisation."""
        if self.norm is None:
            return None
        return self.with_constants(self.norm, {slot: change(self.value(self.norm, slot))})

    def with_epsilon(self, times: float) -> Any:
        return None if self.norm is None else self.with_constants(self.norm, {}, self.epsilon * times)

    def shifted(self, change: Callable[[Doubles], Doubles]) -> Any:
        """The source with another term for each channel."""
        if self.norm is not None:
            return self.changed(2, change)
        if self.term is None or (slot := self.channels[self.term]) is None:
            return None
        return self.with_constants(self.term, {slot: change(self.value(self.term, slot))})


def _middle(change: Callable[[Doubles], Doubles]) -> Callable[[Doubles], Doubles]:
    """Do something to the number in the middle."""

    def changed(values: Doubles) -> Doubles:
        flat = values.reshape(-1).copy()
        place = slice(flat.size // 2, flat.size // 2 + 1)
        flat[place] = change(flat[place])
        return flat.reshape(values.shape)

    return changed


def _rolled(values: Doubles) -> Doubles:
    return np.roll(values.reshape(-1), 1).reshape(values.shape)


def _half(values: Doubles) -> Doubles:
    return values.astype(np.float16).astype(np.float64)


_OF_SOURCES: dict[str, Callable[[_Affine], Any]] = {
    "epsilon x10": lambda a: a.with_epsilon(10),
    "epsilon x100": lambda a: a.with_epsilon(100),
    "gamma omitted": lambda a: a.changed(1, np.ones_like) if a.norm is not None else a.rescaled(np.ones_like),
    "beta omitted": lambda a: a.shifted(np.zeros_like),
    "mean omitted": lambda a: a.changed(3, np.zeros_like),
    "sign of mean": lambda a: a.changed(3, np.negative),
    "channels rolled": lambda a: a.rescaled(_rolled),
    "one channel off by 0.1 %": lambda a: a.rescaled(_middle(lambda v: v * 1.001)),
    "one channel off by 0.01 %": lambda a: a.rescaled(_middle(lambda v: v * 1.0001)),
    "one bias off by 0.001": lambda a: a.shifted(_middle(lambda v: v + 1e-3)),
    "scale rounded to half": lambda a: a.rescaled(_half),
}


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
    dims, scale = changed.recipe.dims, changed.recipe.factor.scale
    rows = np.arange(dims[0]).reshape(-1, *[1] * (len(dims) - 1)) % scale.size
    return _times(changed, rows)


def _across(bed: Bed, site: Site, changed: Changed) -> Array | None:
    """The weight has the same size along two axes, and gets its factors along the wrong one."""
    if "ConvTranspose" in _operators(bed, site) or not isinstance(changed.recipe, Scaled):
        return None
    dims, channel = changed.recipe.dims, changed.recipe.factor.channel
    along = [axis for axis, size in enumerate(channel.shape) if size > 1]
    other = [a for a in range(len(dims)) if along and a != along[0] and dims[a] == dims[along[0]]]
    if len(along) != 1 or not other:
        return None
    return _times(changed, np.swapaxes(channel, along[0], other[0]))


def _times(changed: Changed, channel: Array) -> Array:
    """The source of a weight times its factors, in another order."""
    recipe = changed.recipe
    assert isinstance(recipe, Scaled)
    scale, source = recipe.factor.scale.high, recipe.source
    values = source.high if isinstance(source, Doubled) else recipe.constants.load(source)
    with np.errstate(all="ignore"):
        return changed.float_type.round(values.astype(np.float64).reshape(recipe.dims) * scale[channel])


_OF_TENSORS: dict[str, Callable[[Bed, Site, Changed], Array | None]] = {
    "one weight zeroed": _zeroed,
    "ConvTranspose scaled by row": _by_row,
    "wrong axis of a square": _across,
}
REWIRED = "edge rewired"
KINDS: Sequence[str] = (*_OF_SOURCES, *_OF_TENSORS, REWIRED)


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
