"""The descriptors that the server may have: every connection needs one."""

from __future__ import annotations

import resource
from contextlib import suppress

#: As many as ever help.
_MOST = 1 << 16
#: For files, jobs and whatever else is not a connection.
_SPARED = 256
_MOST_CONNECTIONS = 1 << 13


def allow_all() -> None:
    """Raise the limit as far as the system lets this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(OSError, ValueError):  # Not everywhere as many as it says.
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def most_connections() -> int:
    """How many clients may be connected at once, so that files can still be opened."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return min(max(soft - _SPARED, soft // 2), _MOST_CONNECTIONS)
