"""The ``fold-model`` command: options in, a report and an exit code out. All work is elsewhere."""

from __future__ import annotations

import functools
import io
import json
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
    StorageFailed,
    Unproven,
    VerificationFailed,
)

if TYPE_CHECKING:
    from types import FrameType

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

Source = Annotated[Path, typer.Argument(help="The ONNX model to fold. It is never changed.")]
Json = Annotated[
    str | None,
    typer.Option("--json", metavar="PATH|-", help="Write the report as JSON; - prints it instead."),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Exit with 3 if a normalisation is not folded completely.")
]


def _command(run: Callable[..., int]) -> Callable[..., None]:
    """Turn results, errors and interrupts into exit codes, the same way for every command."""

    @functools.wraps(run)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _terminated)
        try:
            code = run(*args, **kwargs)
        except FoldError as error:
            _complain(_sentence(error))
            code = _EXIT_CODES.get(type(error), BAD)
        except KeyboardInterrupt:
            _complain("interrupted; nothing was written.")
            code = INTERRUPTED
        except BrokenPipeError:
            # Whoever read our output has seen enough; there is nobody left to tell.
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
            code = DONE
        except MemoryError:
            _complain("there is not enough memory for this model; nothing was written.")
            code = BAD
        except Exception as error:  # noqa: BLE001 - a bug of ours: said in full, never a traceback
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(last.filename).name}, line {last.lineno}"
            fault = f"{type(error).__name__}: {error}"
            _complain(f"internal error in {place} ({fault}); please report it with the model.")
            code = BAD
        raise typer.Exit(code)

    return wrapped


def _sentence(error: FoldError) -> str:
    """What is wrong and what to do, as one sentence."""
    text, hint = str(error).removesuffix("."), error.hint.removesuffix(".")
    return f"{text}; {hint[0].lower()}{hint[1:]}." if hint else f"{text}."


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _complain(text: str) -> None:
    printable = "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
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
        typer.Option("-o", "--output", metavar="TARGET", help="Default: <stem>.folded.onnx."),
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
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> int:
    """Fold a model, prove that it is the same function, and write it.

    Exit codes: 0 done, 1 not equivalent, 2 bad input or call, 3 --strict and something was kept,
    4 unproven, 130 interrupted. Nothing is written unless the code is 0 or 3.
    """
    from folding.pipeline import fold as run
    from folding.show import Progress, show_report

    _check_json(json_path, source, target)
    with Progress(enabled=not quiet) as progress:
        try:
            report = run(
                source,
                target,
                verify=not no_verify,
                inputs=inputs,
                digests=json_path is not None,
                progress=progress,
            )
        except VerificationFailed as failure:
            _write_json(json_path, failure.report.to_dict())
            raise
    _write_json(json_path, report.to_dict())
    if not quiet and json_path != "-":
        show_report(report)
    return STRICT if strict and report.plan.kept_for_strict else DONE


@app.command()
@_command
def explain(source: Source, json_path: Json = None, strict: Strict = False) -> int:
    """Say what folding would do and why, without doing it.

    Exit codes: 0 done, 2 bad input or call, 3 --strict and something would be kept.
    """
    from folding.pipeline import explain as run
    from folding.show import Progress, show_plan

    _check_json(json_path, source)
    with Progress(enabled=True) as progress:
        plan = run(source, progress=progress)
    _write_json(
        json_path, {"version": __version__, "source": {"path": str(source)}, **plan.to_dict()}
    )
    if json_path != "-":
        show_plan(plan)
    return STRICT if strict and plan.kept_for_strict else DONE


def _check_json(path: str | None, *models: Path | None) -> None:
    """Refuse early what could not be written later, or would overwrite a model."""
    if path is None or path == "-":
        return
    place = Path(path)
    if place.is_dir() or not place.parent.is_dir():
        raise BadCall(f"{path!r} is no place for a file", hint="Choose another path for --json.")
    if any(model and os.path.realpath(model) == os.path.realpath(place) for model in models):
        raise BadCall(f"{path!r} is a model of this call", hint="Choose another path for --json.")


def _write_json(path: str | None, content: dict[str, Any]) -> None:
    if path is None:
        return
    text = json.dumps(content, indent=2, allow_nan=False)
    if path == "-":
        print(text)
        return
    try:
        Path(path).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageFailed(f"cannot write {path!r}: {error.strerror or error}") from error


def main() -> None:
    """The entry point of the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()
