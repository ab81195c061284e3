"""What a client does, as steps: a fold, a verification, an explanation.

Places for files are checked before anything is sent, by the rules of the calls here; files are kept
by the same means.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import grpc

from folding import beside
from folding.calling import Call, check_places, clear_places, target_of
from folding.clock import Clock
from folding.equivalence.limits import RUN_LIMITS, RunLimits
from folding.equivalence.verdict import VerdictName
from folding.errors import BadCall, FoldError
from folding.handing_over import hand_over
from folding.junit import to_junit
from folding.layout import Layout
from folding.model_limits import LIMITS, Limits
from folding.notes import check_notes, check_unread, write_notes
from folding.read_back import report_from, verification_from
from folding.report import FileFacts, Report, require
from folding.spool import STANDARD, standard_output
from folding.v1 import folding_pb2 as v1
from folding.verification import Verification
from folding_server.client.answers import Names, bad_answer, error_from, read_report
from folding_server.client.headers import (
    Materials,
    Runs,
    Wishes,
    explain_header,
    fold_header,
    verify_header,
)
from folding_server.client.results import Results
from folding_server.client.sources import open_inputs, open_model
from folding_server.client.transfer import Ask, Conversation, Header, Progress, Steps, persistent

AnyPath = str | os.PathLike[str]

_CPU = "CPUExecutionProvider"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server makes of some materials."""

    server: str
    materials: Materials
    results: Results

    def steps(self, header: Header, progress: Progress | None) -> Steps[None]:
        """Send the materials, and receive the results."""
        files = self.materials.files
        talk = Conversation(self.server, header, files, self.results, self.names, progress)
        return talk.steps()

    @property
    def names(self) -> Names:
        """What the models are called here."""
        return Names({model.outgoing[0].file.path: model.name for model in self.materials.models})

    @property
    def facts(self) -> list[FileFacts]:
        """What is to be said of the models."""
        return [
            FileFacts(model.name, model.size, model.outgoing[0].file.sha256)
            for model in self.materials.models
        ]

    def read(self, read: Callable[[Any], T]) -> T:
        """The report.

        Raises:
            ServiceError: it is none that this version can read.
        """
        return read_report(self.results.report, self.server, self.names, read)


def fold(
    server: str,
    source: AnyPath,
    target: AnyPath | None = None,
    *,
    verify: bool = True,
    inputs: AnyPath | None = None,
    layout: Layout = Layout.AS_SOURCE,
    follow_links: bool = False,
    limits: Limits = LIMITS,
    report_to: AnyPath | None = None,
    progress: Progress | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    tolerance: float | None = None,
    provider: str = _CPU,
    run_limits: RunLimits = RUN_LIMITS,
    freeze: Mapping[str, Any] | None = None,
    keep: Sequence[str] = (),
    allow_growth: bool = False,
) -> Steps[Report]:
    """The steps of a fold; see ``Client.fold``."""
    to = target_of(source, target, layout)
    with ExitStack() as stack:
        call = Call(
            os.fspath(source),
            Clock(),
            None if report_to is None else Path(report_to),
            digests=True,
            target=to,
            path=stack.enter_context(standard_output()) if to == STANDARD else Path(to),
            layout=Layout.SINGLE_FILE if to == STANDARD else layout,
            inputs=None if inputs is None else os.fspath(inputs),
        )
        model = open_model(call.source, "source", stack, follow_links=follow_links)
        check_places(call, model)
        clear_places(call, model)
        given = open_inputs(inputs, stack) if verify else []
        for place in call.places:
            check_unread(place, [each.source.path for each in given])
        assert call.path is not None
        identities = frozenset(file.identity for file in model.files)
        kept = stack.enter_context(beside.begun(call.path, identities))
        materials = Materials([model], given, limits)
        wishes = Wishes(freeze, keep, allow_growth)
        runs = Runs(shapes, tolerance, provider, run_limits)
        header = fold_header(materials, wishes, runs, Path(to).name, call.layout, verify=verify)
        answer = Answer(server, materials, Results(server, kept))
        yield from answer.steps(header, progress)
        report = _of_fold(answer.read(report_from), call, answer)
        hand_over(report, kept, call)
        require(report, call.source)
    return report


