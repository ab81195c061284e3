"""``lint()``: open a model, look at its graphs as they are at inference, and run it.

    source ── unconverted operators? ── prepare ── flags frozen ── plan ── lints of each graph
                                                                     └──── runs, in a child

``fold`` and ``explain`` look at the plan that they have made anyway, and run nothing for it. What
a framework has saved is converted first (``folding.conversion.linting``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from folding import guards, soundness
from folding._version import __version__
from folding.clock import Clock, Progress
from folding.conversion.protobufs import is_onnx
from folding.conversion.request import Request, Samples
from folding.equivalence.feeds import Inputs
from folding.equivalence.limits import RUN_LIMITS, RunLimits
from folding.errors import BadCall
from folding.lint.finding import Finding
from folding.lint.looking import lint_model
from folding.lint.running import ran
from folding.lint.unconverted import unconverted
from folding.model_limits import LIMITS, Limits
from folding.modelfile import open_model
from folding.preparing import prepare_if_asked
from folding.report import as_text
from folding.spool import STANDARD, standard_input

AnyPath = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Linted:
    """What was found in a source; ``unrun`` is why it was not run, or not on other examples."""

    source: str
    findings: Sequence[Finding]
    unrun: str = ""

    def to_json(self) -> str:
        """The report as text; ``lint.schema.json`` describes it."""
        report = {
            "version": __version__,
            "source": self.source,
            "findings": [finding.to_dict() for finding in self.findings],
            "unrun": self.unrun or None,
        }
        return as_text(report)


def lint(
    source: AnyPath,
    *,
    run: bool = True,
    inputs: Inputs | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    freeze: Mapping[str, Any] | None = None,
    follow_links: bool = False,
    limits: Limits = LIMITS,
    run_limits: RunLimits = RUN_LIMITS,
    trust: bool = False,
    progress: Progress | None = None,
) -> Linted:
    """What looks wrong in the model at ``source``. It is not changed.

    Args:
        source: an ONNX file, or whatever ``folding.convert`` takes from a disk; ``-`` is standard
            input.
        run: whether to run the model, too, to see what only that shows.
        inputs: what to run it on, as for ``fold``.
        shapes: the shapes of inputs that are made up, by input name.
        freeze: values for inputs, as for ``fold``.
        follow_links: whether external data may be a link that leaves the model's folder.
        limits: how deep graphs may be nested, and how far functions expand.
        run_limits: how long the runs may take, and how much memory.
        trust: whether code of a source that is converted may run.
        progress: is told the name of each stage when it begins.

    Returns:
        The findings, each with its code, its place, the cause and the remedy.

    Raises:
        FoldError: the source or the call is bad.
    """
    _require_path(source)
    if os.fspath(source) != STANDARD and not is_onnx(Path(source)):
        from folding.conversion.linting import linted  # noqa: PLC0415 - few sources are converted

        request = Request(
            freeze=freeze or {},
            sample_inputs=_samples(inputs, shapes),
            trust=trust,
            limits=limits,
            run_limits=run_limits,
        )
        return linted(os.fspath(source), request, run=run, progress=progress)
    name, clock = os.fspath(source), Clock(progress)
    with ExitStack() as stack:
        path = stack.enter_context(standard_input()) if name == STANDARD else Path(source)
        with clock.stage("read"):
            opening = open_model(path, name=name, follow_links=follow_links, nesting=limits.nesting)
            model = stack.enter_context(opening)
            guards.check(model.proto, name, limits)
            if found := list(unconverted(model.proto)):
                return Linted(name, found, "it has operators that no runtime knows")
            soundness.check(model, name)
        prepared = prepare_if_asked(clock, model, freeze, ())
        with clock.stage("lint"):
            looked = lint_model(prepared.model)
        if not run:
            return Linted(name, looked.findings)
        with clock.stage("run"):
            steered = dict(looked.required)
            seen, unrun = ran(prepared, limits.nesting, run_limits, inputs, shapes, steered)
        return Linted(name, [*looked.findings, *seen], unrun)


def _require_path(source: Any) -> None:
    if not isinstance(source, (str, os.PathLike)):
        text = f"the source is a {type(source).__name__}, and lint takes a path"
        raise BadCall(text, hint="Save it, or convert it: folding.convert warns of the same.")


def _samples(inputs: Inputs | None, shapes: Mapping[str, Sequence[int]] | None) -> Samples | None:
    """What a source that is converted is run on."""
    if shapes:
        text = "shapes are for ONNX models; those of other sources are known"
        raise BadCall(text, hint="Give inputs instead.")
    if inputs is None or isinstance(inputs, (str, os.PathLike, Mapping)):
        return inputs
    text = "a source that is not ONNX is run on arrays by name, or an .npz of them"
    raise BadCall(text, hint="Give one of these as its inputs.")
