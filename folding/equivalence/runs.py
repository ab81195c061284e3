"""What the process does that runs the models: sites and outputs, at some inputs.

Everything that needs the runtime happens here, and here only, so that a model that hangs, exhausts
or crashes it costs no more than an answer (``worker``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod
from typing import Any

from onnx import ModelProto

from folding.constants import Constants
from folding.equivalence.activations import First, first_run
from folding.equivalence.feeds import Feed
from folding.equivalence.jobs import Engine, Job
from folding.equivalence.kinds import KINDS, Kind
from folding.equivalence.made_up import candidates, made_up
from folding.equivalence.observed import observed
from folding.equivalence.outputs import OutputCheck
from folding.equivalence.runnable import cannot_run, check_engine
from folding.equivalence.runtime import NotLoaded, RuntimeRefused
from folding.equivalence.sessions import Sessions
from folding.equivalence.site_check import SiteCheck
from folding.equivalence.verdict import Check, Status
from folding.errors import BadCall
from folding.graph import index
from folding.modelfile import Model, open_model
from folding.plan import Warned

SEED = 0
#: With at most so many elements in its sites and bytes in its files, a model costs little to run,
#: and is run on every kind of input.
_FEW_ELEMENTS, _FEW_BYTES = 1 << 20, 1 << 22


@dataclass(frozen=True, slots=True)
class Answer:
    """What the runs found. ``guilty`` are the affines whose sites failed, worst first."""

    sites: Check
    outputs: Check
    ran_on: str = ""
    seeds: tuple[int, ...] = ()
    guilty: tuple[str, ...] = ()
    warnings: tuple[Warned, ...] = ()


def answer(job: Job) -> dict[str, Any]:
    """``compare`` for another process: as plain data.

    Raises:
        BadCall: the user's inputs do not fit the model, or there is no such provider.
        FoldError: a model cannot be read.
    """
    found = compare(job)
    return {
        "checks": [
            [c.name, str(c.status), c.why, c.worst, c.bound, c.at, c.excused]
            for c in (found.sites, found.outputs)
        ],
        "ran_on": found.ran_on,
        "seeds": list(found.seeds),
        "guilty": list(found.guilty),
        "warnings": [[w.code, w.at, w.text] for w in found.warnings],
    }


def compare(job: Job) -> Answer:
    """Run both models, and compare their sites and outputs."""
    check_engine(job.engine)
    with ExitStack() as stack:
        reference, candidate = (
            stack.enter_context(
                open_model(
                    place.path,
                    data_names=place.data_names,
                    follow_links=True,  # Whether they may leave the folder was decided before.
                    nesting=job.nesting,
                )
            )
            for place in (job.reference, job.candidate)
        )
        reason = cannot_run(reference.proto, job.engine)
        if reason:
            return _not_run(reason, excused=True)
        ours = stack.enter_context(Sessions(reference, Engine(custom_ops=job.engine.custom_ops)))
        theirs = stack.enter_context(Sessions(candidate, job.engine))
        try:
            return _compared(job, ours, theirs)
        except NotLoaded as refusal:
            return _refused(ours, str(refusal))


def _compared(job: Job, ours: Sessions, theirs: Sessions) -> Answer:
    scopes, _ = index(ours.model)
    constants = Constants(ours.model, scopes[0], None)
    sites = SiteCheck(ours, theirs, job.sites, constants)
    names = _names(job, theirs.model.proto)
    watched = {
        output: tuple(
            (name, names.get(name, name)) for name in values if name in names or name == output
        )
        for output, values in observed(ours.model.proto.graph, constants.scope.type).items()
    }
    outputs = OutputCheck(
        ours,
        theirs,
        watched,
        {site.name: constants.scope.type(site.name) for site in job.sites},
        job.measured,
        job.tolerance,
    )
    labels, seeds = [], []
    try:
        for label, seed, feed, first in _inputs(job, ours, sites, outputs):
            sites.run(feed, first.shapes, SEED)
            overflows = sites.found.overflows
            labels.append(f"{label} (not its outputs, which overflow)" if overflows else label)
            seeds.append(seed)
            if sites.found.guilty and job.matched:
                outputs.skipped = "a site failed"
                break
            if not overflows:
                outputs.run(feed, first, sites.found.noise)
    except RuntimeRefused as refusal:
        if isinstance(refusal, NotLoaded):
            raise
        if job.feeds is not None or job.shapes:
            raise BadCall(f"the source does not run on these inputs: {refusal}") from refusal
        return _only_loaded(theirs, f"the source does not run on made-up inputs: {refusal}")
    found, ended = sites.check(job.skipped), outputs.check()
    if not job.matched and ended.status is Status.PASSED and sites.found.guilty:
        why = f"{found.at!r} may be another value in the candidate: the outputs agree"
        found = Check("sites", Status.NOT_RUN, why, at=found.at)
    return Answer(
        found,
        ended,
        "; ".join(dict.fromkeys(labels)),
        tuple(dict.fromkeys(seeds)),
        tuple(sites.found.guilty) if found.status is Status.FAILED else (),
        tuple(outputs.warnings),
    )


def _names(job: Job, candidate: ModelProto) -> dict[str, str]:
    """What values of the reference are called in the candidate."""
    there = {name for node in candidate.graph.node for name in node.output if name}
    there |= {value.name for value in candidate.graph.output}
    names = {name: name for name in there - job.gone} if job.matched else {}
    return {**names, **{ours: name for ours, name in job.values.items() if name in there}}


def _inputs(
    job: Job, sessions: Sessions, sites: SiteCheck, outputs: OutputCheck
) -> Iterator[tuple[str, int, Feed, First]]:
    """Inputs that the source accepts, what they are called, and a first run on each.

    Raises:
        RuntimeRefused: it accepts none.
    """

    def first(feed: Feed) -> First:
        return first_run(sessions, feed, outputs.names, sites.values)

    if job.feeds is not None:
        for feed in job.feeds:
            yield "the user's inputs", SEED, feed, first(feed)
        return
    last = RuntimeRefused("an input is no tensor, or too large to be made up")
    proto = sessions.model.proto
    for made in candidates(proto, (Kind.NORMAL,), SEED, shapes=job.shapes):
        if isinstance(made, str):
            last = RuntimeRefused(made)
            continue
        try:
            found = first(made.arrays)
        except NotLoaded:
            raise
        except RuntimeRefused as refusal:
            last = refusal
            continue
        yield made.label, made.seed, made.arrays, found
        yield from _more(sessions.model, made.arrays, found, first)
        return
    raise last


def _more(
    model: Model, accepted: Feed, found: First, first: Callable[[Feed], First]
) -> Iterator[tuple[str, int, Feed, First]]:
    """Other kinds of inputs of the same shapes, where they cost little."""
    shapes = {name: array.shape for name, array in accepted.items()}
    has_flag = any(array.dtype == bool for array in accepted.values())
    elements = sum(map(prod, found.shapes.values()))
    is_small = elements <= _FEW_ELEMENTS and model.size <= _FEW_BYTES
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


def _refused(source: Sessions, why: str) -> Answer:
    """What it means that the runtime does not take the source, or what was made of it."""
    try:
        with source.of("plain"):
            return _not_run(f"the source does not load with more outputs: {why}", excused=False)
    except NotLoaded:
        return _not_run(f"the source does not load: {why}", excused=True)


def _not_run(why: str, *, excused: bool) -> Answer:
    sites, outputs = (
        Check(name, Status.NOT_RUN, why, excused=excused) for name in ("sites", "outputs")
    )
    return Answer(sites, outputs, warnings=(Warned("OUTPUTS_NOT_RUN", "", why),))


def _only_loaded(candidate: Sessions, why: str) -> Answer:
    """Without inputs that the source accepts, the candidate must load at least."""
    try:
        with candidate.of("loaded"):
            return _not_run(why, excused=True)
    except NotLoaded as refusal:
        text = f"the candidate does not load: {refusal}"
        sites = Check("sites", Status.NOT_RUN, why, excused=True)
        return Answer(sites, Check("outputs", Status.FAILED, text))
