"""The child's side: a process that calls functions for its parent, and ends with it.

Requests come as pickles, since the parent is trusted; answers leave as JSON, since whoever reads
them must not trust a process that has run a hostile model. Both travel on pipes of their own, so
that what the runtime prints goes nowhere.

    request   "<Q" number of parts, "<Q" size of each, the parts: a pickle and its buffers
    answer    "<Q" size, then {"result": ...}, {"error": class, "message": ..., "hint": ...},
              {"memory": true} or {"fault": what went wrong and where}

A thread reads the requests ahead, and ends the process when the parent closes its end or dies. That
thread cannot run while another one keeps the interpreter to itself, so the system is asked as well:
to kill this process when the parent dies, and at the end of its time.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import pickle
import signal
import struct
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from folding import errors
from folding.equivalence.limits import NO_MEMORY, restrain, settle
from folding.errors import FoldError, VerificationFailed

#: An answer of more bytes is none.
LONGEST_ANSWER = 1 << 24
#: The size of a part that follows.
SIZE = struct.Struct("<Q")

#: Seconds after the end of its time until the process ends by itself, had the parent not ended it.
_GRACE = 5.0
_LONGEST_ALARM = 1e8
_PR_SET_PDEATHSIG = 1
_LONGEST_FAULT = 300

_MEMORY = json.dumps({"memory": True}).encode()

Request = list[bytearray]


def main(start: dict[str, Any]) -> None:
    """Serve requests until there are no more.

    Args:
        start: what the parent says at the start: the ``token`` to greet it with, the modules to
            ``warm`` up and the bytes of ``memory`` allowed.
    """
    _end_with_parent()
    settle()
    requests, answers = _own_pipes()
    waiting: SimpleQueue[Request | None] = SimpleQueue()
    restrained = threading.Event()  # A limit may leave no memory for a thread.
    threading.Thread(target=_receive, args=(requests, waiting, restrained), daemon=True).start()
    write(answers, start["token"].encode())
    _warm_up(start["warm"])
    restrain(start["memory"])
    restrained.set()
    with suppress(MemoryError):
        while (request := waiting.get()) is not None:
            answer = _answer(request)
            write(answers, SIZE.pack(len(answer)), answer)
    write(answers, SIZE.pack(len(_MEMORY)), _MEMORY)


def _end_with_parent() -> None:
    """Have the system kill this process when the thread that started it ends."""
    if sys.platform == "win32":
        return
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _own_pipes() -> tuple[FileIO, FileIO]:
    """Standard input and output as pipes that nobody else knows; nothing in their places."""
    requests, answers = FileIO(os.dup(0), "rb"), FileIO(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(null, number)
    os.close(null)
    # The parent keeps what libraries write there when they abort, and does not wait for more.
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    return requests, answers


def _receive(
    requests: FileIO, waiting: SimpleQueue[Request | None], restrained: threading.Event
) -> None:
    """Read ahead what is asked; None stands for a request that there is no memory for."""
    restrained.wait()
    try:
        while True:
            (count,) = SIZE.unpack(read(requests, SIZE.size))
            sizes = [SIZE.unpack(read(requests, SIZE.size))[0] for _ in range(count)]
            waiting.put([read(requests, size) for size in sizes])
    except MemoryError:
        waiting.put(None)
    except (EOFError, OSError):
        os._exit(0)


def _warm_up(modules: Sequence[str]) -> None:
    """Import what the first request will need, and let no search for cycles visit it again."""
    gc.disable()
    for module in modules:
        with suppress(ImportError):  # Whoever needs it will say so.
            importlib.import_module(module)
    gc.freeze()
    gc.enable()


def _answer(request: Request) -> bytes:
    try:
        function, arguments, seconds = pickle.loads(request[0], buffers=request[1:])  # noqa: S301
        module, name = function.split(":")
        with _alarm(seconds):
            result = getattr(importlib.import_module(module), name)(*arguments)
        answer = json.dumps({"result": result}).encode()
        if len(answer) > LONGEST_ANSWER:
            return _fault(f"with an answer of {len(answer)} bytes")
    except MemoryError:
        return _MEMORY
    except FoldError as error:
        return _ours(error)
    except Exception as error:  # noqa: BLE001 - the runtime's errors have no common base
        if any(text in str(error) for text in NO_MEMORY):
            return _MEMORY
        return _fault(_place(error))
    return answer


def _ours(error: FoldError) -> bytes:
    """An error that the parent raises again."""
    if isinstance(error, VerificationFailed):
        return _fault(_place(error))
    kinds = (kind.__name__ for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
    said = {"error": next(kinds), "message": str(error), "hint": error.hint}
    return json.dumps(said).encode()


def _fault(what: str) -> bytes:
    line = " ".join(what.split())[:_LONGEST_FAULT]
    return json.dumps({"fault": line}).encode()


def _place(error: Exception) -> str:
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    file = Path(frame.f_code.co_filename).name
    return f"in {file}, line {line} ({type(error).__name__}: {error})"


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """End the process, whatever it does, some time after the parent should have."""
    if sys.platform == "win32":
        yield
        return
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, min(seconds + _GRACE, _LONGEST_ALARM))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def read(pipe: FileIO, size: int) -> bytearray:
    """So many bytes of a pipe.

    Raises:
        EOFError: it ends before.
    """
    found = bytearray(size)
    with memoryview(found) as rest:
        done = 0
        while done < size:
            count = pipe.readinto(rest[done:])
            if not count:
                raise EOFError
            done += count
    return found


def write(pipe: FileIO, *parts: bytes | memoryview) -> None:
    """All bytes of all parts, however few a pipe takes at a time."""
    for part in parts:
        with memoryview(part).cast("B") as rest:
            done = 0
            while done < len(rest):
                done += pipe.write(rest[done:])
