"""What a job's process may do: in its own session, in its own folder, with limits.

Nothing of this is a sandbox against code of an attacker's own. It keeps hostile *data* from costing
more than its job, and lets the server kill everything that a job is.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import math
import multiprocessing
import os
import resource
import select
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from folding.equivalence.limits import settle
from folding_server.jobs.outcome import STDERR

_GIB = 1 << 30
_MIB = 1 << 20
#: The interpreter, its libraries and their threads' stacks.
_OWN_SPACE = 2 * _GIB
#: A model may be mapped and read, and its fold too.
_COPIES = 4
#: What any job may write.
_OWN_FILES = 256 * _MIB
_FILES_OPEN = 4096
#: The parent's clock comes first.
_GRACE = 5

#: What the environment of a job may have, by the beginnings of names: no secrets of the server's.
_TOLD = (
    "COVERAGE_",
    "CUDA_",
    "DYLD_",
    "GLIBC_",
    "GRPC_",
    "HOME",
    "KMP_",
    "LANG",
    "LC_",
    "LD_",
    "MALLOC_",
    "MKL_",
    "NVIDIA_",
    "OMP_",
    "OPENBLAS_",
    "ORT_",
    "PATH",
    "PYTHON",
    "TMPDIR",
    "TZ",
)

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one job may take: seconds, bytes of memory; and how many bytes it is given."""

    seconds: float
    memory: int
    given: int


def adopt_orphans() -> None:
    """Have processes whose parents end become children of this one, if it is an ancestor."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def hide() -> None:
    """Keep jobs, which are the same user's, from the memory of this process.

    And from what its environment has, as it is inherited. To be called by a process of one thread.
    """
    _prctl(_PR_SET_DUMPABLE, 0)
    for name in [name for name in os.environ if not name.startswith(_TOLD)]:
        del os.environ[name]


def confine(folder: Path, bounds: Bounds, kept: int) -> None:
    """Let this process be nothing but the job in ``folder``. There is no way back.

    ``kept`` is a descriptor that it goes on using.
    """
    os.setsid()
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    adopt_orphans()
    _end_with_parents()
    os.umask(0o077)
    os.chdir(folder)
    os.environ["TMPDIR"] = str(folder)
    sys.path[:] = [entry for entry in sys.path if Path(entry).is_absolute()]
    _redirect()
    _close_all_but(kept)
    gc.disable()  # As the command does: the process ends before that would save anything.
    settle()
    _limit(bounds)


def _end_with_parents() -> None:
    """Have the system kill this process when the fork server or the server ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    pipe = parent.sentinel  # It ends with the server.
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)  # Even what is stopped.
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([pipe], [], [], 0)[0]:  # It is gone already.
        os.kill(os.getpid(), signal.SIGKILL)


def _close_all_but(kept: int) -> None:
    """Close what a job has no use for: the fork server's sockets, for one."""
    parent = multiprocessing.parent_process()
    first = 3
    for number in sorted({kept} if parent is None else {kept, parent.sentinel}):
        os.closerange(first, number)
        first = max(first, number + 1)
    os.closerange(first, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _redirect() -> None:
    """No input, no output; what libraries say is kept for the operator."""
    null = os.open(os.devnull, os.O_RDWR)
    said = os.open(STDERR, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number, place in enumerate((null, null, said)):
        os.dup2(place, number)
    os.close(null)
    os.close(said)


def _limit(bounds: Bounds) -> None:
    processors = os.cpu_count() or 1
    _at_most(resource.RLIMIT_AS, _OWN_SPACE + bounds.memory + _COPIES * bounds.given)
    _at_most(resource.RLIMIT_CPU, math.ceil(bounds.seconds * processors) + _GRACE)
    _at_most(resource.RLIMIT_FSIZE, _OWN_FILES + _COPIES * bounds.given)
    _at_most(resource.RLIMIT_NOFILE, _FILES_OPEN)


def _at_most(what: int, most: int) -> None:
    hard = resource.getrlimit(what)[1]
    if hard == resource.RLIM_INFINITY or most < hard:
        with suppress(OverflowError):  # More than the system can count.
            resource.setrlimit(what, (most, most))


def _prctl(what: int, value: int) -> None:
    with suppress(OSError, AttributeError):  # Only Linux has it.
        ctypes.CDLL(None).prctl(what, value, 0, 0, 0)
