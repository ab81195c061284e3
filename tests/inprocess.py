"""Models that are run in the process of the tests, to look at what is said of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from onnx import ModelProto

import folding
from folding import edits
from folding.draft import Draft
from folding.equivalence.frame import check_frame
from folding.equivalence.gate import verify_any, verify_fold
from folding.equivalence.jobs import Job, ModelPlace
from folding.equivalence.running import Running
from folding.equivalence.runs import Answer, answer, compare
from folding.equivalence.sites import find_sites
from folding.equivalence.verdict import Check, Verdict
from folding.equivalence.worker import Worker
from folding.inmemory import inlined
from folding.model_limits import LIMITS
from folding.modelfile import Model, in_memory, open_model
from folding.planner import plan_model

AnyModel = ModelProto | Path


def folded(source: ModelProto) -> ModelProto:
    """What it folds to."""
    return folding.fold_model(source, verify=False)[0]


Fold = tuple[Model, ModelProto, list[Draft]]


def planned_fold(source: ModelProto, fault: Callable[[Draft], Any] = lambda _: None) -> Fold:
    """A source, what it folds to, and the plan for that, after ``fault`` had its way with it."""
    reference = in_memory(source)
    drafts = plan_model(reference, {}).drafts
    fault(drafts[0])
    return reference, inlined(edits.apply(reference, drafts)[0]).proto, drafts


def planned_frame(source: ModelProto, fault: Callable[[Draft], Any] = lambda _: None) -> Check:
    """What the frame says of such a fold."""
    reference, candidate, drafts = planned_fold(source, fault)
    return check_frame(reference, in_memory(candidate), drafts)


class Here:
    """Stands in for a worker: does at once, and here, what one would do elsewhere."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def call(self, _: str, job: Job) -> Any:
        self.jobs.append(job)
        return json.loads(json.dumps(answer(job)))


def run_here(worker: Any = None, **more: Any) -> Running:
    """A ``Running`` without a process."""
    return Running(cast("Worker", worker or Here()), LIMITS.nesting, **more)


@contextmanager
def opened(*models: AnyModel) -> Iterator[list[Model]]:
    """Models as the checks take them: in files."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        found = []
        for number, model in enumerate(models):
            path = folder / f"{number}.onnx"
            if isinstance(model, Path):
                path = model
            else:
                path.write_bytes(model.SerializeToString())
            found.append(stack.enter_context(open_model(path)))
        yield found


def fold_verdict(reference: AnyModel, candidate: AnyModel, **more: Any) -> Verdict:
    """What is said of a fold of ours."""
    with opened(reference, candidate) as (ours, theirs):
        return verify_fold(ours, theirs, {}, run_here(**more))


def any_verdict(reference: AnyModel, candidate: AnyModel, **more: Any) -> Verdict:
    """What is said of whatever somebody else made."""
    with opened(reference, candidate) as (ours, theirs):
        return verify_any(ours, theirs, run_here(**more))


def job_for(reference: Model, candidate: Model, **more: Any) -> Job:
    """What there is to run for a fold of ours, as the gate says it."""
    main, *inner = drafts_of(reference)
    sites, missing = find_sites(main, candidate.proto.graph)
    assert reference.path is not None
    assert candidate.path is not None
    fields: dict[str, Any] = {
        "sites": sites,
        "skipped": [*missing, *(name for draft in inner for name in draft.ends)],
        "gone": frozenset(main.vanished | main.renamed.keys()),
    }
    places = ModelPlace(reference.path), ModelPlace(candidate.path)
    return Job(*places, LIMITS.nesting, **{**fields, **more})


def drafts_of(model: Model) -> list[Draft]:
    """The plan for each graph of a model, the main one first."""
    return list(plan_model(model, {}).drafts)


def compared(reference: AnyModel, candidate: AnyModel, **more: Any) -> Answer:
    """What the runs of a fold of ours find."""
    with opened(reference, candidate) as (ours, theirs):
        return compare(job_for(ours, theirs, **more))
