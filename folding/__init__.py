"""fold-model: multiply trained normalisation into the layers beside it, and prove the result.

    report = folding.fold("model.onnx", "model.folded.onnx")
    folded, report = folding.fold_model(model_proto)
    plan = folding.explain("model.onnx")
    report = folding.convert("model.keras", "model.onnx")
    verdict = folding.verify("model.onnx", "somebody_elses.onnx")
    findings = folding.lint.lint("model.onnx").findings

Everything raised on purpose is a ``FoldError``. An affine that cannot be folded is none: it is a
decision of the plan, with its reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from folding._version import __version__
from folding.errors import (
    BadCall,
    BadModel,
    FoldError,
    Malformed,
    NotEquivalent,
    StorageFailed,
    Unconvertible,
    Unproven,
)

if TYPE_CHECKING:
    from folding import lint
    from folding.conversion.converting import convert
    from folding.conversion.report import ConversionReport
    from folding.equivalence.limits import RunLimits
    from folding.inmemory import fold_model
    from folding.layout import Layout
    from folding.model_limits import Limits
    from folding.pipeline import explain, fold
    from folding.plan import Decision, Folded, Kept, Kind, Plan, Reason
    from folding.report import Report
    from folding.verifying import verify

__all__ = [
    "BadCall",
    "BadModel",
    "ConversionReport",
    "Decision",
    "FoldError",
    "Folded",
    "Kept",
    "Kind",
    "Layout",
    "Limits",
    "Malformed",
    "NotEquivalent",
    "Plan",
    "Reason",
    "Report",
    "RunLimits",
    "StorageFailed",
    "Unconvertible",
    "Unproven",
    "__version__",
    "convert",
    "explain",
    "fold",
    "fold_model",
    "lint",
    "verify",
]

_HOMES = {
    "folding.conversion.converting": ("convert",),
    "folding.conversion.report": ("ConversionReport",),
    "folding.equivalence.limits": ("RunLimits",),
    "folding.model_limits": ("Limits",),
    "folding.inmemory": ("fold_model",),
    "folding.pipeline": ("explain", "fold"),
    "folding.plan": ("Decision", "Folded", "Kept", "Kind", "Plan", "Reason"),
    "folding.report": ("Report",),
    "folding.verifying": ("verify",),
    "folding.layout": ("Layout",),
}


def __getattr__(name: str) -> Any:
    """Import what needs onnx only when it is asked for, so that ``import folding`` stays quick."""
    from importlib import import_module

    if name == "lint":
        return import_module("folding.lint")
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'folding' has no attribute {name!r}")
