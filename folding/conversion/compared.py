"""In the process that runs models: is the file sound, and does it compute what the framework did?

How far an output may be off. Both sides compute the same formula in the same types and round
otherwise: sums are added up in another order, a batch normalisation is one expression or four, a
division is a multiplication. Of 160 right conversions of small models by 12 routes, at batches of 1
and 8, the worst was off by 1.4e-6 of its size, 23 u (u: the unit roundoff of float32), in the
measure used here: ``distance``, by channel where a channel has enough elements. A network in mixed
float16 was off by 7e-4, 1.4 u of float16, since there sums are kept in float32. So an output passes
that is off by no more than 2^8 u for float32 and float64, 2^4 u for float16 and bfloat16: 11 times
that. (An attribute, such as an epsilon, is a float32 in a model of float64 as well: with one, it
passes up to 2^-24.) Wrong conversions gave 0.18 and more, and the least that a converter gets
wrong, an epsilon of 1e-5 for 1e-3 at a variance of 1, gives 5e-4.

What is further off, as a deep model or one that cancels may be, is compared with what rounding does
to that very graph (``folding.equivalence.rounding``): it may be four times as much. An output in
which rounding is as large as a tenth of it says nothing. What was decided, like an index, must be
the same but for what rounding flips.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import AttributeProto, ModelProto, TensorProto

from folding.conversion.agreement import OutputFacts
from folding.conversion.samples import IN, OUT
from folding.conversion.valid import check_valid
from folding.equivalence.decided import has_numbers, is_float
from folding.equivalence.distance import MOST, distance
from folding.equivalence.input_files import archive
from folding.equivalence.jobs import CPU
from folding.equivalence.noise import RATIO, explained, flipped, form
from folding.equivalence.rounding import rounded_values
from folding.equivalence.runnable import cannot_run
from folding.equivalence.runtime import RuntimeRefused
from folding.equivalence.sessions import Sessions
from folding.equivalence.shaken import Shaken
from folding.errors import BadCall, Unconvertible
from folding.floats import FLOATS
from folding.graph import Scope, index
from folding.modelfile import Model, open_model

#: How many roundings an output may be off by: where sums round, and where only results do.
_FINE, _COARSE = 2.0**8, 2.0**4
_SINGLE = 2.0**-24
#: A channel of fewer elements may happen to be small, so the whole is looked at.
_LEAST = 16

Array = npt.NDArray[Any]
Draws = Callable[[], list[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Task:
    """What to look at: a model, and what the framework computed for which inputs.

    ``inputs`` and ``outputs`` are names of the graph. ``tolerance`` is the user's, if any.
    """

    converter: str
    model: Path
    references: tuple[Path, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nesting: int
    tolerance: float | None = None


def examined(task: Task) -> dict[str, Any]:
    """Check the file, load it, and compare it with each reference.

    Returns:
        The facts of each output as plain data, the ``batches``, and, where nothing can be compared,
        ``why`` not.

    Raises:
        Unconvertible: what the converter made is no valid model, or the runtime refuses it.
        FoldError: it cannot be read.
    """
    with open_model(task.model, name=task.model.name, nesting=task.nesting) as model:
        check_valid(model, task.model, task.converter, task.inputs, task.outputs)
        reason = cannot_run(model.proto, CPU) or _cannot_be_fed(model.proto)
        if reason:
            return {"why": reason, "batches": [], "outputs": []}
        try:
            with Sessions(model) as sessions:
                return Comparison(task, model, sessions).done()
        except RuntimeRefused as refusal:
            text = f"onnxruntime refuses what {task.converter} made: {refusal}"
            raise Unconvertible(text) from refusal


def _cannot_be_fed(proto: ModelProto) -> str:
    """Which input nothing can be given for, or nothing."""
    for value in proto.graph.input:
        if value.type.tensor_type.elem_type == TensorProto.BFLOAT16:
            return f"onnxruntime takes no bfloat16 from numpy for the input {value.name!r}"
    return ""


class Comparison:
    """One model beside what the framework computed."""

    def __init__(self, task: Task, model: Model, sessions: Sessions) -> None:
        scopes, _ = index(model)
        types = rounded_values(model.proto.graph, scopes[0].type)
        self._task, self._sessions = task, sessions
        self._kinds = {v.name: v.type.tensor_type.elem_type for v in model.proto.graph.input}
        self._shaken = Shaken(sessions, task.outputs, {}, types)
        self._bound = _bound(model, scopes, types) if task.tolerance is None else task.tolerance

    def done(self) -> dict[str, Any]:
        """Run the model on all references; the worst of each output counts.

        Raises:
            RuntimeRefused: the runtime does not take the model, or gives up on it.
            Unconvertible: a reference is none.
        """
        with self._sessions.of("plain"):  # It must load, be there references or not.
            pass
        batches, worst = [], dict[str, OutputFacts]()
        for path in self._task.references:
            batch, found = self._compared(path)
            batches += [] if batch is None or batch in batches else [batch]
            for facts in found:
                before = worst.setdefault(facts.name, facts)
                worst[facts.name] = max(before, facts, key=_rank)
        return {"why": "", "batches": batches, "outputs": [asdict(f) for f in worst.values()]}

    def _compared(self, path: Path) -> tuple[int | None, list[OutputFacts]]:
        """The batch size of a reference, and what each output says."""
        try:
            arrays = archive(path)
            feed = {name: self._given(name, arrays[IN + name]) for name in self._task.inputs}
            expected = {name: arrays[OUT + name] for name in self._task.outputs}
        except (BadCall, KeyError) as error:
            text = f"what the framework computed is not all in {path.name}: {error}"
            raise Unconvertible(text) from error
        batch = next((len(array) for array in feed.values() if array.ndim), None)
        try:
            with self._sessions.of("plain") as session:
                ours = session.run_named(feed)
        except RuntimeRefused as refusal:
            raise RuntimeRefused(f"for a batch of {batch}, {refusal}") from refusal
        draws = cache(partial(self._shaken.everywhere, feed, {}, {}))
        return batch, [
            self._facts(OutputFacts(name, batch), ours[name], theirs, draws)
            for name, theirs in expected.items()
        ]

    def _given(self, name: str, array: Array) -> Array:
        """What the framework was given, in the type of the graph."""
        if self._kinds[name] == TensorProto.STRING:
            return array.astype(object)
        kind = FLOATS.get(self._kinds[name])
        return array if kind is None else array.astype(kind.dtype, copy=False)

    def _facts(self, facts: OutputFacts, ours: Any, theirs: Array, draws: Draws) -> OutputFacts:
        """What an output says. Noise is about the graph's own."""
        ours, theirs = _alike(ours, theirs)
        noisy = partial(self._noisy, facts.name, draws)
        by_channel = self._task.tolerance is None and _is_judged_by_channel(theirs)
        found = distance(theirs, ours, by_channel=by_channel)
        if not is_float(ours):
            if isinstance(found, float):
                found = _flipped(ours, theirs, noisy()) if found else ""
            return replace(facts, why=found)
        if isinstance(found, float) and found <= self._bound:
            return replace(facts, worst=found, bound=self._bound, lost=not has_numbers(theirs))
        shaken = noisy()
        times = explained(ours, theirs, shaken)
        if times is not None:
            usual = distance(ours, shaken[0])
            is_lost = isinstance(usual, str) or usual >= MOST
            return replace(facts, worst=times, bound=RATIO, by_noise=True, lost=is_lost)
        if isinstance(found, str):
            return replace(facts, why=found)
        text = f"it is off by {found:.2g} of its size"
        return replace(facts, worst=found, bound=self._bound, why=text)

    def _noisy(self, name: str, draws: Draws) -> list[Any]:
        """The graph's output with noise; none where the user's tolerance counts."""
        return [] if self._task.tolerance is not None else [draw[name] for draw in draws()]


