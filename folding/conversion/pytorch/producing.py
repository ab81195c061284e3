"""From a source that can be called to the product of a job."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from warnings import WarningMessage

from folding.conversion.job import Job, Port, Product
from folding.conversion.pytorch import norms
from folding.conversion.pytorch.calls import Call
from folding.conversion.pytorch.norms import Norm
from folding.conversion.pytorch.runs import Runs, chosen, record, write_runs
from folding.conversion.pytorch.tracing import trace
from folding.conversion.pytorch.translating import Untranslated, Written, translate
from folding.conversion.samples import Array, Spec, further_inputs, sample_inputs
from folding.errors import Unconvertible
from folding.plan import Warned

_TRANSLATOR, _TRACER = "torch.onnx {} of a program", "torch.onnx {} by tracing"
_HINT = "Write that part of the model with other operators."


@dataclass(slots=True)
class Origin:
    """What is to be converted.

    ``module`` computes what the framework does at inference, ``program`` is what is known of it
    operator by operator. ``heard`` is what is warned of meanwhile.
    """

    title: str
    module: Any
    call: Call
    norms: Sequence[Norm]
    is_declared: bool
    specs: dict[str, Spec]
    heard: Sequence[WarningMessage]
    program: Any = None
    warnings: list[Warned] = field(default_factory=list)
    lints: Sequence[Warned] = ()


def produce(origin: Origin, job: Job) -> Product:
    """Run and convert.

    Raises:
        BadCall: an output or the samples are wrong.
        Unconvertible: neither exporter can do it.
    """
    import torch

    feeds, further = sample_inputs(job, origin.specs), further_inputs(job, origin.specs)
    runs = record(origin.title, origin.module, origin.call, feeds, further)
    way, written = _carried_out(origin, job, runs)
    return Product(
        framework=f"torch {torch.__version__}",
        converter=way.converter.format(torch.__version__),
        inputs=_ports(written.inputs),
        outputs=_ports(written.outputs),
        references=write_runs(job, way.runs, written.inputs, written.outputs),
        unchecked=runs.unchecked,
        statistics=norms.written(job, origin.norms),
        declares_normalisation=origin.is_declared,
        warnings=(*origin.warnings, *way.warnings, *runs.warnings, *_traced(origin.heard)),
        lints=origin.lints,
    )


def _ports(names: Mapping[str, str]) -> tuple[Port, ...]:
    return tuple(Port(source, graph) for source, graph in names.items())


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to write the model, which of the runs it stands for, and what to say of it."""

    converter: str
    write: Callable[[], Written]
    runs: Runs
    warnings: Sequence[Warned] = ()


def _carried_out(origin: Origin, job: Job, runs: Runs) -> tuple[_Way, Written]:
    """The first way that leads anywhere."""
    failures = []
    for way in _ways(origin, job, runs, chosen(job, runs)):
        try:
            return way, way.write()
        except Untranslated as failure:
            failures.append(str(failure))
    text = f"{origin.title} cannot be converted: {failures[0]}"
    raise Unconvertible(text, hint=_HINT)


def _ways(origin: Origin, job: Job, runs: Runs, outputs: list[str]) -> Iterator[_Way]:
    last = runs.all[-1]
    opened = [name for name, spec in origin.specs.items() if spec.has_batch]
    if origin.program is not None:
        write = partial(translate, origin.program, origin.call, outputs, job)
        yield _Way(_TRANSLATOR, write, runs, [] if opened else _fixed(last.inputs))
    write = partial(trace, origin.module, origin.call, last, outputs, job)
    yield _Way(_TRACER, partial(write, opened=opened), runs, [] if opened else _fixed(last.inputs))
    if opened:
        only = Runs([last], runs.unchecked)
        yield _Way(_TRACER, partial(write, opened=()), only, _fixed(last.inputs))


def _fixed(inputs: Mapping[str, Array]) -> list[Warned]:
    """That the model takes one batch size."""
    sizes = {len(array) for array in inputs.values() if array.ndim}
    if not sizes:
        return []
    text = (
        f"the converted model takes batches of {max(sizes)} only, as it was exported, traced or"
        " run to be converted; export it with an open first axis if it is to take others"
    )
    return [Warned("BATCH_FIXED", next(iter(inputs)), text)]


def _traced(caught: Iterable[WarningMessage]) -> list[Warned]:
    """What tracing says that it cannot see."""
    heard = [str(one.message) for one in caught if one.category.__name__ == "TracerWarning"]
    text = "tracing has recorded one run, and what it decides by its inputs stays as it was: "
    clauses = dict.fromkeys(said.partition(". ")[0] for said in heard)
    return [Warned("TRACED", "", text + clause) for clause in clauses]
