"""What the process that runs the models may use: seconds, and bytes that only it can reach.

Its memory is what the system calls data: heaps, stacks and private maps that can be written to.
Maps that can only be read, which is how weights are read, are the system's own copies of files and
do not count. Linux keeps a process to such a limit; other systems have none, or one that memory
maps escape, and there only the time is limited.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from numbers import Real
from pathlib import Path
from typing import cast

from folding.errors import BadCall

if sys.platform != "win32":
    import resource

#: What libraries say without memory, where they do not raise a MemoryError.
NO_MEMORY = ("Failed to allocate memory", "bad_alloc", "bad allocation")

#: The execution provider that runs models if nothing else is asked for.
CPU_PROVIDER = "CPUExecutionProvider"
#: The part of the machine's memory that is left to the caller and the system.
_SPARED = 10


@dataclass(frozen=True, slots=True)
class RunLimits:
    """What running the models for one verification may cost.

    Attributes:
        seconds: of wall time.
        memory: bytes of private data; None for nine tenths of what the machine, or the control
            group that this process is in, has.

    Raises:
        BadCall: one of them is no positive number.
    """

    seconds: float = 600.0
    memory: int | None = None

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise BadCall(f"the time limit is {self.seconds} s", hint="Give more than 0 seconds.")
        if self.memory is not None and self.memory <= 0:
            raise BadCall(f"the memory limit is {self.memory}", hint="Give more than 0 bytes.")


#: The usual ones.
RUN_LIMITS = RunLimits()


def check_tolerance(tolerance: object) -> None:
    """Refuse what is no tolerance, whoever is to compute with it.

    Raises:
        BadCall: it is none.
    """
    is_number = isinstance(tolerance, Real) and not isinstance(tolerance, bool)
    if tolerance is not None and not (is_number and 0 <= cast("float", tolerance) < inf):
        text = f"the tolerance is {tolerance!r}"
        raise BadCall(text, hint="Give a number that is not negative.")


def check_provider(provider: object) -> None:
    """Refuse what is the name of no execution provider, wherever it is to be looked for.

    Raises:
        BadCall: it is none.
    """
    if not isinstance(provider, str) or not provider:
        text = f"the provider is {provider!r}"
        raise BadCall(text, hint="Give the name that onnxruntime has for it.")


def bytes_allowed(limits: RunLimits) -> int | None:
    """How much data the process may have; None if nothing here can say."""
    wanted = limits.memory
    if wanted is None:
        there = memory_there()
        wanted = None if there is None else there - there // _SPARED
    if sys.platform != "win32" and wanted is not None:
        most = resource.getrlimit(resource.RLIMIT_DATA)[1]
        return min(wanted, sys.maxsize if most == resource.RLIM_INFINITY else most)
    return wanted


def memory_there(
    membership: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")
) -> int | None:
    """The physical memory, or what a control group leaves of it."""
    found = list(_group_limits(membership, root))
    if sys.platform != "win32":
        with suppress(OSError, ValueError):
            found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min((size for size in found if size > 0), default=None)


def _group_limits(membership: Path, root: Path) -> Iterator[int]:
    """The limits of each control group that a process is in, of both versions."""
    for folder, name, path in _groups(membership, root):
        group = folder / path.lstrip("/")
        # In a container the path may be that outside of it, while the root shows the own group.
        for level in (group, *group.parents):
            if level.is_relative_to(folder):
                with suppress(OSError, ValueError):
                    yield int((level / name).read_text(encoding="ascii"))


def _groups(membership: Path, root: Path) -> Iterator[tuple[Path, str, str]]:
    """For each hierarchy that limits memory: its folder, the name of the limit, and our group."""
    try:
        lines = membership.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield root, "memory.max", path
            yield root / "unified", "memory.max", path
        elif "memory" in controllers.split(","):
            yield root / "memory", "memory.limit_in_bytes", path


def settle() -> None:
    """Make this process one that may be lost: no file keeps its memory, but it may open many."""
    # Whoever kills for want of memory shall not take the caller.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    if sys.platform != "win32":
        _set_limit(resource.RLIMIT_CORE, 0)
        _set_limit(resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def restrain(memory: int | None) -> None:
    """Let this process have so much data. There is no way back."""
    if sys.platform != "win32" and memory is not None:
        _set_limit(resource.RLIMIT_DATA, memory)


def _set_limit(what: int, most: int) -> None:
    if sys.platform != "win32":
        with suppress(OSError, ValueError):
            resource.setrlimit(what, (most, most))
