"""An end for certain: a server that hangs while it ends is killed with all its processes."""

from __future__ import annotations

import os
import threading
from contextlib import suppress

import psutil

from folding_server import threads
from folding_server.logs import LOG


def end_within(seconds: float) -> None:
    """From now on this process may take only so long to end by itself."""
    timer = threading.Timer(seconds, _end, [seconds])
    timer.daemon = True
    try:
        threads.start(timer)
    except OSError as error:  # That it ends by itself is all the more to be hoped.
        LOG.error("nothing sees to it that the server ends: %s", error)


def _end(seconds: float) -> None:
    LOG.error("the server did not end within %g seconds: it is killed", seconds)
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.kill()
    os._exit(1)
