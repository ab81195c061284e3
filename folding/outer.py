"""Constants that bodies read from the graphs around them, once their own folds are decided.

    w ─ body: layer ─ affine            body: w' ─ layer'

A fold in a body stores what it changes there. The constant outside goes when nothing else reads it;
the graph around was decided before, when that could not be known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from folding.draft import Draft


def let_go(drafts: Sequence[Draft]) -> None:
    """Drop the stored tensors that only bodies read, and no longer do."""
    bodies = [draft for draft in drafts if draft.scope.parent is not None]
    if not any(draft.changed for draft in bodies):
        return
    named = {name for draft in bodies for name in _names(draft)}
    for draft in drafts:
        scope = draft.scope
        for name in sorted(scope.captured & scope.initializers.keys() - named - scope.outputs):
            if not draft.readers(name).count and not draft.measurers(name).count:
                draft.drop_tensor(name)


def _names(draft: Draft) -> Iterator[str]:
    """The names in a body that may be one of the graphs around it."""
    scope = draft.scope
    yield from (*scope.inputs, *scope.outputs, *scope.initializers)
    for index in range(len(scope.nodes) + len(draft.after)):
        node = draft.nodes[index] if index in draft.nodes else scope.nodes[index]
        if node is not None:
            yield from node.input
