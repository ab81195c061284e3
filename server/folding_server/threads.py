"""Threads that are there before they are needed: the system may have none left by then."""

from __future__ import annotations

import errno
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Thread

from folding.errors import StorageFailed


def start(thread: Thread) -> None:
    """Let it run.

    Raises:
        OSError: the system has no thread left.
    """
    try:
        thread.start()
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, "no thread can be started") from error


def pool(count: int, name: str) -> ThreadPoolExecutor:
    """So many threads for what would make a loop wait; they all run already.

    Raises:
        StorageFailed: the system has not so many left.
    """
    made = ThreadPoolExecutor(count, name)
    all_run = Barrier(count)
    try:
        for _ in range(count):
            made.submit(all_run.wait)
    except RuntimeError as error:
        all_run.abort()
        hint = "Allow its user more of them, or have fewer --jobs."
        raise StorageFailed("the server cannot start its threads", hint=hint) from error
    return made
