"""Results, errors and interrupts as exit codes and one sentence, the same for every command."""

from __future__ import annotations

import functools
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from folding import interrupts
from folding.errors import FoldError, NotEquivalent, Unproven

DONE, DIFFERENT, BAD, STRICT, UNPROVEN, INTERRUPTED = 0, 1, 2, 3, 4, 130

#: Also true in the moment after the target has got its name.
INTERRUPTION = "interrupted; no incomplete file was written."

_EXIT_CODES: dict[type[FoldError], int] = {NotEquivalent: DIFFERENT, Unproven: UNPROVEN}

#: What a command comes to: its exit code, and what to print.
Outcome = tuple[int, Callable[[], None]]


def guarded(run: Callable[..., Outcome]) -> Callable[..., None]:
    """Turn results, errors and interrupts into exit codes, the same way for every command."""

    @functools.wraps(run)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        interrupts.take_one()
        try:
            with interrupts.held_back():  # C++ ends the process if it is interrupted as it loads.
                if kwargs.get("server") is None:
                    from folding import pipeline  # noqa: F401, PLC0415
            code, show = run(*args, **kwargs)
            code = code if show_safely(show) else BAD
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - none is shown as it is
            code, text = fault(error)
            complain(text)
        raise click.exceptions.Exit(code)

    return wrapped


def fault(error: BaseException) -> tuple[int, str]:
    """The exit code for what went wrong, and one sentence; never a traceback."""
    # A library that is interrupted while it is loaded fails with an error of its own.
    if interrupts.arrived() or isinstance(error, KeyboardInterrupt):
        interrupts.taken()
        return INTERRUPTED, INTERRUPTION
    if isinstance(error, FoldError):
        return _EXIT_CODES.get(type(error), BAD), _sentence(error)
    if isinstance(error, MemoryError):
        return BAD, "there is not enough memory for this model; no incomplete file was written."
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(last.filename).name}, line {last.lineno}"
    bug = f"{type(error).__name__}: {error}"
    return BAD, f"internal error in {place} ({bug}); please report it with the model."


def show_safely(show: Callable[[], None]) -> bool:
    """Print what a command found; its work is done by then. False if somebody misses it."""
    if sys.stdout is None:  # Closed by the caller, who wants to see nothing.
        return True
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


def complain(text: str) -> None:
    """One line on standard error."""
    with suppress(OSError):  # The terminal may be gone; the exit code says it, too.
        print(f"fold-model: {printable(text)}", file=sys.stderr)


def printable(text: str) -> str:
    """Names come from the model: nothing in them may move the cursor or start a line."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
