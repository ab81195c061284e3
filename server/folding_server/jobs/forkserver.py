"""The process that all jobs are forked from: small, without threads, and without gRPC.

It is started before gRPC is imported, and again should it ever die; its jobs die with it. What
jobs leave behind when they end becomes its child, and is killed.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

import psutil

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

#: Also keeps two threads from asking for the end of one process, which is told only once.
_lock = threading.Lock()
#: What runs, by process id, and what it was forked from.
_parents: dict[int, psutil.Process] = {}


def start_forkserver() -> None:
    """Start it. To be called before gRPC is imported, by a process of one thread."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    _CONTEXT.set_forkserver_preload(_PRELOADED)
    forkserver.ensure_running()


def start(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Call a function in a process of its own. Blocks for some milliseconds.

    Raises:
        OSError: there is no room for another process.
    """
    with _lock:
        try:
            process = _started(target, arguments)
        except (OSError, EOFError):  # The fork server has just died.
            process = _started(target, arguments)
        assert process.pid is not None
        with suppress(psutil.Error):  # It may have ended already.
            _parents[process.pid] = psutil.Process(psutil.Process(process.pid).ppid())
    return process


def _started(target: Callable[..., None], arguments: tuple[Any, ...]) -> BaseProcess:
    start_forkserver()
    process = _CONTEXT.Process(target=target, args=arguments, daemon=True)
    with _without_main():
        process.start()
    return process


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
        process.join()
        code, parent = process.exitcode, _parents.pop(process.pid or 0, None)
        process.close()
        assert code is not None
        with suppress(psutil.Error):
            for orphan in parent.children() if parent else ():
                if orphan.pid not in _parents:
                    orphan.kill()
    return code
