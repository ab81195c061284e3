"""The caller's side of the process that runs the models.

A hostile model may make the runtime loop, allocate without end or crash. All of that happens to a
process of its own; the caller learns why there is no answer, and loses no more than the time limit.

Everything that waits for the process is done by a thread of the worker, which lives as long as the
worker does: so a limit of time holds on every system, an interrupt comes through at once, and the
process, which the system kills when the thread that started it ends, survives the caller's.
"""

from __future__ import annotations

import json
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from queue import Empty, SimpleQueue
from typing import Any, Literal

from folding import errors
from folding.equivalence.limits import RUN_LIMITS, RunLimits, bytes_allowed
from folding.equivalence.process import Ended, Process
from folding.errors import FoldError, VerificationFailed

#: Seconds after which a waiting thread looks whether it was interrupted, where nothing wakes it.
_SLICE = 0.5
#: Seconds that a killed process may take to be gone.
_PATIENCE = 5.0

#: What the process is called in reasons, after "the process that".
_DEED = "ran the models"
_GIGA, _MEGA = 1e9, 1e6
#: With so few bytes libraries crash before they can say what they lack.
_TOO_LITTLE = 100_000_000

Kind = Literal["crash", "memory", "time", "start"]
_Request = list[bytes | memoryview]

#: What a child may raise here.
_OURS = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type)
    and issubclass(kind, FoldError)
    and not issubclass(kind, VerificationFailed)
}


class WorkerFailed(Exception):
    """There is no answer. Callers turn it into a check that says so.

    Attributes:
        reason: why, as a clause.
        kind: what became of the process: it crashed, wanted too much memory or too much time, or
            could not be started.
    """

    def __init__(self, kind: Kind, reason: str) -> None:
        super().__init__(reason)
        self.kind, self.reason = kind, reason


class Worker(AbstractContextManager["Worker"]):
    """A process that calls functions for us, within limits, for as long as the context lasts.

    Args:
        limits: the time that all calls may take together, and the memory that they may take.
        warm: modules that it imports before it is asked for anything.
        deed: what it is called in reasons, after "the process that".
    """

    def __init__(
        self,
        limits: RunLimits = RUN_LIMITS,
        *,
        warm: Sequence[str] = ("folding.equivalence.runs",),
        deed: str = _DEED,
    ) -> None:
        self._subject = f"the process that {deed}"
        self._limits, self._left = limits, limits.seconds
        self._memory = bytes_allowed(limits)
        self._failure: WorkerFailed | None = None
        self._turn, self._starting = threading.Lock(), threading.Lock()
        self._process: Process | None = None
        self._closed = False
        self._requests: SimpleQueue[_Request | None] = SimpleQueue()
        self._answers: SimpleQueue[bytearray | WorkerFailed] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, args=(tuple(warm),), daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._answers.put(_no_start(str(error)))

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill the process, whatever it does, and wait for its end."""
        self._kill()
        self._requests.put(None)
        if self._thread.ident is not None:
            self._thread.join(_PATIENCE)

    def call(self, function: str, *arguments: Any) -> Any:
        """The result of ``package.module:function``, as JSON brings it back.

        Args:
            function: where it is; the process imports the module.
            *arguments: anything that can be pickled.

        Raises:
            WorkerFailed: there is no answer; after that there never is one.
            FoldError: the function has raised it.
            ValueError: the worker is closed.
        """
        with self._turn:
            if self._failure is not None:
                raise self._failure
            if self._closed:
                raise ValueError("the worker is closed")
            try:
                return self._result(self._exchange(function, arguments))
            except WorkerFailed as failure:
                self._failure = failure
                self.close()
                raise

    def _exchange(self, function: str, arguments: tuple[Any, ...]) -> bytearray:
        buffers: list[pickle.PickleBuffer] = []
        head = pickle.dumps((function, arguments, self._left), 5, buffer_callback=buffers.append)
        start = time.monotonic()
        try:
            self._requests.put([head, *(buffer.raw() for buffer in buffers)])
            answer = self._wait(start + self._left)
        except BaseException:
            self._kill()
            raise
        finally:
            self._left -= time.monotonic() - start
        if isinstance(answer, WorkerFailed):
            raise answer
        return answer

    def _wait(self, end: float) -> bytearray | WorkerFailed:
        while (left := end - time.monotonic()) > 0:
            try:
                return self._answers.get(timeout=min(left, _SLICE))
            except Empty:
                continue
        raise self._too_long()

    def _result(self, answer: bytearray) -> Any:
        """What an answer says; it may be anything."""
        try:
            found = json.loads(answer.decode("ascii"))
        except (ValueError, RecursionError) as error:
            raise WorkerFailed("crash", f"{self._subject} answered with garbage") from error
        match found:
            case {"result": result}:
                return result
            case {"error": str(name), "message": str(text), "hint": str(hint)} if name in _OURS:
                raise _OURS[name](text, hint=hint)
            case {"memory": True}:
                raise self._too_much()
            case {"fault": str(what)}:
                raise WorkerFailed("crash", f"{self._subject} failed {what}")
        raise WorkerFailed("crash", f"{self._subject} answered with garbage")

    def _too_long(self) -> WorkerFailed:
        return WorkerFailed("time", f"{self._subject} took longer than {self._limits.seconds:g} s")

    def _too_much(self) -> WorkerFailed:
        size = "there is" if self._memory is None else _readable(self._memory)
        return WorkerFailed("memory", f"{self._subject} needed more memory than {size}")

    # --- the thread -----------------------------------------------------------------------------

    def _serve(self, warm: tuple[str, ...]) -> None:
        failure = _no_start("its thread has ended")
        try:
            failure = self._served(warm) or failure
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            failure = _no_start(getattr(error, "strerror", None) or str(error))
        finally:
            self._answers.put(failure)

    def _served(self, warm: tuple[str, ...]) -> WorkerFailed | None:
        """Answer requests until there are no more, or no process."""
        with self._starting:
            if self._closed:
                return None
            self._process = Process(warm, self._memory)
        with self._process as process:
            _block_signals()
            try:
                process.greet()
            except Ended:
                return _no_start(process.death().last_words)
            try:
                while (request := self._requests.get()) is not None:
                    self._answers.put(process.exchange(request))
            except Ended:
                return self._failed(process)
        return None

    def _failed(self, process: Process) -> WorkerFailed:
        death = process.death()
        if death.by_time:
            return self._too_long()
        if death.by_memory or (self._memory is not None and self._memory < _TOO_LITTLE):
            return self._too_much()
        if death.by_kill:
            why = "was killed, as the system does when memory runs out"
            return WorkerFailed("memory", f"{self._subject} {why}")
        return WorkerFailed("crash", f"{self._subject} {death.how}")

    def _kill(self) -> None:
        with self._starting:
            self._closed = True
            if self._process is not None:
                self._process.kill()


def _no_start(why: str) -> WorkerFailed:
    return WorkerFailed("start", f"no process can be started for it ({why})")


def _readable(size: int) -> str:
    return f"{size / _GIGA:.1f} GB" if size >= _GIGA else f"{size / _MEGA:.0f} MB"


def _block_signals() -> None:
    """Leave all signals to other threads, so that a broken pipe is an error and no end."""
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
