"""A plan carried out on a skeleton, and tried again without the folds that turn out not to do.

Whether a folded number fits its type is only known when it is computed, and by how much copies grow
the model when all is decided. What does not fit keeps its affine: it is refused, and everything is
planned anew, since other folds may rest on it.
"""

from __future__ import annotations

from dataclasses import dataclass

from folding import edits
from folding.equivalence.verdict import Verdict
from folding.growth import Growth
from folding.lint.looking import plan_warnings
from folding.modelfile import Model
from folding.outer import let_go
from folding.plan import Kept, Plan, Reason
from folding.planner import Planned, Refused, plan_model
from folding.recipes import Unrepresentable
from folding.tally import operators
from folding.tensors import folded_in


@dataclass(frozen=True, slots=True)
class Trial:
    """A plan carried out on a skeleton; the folded weights are computed when they are read."""

    plan: Plan
    model: Model
    planned: Planned
    refused: Refused


def attempt(model: Model, refused: Refused, *, allow_growth: bool = False) -> Trial:
    """Plan, and apply the plan to a copy of the skeleton.

    Copies may grow the model by 1 %, or by as much as they like if ``allow_growth``.
    """
    while True:
        planned = plan_model(model, refused)
        let_go(planned.drafts)
        growth = Growth(planned.drafts, model.size)
        if not (growth.is_little or allow_growth):
            refused = refused | growth.refusals()
            continue
        try:
            folded, dropped = edits.apply(model, planned.drafts)
        except Unrepresentable:
            refused = refused | misfits(planned)
            continue
        renamed = {old: new for d in planned.drafts for old, new in d.renamed.items()}
        said = *planned.warnings, *dropped, *growth.said_of(planned.decisions)
        warnings = (*said, *plan_warnings(model, planned))
        tally = operators(model, folded)
        return Trial(Plan(planned.decisions, renamed, tally, warnings), folded, planned, refused)


def confirmed(model: Model, refused: Refused | None = None, *, allow_growth: bool = False) -> Trial:
    """Like ``attempt``, with every number computed once to see that it fits."""
    refused = refused or {}
    while True:
        done = attempt(model, refused, allow_growth=allow_growth)
        found = misfits(done.planned)
        if not found:
            return done
        refused = done.refused | found


def misfits(planned: Planned) -> Refused:
    """For each tensor that does not fit its type: its last affines, to be kept, and why.

    All at once, so that many of them cost few plans; of several tensors the first is told.
    """
    found: Refused = {}
    for scope, draft in enumerate(planned.drafts):
        for changed in draft.changed.values():
            try:
                for _ in changed.blocks():
                    pass
            except Unrepresentable as misfit:
                kept = Kept(misfit.reason, changed.origin or changed.name)
                for *_, last in folded_in(draft, changed):
                    found.setdefault(draft.owners.get(last, (scope, last)), kept)
    return found


def failed_runs(verdict: Verdict, refused: Refused) -> Refused:
    """The folds that failed where they were run, to be kept; none if that was tried already.

    Without the proof that the candidate is what was planned, something else than a fold is wrong.
    """
    if not verdict.is_proved:
        return {}
    failed: Refused = {(0, name): Kept(Reason.FAILED_ITS_RUN, name) for name in verdict.guilty}
    return {} if failed.keys() & refused.keys() else failed
