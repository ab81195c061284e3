"""``fold-model``, also as ``python -m folding``: guards even the loading of the command."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from contextlib import suppress

_INTERRUPTED = 130
_INTERRUPTION = b"fold-model: interrupted; no incomplete file was written.\n"


def main() -> None:
    """The entry point of the command."""
    _fill_closed_streams()
    # Nothing here multiplies matrices: numpy's threads would only cost time and memory to start.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # The runtime would write to the user's cache, and report to its maker what it runs.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    # A process of one job: looking for cycles among a big graph's objects takes longer than it.
    gc.disable()
    from folding import interrupts

    atexit.register(_leave)  # As the first, so that it comes last.
    interrupts.take_one()
    try:
        from folding import cli

        cli.main()
    except BaseException as error:
        if not interrupts.arrived() or not _is_by_interrupt(error):
            raise
        interrupts.taken()
        with suppress(OSError):  # The terminal may be gone.
            os.write(2, _INTERRUPTION)
        sys.exit(_INTERRUPTED)
    finally:
        gc.freeze()  # The interpreter would look for cycles once more before it ends.


def _is_by_interrupt(error: BaseException) -> bool:
    """Whether an error before or after the command's own work comes of an interrupt.

    Click makes an exit with 1 of it, which would mean something else.
    """
    return not isinstance(error, SystemExit) or error.code == 1


def _leave() -> None:
    """End with the code of an interrupt if that was the end.

    Python has others if a stream cannot be flushed, or if C++ met the interrupt on its way.
    """
    from folding import interrupts

    if interrupts.is_taken():
        for stream in filter(None, (sys.stdout, sys.stderr)):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(_INTERRUPTED)


def _fill_closed_streams() -> None:
    """Let nothing open a file where a library may write to standard output or error."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # It gets the lowest number that is free: this one.


if __name__ == "__main__":
    main()
