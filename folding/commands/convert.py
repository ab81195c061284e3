"""``fold-model convert``."""

# ruff: noqa: PLC0415 - nothing of onnx is imported for a --help
from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import click

from folding.commands import options
from folding.commands.output import printed_on_failure, shown
from folding.errors import BadCall
from folding.exits import DONE, STRICT, Outcome, guarded

if TYPE_CHECKING:
    from folding.model_limits import Limits


@click.command()
@click.argument("source", type=click.Path())
@click.option(
    "-o",
    "target",
    type=click.Path(),
    metavar="TARGET",
    help="Where the folded model goes, by default <stem>.folded.onnx; - is standard output.",
)
@click.option("--no-fold", is_flag=True, help="Write what the converter made, as <stem>.onnx.")
@click.option(
    "--output",
    "outputs",
    multiple=True,
    metavar="NAME",
    help="An output that is wanted, by the source's name; may be repeated.",
)
@options.freeze
@click.option("--opset", type=int, metavar="N", help="The operator set to convert to.")
@options.json_option
@click.option(
    "--sample-inputs",
    type=click.Path(),
    metavar="PATH",
    help="What to run on: an .npz with an array for each input; the first axis is the batch.",
)
@options.trust
@click.option(
    "--correct-averages",
    is_flag=True,
    help="Take from the moving averages of a TensorFlow 1 checkpoint what they began with.",
)
@options.strict
@click.option("--no-verify", is_flag=True, help="Write without proving anything.")
@options.keep
@options.allow_growth
@options.tolerance
@options.time_limit
@options.memory_limit
@options.model_limits
@options.quiet
@guarded
def convert(
    *,
    source: str,
    target: str | None,
    no_fold: bool,
    outputs: tuple[str, ...],
    freeze: tuple[str, ...],
    opset: int | None,
    json_path: str | None,
    sample_inputs: str | None,
    trust: bool,
    correct_averages: bool,
    strict: bool,
    no_verify: bool,
    keep: tuple[str, ...],
    allow_growth: bool,
    tolerance: float | None,
    time_limit: float | None,
    memory_limit: int | None,
    limits: Limits,
    quiet: bool,
) -> Outcome:
    """Convert SOURCE to ONNX, check it against its framework, fold it and write it.

    SOURCE is a .keras or .h5 file of Keras, a SavedModel, a frozen .pb or a .meta of TensorFlow, a
    .pt2 or TorchScript file of PyTorch, or a .tflite file. It is never changed.

    Exit codes: 0 done, 1 not what the framework computes, 2 bad input or call, 3 --strict and
    something was kept, 4 unproven, 130 interrupted. No model is written unless it is 0 or 3.
    """
    from folding.assignments import parse_all
    from folding.conversion import converting
    from folding.conversion.show import show_conversion
    from folding.show import Progress

    is_piped = target == "-"
    if is_piped and json_path == "-":
        raise BadCall("the model and the report cannot both go to standard output")
    with Progress(enabled=not quiet) as progress, printed_on_failure(json_path):
        report = converting.convert(
            source,
            target,
            fold=not no_fold,
            verify=not no_verify,
            outputs=outputs,
            freeze=parse_all(freeze),
            opset=opset,
            sample_inputs=sample_inputs,
            trust=trust,
            correct_averages=correct_averages,
            keep=keep,
            allow_growth=allow_growth,
            limits=limits,
            run_limits=options.run_limits(time_limit, memory_limit),
            tolerance=tolerance,
            digests=json_path is not None,
            report_to=None if json_path == "-" else json_path,
            progress=progress,
        )
    is_short = report.fold is not None and report.fold.plan.kept_for_strict
    show = functools.partial(show_conversion, on_error=is_piped)
    return STRICT if strict and is_short else DONE, shown(json_path, report, show, quiet=quiet)
