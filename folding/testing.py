"""For test suites: ``assert_equivalent`` says of two models what ``numpy.testing`` says of arrays.

It reads ``assert_equivalent("model.onnx", "exported.onnx")``, and needs no test framework.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from onnx import ModelProto

from folding.equivalence.feeds import Inputs
from folding.equivalence.limits import CPU_PROVIDER, RUN_LIMITS, RunLimits
from folding.equivalence.verdict import Verdict, VerdictName
from folding.exits import printable
from folding.model_limits import LIMITS, Limits
from folding.show import described
from folding.verifying import AnyModel, AnyPath, verify

_HEADERS = {
    VerdictName.DIFFERENT: "Not equivalent",
    VerdictName.UNPROVEN: "Equivalence could not be established",
}


def assert_equivalent(
    reference: AnyModel,
    candidate: AnyModel,
    *,
    inputs: Inputs | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    tolerance: float | None = None,
    provider: str = CPU_PROVIDER,
    custom_ops: AnyPath | None = None,
    follow_links: bool = False,
    limits: Limits = LIMITS,
    run_limits: RunLimits = RUN_LIMITS,
    accept_unproven: bool = False,
) -> None:
    """Raise an AssertionError with all evidence unless both models are the same function.

    The arguments are those of ``folding.verify``; with ``accept_unproven`` it is enough that no
    check failed.

    Raises:
        AssertionError: they differ, or it could not be established that they do not.
        FoldError: a model, an input or the call is bad.
    """
    __tracebackhide__ = True
    verdict = verify(
        reference,
        candidate,
        inputs=inputs,
        shapes=shapes,
        tolerance=tolerance,
        provider=provider,
        custom_ops=custom_ops,
        follow_links=follow_links,
        limits=limits,
        run_limits=run_limits,
    )
    accepted = {VerdictName.EQUIVALENT} | ({VerdictName.UNPROVEN} if accept_unproven else set())
    if verdict.name not in accepted:
        raise AssertionError("\n".join(_message(verdict, reference, candidate)))


def _message(verdict: Verdict, reference: AnyModel, candidate: AnyModel) -> Iterator[str]:
    yield from ("", _HEADERS[verdict.name], "")
    for check in verdict.checks:
        yield described(check)
        yield from check.mismatch
    yield f"Verdict: {verdict.name}: {printable(verdict.rests_on)}"
    yield f" REFERENCE: {_called(reference)}"
    yield f" CANDIDATE: {_called(candidate)}"


def _called(model: AnyModel) -> str:
    if isinstance(model, ModelProto):
        return printable(f"ModelProto {model.graph.name!r}")
    return printable(os.fspath(model))
