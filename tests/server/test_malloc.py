"""The allocator: tuned where there is one to tune and the operator did not."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

MIB = 1 << 20


def told(text: str, **environment: str) -> str:
    """What a fresh process prints."""
    clean = {name: text for name, text in os.environ.items() if "MALLOC" not in name}
    done = subprocess.run(
        [sys.executable, "-c", "import sys\nfrom folding_server import malloc\n" + text],
        check=True,
        capture_output=True,
        text=True,
        env={**clean, **environment},
    )
    return done.stdout.strip()


@pytest.mark.skipif("glibc" not in str(os.confstr("CS_GNU_LIBC_VERSION")), reason="needs glibc")
def test_freed_megabytes_are_used_again() -> None:
    """Buffers of a chunk's size cause page faults the first time, and then no more."""
    loop = (
        "import resource\n"
        "def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "def use(): [bytearray(b'x') * (1 << 20) for _ in range(8)]\n"
        "{}\n"
        "use()\n"
        "before = faults()\n"
        "for _ in range(20): use()\n"
        "print(faults() - before)\n"
    )
    assert int(told(loop.format("malloc.tune()"))) * 4 < int(told(loop.format("")))


@pytest.mark.skipif("glibc" not in str(os.confstr("CS_GNU_LIBC_VERSION")), reason="needs glibc")
def test_what_is_not_used_is_given_back() -> None:
    """Memory between what is still in use goes back to the system when it is asked to."""
    text = (
        "import os\n"
        "def resident(): return int(open('/proc/self/statm').read().split()[1])\n"
        "malloc.tune()\n"
        "taken = [bytearray(b'x') * (1 << 20) for _ in range(64)]\n"
        "del taken[:-1]\n"
        "before = resident()\n"
        "assert malloc.give_back()\n"
        "print(before - resident())\n"
    )
    assert int(told(text)) * os.sysconf("SC_PAGE_SIZE") > 50 * MIB


@pytest.mark.parametrize(
    "name", ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_"]
)
def test_the_operator_knows_better(name: str) -> None:
    """If the environment says how to allocate, that is how."""
    assert told("print(malloc.tune(), malloc.chunk_bytes())", **{name: str(MIB)}) == (
        f"False {MIB // 2}"
    )


def test_elsewhere_chunks_are_smaller() -> None:
    """Where nothing can be tuned, chunks have half the size."""
    text = "sys.platform = 'darwin'\nprint(malloc.tune(), malloc.chunk_bytes(), malloc.give_back())"
    assert told(text) == f"False {MIB // 2} False"


def test_another_libc() -> None:
    """A C library that has no such call is left alone."""
    text = "malloc.ctypes.CDLL = lambda name: object()\nprint(malloc.tune(), malloc.chunk_bytes())"
    assert told(text) == f"False {MIB // 2}"


def test_nothing_large_is_imported() -> None:
    """The store needs neither onnx nor numpy, the allocator no grpc either."""
    text = (
        "print([name for name in ('grpc', 'onnx', 'numpy') if name in sys.modules])\n"
        "import folding_server.store\n"
        "print([name for name in ('onnx', 'numpy') if name in sys.modules])"
    )
    assert told(text) == "[]\n[]"
