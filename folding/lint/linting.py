"""``lint()``: open a model, look at its graphs as they are at inference, and run it.

    source ── unconverted operators? ── prepare ── flags frozen ── plan ── lints of each graph
                                                                     └──── runs, in a child

``fold`` and ``explain`` look at the plan that they have made anyway, and run nothing for it. What
a framework has saved is converted first; ``lint_product`` looks at what came of that.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from folding import guards, soundness
from folding._version import __version__
from folding.clock import Clock, Progress
from folding.conversion.job import Product
from folding.equivalence.inputs import Inputs
from folding.equivalence.limits import RUN_LIMITS, RunLimits
from folding.guards import LIMITS, Limits
from folding.lint.finding import Finding
from folding.lint.looking import lint_model
from folding.lint.running import ran
from folding.lint.sources import in_source
from folding.lint.unconverted import unconverted
from folding.modelfile import Model, open_model
from folding.preparing import prepare_if_asked
from folding.spool import STANDARD, standard_input

AnyPath = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Linted:
    """What was found in a source; ``unrun`` is why it was not run, if it should have been."""

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
        return json.dumps(report, indent=2, allow_nan=False) + "\n"


def lint(source: AnyPath, **options: Any) -> list[Finding]:
    """What looks wrong in the model at ``source``. It is not changed.

    Args:
        source: an ONNX file; ``-`` is standard input.
        **options: as for ``linted``.

    Returns:
        The findings, each with its code, its place, the cause and the remedy.

    Raises:
        FoldError: the source or the call is bad.
    """
    return list(linted(source, **options).findings)


def linted(
    source: AnyPath,
    *,
    run: bool = True,
    inputs: Inputs | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    freeze: Mapping[str, Any] | None = None,
    follow_links: bool = False,
    limits: Limits = LIMITS,
    run_limits: RunLimits = RUN_LIMITS,
    progress: Progress | None = None,
) -> Linted:
    """Like ``lint``, and why it was not run.

    Args:
        source: an ONNX file; ``-`` is standard input.
        run: whether to run the model, too, to see what only that shows.
        inputs: what to run it on, as for ``fold``.
        shapes: the shapes of inputs that are made up, by input name.
        freeze: values for inputs, as for ``fold``.
        follow_links: whether external data may be a link that leaves the model's folder.
        limits: how deep graphs may be nested, and how far functions expand.
        run_limits: how long the runs may take, and how much memory.
        progress: is told the name of each stage when it begins.
    """
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
            found = lint_model(prepared.model)
        if not run:
            return Linted(name, found)
        with clock.stage("run"):
            seen, unrun = ran(prepared, limits.nesting, run_limits, inputs, shapes)
        return Linted(name, [*found, *seen], unrun)


def lint_product(product: Product, folder: Path, model: Model) -> list[Finding]:
    """What looks wrong in what a conversion has left in its folder, and in its source.

    What both say of is said once, of the source.
    """
    source = in_source(product, folder)
    said = {finding.code for finding in source}
    return [*source, *(finding for finding in lint_model(model) if finding.code not in said)]