def _is_judged_by_channel(values: Array) -> bool:
    """Whether each channel has so many elements that their size says something."""
    outer, _, inner = form(values.shape)
    return outer * inner >= _LEAST


def _rank(facts: OutputFacts) -> tuple[bool, bool, float]:
    """Which facts of an output are the worst."""
    return bool(facts.why), facts.by_noise, facts.share


def _bound(model: Model, scopes: Sequence[Scope], types: Mapping[str, int]) -> float:
    """How far an output may be off, by the coarsest type that anything is computed in."""
    found = set(types.values()) | {t.data_type for t in model.proto.graph.initializer}
    roundoff = max((FLOATS[kind].roundoff for kind in found if kind in FLOATS), default=_SINGLE)
    bound = roundoff * (_FINE if roundoff <= _SINGLE else _COARSE)
    attributes = (each for scope in scopes for node in scope.nodes for each in node.attribute)
    return max(bound, _SINGLE) if any(map(_is_rounded, attributes)) else bound


def _is_rounded(attribute: AttributeProto) -> bool:
    """Whether it is a number, such as an epsilon, that ONNX has in float32 only."""
    return attribute.type == AttributeProto.FLOAT and not attribute.f.is_integer()


def _flipped(ours: Any, theirs: Array, noisy: list[Any]) -> str:
    """What is wrong with an output that was decided otherwise, or nothing."""
    if not noisy:
        return f"{np.count_nonzero(ours != theirs)} of {theirs.size} elements differ"
    return flipped(ours, theirs, noisy)


def _alike(ours: Any, theirs: Array) -> tuple[Any, Array]:
    """Both in one type where the kind of number is the same: a .npz lacks some types."""
    if not isinstance(ours, np.ndarray):
        return ours, theirs
    if ours.dtype.kind in "OSU" and theirs.dtype.kind in "OSU":
        return ours.astype(np.str_), theirs.astype(np.str_)
    same_kind = is_float(ours) == is_float(theirs)
    return ours, theirs.astype(ours.dtype, copy=False) if same_kind else theirs
