"""The names along a line after a fold: what was read before an affine is read behind it no more.

layer ─ v ─ carrier ─ w ─ affine ─ y         before
layer' ─ v' ─ carrier ─ y                    after
"""

from __future__ import annotations

from folding.draft import Draft
from folding.way import Edge, Fork, Line, Stop, Taken


def rewire(
    draft: Draft,
    line: Line,
    stops: list[Stop],
    gone: dict[int, str],
    out: str,
    forked: str = "",
) -> dict[str, str]:
    """Rename what stands on a line, and let each node read the one before it.

    ``forked`` is what the fork is called now where it ends; returns that of the one it begins at.
    """
    new = forked
    # A new Add on the line may come to read what they do, and goes on reading it.
    aside = [*draft.readers(line.start.value)] if isinstance(line.start, Fork) else []
    stages: list[tuple[Stop | None, list[str]]] = [(_top(line), [])]
    for stop in stops:
        if stop.node in gone:
            stages[-1][1].append(gone[stop.node])
        else:
            stages.append((stop, []))
    for number, (stage, stale) in enumerate(stages):
        following = stages[number + 1][0] if number + 1 < len(stages) else None
        if stage is not None:
            old = draft.node(stage.node).output[stage.place]
            is_end = following is None and line.start is None
            new = out if is_end else draft.renamed_value(old)
            draft.rename_output(stage.node, new, stage.place)
        for name in stale:
            draft.point_shapes(name, new)
        if following is not None:
            draft.set_input(following.entry, following.slot, new)
        elif isinstance(line.start, Edge):
            for slot in line.start.slots:
                draft.set_input(line.start.node, slot, new)
    if not isinstance(line.start, Fork):
        return {}
    draft.point_readers(aside, line.start.value, new)
    return {line.start.value: new}


def _top(line: Line) -> Stop | None:
    """The output that a line ends at; None if that is a fork's, which was renamed before."""
    if isinstance(line.end, Fork):
        return None
    place = 0 if isinstance(line.end, Taken) else line.end.place
    return Stop(line.end.node, 0, is_affine=False, place=place)
