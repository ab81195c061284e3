"""The ``fold-model`` command: options in, a report and an exit code out. All work is elsewhere."""

from __future__ import annotations

import functools
import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from folding._version import __version__
from folding.errors import (
    BadCall,
    FoldError,
    NotEquivalent,
    Unproven,
    VerificationFailed,
)

if TYPE_CHECKING:
    from types import FrameType

    from folding.report import Report
    from folding.writing import Layout

DONE, DIFFERENT, BAD, STRICT, UNPROVEN, INTERRUPTED = 0, 1, 2, 3, 4, 130

_EXIT_CODES: dict[type[FoldError], int] = {NotEquivalent: DIFFERENT, Unproven: UNPROVEN}

app = typer.Typer(
    name="fold-model",
    help="Fold trained normalisation into the layers beside it, and prove the result.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Source = Annotated[
    Path,
    typer.Argument(help="The ONNX model to fold, - for standard input. It is never changed."),
]
Json = Annotated[
    str | None,
    typer.Option("--json", metavar="PATH|-", help="Write the report as JSON; - prints it instead."),
]
Follow = Annotated[
    bool,
    typer.Option("--follow-links", help="Take external data that links from another folder."),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Exit with 3 if a normalisation is not folded completely.")
]


#: What a command comes to: its exit code, and what to print.
Outcome = tuple[int, Callable[[], None]]


def _command(run: Callable[..., Outcome]) -> Callable[..., None]:
    """Turn results, errors and interrupts into exit codes, the same way for every command."""

    @functools.wraps(run)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _terminated)
        try:
            code, show = run(*args, **kwargs)
            code = code if _print(show) else BAD
        except FoldError as error:
            complain(_sentence(error))
            code = _EXIT_CODES.get(type(error), BAD)
        except KeyboardInterrupt:
            complain("interrupted; nothing was written.")
            code = INTERRUPTED
        except MemoryError:
            complain("there is not enough memory for this model; nothing was written.")
            code = BAD
        except Exception as error:  # noqa: BLE001 - a bug of ours: said in full, never a traceback
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(last.filename).name}, line {last.lineno}"
            fault = f"{type(error).__name__}: {error}"
            complain(f"internal error in {place} ({fault}); please report it with the model.")
            code = BAD
        raise typer.Exit(code)

    return wrapped


def _print(show: Callable[[], None]) -> bool:
    """Print what a command found; its work is done by then. False if somebody misses it."""
    try:
        show()
        sys.stdout.flush()
    except OSError as error:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
        if isinstance(error, BrokenPipeError):
            return True  # Whoever read it has seen enough.
        complain(f"the work is done, but the report cannot be printed: {error.strerror}.")
        return False
    return True


def _sentence(error: FoldError) -> str:
    """What is wrong and what to do, as one sentence."""
    text, hint = str(error).removesuffix("."), error.hint.removesuffix(".")
    return f"{text}; {hint[0].lower()}{hint[1:]}." if hint else f"{text}."


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def complain(text: str) -> None:
    """One line on standard error, in which nothing of a model can move the cursor."""
    printable = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    print(f"fold-model: {printable}", file=sys.stderr)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"fold-model {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Fold trained normalisation into the layers beside it, and prove the result."""


@app.command()
@_command
def fold(
    source: Source,
    target: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="TARGET",
            help="Default: <stem>.folded.onnx. - is standard output.",
        ),
    ] = None,
    json_path: Json = None,
    strict: Strict = False,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Write without proving anything.")
    ] = False,
    inputs: Annotated[
        Path | None,
        typer.Option("--inputs", metavar="PATH", help="An .npz with an array for each input."),
    ] = None,
    single_file: Annotated[
        bool, typer.Option("--single-file", help="Put the weights into the model's file.")
    ] = False,
    external_data: Annotated[
        bool, typer.Option("--external-data", help="Put the weights into a file of their own.")
    ] = False,
    follow_links: Follow = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> Outcome:
    """Fold a model, prove that it is the same function, and write it.

    Exit codes: 0 done, 1 not equivalent, 2 bad input or call, 3 --strict and something was kept,
    4 unproven, 130 interrupted. No model is written unless the code is 0 or 3.
    """
    from folding.pipeline import fold as run
    from folding.show import Progress, show_report

    is_piped = str(target or source) == "-"
    if is_piped and json_path == "-":
        raise BadCall("the model and the report cannot both go to standard output")
    with Progress(enabled=not quiet) as progress:
        try:
            report = run(
                source,
                target,
                verify=not no_verify,
                inputs=inputs,
                layout=_layout(single_file=single_file, external_data=external_data),
                follow_links=follow_links,
                digests=json_path is not None,
                report_to=None if json_path == "-" else json_path,
                progress=progress,
            )
        except VerificationFailed as failure:
            if json_path == "-":
                _print(functools.partial(print, failure.report.to_json(), end=""))
            raise
    code = STRICT if strict and report.plan.kept_for_strict else DONE
    show = functools.partial(show_report, on_error=is_piped)
    return code, _shown(json_path, report, show, quiet=quiet)


def _layout(*, single_file: bool, external_data: bool) -> Layout:
    from folding.writing import Layout

    if single_file and external_data:
        raise BadCall("--single-file and --external-data exclude each other")
    if single_file:
        return Layout.SINGLE_FILE
    return Layout.EXTERNAL_DATA if external_data else Layout.AS_SOURCE


@app.command()
@_command
def explain(
    source: Source,
    json_path: Json = None,
    strict: Strict = False,
    follow_links: Follow = False,
) -> Outcome:
    """Say what folding would do and why, without doing it.

    Exit codes: 0 done, 2 bad input or call, 3 --strict and something would be kept.
    """
    from folding.pipeline import explained as run
    from folding.show import Progress, show_plan

    with Progress(enabled=True) as progress:
        report = run(
            source,
            follow_links=follow_links,
            digests=json_path is not None,
            report_to=None if json_path == "-" else json_path,
            progress=progress,
        )
    code = STRICT if strict and report.plan.kept_for_strict else DONE
    return code, _shown(json_path, report, show_plan, quiet=False)


def _shown(
    json_path: str | None, report: Report, show: Callable[[Report], None], *, quiet: bool
) -> Callable[[], None]:
    if json_path == "-":
        return functools.partial(print, report.to_json(), end="")
    return (lambda: None) if quiet else functools.partial(show, report)


def main() -> None:
    """The command, without the guard that ``folding.__main__`` puts around it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()
