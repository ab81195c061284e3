"""What the process does that runs the models: sites and outputs, at some inputs.

Everything that needs the runtime happens here, and here only, so that a model that hangs, exhausts
or crashes it costs no more than an answer (``worker``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from onnx import ModelProto

from folding.constants import Constants
from folding.equivalence.activations import First, first_run
from folding.equivalence.exactness import exact_outputs
from folding.equivalence.feeds import Feed
from folding.equivalence.fitting import check_fit, open_pools
from folding.equivalence.jobs import Engine, Job
from folding.equivalence.observed import observed
from folding.equivalence.original import Original, as_planned
from folding.equivalence.outputs import OutputCheck
from folding.equivalence.rounding import rounded_values
from folding.equivalence.runnable import cannot_run, check_engine
from folding.equivalence.runtime import NotLoaded, RuntimeRefused
from folding.equivalence.sessions import Sessions
from folding.equivalence.shaken import Shaken
from folding.equivalence.site_check import SiteCheck
from folding.equivalence.trying import SEED, Tried, accepted_inputs
from folding.equivalence.verdict import Check, Status
from folding.errors import BadCall
from folding.graph import index
from folding.modelfile import open_model
from folding.plan import Warned


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
            [c.name, str(c.status), c.why, c.worst, c.bound, c.at, c.excused, list(c.mismatch)]
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
            return _not_run(reason, excused=job.is_ours)
        engine = Engine(custom_ops=job.engine.custom_ops)
        ours, original = as_planned(job, stack.enter_context(Sessions(reference, engine)), stack)
        theirs = stack.enter_context(Sessions(candidate, job.engine))
        try:
            return _compared(job, ours, theirs, original)
        except NotLoaded as refusal:
            return _refused(job, ours, str(refusal))


def _compared(job: Job, ours: Sessions, theirs: Sessions, original: Original | None) -> Answer:
    scopes, _ = index(ours.model)
    constants = Constants(ours.model, scopes[0], None)
    sites = SiteCheck(ours, theirs, job.sites, constants)
    outputs = _output_check(job, ours, theirs, constants)
    nodes = ours.model.proto.graph.node if job.feeds is None else ()
    pools = open_pools(nodes, constants.scope.shape)
    shaped = dict.fromkeys((*sites.values, *(pool.source for pool in pools)))

    def first(feed: Feed) -> First:
        found = first_run(ours, feed, outputs.shaken.names, shaped)
        check_fit(pools, found.shapes)
        return found if original is None else original.instead(feed, found)

    try:
        ran_on = _run(job, accepted_inputs(job, ours.model, first), sites, outputs)
    except NotLoaded:
        raise
    except RuntimeRefused as refusal:
        if job.feeds is not None or job.shapes:
            raise BadCall(f"the source does not run on these inputs: {refusal}") from refusal
        why = f"the source does not run on made-up inputs: {refusal}"
        return _only_loaded(theirs, _left_to_proof(job, why), excused=job.is_ours)
    return _answer(job, sites, outputs, ran_on)


def _run(
    job: Job, inputs: Iterable[Tried], sites: SiteCheck, outputs: OutputCheck
) -> list[tuple[str, int]]:
    """Compare both models on each input, until a site fails; what they ran on, and its seed."""
    ran_on: list[tuple[str, int]] = []
    for label, seed, feed, first in inputs:
        sites.run(feed, first.shapes, SEED)
        overflows = sites.found.overflows
        ran_on.append((f"{label} (not its outputs, which overflow)" if overflows else label, seed))
        if sites.found.guilty and job.matched:
            outputs.skipped = "a site failed"
            break
        if not overflows:
            outputs.run(feed, first, sites.found.noise)
    return ran_on


def _output_check(job: Job, ours: Sessions, theirs: Sessions, constants: Constants) -> OutputCheck:
    """The check of the outputs, for what is known of both models."""
    graph, type_of = ours.model.proto.graph, constants.scope.type
    names = _names(job, theirs.model.proto)
    watched = {
        output: tuple(
            (name, name if name == output else names[name])
            for name in values
            if name == output or name in names
        )
        for output, values in observed(graph, type_of).items()
    }
    wanted = {ours: None for output, pairs in watched.items() for ours in (output, *dict(pairs))}
    sites = {site.name: type_of(site.name) for site in job.sites}
    return OutputCheck(
        ours,
        theirs,
        watched,
        exact_outputs(graph, type_of),
        Shaken(ours, tuple(wanted), sites, rounded_values(graph, type_of)),
        job.measured,
        job.tolerance,
        job.is_ours,
    )


def _answer(
    job: Job, sites: SiteCheck, outputs: OutputCheck, ran_on: Sequence[tuple[str, int]]
) -> Answer:
    """What all inputs together say."""
    checked, ended = sites.check(job.skipped), outputs.check()
    if not job.matched and ended.status is Status.PASSED and sites.found.guilty:
        why = f"{checked.at!r} differs, or is another value in the candidate; the outputs agree"
        checked = Check("sites", Status.NOT_RUN, why, at=checked.at)
    affines = {site.name: site.affine for site in job.sites}
    guilty = [affines[name] for name in sites.found.guilty]
    return Answer(
        checked,
        ended,
        "; ".join(dict.fromkeys(label for label, _ in ran_on)),
        tuple(dict.fromkeys(seed for _, seed in ran_on)),
        tuple(dict.fromkeys(guilty)) if checked.status is Status.FAILED else (),
        tuple(outputs.warnings),
    )


def _names(job: Job, candidate: ModelProto) -> dict[str, str]:
    """What values of the reference are called in the candidate."""
    there = {name for node in candidate.graph.node for name in node.output if name}
    there |= {value.name for value in candidate.graph.output}
    if job.values or not job.matched:
        # Those of another tool's file mean what the match says, and nothing where it says nothing.
        return {ours: name for ours, name in job.values.items() if name in there}
    return {name: name for name in there - job.gone}


def _refused(job: Job, source: Sessions, why: str) -> Answer:
    """What it means that the runtime does not take the source, or what was made of it."""
    try:
        with source.of("plain"):
            return _not_run(f"the source does not load with more outputs: {why}", excused=False)
    except NotLoaded:
        return _not_run(f"the source does not load: {why}", excused=job.is_ours)


def _not_run(why: str, *, excused: bool) -> Answer:
    sites, outputs = (
        Check(name, Status.NOT_RUN, why, excused=excused) for name in ("sites", "outputs")
    )
    return Answer(sites, outputs, warnings=(Warned("OUTPUTS_NOT_RUN", "", why),))


def _left_to_proof(job: Job, why: str) -> str:
    """What no run can say, the files say of a fold of ours; but not of what somebody else made.

    Its numbers are near to what they should be, and how near they must be, only a run can say.
    """
    return f"{why}; the proof from the files does not need it" if job.is_ours else why


def _only_loaded(candidate: Sessions, why: str, *, excused: bool) -> Answer:
    """Without inputs that the source accepts, the candidate must load at least."""
    try:
        with candidate.of("loaded"):
            return _not_run(why, excused=excused)
    except NotLoaded as refusal:
        text = f"the candidate does not load: {refusal}"
        sites = Check("sites", Status.NOT_RUN, why, excused=excused)
        return Answer(sites, Check("outputs", Status.FAILED, text))
