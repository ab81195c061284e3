"""The plan of a whole model: the search in each of its scopes, outer before inner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from folding.branches import Branch
from folding.chains import Chain
from folding.constants import Constants
from folding.draft import Draft
from folding.expressions import Budget
from folding.graph import Scope, describe, index
from folding.idle import take_away
from folding.inference import infer
from folding.modelfile import Model
from folding.names import Names
from folding.plan import Decision, Folded, Kept, Kind, Reason, Warned
from folding.protos import INITIALIZERS_ALONE_SINCE_IR, subgraphs, title
from folding.recognise import Recogniser
from folding.roads import told
from folding.search import Search
from folding.settling import settled
from folding.shortening import say_what_stays, shorten
from folding.tensors import restore_names

#: Affines that may not be folded, by scope and name, and why.
Refused = dict[tuple[int, str], Kept]


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found out about one scope: its affine nodes, the runs of them, and their ends."""

    steps: Recogniser
    chains: Sequence[Chain]
    outcomes: Mapping[Chain, Folded | Kept]


@dataclass(frozen=True, slots=True)
class Planned:
    """The decisions, and the graphs as they will be: one draft for each scope, outer first.

    ``seen`` has for each draft what the decisions rest on.
    """

    decisions: list[Decision]
    drafts: list[Draft]
    warnings: list[Warned]
    seen: list[Seen] = field(default_factory=list)


def plan_model(model: Model, refused: Refused, *, shortens: bool = True) -> Planned:
    """Decide about every affine of a model. One that stays may be made shorter if it ``shortens``.

    Nothing is changed. A big weight is read, piece by piece, only where a shift goes down into it:
    what it adds behind the layer is a number that later folds may need.
    """
    drafts, problem = _drafts(model)
    planned = Planned([], drafts, [])
    if problem is not None:
        text = f"the shapes of this model are not known: {problem}"
        planned.warnings.append(Warned("SHAPES_UNKNOWN", "", text))
    refused_in: dict[int, dict[str, Kept]] = {}
    for (number, name), kept in refused.items():
        refused_in.setdefault(number, {})[name] = kept
    searches = [Search(draft, refused_in.get(draft.number, {})) for draft in drafts]
    _nest(searches)
    for search in searches:
        _keep(search)
    _decide(searches, shortens=shortens)
    for draft, search in zip(drafts, searches, strict=True):
        say_what_stays(search)
        planned.decisions.extend(_decisions(search))
        take_away(draft)
        planned.seen.append(Seen(search.steps, search.chains, search.outcomes))
        restore_names(draft)
        planned.warnings.extend(search.warnings)
    return planned


def untouched(model: Model) -> list[Draft]:
    """The graphs of a model as they are: what a plan leaves that folds nothing."""
    return _drafts(model)[0]


def _drafts(model: Model) -> tuple[list[Draft], str | None]:
    """A draft for each scope, outer before inner, and why shapes are unknown if they are."""
    scopes, problem, known = _indexed(model)
    budget = known[id(scopes[0])].budget if known else Budget()
    names = Names(scopes)
    old = model.proto.ir_version < INITIALIZERS_ALONE_SINCE_IR
    drafts = []
    for number, scope in enumerate(scopes):
        if id(scope) not in known:
            outer = known[id(scope.parent)] if scope.parent else None
            known[id(scope)] = Constants(model, scope, outer, budget)
        drafts.append(Draft(scope, known[id(scope)], names, old, number))
    return drafts, problem


def _keep(search: Search) -> None:
    """Let the affines that are to be kept stay from the start: others are decided before them.

    No shift goes into the Adds of those that are refused.
    """
    for chain in search.chains:
        kept = search.refused.get(search.name(chain))
        if kept is not None:
            search.draft.fixed.update(chain.nodes)
        if kept is not None and kept.reason is Reason.ASKED_TO_KEEP:
            search.outcomes[chain] = kept


def _decide(searches: Sequence[Search], *, shortens: bool) -> None:
    """Decide in all graphs; and again, since what was too dear for an If may no longer be."""
    folds = -1
    while folds != (found := sum(map(_folds, searches))):
        folds = found
        for search in searches:
            search.waits.has_taken_in(search.walker.branches)
            search.decide()
            while shortens and shorten(search):
                search.decide()
        if not any(search.walker.branches for search in searches):
            return


def _folds(search: Search) -> int:
    return sum(isinstance(outcome, Folded) for outcome in search.outcomes.values())


def _nest(searches: Sequence[Search]) -> None:
    """Tell the searches of the branches of their Ifs."""
    within: dict[int, list[Search]] = {}
    for search in searches:
        within.setdefault(id(search.draft.scope.parent), []).append(search)
    for search in searches:
        scope, inner = search.draft.scope, iter(within.get(id(search.draft.scope), ()))
        for place in scope.nesting:
            bodies = [(b, next(inner)) for b in subgraphs(scope.nodes[place])]
            if scope.is_own(place, "If"):
                gives = ((found, tuple(v.name for v in body.output)) for body, found in bodies)
                search.walker.branches[place] = tuple(Branch(*given) for given in gives)


def _decisions(search: Search) -> Iterator[Decision]:
    """What became of every affine, in graph order; mere numbers that stay are left out."""
    scope = search.draft.scope
    for chain in search.chains:
        outcome = search.outcomes[chain]
        if chain.kind is not Kind.SCALAR or isinstance(outcome, Folded):
            titles = tuple(title(scope.nodes[index]) for index in chain.nodes)
            yield Decision(search.name(chain), chain.kind, titles, told(search.draft, outcome))


def _indexed(model: Model) -> tuple[list[Scope], str | None, dict[int, Constants]]:
    """The scopes, with the shapes that follow from constants ONNX's inference does not evaluate.

    With them why no shapes are known, if so, and the constants that are known already.
    """
    scopes, problem = index(model)
    constants = Constants(model, scopes[0], None)
    known = settled(constants)
    if not known.shapes and not known.values:
        return scopes, problem, {id(scopes[0]): constants}
    inferred, problem = infer(model, known)
    describe(scopes, inferred)
    return scopes, problem, {}
