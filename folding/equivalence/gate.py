"""All checks of a candidate, and their verdict.

The first two, frame and parameters, are the proof. They read both files and nothing else. The other
two, sites and outputs, run both models; that happens in another process, so a model that hangs,
exhausts or crashes the runtime costs the verdict and not the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from folding.draft import Draft
from folding.equivalence.foreign import check_foreign
from folding.equivalence.frame import check_frame
from folding.equivalence.jobs import Job, ModelPlace
from folding.equivalence.parameters import check_parameters
from folding.equivalence.running import Running
from folding.equivalence.sameness import check_preparation
from folding.equivalence.sites import find_sites
from folding.equivalence.verdict import Check, Status, Verdict
from folding.equivalence.worker import WorkerFailed
from folding.errors import FoldError
from folding.modelfile import Model
from folding.plan import Kept, Reason, Warned
from folding.planner import Refused, plan_model, untouched
from folding.preparing import Prepared, prepare
from folding.protos import graphs

#: Of more folded places some are compared, evenly spread.
_MOST_SITES = 1000
_ANSWER = "folding.equivalence.runs:answer"


@dataclass(frozen=True, slots=True)
class Compared:
    """What the files say: the two checks, and what is needed to run both models.

    ``values`` are values of the reference that the candidate calls otherwise.
    """

    frame: Check
    parameters: Check
    drafts: Sequence[Draft]
    values: Mapping[str, str] = field(default_factory=dict)
    is_ours: bool = True


def verify_fold(
    reference: Model,
    candidate: Model,
    refused: Refused,
    running: Running,
) -> Verdict:
    """Compare a folded model of ours, as it was written, with its source.

    The reference is planned anew, which says where the candidate may differ and what each folded
    tensor must hold, computed again from the numbers that are stored in the source.

    Args:
        reference: the source.
        candidate: the folded model.
        refused: the affines that were not to be folded.
        running: how to run both.

    Raises:
        BadCall: the inputs given do not fit the model.
    """
    drafts = plan_model(reference, refused).drafts
    frame = check_frame(reference, candidate, drafts)
    if running.frozen is None and not any(draft.nodes for draft in drafts):
        return _idle(frame)
    if frame.status is not Status.PASSED:
        parameters = Check("parameters", Status.NOT_RUN, why="the frame differs")
    else:
        parameters = check_parameters(candidate, drafts)
    return judged(reference, candidate, Compared(frame, parameters, drafts), running)


def verify_prepared(
    prepared: Prepared, candidate: Model, refused: Refused, running: Running
) -> Verdict:
    """Compare a folded model with what was prepared of its source, and that with the source.

    The runs are those of the folded model and the source as it was.

    Raises:
        BadCall: the inputs given do not fit the model.
    """
    if prepared.is_undone:
        return _idle(check_frame(prepared.source, candidate, untouched(prepared.source)))
    if prepared.is_source:
        return verify_fold(prepared.model, candidate, refused, running)
    beside = replace(running, frozen=prepared.frozen)
    return _with_preparation(prepared, verify_fold(prepared.model, candidate, refused, beside))


def _with_preparation(prepared: Prepared, verdict: Verdict) -> Verdict:
    """A verdict on a prepared model, with the proof that this is its source."""
    check = check_preparation(prepared.source, prepared.model, prepared.frozen)
    return replace(verdict, checks=(check, *verdict.checks))


def verify_any(reference: Model, candidate: Model, running: Running) -> Verdict:
    """Compare two models, whoever made the second.

    First as a fold of ours, be it of a model whose functions are inlined. If it is none, values are
    matched up to names, and folded numbers may be as far off as those of other tools are; what
    cannot be matched is judged by the runs alone.

    Raises:
        BadCall: the inputs given do not fit the model.
    """
    compared = _as_ours(reference, candidate)
    if compared is None and len(reference.proto.functions):
        prepared = prepare(reference)
        inlined = None if prepared.is_source else _as_ours(prepared.model, candidate)
        if inlined is not None:
            beside = replace(running, frozen=prepared.frozen)
            verdict = judged(prepared.model, candidate, inlined, beside)
            return _with_preparation(prepared, verdict)
    if compared is None:
        drafts = plan_model(reference, {}).drafts
        found = check_foreign(reference, candidate)
        compared = Compared(found.frame, found.parameters, drafts, found.values, is_ours=False)
    elif not any(draft.nodes for draft in compared.drafts):
        return _idle(compared.frame)
    return judged(reference, candidate, compared, running)


def _as_ours(reference: Model, candidate: Model) -> Compared | None:
    """The proof that a candidate is a fold of ours, if it is one; perhaps not of all affines."""
    drafts = plan_model(reference, {}).drafts
    frame = check_frame(reference, candidate, drafts)
    left = {} if frame.status is Status.PASSED else _left(drafts, candidate)
    if left:
        drafts = plan_model(reference, left).drafts
        frame = check_frame(reference, candidate, drafts)
    if frame.status is not Status.PASSED:
        return None
    parameters = check_parameters(candidate, drafts)
    is_ours = parameters.status is Status.PASSED
    return Compared(frame, parameters, drafts) if is_ours else None


def _left(drafts: Sequence[Draft], candidate: Model) -> Refused:
    """The affines that the candidate has as they were, of those that could be folded."""
    left: Refused = {}
    for number, (draft, graph) in enumerate(zip(drafts, graphs(candidate.proto), strict=False)):
        made = {name: node for node in graph.node for name in node.output}
        for name in draft.ends:
            if made.get(name) == draft.scope.nodes[draft.scope.producers[name]]:
                left[number, name] = Kept(Reason.NO_RULE, name)
    return left


def _idle(frame: Check) -> Verdict:
    """Nothing was folded, so it is enough that nothing else was changed."""
    why = "nothing was folded"
    runs = (Check(name, Status.NOT_RUN, why, excused=True) for name in ("sites", "outputs"))
    return Verdict((frame, Check("parameters", Status.PASSED, why), *runs))


def judged(
    reference: Model,
    candidate: Model,
    compared: Compared,
    running: Running,
) -> Verdict:
    """Run both models, and say what all checks amount to.

    Raises:
        BadCall: the inputs given do not fit the model.
    """
    job = _job(reference, candidate, compared, running)
    proof = (compared.frame, compared.parameters)
    try:
        found = running.worker.call(_ANSWER, job)
    except FoldError:
        reference.check_unchanged()  # If it was changed, that is what is wrong.
        candidate.check_unchanged()
        raise
    except WorkerFailed as failure:
        checks = (Check(name, Status.NOT_RUN, failure.reason) for name in ("sites", "outputs"))
        return Verdict((*proof, *checks))
    checks = (
        Check(name, Status(status), why, worst, bound, at, excused, tuple(mismatch))
        for name, status, why, worst, bound, at, excused, mismatch in found["checks"]
    )
    return Verdict(
        (*proof, *checks),
        _ran_on(found["ran_on"], running),
        tuple(Warned(*warning) for warning in found["warnings"]),
        tuple(found["seeds"]),
        tuple(found["guilty"]),
    )


def _ran_on(inputs: str, running: Running) -> str:
    """What was run: a prepared model is compared with the source as it was."""
    if not inputs or running.frozen is None:
        return inputs
    fed = [f"{name} = {str(array.tolist()).lower()}" for name, array in running.frozen.items()]
    return f"{inputs}; beside the source as it was{', fed ' if fed else ''}{', '.join(fed)}"


def _job(reference: Model, candidate: Model, compared: Compared, running: Running) -> Job:
    """What to run, where to compare, and whether rounding there explains all differences."""
    main, *inner = compared.drafts
    matched = Status.NOT_RUN not in (compared.frame.status, compared.parameters.status)
    by_name = compared.is_ours or not matched
    graph = candidate.proto.graph
    sites, missing = find_sites(main, graph, compared.values, by_name=by_name)
    skipped = [*missing, *(name for draft in inner for name in draft.ends)]
    step = -(-len(sites) // _MOST_SITES)
    skipped += [site.name for place, site in enumerate(sites) if place % step]
    return Job(
        _place(reference),
        _place(candidate),
        running.nesting,
        sites[:: step or 1],
        skipped,
        dict(compared.values),
        frozenset(main.vanished | main.renamed.keys()) if compared.is_ours else frozenset(),
        matched,
        compared.is_ours and compared.frame.status is Status.PASSED and not skipped,
        running.feeds,
        running.shapes,
        running.tolerance,
        running.engine,
        is_ours=compared.is_ours,
        frozen=running.frozen,
    )


def _place(model: Model) -> ModelPlace:
    assert model.path is not None
    return ModelPlace(model.path, model.data)