def _of_fold(found: Report, call: Call, answer: Answer) -> Report:
    """The report, with the files as they are here."""
    is_good = found.verification.name in (VerdictName.EQUIVALENT, VerdictName.SKIPPED)
    files, written = answer.results.files, None
    if is_good:
        if len(files) == 1:
            raise bad_answer(answer.server, "sent no model")
        written = FileFacts(call.target, sum(file.size for file in files[1:]), files[1].sha256)
    return replace(found, source=answer.facts[0], target=written)


def verify(
    server: str,
    reference: AnyPath,
    candidate: AnyPath,
    *,
    inputs: AnyPath | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    tolerance: float | None = None,
    provider: str = _CPU,
    follow_links: bool = False,
    limits: Limits = LIMITS,
    run_limits: RunLimits = RUN_LIMITS,
    report_to: AnyPath | None = None,
    junit_to: AnyPath | None = None,
    progress: Progress | None = None,
) -> Steps[Verification]:
    """The steps of a verification; see ``Client.verify``."""
    with ExitStack() as stack:
        paths = os.fspath(reference), os.fspath(candidate)
        if paths == (STANDARD, STANDARD):
            text = "standard input cannot be both models"
            raise BadCall(text, hint="Name a file for one.")
        opened = partial(open_model, stack=stack, follow_links=follow_links)
        ours, theirs = opened(paths[0], "reference"), opened(paths[1], "candidate")
        given = open_inputs(inputs, stack)
        notes = [Path(note) for note in (report_to, junit_to) if note is not None]
        check_notes(notes, (ours, theirs), [each.source.path for each in given])
        runs = Runs(shapes, tolerance, provider, run_limits)
        materials = Materials([ours, theirs], given, limits)
        answer = Answer(server, materials, Results(server))
        yield from answer.steps(verify_header(materials, runs), progress)
        one, other = answer.facts
        done = replace(answer.read(verification_from), reference=one, candidate=other)
        texts = ((report_to, done.to_json), (junit_to, partial(to_junit, done)))
        write_notes([(Path(path), text()) for path, text in texts if path is not None])
    return done


def explain(
    server: str,
    source: AnyPath,
    *,
    follow_links: bool = False,
    limits: Limits = LIMITS,
    report_to: AnyPath | None = None,
    progress: Progress | None = None,
    freeze: Mapping[str, Any] | None = None,
    keep: Sequence[str] = (),
    allow_growth: bool = False,
) -> Steps[Report]:
    """The steps of an explanation; see ``Client.explain``."""
    note = None if report_to is None else Path(report_to)
    call = Call(os.fspath(source), Clock(), note, digests=True)
    with ExitStack() as stack:
        model = open_model(call.source, "source", stack, follow_links=follow_links)
        check_places(call, model)
        clear_places(call, model)
        materials = Materials([model], [], limits)
        answer = Answer(server, materials, Results(server))
        header = explain_header(materials, Wishes(freeze, keep, allow_growth))
        yield from answer.steps(header, progress)
    report = replace(answer.read(report_from), source=answer.facts[0], target=None)
    if note is not None:
        with beside.noted(report.to_json(), note) as waiting:
            waiting.replace()
    return report


def info(server: str) -> Steps[v1.GetServerInfoResponse]:
    """What the server is and what it takes; see ``Client.info``.

    Raises:
        FoldError: it refuses, or cannot be reached.
    """

    def ask() -> Steps[v1.GetServerInfoResponse]:
        answer: v1.GetServerInfoResponse = yield Ask("GetServerInfo", v1.GetServerInfoRequest())
        return answer

    def meaning(error: grpc.RpcError) -> FoldError:
        return error_from(error, server, Names(), was_heard=False)

    return persistent(ask, meaning, lambda: True)
