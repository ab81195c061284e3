"""Interrupts: a command takes one, and nothing that must be done whole is cut by one.

Python runs the handlers of signals in the main thread, between any two of its instructions.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

#: What asks a process to end, where the platform has it; the one that raises by default is last.
SIGNALS = [
    signal.Signals[name]
    for name in ("SIGTERM", "SIGHUP", "SIGINT")
    if name in signal.Signals.__members__
]
_ARRIVED: list[int] = []
_TAKEN = threading.Event()
_Handler = Callable[[int, FrameType | None], Any] | int | None


def name_of(number: int) -> str:
    """What a signal is called, be it one that this Python has no name for."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def take_one() -> None:
    """From now on a signal raises a KeyboardInterrupt, until one is taken.

    A finaliser or a library may swallow the first. One that the caller of the process had ignored,
    as ``nohup`` does, stays ignored.
    """
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _interrupt)


def arrived() -> bool:
    """Whether one did. It may come out of a library as another error than KeyboardInterrupt."""
    return bool(_ARRIVED)


def taken() -> None:
    """Whoever guards the command has one: no other does anything any more."""
    _TAKEN.set()


def is_taken() -> bool:
    """Whether the command ends because of one."""
    return _TAKEN.is_set()


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise, unless one is on its way; end the process if so many have led to nothing."""
    if _TAKEN.is_set():
        return
    _ARRIVED.append(number)
    if len(_ARRIVED) > len(SIGNALS):
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
    if not _is_on_its_way():
        raise KeyboardInterrupt


def _is_on_its_way() -> bool:
    """Whether something is being cleared up after an interrupt."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


@contextmanager
def held_back() -> Iterator[None]:
    """Let signals wait until the block is done. No other thread than the main one is interrupted.

    Whoever uses the library may have handlers of any kind; they are called then.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: dict[int, FrameType | None] = {}
    usual = [(number, signal.getsignal(number)) for number in SIGNALS]
    usual = [(n, handler) for n, handler in usual if handler not in (None, signal.SIG_IGN)]
    try:
        for number, _ in usual:
            signal.signal(number, waiting.__setitem__)
        yield
    finally:
        restoring = [partial(signal.signal, number, handler) for number, handler in usual]
        delivering = [partial(_deliver, waiting, number, handler) for number, handler in usual]
        _call_all([*restoring, *delivering])


def _call_all(calls: Sequence[Callable[[], object]]) -> None:
    """Call all of them, even if a handler that was restored or called raises."""
    if calls:
        try:
            calls[0]()
        finally:
            _call_all(calls[1:])


def _deliver(waiting: dict[int, FrameType | None], number: int, handler: _Handler) -> None:
    """Call the handler of a signal that waits.

    Raised again, it would come twice to an event loop, which has heard of it from the system.
    """
    if number in waiting and callable(handler):
        handler(number, waiting[number])
    elif number in waiting:
        signal.raise_signal(number)
