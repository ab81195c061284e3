"""The plan of a whole model: the search in each of its scopes, outer before inner."""

from __future__ import annotations

from dataclasses import dataclass

from folding.constants import Constants
from folding.draft import Draft
from folding.graph import Scope, index
from folding.modelfile import Model
from folding.names import Names
from folding.plan import Decision, Kept, Warned
from folding.search import Search

_INPUTS_HOLD_INITIALIZERS_BELOW_IR = 4

#: Affines that may not be folded, by scope and name: their numbers do not fit.
Refused = dict[tuple[int, str], Kept]


@dataclass(frozen=True, slots=True)
class Planned:
    """The decisions, and the graphs as they will be: one draft for each scope, outer first."""

    decisions: list[Decision]
    drafts: list[Draft]
    warnings: list[Warned]


def plan_model(model: Model, refused: Refused) -> Planned:
    """Decide about every affine of a model. Nothing is changed, no big weight is read."""
    scopes, problem = _index(model)
    names = Names(scopes)
    old = model.proto.ir_version < _INPUTS_HOLD_INITIALIZERS_BELOW_IR
    decisions: list[Decision] = []
    drafts: list[Draft] = []
    warnings: list[Warned] = []
    if problem is not None:
        text = f"the shapes of this model are not known: {problem}"
        warnings.append(Warned("SHAPES_UNKNOWN", "", text))
    known: dict[int, Constants] = {}
    for number, scope in enumerate(scopes):
        outer = known[id(scope.parent)] if scope.parent else None
        constants = known[id(scope)] = Constants(model, scope, outer)
        draft = Draft(scope, constants, names, keeps_inputs=old)
        here = {name: kept for (where, name), kept in refused.items() if where == number}
        search = Search(draft, here)
        decisions += search.decide()
        warnings += search.warnings
        drafts.append(draft)
    return Planned(decisions, drafts, warnings)


def _index(model: Model) -> tuple[list[Scope], str | None]:
    """The scopes, with the shapes that follow from constants ONNX's inference does not evaluate."""
    scopes, problem = index(model)
    settled = Constants(model, scopes[0], None).settled()
    return index(model, settled) if settled.shapes or settled.values else (scopes, problem)
