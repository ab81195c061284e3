"""Lints of what a framework has saved: it is converted in a private folder and looked at there."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from folding.clock import Clock, Progress
from folding.conversion.child import converted
from folding.conversion.folders import private_folder
from folding.conversion.handing import named
from folding.conversion.job import MODEL, Product
from folding.conversion.request import Request
from folding.conversion.routing import ROUTES
from folding.conversion.samples import IN, Array, Feed
from folding.conversion.sources import opened_source
from folding.equivalence.input_files import archive
from folding.floats import FLOATS
from folding.lint.finding import Code, Finding
from folding.lint.linting import Linted, lint
from folding.lint.sources import in_source
from folding.modelfile import open_model
from folding.protos import graphs, title
from folding.report import Report

_OPERATOR = "BatchNormalization"
#: What TensorFlow calls the nodes of one.
_NAMED = re.compile(r"(^|/)(batchnorm|FusedBatchNorm\w*)(/|$)")


def linted(
    name: str, request: Request, *, run: bool = True, progress: Progress | None = None
) -> Linted:
    """What looks wrong in a file or folder of a framework, and in what a converter makes of it.

    Args:
        name: its path.
        request: how it is to be converted.
        run: whether to run what the converter makes, too.
        progress: is told the name of each stage when it begins.

    Raises:
        FoldError: it cannot be converted, or the call is bad.
    """
    clock = Clock(progress)
    with clock.stage("read"):
        source = opened_source(name, trust=request.trust)
    with private_folder() as folder:
        with clock.stage("convert"):
            job = replace(request.job(source.path, source.kind, folder), for_lints=True)
            product = converted(job, ROUTES[source.kind], name, request.run_limits)
            source.check_unchanged()
        lints = [Finding(Code[lint.code], lint.at, lint.text) for lint in product.lints]
        if not product.converter:
            return Linted(name, lints, f"it was not converted: {product.unchecked}")
        model = folder / "job" / MODEL
        with named(model, name):
            found = of_product(product, model, request, run=run)
        return replace(found, source=name, findings=[*lints, *found.findings])


def of_product(product: Product, model: Path, request: Request, *, run: bool) -> Linted:
    """What looks wrong in what a conversion has left, and in its source.

    What both say of is said once, of the source; it is the same if the remedy is.
    """
    source = in_source(product, model.parent)
    if any(finding.code is Code.NORM_ABSENT for finding in source) and _normalises(model, request):
        source = [finding for finding in source if finding.code is not Code.NORM_ABSENT]
    said = {(finding.code, finding.remedy) for finding in source}
    found = lint(
        model,
        run=run,
        inputs=_samples(product, model, request),
        limits=request.limits,
        run_limits=request.run_limits,
    )
    others = (finding for finding in found.findings if (finding.code, finding.remedy) not in said)
    return replace(found, findings=[*source, *others])


def _normalises(model: Path, request: Request) -> bool:
    """Whether a normalisation of the source is there, though its statistics are computed.

    Converters keep the names of nodes.
    """
    with open_model(model, nesting=request.limits.nesting) as opened:
        nodes = (node for graph in graphs(opened.proto) for node in graph.node)
        return any(n.op_type == _OPERATOR or _NAMED.search(title(n)) is not None for n in nodes)


def _samples(product: Product, model: Path, request: Request) -> Feed | None:
    """The user's samples by the names of the graph: the framework was run on the same."""
    if request.sample_inputs is None or not product.references:
        return None
    arrays = archive(model.parent / product.references[-1])
    with open_model(model, name=model.name, nesting=request.limits.nesting) as opened:
        kinds = {v.name: v.type.tensor_type.elem_type for v in opened.proto.graph.input}
    names = [port.graph for port in product.inputs]
    return {name: _typed(arrays[IN + name], kinds[name]) for name in names}


def _typed(array: Array, kind: int) -> Array:
    """An array in the type of the graph, which a file of arrays may lack."""
    if array.dtype.kind == "U":
        return array.astype(object)
    return array.astype(FLOATS[kind].dtype, copy=False) if kind in FLOATS else array


def without_lints(report: Report) -> Report:
    """The report of a fold, whose lints the conversion before it has said."""
    lints: Collection[str] = Code.__members__
    of_plan, of_all = (
        tuple(warning for warning in warnings if warning.code not in lints)
        for warnings in (report.plan.warnings, report.warnings)
    )
    return replace(report, plan=replace(report.plan, warnings=of_plan), warnings=of_all)
