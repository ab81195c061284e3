"""In the process that runs models: is the file sound, and does it compute what the framework did?

How far an output may be off. Both sides compute the same formula in the same types and round
otherwise: sums are added up in another order, a batch normalisation is one expression or four, a
division is a multiplication. Of 775 conversions of small models trained in float32 the worst was
off by 1.9e-6 of its size, 32 u (u: the unit roundoff), and of models in mixed float16 by 2.8e-4,
0.6 u of float16, since there sums are kept in float32. So an output passes that is off by no more
than 2^8 u for float32 and float64, 2^4 u for float16 and bfloat16: 8 and 26 times the worst that
right conversions gave. Wrong ones gave 0.18 and more, and the least that a converter may get wrong,
an epsilon of 1e-5 for 1e-3 at a variance of 1, gives 5e-4.

What is further off, as a deep model or one that cancels may be, is compared with what rounding does
to that very graph (``folding.equivalence.rounding``): it may be four times as much. An output in
which rounding is as large as a tenth of it says nothing. What was decided, like an index, must be
the same but for what rounding flips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from folding.convert.agreement import OutputFacts
from folding.convert.samples import IN, OUT
from folding.convert.valid import check_valid
from folding.equivalence.decided import has_numbers, is_float
from folding.equivalence.distance import MOST, distance
from folding.equivalence.input_files import archive
from folding.equivalence.jobs import CPU
from folding.equivalence.noise import RATIO, explained, flipped
from folding.equivalence.rounding import rounded_values
from folding.equivalence.runnable import cannot_run
from folding.equivalence.runtime import RuntimeRefused
from folding.equivalence.sessions import Sessions
from folding.equivalence.shaken import Shaken
from folding.errors import Unconvertible
from folding.floats import FLOATS
from folding.graph import index
from folding.modelfile import Model, open_model

#: How many roundings an output may be off by: where sums round, and where only results do.
_FINE, _COARSE = 2.0**8, 2.0**4
_SINGLE = 2.0**-24

Array = npt.NDArray[Any]
Draws = Callable[[], list[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Task:
    """What to look at: a model, and what the framework computed for which inputs.

    ``name`` is what the user calls the source. ``inputs`` and ``outputs`` are names of the graph.
    ``tolerance`` is the user's, if any.
    """

    name: str
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
    with open_model(task.model, name=task.name, nesting=task.nesting) as model:
        check_valid(model, task.model, task.converter, task.inputs, task.outputs)
        reason = cannot_run(model.proto, CPU)
        if reason:
            return {"why": reason, "batches": [], "outputs": []}
        try:
            with Sessions(model) as sessions:
                return _compared(task, model, sessions)
        except RuntimeRefused as refusal:
            text = f"onnxruntime refuses what {task.converter} made of {task.name!r}: {refusal}"
            raise Unconvertible(text) from refusal


def _compared(task: Task, model: Model, sessions: Sessions) -> dict[str, Any]:
    scopes, _ = index(model)
    types = rounded_values(model.proto.graph, scopes[0].type)
    shaken = Shaken(sessions, task.outputs, {}, types)
    bound = task.tolerance if task.tolerance is not None else _bound(model, types)
    with sessions.of("plain"):
        pass
    batches, worst = [], dict[str, OutputFacts]()
    for path in task.references:
        arrays = archive(path)
        feed = dict(_feed(task, model, arrays))
        batch = _batch(feed)
        batches += [] if batch is None else [batch]
        with sessions.of("plain") as session:
            given = session.run_named(feed)
        draws = cache(partial(shaken.everywhere, feed, {}, {}))
        for name in task.outputs:
            found = _facts(task, name, batch, (given[name], arrays[OUT + name]), bound, draws)
            before = worst.get(name)
            if before is None or _rank(found) > _rank(before):
                worst[name] = found
    return {"why": "", "batches": batches, "outputs": [asdict(facts) for facts in worst.values()]}


def _rank(facts: OutputFacts) -> tuple[bool, bool, float]:
    return bool(facts.why), facts.by_noise, facts.share


def _feed(task: Task, model: Model, arrays: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    """What the framework was given, in the types of the graph."""
    kinds = {v.name: v.type.tensor_type.elem_type for v in model.proto.graph.input}
    for name in task.inputs:
        array = arrays[IN + name]
        kind = FLOATS.get(kinds[name])
        if kinds[name] == TensorProto.STRING:
            array = array.astype(object)
        yield name, array if kind is None else array.astype(kind.dtype, copy=False)


def _batch(feed: Mapping[str, Array]) -> int | None:
    return next((len(array) for array in feed.values() if array.ndim), None)


def _bound(model: Model, types: Mapping[str, int]) -> float:
    """How far an output may be off, by the coarsest type that anything is computed in."""
    found = set(types.values()) | {t.data_type for t in model.proto.graph.initializer}
    roundoff = max((FLOATS[kind].roundoff for kind in found if kind in FLOATS), default=_SINGLE)
    return roundoff * (_FINE if roundoff <= _SINGLE else _COARSE)


def _facts(
    task: Task,
    name: str,
    batch: int | None,
    pair: tuple[Any, Array],
    bound: float,
    draws: Draws,
) -> OutputFacts:
    """What an output says. The graph's own comes first, since the noise is about that."""
    ours, theirs = _alike(*pair)
    facts = partial(OutputFacts, name, batch)
    by_channel = task.tolerance is None
    found = distance(theirs, ours, by_channel=by_channel)
    if found == 0.0 and not is_float(ours):
        return facts()
    if not is_float(ours):
        apart = flipped(ours, theirs, noisy) if (noisy := _drawn(draws, name)) else "it differs"
        return facts(why=found if isinstance(found, str) else apart)
    if isinstance(found, float) and found <= bound:
        return facts(found, bound, lost=not has_numbers(theirs))
    worst = explained(ours, theirs, noisy) if (noisy := _noise(task, draws, name)) else None
    if worst is not None:
        usual = distance(ours, noisy[0])
        is_lost = isinstance(usual, str) or usual >= MOST
        return facts(worst, RATIO, by_noise=True, lost=is_lost)
    if isinstance(found, str):
        return facts(why=found)
    return facts(found, bound, why=f"it is off by {found:.2g} of its size")


def _noise(task: Task, draws: Draws, name: str) -> list[Any]:
    return [] if task.tolerance is not None else _drawn(draws, name)


def _drawn(draws: Draws, name: str) -> list[Any]:
    return [draw[name] for draw in draws()]


def _alike(ours: Any, theirs: Array) -> tuple[Any, Array]:
    """Both in one type where the kind of number is the same: a .npz lacks some types."""
    if not isinstance(ours, np.ndarray):
        return ours, theirs
    if ours.dtype.kind in "OSU" and theirs.dtype.kind in "OSU":
        return ours.astype(np.str_), theirs.astype(np.str_)
    both = (is_float(ours), is_float(theirs))
    if ours.dtype != theirs.dtype and (all(both) or not any(both)):
        return ours, theirs.astype(ours.dtype)
    return ours, theirs
