"""What jobs do: the same calls that the command makes, in a folder of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx
import onnxruntime

from folding import __version__, pipeline, verifying
from folding.assignments import parse_all
from folding.digests import sha256
from folding.equivalence.limits import CPU_PROVIDER, RUN_LIMITS, RunLimits
from folding.equivalence.running import Wish
from folding.errors import VerificationFailed
from folding.layout import Layout
from folding.model_limits import LIMITS, Limits
from folding.report import as_text
from folding.source import SourceFile
from folding_server.jobs.outcome import facts_of
from folding_server.jobs.places import REPORT, Places
from folding_server.jobs.runner import FileSpec, JobSpec, Kind

#: Runs get this share of a job's memory and time, so that they fail before the whole job does,
_RUNS_OF_ALL = 0.75
#: or all but so many seconds, if that is more.
_BESIDES_RUNS = 120.0
#: Below it operators broadcast by other rules, and little is folded.
_MIN_OPSET = 7
#: It would send models to another machine, and is there wherever onnxruntime is.
_REMOTE = "AzureExecutionProvider"

Progress = Callable[[str], None]


def perform(spec: JobSpec, places: Places, memory: int, progress: Progress) -> dict[str, Any]:
    """Do what is asked for; the outcome as plain JSON. The results are in ``places.out``.

    Raises:
        FoldError: the model or the call is bad.
    """
    if spec.kind is Kind.INFO:
        return {"facts": _info(), "files": []}
    out = Path(places.out)
    out.mkdir()
    report = places.shown(_REPORTS[spec.kind](spec, places, memory, progress))
    (out / REPORT).write_text(as_text(report), encoding="utf-8")
    facts = facts_of(report)
    if spec.kind is Kind.EXPLAIN:
        facts["verdict"] = None
    return {"facts": facts, "files": [asdict(file) for file in _files(out, Path(places.target))]}


def _fold(spec: JobSpec, places: Places, memory: int, progress: Progress) -> dict[str, Any]:
    options = spec.options
    try:
        return pipeline.fold(
            places.models[0],
            places.target,
            verify=options.get("verify", True),
            layout=Layout[options.get("layout") or Layout.AS_SOURCE.name],
            digests=True,
            progress=progress,
            limits=_limits(options),
            **_runs(spec, places, memory),
            **_choices(options),
        ).to_dict()
    except VerificationFailed as failure:
        return failure.report.to_dict()


def _verify(spec: JobSpec, places: Places, memory: int, progress: Progress) -> dict[str, Any]:
    done = verifying.verified(
        places.models[0],
        places.models[1],
        Wish(**_runs(spec, places, memory)),
        limits=_limits(spec.options),
        digests=True,
        progress=progress,
    )
    return done.to_dict()


def _explain(spec: JobSpec, places: Places, memory: int, progress: Progress) -> dict[str, Any]:
    report = pipeline.explained(
        places.models[0],
        limits=_limits(spec.options),
        digests=True,
        progress=progress,
        **_choices(spec.options),
    )
    return report.to_dict()


_REPORTS = {Kind.FOLD: _fold, Kind.VERIFY: _verify, Kind.EXPLAIN: _explain}


def _info() -> dict[str, Any]:
    return {
        "version": __version__,
        "onnx_version": onnx.__version__,
        "onnxruntime_version": onnxruntime.__version__,
        "min_opset": _MIN_OPSET,
        "max_opset": onnx.defs.onnx_opset_version(),
        "providers": [name for name in onnxruntime.get_available_providers() if name != _REMOTE],
    }


def _limits(options: Mapping[str, Any]) -> Limits:
    return Limits(
        options.get("max_nesting") or LIMITS.nesting,
        options.get("max_expanded_nodes") or LIMITS.expanded_nodes,
    )


def _choices(options: Mapping[str, Any]) -> dict[str, Any]:
    """What to fold and what not."""
    freeze = options.get("freeze") or {}
    return {
        "freeze": parse_all(tuple(f"{name}={value}" for name, value in freeze.items())),
        "keep": tuple(options.get("keep") or ()),
        "allow_growth": bool(options.get("allow_growth")),
    }


def _runs(spec: JobSpec, places: Places, memory: int) -> dict[str, Any]:
    """How models are run."""
    options, most = spec.options, int(memory * _RUNS_OF_ALL)
    return {
        "inputs": places.inputs,
        "shapes": options.get("shapes") or None,
        "tolerance": options.get("tolerance"),
        "provider": options.get("provider") or CPU_PROVIDER,
        "run_limits": RunLimits(
            min(options.get("run_seconds") or RUN_LIMITS.seconds, _seconds_of_runs(spec.seconds)),
            min(options.get("run_memory") or most, most),
        ),
    }


def _seconds_of_runs(seconds: float) -> float:
    """The time that runs may take in a job of so many seconds."""
    return max(seconds * _RUNS_OF_ALL, seconds - _BESIDES_RUNS)


def _files(out: Path, target: Path) -> list[FileSpec]:
    """The results: the report, the model, what it keeps apart."""
    order = {REPORT: 0, target.name: 1}
    found = sorted(out.iterdir(), key=lambda path: (order.get(path.name, 2), path.name))
    return [_described(path) for path in found]


def _described(path: Path) -> FileSpec:
    file = SourceFile(path)
    try:
        return FileSpec(path.name, file.size, sha256(file))
    finally:
        file.close()
