"""What a process that runs models may do, as functions that a worker calls."""

# ruff: noqa: FBT001 - they are called from another process
from __future__ import annotations

import ctypes
import mmap
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from folding.errors import BadCall, NotEquivalent, TensorSizeMismatch

MEGABYTE = 1 << 20
FIRST_OF_OURS = 3


def echo(*values: Any) -> Any:
    return list(values)


def total(*arrays: Any) -> list[Any]:
    """What arrays came as; they are the child's own to write to."""
    for array in arrays:
        np.add(array, 1, out=array)
    return [[str(a.dtype), list(a.shape), float(a.sum(dtype=np.float64))] for a in arrays]


def about() -> dict[str, Any]:
    """What this process is, for those who ask what it was given."""
    return {
        "pid": os.getpid(),
        "main": getattr(sys.modules["__main__"], "__file__", None),
        "path": sys.path,
        "isolated": sys.flags.isolated,
        "optimize": sys.flags.optimize,
        "environment": dict(os.environ),
    }


def limits() -> dict[str, Any]:
    import resource  # noqa: PLC0415 - there is none on Windows

    names = ("RLIMIT_CORE", "RLIMIT_DATA", "RLIMIT_NOFILE")
    found = {name: list(resource.getrlimit(getattr(resource, name))) for name in names}
    score = int(Path("/proc/self/oom_score_adj").read_text(encoding="ascii"))
    return {**found, "oom_score_adj": score}


def crash(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(60)


def crash_on(_: Any) -> None:
    crash(signal.SIGSEGV)


def abort(text: str) -> None:
    os.write(2, text.encode())
    os.abort()


def leave(code: int, at_once: bool) -> None:
    if at_once:
        os._exit(code)
    sys.exit(code)


def loop() -> None:
    while True:
        pass


def loop_alone() -> None:
    """Like a library that never lets another thread have the interpreter."""
    ctypes.PyDLL(None).pause()


def close_and_loop() -> None:
    """Keep the pipe of answers, but nothing else."""
    os.closerange(0, FIRST_OF_OURS)
    loop()


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def allocate(size: int) -> int:
    kept: list[bytes] = []
    while len(kept) * MEGABYTE < size:
        kept.append(bytes(MEGABYTE))
    return size


def read_map(path: str) -> int:
    with (
        Path(path).open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole,
    ):
        return len(whole)


def fail(text: str) -> None:
    raise RuntimeError(text)


def ours() -> None:
    raise TensorSizeMismatch("tensor 'w\udcff' has 3 bytes", hint="Look at it.")


def theirs() -> None:
    class Own(BadCall):
        """What no parent knows."""

    raise Own("option 'x' is wrong")


def verdict() -> None:
    raise NotEquivalent("no", None)  # type: ignore[arg-type]


def answer(text: str) -> None:
    """Write to each open file, one of which is the pipe of answers; then wait."""
    for number in range(FIRST_OF_OURS, 64):
        try:
            os.write(number, text.encode("latin-1"))
        except OSError:
            continue
    time.sleep(60)


def answer_much(size: int) -> str:
    return "x" * size


def answer_long() -> str:
    return "x" * MEGABYTE


def answer_no_json() -> object:
    return object()


def speak(size: int) -> int:
    """Write much to where libraries write, by Python and without."""
    for stream in (sys.stdout, sys.stderr):
        stream.write("x" * size)
        stream.flush()
    for number in (1, 2):
        try:
            for _ in range(size // 4096):
                os.write(number, b"y" * 4096)
        except BlockingIOError:
            continue
    return size


def close_all(seconds: float) -> None:
    os.closerange(0, 64)
    time.sleep(seconds)


def have_child() -> int:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid


def have_child_and_crash(path: str = os.devnull) -> None:
    Path(path).write_text(str(have_child()), encoding="ascii")
    os.kill(os.getpid(), signal.SIGSEGV)
