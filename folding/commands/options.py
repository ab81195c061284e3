"""Options that several commands share, so that they are called and explained alike."""

# ruff: noqa: PLC0415 - nothing of onnx is imported for a --help
from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from folding.equivalence.limits import CPU_PROVIDER
from folding.interrupts import held_back

if TYPE_CHECKING:
    from folding.equivalence.limits import RunLimits

_MEGABYTE = 1_000_000

Command = Callable[..., Any]

json_option = click.option(
    "--json", "json_path", metavar="PATH|-", help="Write the report as JSON; - prints it instead."
)
strict = click.option(
    "--strict",
    is_flag=True,
    help="Exit with 3 if a normalisation is not folded completely, but those to --keep.",
)
freeze = click.option(
    "--freeze",
    multiple=True,
    metavar="NAME=VALUE",
    help="Freeze an input, such as training=false: its Ifs give way; may be repeated.",
)
keep = click.option(
    "--keep",
    multiple=True,
    metavar="NAME",
    help="Leave the normalisation of that output or node alone; may be repeated.",
)
allow_growth = click.option(
    "--allow-growth", is_flag=True, help="Let copies of shared tensors grow the model by over 1 %."
)
quiet = click.option("--quiet", is_flag=True, help="Print nothing but errors.")
follow_links = click.option(
    "--follow-links", is_flag=True, help="Take external data that links from another folder."
)
_max_nesting = click.option(
    "--max-nesting",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    metavar="N",
    help="How many bodies and called functions may be in one another (bodies: never above 32).",
)
_max_expanded_nodes = click.option(
    "--max-expanded-nodes",
    type=click.IntRange(min=1),
    default=100_000,
    show_default=True,
    metavar="N",
    help="How many nodes the calls of functions may stand for.",
)
run_inputs = click.option(
    "--inputs",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="What to run on: an .npz with an array for each input, or a folder of input_*.pb.",
)
run_shapes = click.option(
    "--input-shape",
    "shapes",
    multiple=True,
    metavar="NAME:1,3,224,224",
    help="The shape of an input that is made up; may be repeated.",
)
tolerance = click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    metavar="X",
    help="How far outputs may be apart, relative to their size; the report says it is yours.",
)
time_limit = click.option(
    "--time-limit",
    type=click.FloatRange(min=0, min_open=True),
    metavar="S",
    show_default="600",
    help="Seconds that all runs together may take.",
)
memory_limit = click.option(
    "--memory-limit",
    type=click.IntRange(min=1),
    metavar="MB",
    show_default="nine tenths of the machine's",
    help="Memory that the runs may take.",
)
trust = click.option("--trust", is_flag=True, help="Let code that the source holds run.")
_RUNS = (
    run_inputs,
    run_shapes,
    tolerance,
    click.option(
        "--provider",
        default=CPU_PROVIDER,
        show_default=True,
        metavar="NAME",
        help="The execution provider of onnxruntime that runs the candidate.",
    ),
    click.option(
        "--custom-ops",
        type=click.Path(path_type=Path),
        metavar="LIBRARY",
        help="A library of custom operators that the candidate needs.",
    ),
    time_limit,
    memory_limit,
)


def model_limits(command: Command) -> Command:
    """The options for how far a model may go; the command gets them as ``limits``."""

    @functools.wraps(command)
    def wrapped(*, max_nesting: int, max_expanded_nodes: int, **rest: Any) -> Any:
        with held_back():  # C++ ends the process if it is interrupted as it loads.
            from folding.model_limits import Limits

        return command(limits=Limits(max_nesting, max_expanded_nodes), **rest)

    return _max_nesting(_max_expanded_nodes(wrapped))


@dataclass(frozen=True, slots=True)
class Runs:
    """How the models are to be run, as the user said it."""

    inputs: Path | None = None
    shapes: tuple[str, ...] = ()
    tolerance: float | None = None
    provider: str = CPU_PROVIDER
    custom_ops: Path | None = None
    time_limit: float | None = None
    memory_limit: int | None = None

    def arguments(self) -> dict[str, Any]:
        """The same as arguments of ``folding.fold`` and ``folding.verify``.

        Raises:
            BadCall: a shape is none, or an input has two.
        """
        from folding.assignments import parse_shapes

        return {
            "inputs": self.inputs,
            "shapes": parse_shapes(self.shapes) or None,
            "tolerance": self.tolerance,
            "provider": self.provider,
            "custom_ops": self.custom_ops,
            "run_limits": run_limits(self.time_limit, self.memory_limit),
        }


def run_limits(seconds: float | None, megabytes: int | None) -> RunLimits:
    """What running the models may cost, as the user said it; the rest is as usual."""
    from folding.equivalence.limits import RUN_LIMITS, RunLimits

    return RunLimits(
        RUN_LIMITS.seconds if seconds is None else seconds,
        None if megabytes is None else megabytes * _MEGABYTE,
    )


def runs(command: Command) -> Command:
    """The options for how the models are run; the command gets them as one ``runs``."""

    @functools.wraps(command)
    def wrapped(
        *,
        inputs: Path | None,
        shapes: tuple[str, ...],
        tolerance: float | None,
        provider: str,
        custom_ops: Path | None,
        time_limit: float | None,
        memory_limit: int | None,
        **rest: Any,
    ) -> Any:
        limits = time_limit, memory_limit
        return command(runs=Runs(inputs, shapes, tolerance, provider, custom_ops, *limits), **rest)

    for option in reversed(_RUNS):
        wrapped = option(wrapped)
    return wrapped
