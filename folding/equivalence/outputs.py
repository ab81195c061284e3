"""Outputs: both models run end to end, as an alarm for whatever the proof did not think of.

No fixed tolerance is right for all models, so this one is generous: each output may differ by 2^12
roundings of the coarsest float type in the model but at most by a tenth, in the root mean square
over all its elements, relative to the reference's own. (For float32 that is 2.4e-4; right folds of
the networks in ``models/`` are below 1e-6.) Where the terms of a folded shift cancel, as with a
bias and a mean of 1e6, the source itself is that much less accurate, and so many roundings more are
allowed. It is no proof, and no gate for small faults.

The reference runs with graph optimisation disabled, because the runtime's own fusions are wrong
on some graphs; the candidate runs that way and at the default level. Where the *reference* changes
between the two levels as well, the runtime is blamed in a warning, not the fold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt
from onnx import ModelProto

from folding.equivalence.distance import distance
from folding.equivalence.inputs import OPEN_SIZES, SEED, Feed, Inputs, load, random_feed
from folding.equivalence.runtime import NotLoaded, RuntimeRefused, Session
from folding.equivalence.verdict import Check, Status
from folding.errors import BadCall
from folding.floats import FLOATS
from folding.modelfile import Model
from folding.plan import Warned
from folding.protos import graphs, is_default_domain, opset

_ROUNDINGS = 2.0**12
_MOST = 0.1
_KERNELS_SINCE = 7
_RANDOM = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial"}
    | {"Bernoulli"}
)

Outputs = list[npt.NDArray[Any]]


def check_outputs(
    reference: Model, candidate: Model, inputs: Inputs | None, slack: float = 1.0
) -> tuple[Check, str, list[Warned]]:
    """Run both models on the user's inputs, or on seeded ones that the reference accepts.

    Args:
        reference: the source.
        candidate: the folded model.
        inputs: the user's inputs, if any.
        slack: how many roundings the cancelling terms of the folded shifts are worth.

    Returns:
        The check, what it ran on, and what the user should know of the runtime.

    Raises:
        BadCall: the user's inputs do not fit the model.
    """
    feed = None if inputs is None else load(inputs, reference.proto)
    reason = _cannot_run(reference.proto)
    if reason:
        return Check("outputs", Status.NOT_RUN, reason), "", []
    try:
        return _compared(reference, candidate, feed, slack)
    except MemoryError:
        return _not_run("there is not enough memory to run both models")


def _compared(
    reference: Model, candidate: Model, feed: Feed | None, slack: float
) -> tuple[Check, str, list[Warned]]:
    """Run the source, then the folded model. Each session is gone before the next one begins."""
    try:
        with Session(reference, optimised=False) as session:
            run, ran_on = _expected(session, reference.proto, feed, slack)
    except NotLoaded as refusal:
        return _not_run(f"the source does not load: {refusal}")
    except RuntimeRefused as refusal:
        if feed is not None:
            raise BadCall(f"the source does not run on these inputs: {refusal}") from refusal
        return _only_loaded(candidate, f"the source does not run on made-up inputs: {refusal}")
    plain = run.compare(candidate, optimised=False)
    if plain.status is not Status.PASSED:
        return plain, ran_on, []
    # The optimiser may compute in float32 what the model has in float64.
    run = replace(run, bound=max(run.bound, min(_MOST, _ROUNDINGS * 2.0**-24)))
    default = run.compare(candidate, optimised=True)
    if default.status is Status.PASSED:
        return plain, ran_on, []
    # Does the runtime's optimiser change the source as well? Then it is not the fold.
    blamed = run.compare(reference, optimised=True)
    if blamed.status is Status.PASSED:
        why = f"under onnxruntime's graph optimisation, but not without it, {default.why}"
        return replace(default, why=why), ran_on, []
    text = "onnxruntime computes the source otherwise with its graph optimisation than without"
    return plain, ran_on, [Warned("RUNTIME_OPTIMISER_DIFFERS", blamed.at, text)]


def _not_run(why: str) -> tuple[Check, str, list[Warned]]:
    return Check("outputs", Status.NOT_RUN, why), "", [Warned("OUTPUTS_NOT_RUN", "", why)]


def _only_loaded(candidate: Model, why: str) -> tuple[Check, str, list[Warned]]:
    """Without inputs that the source accepts, the folded model must load at least."""
    try:
        Session(candidate, optimised=False).close()
    except RuntimeRefused as refusal:
        text = f"the folded model does not load: {refusal}"
        return Check("outputs", Status.FAILED, text), "", []
    return _not_run(why)


def _expected(
    session: Session, model: ModelProto, feed: Feed | None, slack: float
) -> tuple[_Run, str]:
    """What the reference computes, and from what."""
    bound = min(_MOST, _ROUNDINGS * _roundoff(model) * slack)
    if feed:
        return _Run([feed], session.outputs, [session.run(feed)], bound), "the user's inputs"
    feeds, expected, ran_on = _made_up(session, model)
    return _Run(feeds, session.outputs, expected, bound), ran_on


def _made_up(session: Session, model: ModelProto) -> tuple[list[Feed], list[Outputs], str]:
    """Seeded inputs that the reference accepts; with a flag in them, for both of its values."""
    last = RuntimeRefused("an input is no tensor, or too large to be made up")
    for size in OPEN_SIZES:
        feed = random_feed(model, size)
        if feed is None:
            continue
        try:
            expected = [session.run(feed)]
        except RuntimeRefused as refusal:
            last = refusal
            continue
        feeds = [feed]
        has_flag = any(array.dtype == bool for array in feed.values())
        other = random_feed(model, size, truth=True) if has_flag else None
        if other is not None:
            feeds, expected = [feed, other], [*expected, session.run(other)]
        return feeds, expected, f"normal, seed {SEED}, open dimensions {size}"
    raise last


@dataclass(frozen=True, slots=True)
class _Run:
    """What the reference gave for some inputs, and how far from it is near enough."""

    feeds: list[Feed]
    names: Sequence[str]
    expected: list[Outputs]
    bound: float

    def compare(self, model: Model, *, optimised: bool) -> Check:
        """Run a model and compare its outputs."""
        worst = Check("outputs", Status.PASSED, worst=0.0, bound=self.bound)
        try:
            with Session(model, optimised=optimised) as session:
                for feed, expected in zip(self.feeds, self.expected, strict=True):
                    check = _compare(self.names, expected, session.run(feed), self.bound)
                    if check.status is not Status.PASSED:
                        return check
                    worst = max(worst, check, key=lambda found: found.worst or 0.0)
        except RuntimeRefused as refusal:
            why = f"the folded model does not run: {refusal}"
            return Check("outputs", Status.FAILED, why)
        return worst


def _cannot_run(model: ModelProto) -> str:
    """Why no runtime here can run a model, or nothing."""
    if opset(model.opset_import) < _KERNELS_SINCE:
        return "onnxruntime has no kernels for operator sets below 7"
    local = {(function.domain, function.name) for function in model.functions}
    for graph in graphs(model):
        for node in graph.node:
            if node.op_type in _RANDOM and is_default_domain(node):
                return f"{node.op_type} is random"
            known = node.domain in ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
            if not known and (node.domain, node.op_type) not in local:
                return f"{node.op_type} is an operator of the domain {node.domain!r}"
    return ""


def _roundoff(model: ModelProto) -> float:
    """The unit roundoff of the coarsest float type among the weights and the signature."""
    types = {tensor.data_type for graph in graphs(model) for tensor in graph.initializer}
    for value in (*model.graph.input, *model.graph.output):
        types.add(value.type.tensor_type.elem_type)
    return max((FLOATS[t].roundoff for t in types if t in FLOATS), default=2.0**-24)


def _compare(names: Sequence[str], expected: Outputs, got: Outputs, bound: float) -> Check:
    worst, at = 0.0, ""
    for name, one, other in zip(names, expected, got, strict=True):
        found = distance(one, other)
        if isinstance(found, str):
            return Check("outputs", Status.FAILED, f"output {name!r}: {found}", at=name)
        if not found < worst:
            worst, at = found, name
    if worst <= bound:
        return Check("outputs", Status.PASSED, worst=worst, bound=bound, at=at)
    why = f"output {at!r} differs by {worst:.2g} of its size"
    return Check("outputs", Status.FAILED, why, worst, bound, at)
