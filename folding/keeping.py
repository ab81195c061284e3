"""Affines that the user wants to keep."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from folding.chains import Chain, chains
from folding.errors import BadCall
from folding.graph import Scope
from folding.modelfile import Model
from folding.plan import Kept, Reason
from folding.planner import Refused, plan_model
from folding.protos import title
from folding.recognise import Recogniser


def asked_to_keep(model: Model, names: Sequence[str]) -> Refused:
    """The affines of these names: of their outputs, or of any of their nodes.

    Raises:
        BadCall: an affine is called otherwise.
    """
    if not names:
        return {}
    found: Refused = {}
    unknown = dict.fromkeys(names)
    for number, draft in enumerate(plan_model(model, {}).drafts):
        scope = draft.scope
        for chain in chains(Recogniser(scope, draft.constants)):
            called = _names(scope, chain)
            if not called.isdisjoint(names):
                last = scope.makes[chain.nodes[-1]][0]
                found[number, last] = Kept(Reason.ASKED_TO_KEEP, last)
                for name in called & unknown.keys():
                    del unknown[name]
    _check(unknown)
    return found


def _names(scope: Scope, chain: Chain) -> set[str]:
    nodes = [scope.nodes[index] for index in chain.nodes]
    return {name for node in nodes for name in (title(node), *node.output) if name}


def _check(unknown: Iterable[str]) -> None:
    for name in unknown:
        text = f"there is no normalisation {name!r} to keep"
        raise BadCall(text, hint="fold-model explain says what they are called.")
