"""The allocator of glibc, told that megabytes come and go all the time.

By its own rules it takes every chunk afresh from the kernel, which costs more than sending it: with
both thresholds raised, chunks of 1 MiB arrive about twice as fast. One alone does nothing.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache

_MIB = 1 << 20
#: From malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
#: No message has more, so all are taken from what is kept.
_MMAP_BYTES = 4 * _MIB
#: Greater ones are no faster, and what many uploads at once took would stay for good.
_TRIM_BYTES = 16 * _MIB
#: How an operator says the same.
_OWN = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")


def _glibc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "gnu_get_libc_version") else None


@cache
def tune() -> bool:
    """Raise the thresholds; False where there are none, or where the operator set them."""
    libc = _glibc()
    if libc is None or any(name in os.environ for name in _OWN):
        return False
    told = (
        libc.mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES),
        libc.mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES),
    )
    return all(told)


def chunk_bytes() -> int:
    """The size of chunks that costs least: half where each megabyte would be taken afresh."""
    return _MIB if tune() else _MIB // 2


def give_back() -> bool:
    """Return to the kernel what nobody uses, where that can be asked for; takes milliseconds.

    After many uploads at once most of what they took lies between what is still in use, where no
    threshold helps.
    """
    libc = _glibc()
    return libc is not None and bool(libc.malloc_trim(0))
