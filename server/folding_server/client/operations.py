"""What a client does, as steps: a fold, a verification, an explanation.

The docstrings are those of the methods that clients make of it.

Places for files are checked before anything is sent, by the rules of the calls here; files are kept
by the same means.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from folding import beside
from folding.calling import Call, check_places, clear_places, target_of
from folding.clock import Clock
from folding.equivalence.limits import CPU_PROVIDER, RUN_LIMITS, RunLimits
from folding.errors import BadCall, FoldError
from folding.handing_over import hand_over
from folding.junit import to_junit
from folding.layout import Layout
from folding.model_limits import LIMITS, Limits
from folding.notes import check_notes, check_unread, write_notes
from folding.read_back import report_from, verification_from
from folding.report import Report, require
from folding.spool import STANDARD, standard_output
from folding.v1 import folding_pb2 as v1
from folding.verification import Verification
from folding_server.client.answers import Names, error_from
from folding_server.client.exchange import Exchange
from folding_server.client.headers import (
    Materials,
    Runs,
    Wishes,
    explain_header,
    fold_header,
    verify_header,
)
from folding_server.client.results import Results
from folding_server.client.sources import LocalInputs, open_inputs, open_model
from folding_server.client.transfer import Ask, Progress, Steps, persistent

AnyPath = str | os.PathLike[str]


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
    provider: str = CPU_PROVIDER,
    run_limits: RunLimits = RUN_LIMITS,
    freeze: Mapping[str, Any] | None = None,
    keep: Sequence[str] = (),
    allow_growth: bool = False,
) -> Steps[Report]:
    """Fold the model at ``source`` on the server, and write it to ``target`` here.

    Args:
        server: where; clients give their own.
        source: as for ``folding.fold``, and so are those below that are not explained.
        target: where the folded model goes.
        verify: whether the server is to prove that both are the same function.
        inputs: the path of an .npz file, or of a folder of input_*.pb.
        layout: where the target keeps its big tensors.
        follow_links: whether external data may be a link that leaves the model's folder.
        limits: how deep graphs may be nested, and how far functions expand.
        report_to: a file for the report as JSON, which is written if the model is or not.
        progress: is told each stage, and how much of it is done, from 0 to 1.
        shapes: the shapes of inputs that are made up, by input name.
        tolerance: how far outputs may be apart, relative to their size.
        provider: the execution provider that runs the folded model, one of the server's.
        run_limits: how long runs may take, and how much memory.
        freeze: values for inputs, by name.
        keep: affines that are to stay, by the names of their outputs or nodes.
        allow_growth: whether copies of shared tensors may grow the model by more than 1 %.

    Returns:
        What became of every affine, and the evidence.

    Raises:
        NotEquivalent: the folded model computes something else. Nothing was written.
        Unproven: equivalence could not be established. Nothing was written.
        FoldError: the source, the target or the call is bad. Nothing was written.
        ServiceError: the server refuses, or cannot be reached or believed. Nothing was written.
    """
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
            inputs=inputs,
        )
        model = open_model(call.source, "source", stack, follow_links=follow_links)
        check_places(call, model)
        clear_places(call, model)
        given = open_inputs(inputs if verify else None, stack)
        for place in call.places:
            check_unread(place, given.paths)
        assert call.path is not None
        identities = frozenset(file.identity for file in model.files)
        kept = stack.enter_context(beside.begun(call.path, identities))
        materials = Materials([model], given, limits)
        wishes = Wishes(freeze, keep, allow_growth)
        runs = Runs(shapes, tolerance, provider, run_limits) if verify else None
        header = fold_header(materials, wishes, runs, Path(to).name, call.layout)
        renamed = wishes.stand_ins | (runs.stand_ins if runs else {})
        exchange = Exchange(server, materials, Results(server, kept), renamed)
        yield from exchange.steps(header, progress)
        report = exchange.folded(call.target)
        hand_over(report, kept, call)
        require(report, call.source)
    return report


def verify(
    server: str,
    reference: AnyPath,
    candidate: AnyPath,
    *,
    inputs: AnyPath | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    tolerance: float | None = None,
    provider: str = CPU_PROVIDER,
    follow_links: bool = False,
    limits: Limits = LIMITS,
    run_limits: RunLimits = RUN_LIMITS,
    report_to: AnyPath | None = None,
    junit_to: AnyPath | None = None,
    progress: Progress | None = None,
) -> Steps[Verification]:
    """Whether ``candidate`` is the same function as ``reference``, as the server finds.

    The arguments are those of ``fold``, and ``junit_to`` is a file for the report as JUnit XML.

    Returns:
        The verdict, its evidence, and the facts about both files. Nothing is raised because the
        models differ.

    Raises:
        FoldError: a model, an input or the call is bad.
        ServiceError: the server refuses, or cannot be reached or believed.
    """
    with ExitStack() as stack:
        paths = os.fspath(reference), os.fspath(candidate)
        if paths == (STANDARD, STANDARD):
            text = "standard input cannot be both models"
            raise BadCall(text, hint="Name a file for one.")
        opened = partial(open_model, stack=stack, follow_links=follow_links)
        ours, theirs = opened(paths[0], "reference"), opened(paths[1], "candidate")
        given = open_inputs(inputs, stack)
        notes = [Path(note) for note in (report_to, junit_to) if note is not None]
        check_notes(notes, (ours, theirs), given.paths)
        runs = Runs(shapes, tolerance, provider, run_limits)
        materials = Materials([ours, theirs], given, limits)
        header = verify_header(materials, runs)
        exchange = Exchange(server, materials, Results(server), runs.stand_ins)
        yield from exchange.steps(header, progress)
        one, other = exchange.facts
        done = replace(exchange.read(verification_from), reference=one, candidate=other)
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
    """What folding the model at ``source`` on the server would do, as a report without a target.

    The arguments are those of ``fold``.

    Raises:
        FoldError: the source or the call is bad.
        ServiceError: the server refuses, or cannot be reached or believed.
    """
    note = None if report_to is None else Path(report_to)
    call = Call(os.fspath(source), Clock(), note, digests=True)
    with ExitStack() as stack:
        model = open_model(call.source, "source", stack, follow_links=follow_links)
        check_places(call, model)
        clear_places(call, model)
        materials = Materials([model], LocalInputs(), limits)
        wishes = Wishes(freeze, keep, allow_growth)
        header = explain_header(materials, wishes)
        exchange = Exchange(server, materials, Results(server), wishes.stand_ins)
        yield from exchange.steps(header, progress)
    report = replace(
        exchange.read(report_from, proves=False), source=exchange.facts[0], target=None
    )
    if note is not None:
        with beside.noted(report.to_json(), note) as waiting:
            waiting.replace()
    return report


def info(server: str) -> Steps[v1.GetServerInfoResponse]:
    """What the server is and what it takes.

    Raises:
        ServiceError: it refuses, or cannot be reached.
    """

    def ask() -> Steps[v1.GetServerInfoResponse]:
        answer: v1.GetServerInfoResponse = yield Ask("GetServerInfo", v1.GetServerInfoRequest())
        return answer

    def meaning(error: grpc.RpcError) -> FoldError:
        return error_from(error, server, Names(), was_heard=False)

    return persistent(ask, meaning, lambda: True)
