"""Nodes that nothing reads do not keep a fold from what they read, and go with it.

    layer ─ v ─┬─ affine ─ y            before
               └─ Sigmoid ─ nothing
    layer' ─ y                          after

No output of the model depends on such a node, so all outputs are exactly what they are without it.
It cannot stay as it is, since what it reads is no more, and it is not given another value: it could
fail on that, where it did not before. Those whose values are as they were stay.

1. None of its results is a graph output, seen by a body, or read but by other such nodes; who asks
   for a shape reads, too.
2. It is one of ONNX's own operators, without a body and not random: others may do more than make
   their results.
3. It is no affine, which is decided about like any other.
4. What it reads is the first output of a node, no part of a Split, and rests on what is fed: such a
   value gets another name whenever it changes. Other reads count like those of any node.
"""

from __future__ import annotations

from folding.constants import Constants
from folding.draft import Draft
from folding.graph import Scope
from folding.protos import DRAWING
from folding.recognise import Recogniser
from folding.unread import unread


def overlook(draft: Draft, steps: Recogniser) -> None:
    """Let the idle nodes of a scope count as no readers of values that may change."""
    scope = draft.scope
    draft.idle = idle(scope, steps)
    names = {name for index in draft.idle for name in scope.reads[index]}
    for name in names & _fed(scope, steps.constants) if names else ():
        readers = scope.readers.pop(name, ())
        left = [index for index in readers if index not in draft.idle]
        if left:
            scope.readers[name] = left


def take_away(draft: Draft) -> None:
    """Take the idle nodes away that read what is no more."""
    known = draft.scope.producers
    for index in sorted(draft.idle):
        reads = () if draft.nodes.get(index, index) is None else draft.node(index).input
        if any(name in known and draft.producer(name) is None for name in reads):
            draft.take_away(index)


def idle(scope: Scope, steps: Recogniser) -> set[int]:
    """The nodes of a scope that nothing reads and that do nothing else."""
    random = {index for index, operator in enumerate(scope.operators) if operator in DRAWING}
    return unread(scope, random | scope.foreign | {*scope.nesting} | steps.steps.keys())


def _fed(scope: Scope, constants: Constants) -> frozenset[str]:
    """The values of a scope that rest on its inputs, and have other names when they change.

    What a body reads from outside is fed, too, unless it is a constant.
    """
    own = scope.producers.keys() | scope.initializers.keys()
    given = {name for reads in scope.reads for name in reads if name and name not in own}
    resting = {name for name in given if name not in constants}
    found: set[str] = set()
    for index, reads in enumerate(scope.reads):
        if not resting.isdisjoint(reads):
            made = scope.makes[index]
            resting.update(filter(None, made))
            found.update(() if scope.is_own(index, "Split") else made[:1])
    return frozenset(found)
