"""What a call's header asks for, checked field by field, as a job.

Refusals name the field. Nothing is believed of what a client says: what is not refused here is
either harmless or found out where it is used, in the job's process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass
from math import isfinite
from pathlib import PurePosixPath
from typing import Any

from folding.equivalence.limits import CPU_PROVIDER
from folding.v1.folding_pb2 import (
    LAYOUT_EXTERNAL_DATA,
    LAYOUT_SINGLE_FILE,
    LAYOUT_UNSPECIFIED,
    ExplainHeader,
    File,
    FoldHeader,
    FoldOptions,
    JobOptions,
    Model,
    RunOptions,
    VerifyHeader,
)
from folding_server.errors import ServiceError
from folding_server.jobs.runner import DIGEST, FileSpec, JobSpec, Kind, ModelSpec
from folding_server.limits import ServerLimits
from folding_server.paths import check_apart, check_path

_LAYOUTS = {
    LAYOUT_UNSPECIFIED: "AS_SOURCE",
    LAYOUT_SINGLE_FILE: "SINGLE_FILE",
    LAYOUT_EXTERNAL_DATA: "EXTERNAL_DATA",
}
_REPORT = "report.json"  # The name of another file that is sent back.
_MOST = 10_000
_MOST_DIMS = 64


@dataclass(frozen=True, slots=True)
class Terms:
    """What the server allows the client of a header: ``seconds`` is what is left of its call."""

    owner: str
    limits: ServerLimits
    providers: Sequence[str] = (CPU_PROVIDER,)
    seconds: float | None = None


def fold_job(header: FoldHeader, terms: Terms) -> JobSpec:
    """The job that the header of Fold asks for.

    Raises:
        ServiceError: BAD_REQUEST, or UPLOAD_TOO_LARGE.
    """
    _check_counts([header.model], header.run, terms)
    model = _model(header.model, "header.model")
    if header.layout not in _LAYOUTS:
        raise _bad("header.layout", "is none that this server knows")
    options = {
        **_fold_options(header.options),
        **_run_options(header.run, terms),
        **_job_options(header.job, terms),
        "verify": not header.skip_verification,
        "layout": _LAYOUTS[header.layout],
        "target": _target(header.target, model),
    }
    return _job(Kind.FOLD, [model], _inputs(header.run), options, header.job, terms)


def verify_job(header: VerifyHeader, terms: Terms) -> JobSpec:
    """The job that the header of Verify asks for. Raises as ``fold_job``."""
    _check_counts([header.reference, header.candidate], header.run, terms)
    models = [
        _model(header.reference, "header.reference"),
        _model(header.candidate, "header.candidate"),
    ]
    options = {**_run_options(header.run, terms), **_job_options(header.job, terms)}
    return _job(Kind.VERIFY, models, _inputs(header.run), options, header.job, terms)


def explain_job(header: ExplainHeader, terms: Terms) -> JobSpec:
    """The job that the header of Explain asks for. Raises as ``fold_job``."""
    _check_counts([header.model], None, terms)
    options = {**_fold_options(header.options), **_job_options(header.job, terms)}
    models = [_model(header.model, "header.model")]
    return _job(Kind.EXPLAIN, models, [], options, header.job, terms)


#: How the job of each kind is read from its header.
JOBS: dict[Kind, Callable[[Any, Terms], JobSpec]] = {
    Kind.FOLD: fold_job,
    Kind.VERIFY: verify_job,
    Kind.EXPLAIN: explain_job,
}


def _job(
    kind: Kind,
    models: Sequence[ModelSpec],
    inputs: Sequence[FileSpec],
    options: dict[str, Any],
    told: JobOptions,
    terms: Terms,
) -> JobSpec:
    """All of it, if it is not too much."""
    seconds, most = _seconds(told, terms), terms.limits
    spec = JobSpec(kind, terms.owner, tuple(models), tuple(inputs), options, seconds)
    size = sum(file.size for file in spec.files)
    if size > most.max_model_bytes:
        text = f"the files have {size} bytes, but a call may have {most.max_model_bytes}"
        raise ServiceError("UPLOAD_TOO_LARGE", text)
    return spec


def _check_counts(models: Sequence[Model], run: RunOptions | None, terms: Terms) -> None:
    """Refuse what is too much before any of it is looked at."""
    count = sum(1 + len(model.external_data) for model in models)
    count += len(run.inputs) if run is not None else 0
    if count > (most := terms.limits.max_files):
        text = f"there are {count} files, but a call may have {most}"
        raise ServiceError("UPLOAD_TOO_LARGE", text)


def _model(model: Model, field: str) -> ModelSpec:
    data_fields = [f"{field}.external_data[{i}]" for i in range(len(model.external_data))]
    file = _file(model.file, f"{field}.file")
    data = tuple(map(_file, model.external_data, data_fields))
    own = FileSpec(PurePosixPath(file.path).name, file.size, file.sha256)
    fields = [f"{name}.path" for name in (f"{field}.file", *data_fields)]
    check_apart([own.path, *(each.path for each in data)], fields)
    return ModelSpec(file.path, own, data)


def _inputs(run: RunOptions) -> list[FileSpec]:
    fields = [f"header.run.inputs[{i}]" for i in range(len(run.inputs))]
    files = list(map(_file, run.inputs, fields))
    check_apart([file.path for file in files], [f"{field}.path" for field in fields])
    return files


def _file(file: File, field: str) -> FileSpec:
    check_path(file.path, f"{field}.path")
    if not DIGEST.fullmatch(file.sha256):
        raise _bad(f"{field}.sha256", "is not 64 lower-case hexadecimal digits")
    return FileSpec(file.path, file.size, file.sha256)


def _target(target: str, model: ModelSpec) -> str:
    """What the folded model is to be called."""
    if not target:
        return model.folded_name
    check_path(target, "header.target")
    if PurePosixPath(target).name == _REPORT:
        raise _bad("header.target", f"is {_REPORT}, which is another file of the answer")
    return target


def _fold_options(told: FoldOptions) -> dict[str, Any]:
    _check_names(told.freeze, lambda: list(told.freeze), "header.options.freeze")
    _check_few(told.keep, "header.options.keep")
    return {
        "freeze": dict(told.freeze),
        "keep": list(told.keep),
        "allow_growth": told.allow_growth,
    }


def _run_options(told: RunOptions, terms: Terms) -> dict[str, Any]:
    field = "header.run"
    provider = told.provider or CPU_PROVIDER
    if provider not in terms.providers:
        raise _bad(f"{field}.provider", f"is none of {', '.join(terms.providers)}")
    tolerance = told.tolerance if told.HasField("tolerance") else None
    return {
        "shapes": _shapes(told),
        "tolerance": None if tolerance is None else _number(tolerance, f"{field}.tolerance"),
        "provider": provider,
        "run_seconds": _run_seconds(told, terms) or None,
        "run_memory": told.memory_limit_bytes or None,
    }


def _run_seconds(told: RunOptions, terms: Terms) -> float:
    """How long runs may take; a proof that is cut short would be another than was asked for."""
    field, most = "header.run.time_limit_seconds", terms.limits.max_seconds
    if told.time_limit_seconds > most:
        raise _bad(field, f"is more than the {most:g} s that this server gives a job")
    return _number(told.time_limit_seconds, field)


def _shapes(told: RunOptions) -> dict[str, list[int]]:
    _check_names(told.shapes, lambda: [shape.name for shape in told.shapes], "header.run.shapes")
    _check_few(range(sum(len(shape.dims) for shape in told.shapes)), "header.run.shapes")
    for place, shape in enumerate(told.shapes):
        if len(shape.dims) > _MOST_DIMS or any(dim < 1 for dim in shape.dims):
            field = f"header.run.shapes[{place}].dims"
            raise _bad(field, f"has more than {_MOST_DIMS} sizes, or one below 1")
    return {shape.name: list(shape.dims) for shape in told.shapes}


def _job_options(told: JobOptions, terms: Terms) -> dict[str, Any]:
    most, field = terms.limits, "header.job"
    _number(told.time_limit_seconds, f"{field}.time_limit_seconds")
    for name, limit in (
        ("max_nesting", most.max_nesting),
        ("max_expanded_nodes", most.max_expanded_nodes),
    ):
        if getattr(told, name) > limit:
            raise _bad(f"{field}.{name}", f"is more than this server's {limit}")
    return {
        "max_nesting": told.max_nesting or None,
        "max_expanded_nodes": told.max_expanded_nodes or None,
    }


def _seconds(told: JobOptions, terms: Terms) -> float:
    """How long the job may run: never longer than somebody waits for it."""
    asked = told.time_limit_seconds or terms.limits.usual_seconds
    left = asked if terms.seconds is None else terms.seconds
    return max(0.0, min(asked, terms.limits.max_seconds, left))


def _number(value: float, field: str) -> float:
    if not isfinite(value) or value < 0:
        raise _bad(field, "is not a finite number from 0 on")
    return value


def _check_names(named: Sized, names_of: Callable[[], Sequence[str]], field: str) -> None:
    """See that there are not too many before any is looked at."""
    _check_few(named, field)
    names = names_of()
    if "" in names:
        raise _bad(field, "has an empty name")
    if len(set(names)) < len(names):
        raise _bad(field, "has a name twice")


def _check_few(named: Sized, field: str) -> None:
    if len(named) > _MOST:
        raise _bad(field, f"has more than {_MOST} entries")


def _bad(field: str, why: str) -> ServiceError:
    return ServiceError("BAD_REQUEST", f"{field} {why}", field=field)
