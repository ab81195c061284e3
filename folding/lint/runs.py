"""What only running a model shows: results that hang on the other examples of a batch.

Done in the process that runs models (``worker``). A model is given one batch three times: as it is,
with the last examples replaced, and with its examples in another order. If a result changes that
belongs to an example which did not, the batch has a part in it; unless the order has one too, as in
a sequence or a graph, whose first axis is no batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import ModelProto, TensorShapeProto

from folding.equivalence.feeds import Array, Feed, required
from folding.equivalence.jobs import ModelPlace
from folding.equivalence.kinds import Kind
from folding.equivalence.made_up import candidates
from folding.equivalence.runtime import RuntimeRefused, Session
from folding.modelfile import open_model

#: How many examples a made-up batch has, and seeds of what it is made from.
_EXAMPLES = 6
_SEED, _OTHER_SEED = 0, 17
#: How many axes a batch of images has at least.
_IMAGES = 4
_NO_BATCH = "which axis of its inputs is the batch is unknown, so no example was run beside others"
#: Of the size of an output: what rounding never makes, and what it may make.
_CHANGED, _SAME = 1e-2, 1e-3


@dataclass(frozen=True, slots=True)
class Trial:
    """A model to run; ``feeds`` are the user's, if any, and ``frozen`` what is frozen besides.

    ``steered`` has what inputs are that are not made up.
    """

    model: ModelPlace
    nesting: int
    feeds: list[Feed] | None = None
    shapes: dict[str, list[int]] = field(default_factory=dict)
    frozen: Feed = field(default_factory=dict)
    steered: Feed = field(default_factory=dict)


def tried(trial: Trial) -> dict[str, Any]:
    """What the runs show, as plain data.

    ``random`` and ``dependent`` are outputs; ``unrun`` says why there is nothing to say of them.
    """
    place = trial.model
    opening = open_model(
        place.path, data_names=place.data_names, follow_links=True, nesting=trial.nesting
    )
    with opening as model:
        try:
            with Session(model) as session:
                return _tried(session, model.proto, trial)
        except RuntimeRefused as refusal:
            return _answer(unrun=str(refusal))


def _answer(
    random: list[str] | None = None, dependent: list[str] | None = None, unrun: str = ""
) -> dict[str, Any]:
    return {"random": random or [], "dependent": dependent or [], "unrun": unrun}


def _tried(session: Session, proto: ModelProto, trial: Trial) -> dict[str, Any]:
    feed, first = _accepted(session, proto, trial)
    again = session.run_named(feed)
    random = [name for name in first if not _agree(first[name], again[name], 0.0)]
    if random:
        return _answer(random=random)
    inputs = batched(proto, feed)
    if not inputs:
        return _answer(unrun=_NO_BATCH if feed else "")
    count = len(feed[inputs[0]])
    outputs = [
        name for name, v in first.items() if np.ndim(v) and len(v) == count and v.dtype.kind == "f"
    ]
    if count == 1 or not outputs:  # One example alone has no others.
        return _answer()
    return _answer(dependent=_dependent(session, feed, first, inputs, outputs))


def _accepted(session: Session, proto: ModelProto, trial: Trial) -> tuple[Feed, dict[str, Any]]:
    """Inputs that the model takes, and what it makes of them."""
    if trial.feeds is not None:
        given = {**trial.feeds[0], **trial.frozen}
        return given, session.run_named(given)
    refused = RuntimeRefused("no inputs can be made up for it")
    kinds = (Kind.NORMAL,) * _EXAMPLES
    for made in candidates(proto, kinds, _SEED, shapes=trial.shapes):
        if isinstance(made, str):
            refused = RuntimeRefused(made)
            continue
        try:
            feed = {**made.arrays, **trial.steered, **trial.frozen}
            return feed, session.run_named(feed)
        except RuntimeRefused as refusal:
            refused = refusal
    raise refused


def batched(proto: ModelProto, feed: Feed) -> list[str]:
    """The inputs whose first axis is the batch: it is open, and no other axis of any input is.

    Where several are open, one of them may be a length, and it may be the first; where none is, the
    first may be one too. It is the batch if it is called so, or if it is that of images.
    """
    dims = {v.name: v.type.tensor_type.shape.dim for v in required(proto) if v.name in feed}
    opened = {
        n: [at for at, d in enumerate(sizes) if d.dim_value <= 0] for n, sizes in dims.items()
    }
    found = [name for name, axes in opened.items() if axes]
    if not found or any(map(any, opened.values())):  # Another axis than the first.
        found = [name for name, sizes in dims.items() if _is_of_examples(sizes)]
    counts = {len(feed[name]) for name in found}
    return found if len(counts) == 1 else []


def _is_of_examples(dims: Sequence[TensorShapeProto.Dimension]) -> bool:
    return len(dims) >= _IMAGES or (bool(dims) and "batch" in dims[0].dim_param.lower())


def _dependent(
    session: Session, feed: Feed, first: dict[str, Any], inputs: list[str], outputs: list[str]
) -> list[str]:
    """The outputs whose first half changes with the other half, but not with the order."""
    count = len(feed[inputs[0]])
    half, order = count // 2, np.random.default_rng(_OTHER_SEED).permutation(count)
    changed, turned = dict(feed), dict(feed)
    for name in inputs:
        changed[name] = _half_new(feed[name], half)
        turned[name] = feed[name][order]
    other, permuted = session.run_named(changed), session.run_named(turned)
    return [
        name
        for name in outputs
        if not _agree(first[name][:half], other[name][:half], _CHANGED)
        and _agree(first[name][order], permuted[name], _SAME)
    ]


def _half_new(array: Array, half: int) -> Array:
    """An array whose later examples are others: of another size, too, where it holds floats."""
    fresh = array.copy()
    rest = array[half:]
    if array.dtype.kind == "f":
        draw = np.random.default_rng(_OTHER_SEED).standard_normal(rest.shape)
        fresh[half:] = (1 + 3 * draw).astype(array.dtype)
    else:
        fresh[half:] = array[:1]
    return fresh


def _agree(one: Array, other: Array, most: float) -> bool:
    """Whether two arrays are apart by no more than that much of their size; NaN agrees with all."""
    if one.shape != other.shape:
        return False
    if one.dtype.kind != "f":
        return bool((one == other).all())
    a, b = one.astype(np.float64), other.astype(np.float64)
    size = float(np.sqrt(np.mean(a**2))) if a.size else 0.0
    apart = float(np.nanmax(np.abs(a - b), initial=0.0)) if a.size else 0.0
    return not apart > most * size
