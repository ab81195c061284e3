"""The process that all jobs are forked from: small, without threads, and without gRPC.

It is started before gRPC is imported, and again should it ever die; its jobs die with it. What
jobs leave behind when they end becomes its child, and is killed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

import psutil

from folding_server import threads

_CONTEXT = multiprocessing.get_context("forkserver")
#: What jobs need. No session is opened and no thread is started: neither would outlive a fork.
_PRELOADED = [
    "onnxruntime",
    "folding.equivalence.gate",
    "folding.equivalence.running",
    "folding.freezing",
    "folding.frozen_inputs",
    "folding.inlining",
    "folding.keeping",
    "folding_server.jobs.child",
    "folding_server.jobs.work",
    "folding_server.jobs.preloaded",
]
#: What the operator has set goes before.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"}

#: Seconds within which it has to do what it is asked, and when it has just been started.
_ANSWER, _BEGINNING = 10.0, 60.0

#: Also keeps two threads from asking for the end of one process, which is told only once.
_lock = threading.Lock()
#: What runs, by process id, and what it was forked from.
_parents: dict[int, psutil.Process] = {}
#: The fork server that has started a process, by its id.
_tried: set[int | None] = set()


def start_forkserver() -> None:
    """Start it. To be called before gRPC is imported, by a process of one thread."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    _CONTEXT.set_forkserver_preload(_PRELOADED)
    forkserver.ensure_running()


class Lost(Exception):
    """It dies whenever it is asked for a process."""


def start(target: Callable[..., object], *arguments: Any) -> BaseProcess:
    """Call a function in a process of its own. Blocks for some milliseconds.

    A fork server that does not answer is killed with all its jobs, and another one started.

    Raises:
        OSError: there is no room for another process, or for a thread that waits for it.
        Lost: nor does the other one answer.
    """
    with _lock:
        try:
            process = _asked(target, arguments)
        except (OSError, Lost):
            process = _asked(target, arguments)
        assert process.pid is not None
        with suppress(psutil.Error):  # It may have ended already.
            _parents[process.pid] = psutil.Process(psutil.Process(process.pid).ppid())
    return process


def check() -> None:
    """See whether it answers. If it does not it is killed, and the next job starts another one.

    Raises:
        OSError: it does not.
    """
    try:
        with _lock:
            process = _asked(os.getpid, ())
            _join(process)
            ended = process.exitcode != 0  # It says so of all when it ends itself.
            process.close()
    except Lost:
        ended = True
    if ended:
        raise TimeoutError("what all jobs are forked from did not answer, and was ended")


def _asked(target: Callable[..., object], arguments: tuple[Any, ...]) -> BaseProcess:
    """A process; raises as ``start``."""
    try:
        return _started(target, arguments)
    except (EOFError, ConnectionError) as error:
        kill()  # It has just died, and may not be seen to be gone yet.
        raise Lost from error


def _started(target: Callable[..., object], arguments: tuple[Any, ...]) -> BaseProcess:
    start_forkserver()
    process = _CONTEXT.Process(target=target, args=arguments, daemon=True)
    pid = _pid()
    with _without_main(), _answering(_ANSWER if pid in _tried else _BEGINNING):
        process.start()
    _tried.clear()
    _tried.add(pid)
    return process


def kill() -> None:
    """End it with all its jobs, even if it is stopped. The next job starts another one."""
    pid = _pid()
    if pid is not None:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # Whoever starts it looks, too.


def _pid() -> int | None:
    pid: int | None = vars(forkserver._forkserver)["_forkserver_pid"]  # noqa: SLF001
    return pid


@contextmanager
def _answering(seconds: float) -> Iterator[None]:
    """Kill it if it takes longer: whoever waits for it hears that it is gone.

    Raises:
        OSError: nobody can look at the time.
    """
    timer = threading.Timer(seconds, kill)
    timer.daemon = True
    threads.start(timer)
    try:
        yield
    finally:
        timer.cancel()


def _join(process: BaseProcess) -> None:
    """Wait until a process has ended, or until what it was forked from does not say so in time."""
    process.join(_ANSWER)
    if process.exitcode is None:
        kill()
        process.join()


@contextmanager
def _without_main() -> Iterator[None]:
    """Keep multiprocessing from running the program's script in the job, with all its imports."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def end(process: BaseProcess) -> int:
    """The exit code of a process that has ended. What it has left behind is killed."""
    with _lock:
        _join(process)
        code, parent = process.exitcode, _parents.pop(process.pid or 0, None)
        process.close()
        assert code is not None
        with suppress(psutil.Error):
            for orphan in parent.children() if parent else ():
                if orphan.pid not in _parents:
                    orphan.kill()
    return code
