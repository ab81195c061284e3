"""Which affine nodes run together, and what each run is.

A maximal run of steps, each the only reader of the one before, is one affine: a ``Chain``. It is
told from a layer's bias (a pure shift), from a mere number (a scalar), and from the gamma and beta
of a normalisation that is computed at run time.
"""

from __future__ import annotations

from dataclasses import dataclass

from folding.graph import Scope
from folding.live import Live, live_values, scales_data
from folding.plan import Kept, Kind, Reason
from folding.recognise import Recogniser, Step


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """One affine: its nodes in order, or the reason why its only node cannot be one.

    ``is_scalar`` is whether it is a mere number, even behind a normalisation computed at run time.

    Each is itself alone: a long run of nodes is too much to compare or to hash at every look-up.
    """

    nodes: tuple[int, ...]
    kind: Kind
    refusal: Kept | None = None
    is_scalar: bool = False


def chains(steps: Recogniser) -> list[Chain]:
    """Every affine of a scope once, in graph order of its last node."""
    scope = steps.scope
    live = live_values(scope, steps.constants)
    open_runs: dict[str, list[int]] = {}
    runs: list[list[int]] = []
    for index, step in steps.steps.items():
        data = step.data if isinstance(step, Step) else ""
        run = open_runs.pop(data, None) if _is_private(scope, data) else None
        if run is None or not _agree(steps, run, step):
            run = []
            runs.append(run)
        run.append(index)
        if isinstance(step, Step):
            open_runs[scope.makes[index][0]] = run
    found = [chain for run in runs if (chain := _chain(steps, tuple(run), live))]
    return sorted(found, key=lambda chain: chain.nodes[-1])


def _is_private(scope: Scope, name: str) -> bool:
    alone = len(scope.readers.get(name, ())) == 1
    return alone and name not in scope.outputs and name not in scope.captured


def _agree(steps: Recogniser, run: list[int], step: Step | Kept) -> bool:
    """Whether a step acts along the axis that the run has, if it has one."""
    if isinstance(step, Kept) or step.axis is None:
        return isinstance(step, Step)
    members = (steps.steps[index] for index in reversed(run))
    axes = ((s.axis, s.channels) for s in members if isinstance(s, Step) and s.axis is not None)
    return next(axes, (step.axis, step.channels)) == (step.axis, step.channels)


def _chain(steps: Recogniser, nodes: tuple[int, ...], live: Live) -> Chain | None:
    """The affine that a run of steps is, or None if it is a bias or nothing at all."""
    first = steps.steps[nodes[0]]
    if isinstance(first, Kept):
        scope, index = steps.scope, nodes[0]
        # What a function is given may be trained: whether it is, each call of it says.
        unknown = scope.inputs if scope.closed is Reason.IN_FUNCTION else frozenset()
        computed = first.reason is Reason.LIVE_STATISTICS and first.at not in unknown
        groups = live.scaled, live.deviations
        running = computed or not all(g.isdisjoint(scope.reads[index]) for g in groups)
        is_batch_norm = scope.operators[index] == "BatchNormalization"
        plain = Kind.BATCH_NORM if is_batch_norm else Kind.SCALE_SHIFT
        return Chain(nodes, Kind.LIVE_NORM if running else plain, first)
    kind = _kind(steps, nodes)
    if kind is None:
        return None
    is_live = kind is not Kind.BATCH_NORM and _is_live(steps, nodes, first.data, live)
    return Chain(nodes, Kind.LIVE_NORM if is_live else kind, is_scalar=kind is Kind.SCALAR)


def _is_live(steps: Recogniser, nodes: tuple[int, ...], data: str, live: Live) -> bool:
    """Whether an affine belongs to a normalisation computed at run time.

    A root of means that scales nothing is data like any other (GeM pooling).
    """
    if data in live.scaled:
        return True
    output = steps.scope.makes[nodes[-1]][0]
    return data in live.deviations and scales_data(steps.scope, output, steps.constants)


def _kind(steps: Recogniser, nodes: tuple[int, ...]) -> Kind | None:
    members = [step for i in nodes if isinstance(step := steps.steps[i], Step)]
    if all(step.is_shift for step in members):
        return None
    if any(step.is_batch_norm for step in members):
        return Kind.BATCH_NORM
    if any(step.scales_channels for step in members):
        return Kind.SCALE_SHIFT
    if all(step.axis is None for step in members):
        return Kind.SCALAR
    whole = steps.compose(nodes)
    shifts_only = not isinstance(whole, Kept) and whole.scale.equals(1)
    return None if shifts_only else Kind.SCALE_SHIFT
