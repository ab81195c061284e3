"""Interrupts: a command takes one, and nothing that must be done whole is cut by one.

Python runs the handlers of signals in the main thread, between any two of its instructions.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: What asks a process to end, where the platform has it; the one that raises by default is last.
SIGNALS = [
    signal.Signals[name]
    for name in ("SIGTERM", "SIGHUP", "SIGINT")
    if name in signal.Signals.__members__
]
_ARRIVED: list[int] = []


def take_one() -> None:
    """From now on the first signal raises a KeyboardInterrupt, and no other does anything.

    One that the caller of the process had ignored, as ``nohup`` does, stays ignored.
    """
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _interrupt)


def arrived() -> bool:
    """Whether one did. It may come out of a library as another error than KeyboardInterrupt."""
    return bool(_ARRIVED)


def _interrupt(number: int, frame: FrameType | None) -> None:
    if not _ARRIVED:
        _ARRIVED.append(number)
        raise KeyboardInterrupt


@contextmanager
def held_back() -> Iterator[None]:
    """Let signals wait until the block is done. No other thread than the main one is interrupted.

    Whoever uses the library may have handlers of any kind; they are called then.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    usual = [(number, signal.getsignal(number)) for number in SIGNALS]
    usual = [(n, handler) for n, handler in usual if handler not in (None, signal.SIG_IGN)]
    try:
        for number, _ in usual:
            signal.signal(number, lambda number, _: waiting.append(number))
        yield
    finally:
        for number, handler in usual:
            signal.signal(number, handler)
        for number in SIGNALS:
            if number in waiting:
                signal.raise_signal(number)
