"""What is sent to the service, and what that costs: the first sections of ``service.py``."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from comparison import markdown, target
from sections import Section

sys.path.insert(0, str(Path(__file__).parents[1]))

from serving import Server, serving

_ENDS = Path(__file__).with_name("service_ends.py")
MB = 1_000_000
#: Seconds after which the front has given back what it took.
_UNTIL_QUIET = 3


def _words(name: str, *arguments: object) -> list[str]:
    return [sys.executable, str(_ENDS), name, *map(str, arguments)]


def _measured(name: str, *arguments: object) -> float:
    """What an end of the line says that it took."""
    found = subprocess.run(_words(name, *arguments), capture_output=True, text=True, check=True)
    return float(json.loads(found.stdout))


@contextmanager
def end(name: str, *arguments: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """One that runs meanwhile, and where it is."""
    pipe = subprocess.PIPE
    words = _words(name, *arguments)
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.terminate()


@dataclass(frozen=True, slots=True)
class Bench:
    """Where files are, and how much is asked for."""

    folder: Path | None
    runs: int
    chunk: int

    @contextmanager
    def files(self) -> Iterator[Path]:
        """A folder for a while."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            yield Path(folder)

    @contextmanager
    def server(self) -> Iterator[tuple[str, Server]]:
        """A server with a spool of its own, and its port."""
        with self.files() as folder, serving(folder) as server:
            yield server.target.rpartition(":")[2], server


def _junk(folder: Path, size: int, salt: int = 0) -> Path:
    """A file of so many bytes, which are no model."""
    path = folder / f"{salt}-{size}"
    with path.open("wb") as file:
        file.write(b"%d" % salt)
        for _ in range(0, size, MB):
            file.write(bytes(MB))
        file.truncate(size)
    return path


def peak(server: Server) -> int:
    """The most bytes that the front ever had."""
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


def upload(bench: Bench) -> Section:
    """A file of 500 MB from one process to another."""
    size = 500 * MB
    names = ("raw TCP", "raw TCP, written and hashed", "gRPC, discarded", "the service")
    times: dict[str, list[float]] = {name: [] for name in names}
    with (
        bench.files() as folder,
        end("tcp_sink") as (raw, _),
        end("tcp_store", folder) as (store, _),
        end("grpc_sink") as (sink, _),
        bench.server() as (real, _),
    ):
        ways = (("tcp_send", raw), ("tcp_send", store), ("grpc_send", sink), ("grpc_send", real))
        for run in range(-1, bench.runs):  # The first of all is not counted.
            path = _junk(folder, size, run)
            found = [_measured(name, port, path, bench.chunk) for name, port in ways]
            for taken, measured in zip(times.values(), found, strict=True):
                taken.extend([measured] if run >= 0 else [])
            path.unlink()
    medians = {name: statistics.median(found) for name, found in times.items()}
    rows = [markdown("500 MB to", "MB/s", "of raw TCP"), "|---|--:|--:|"]
    shares = {name: medians["raw TCP"] / seconds for name, seconds in medians.items()}
    for name, seconds in medians.items():
        rows.append(markdown(name, f"{size / seconds / MB:,.0f}", f"{shares[name]:.2f}x"))
    lines = [
        target("raw TCP / gRPC =", 1 / shares["gRPC, discarded"], 2, "x"),
        target(
            "raw TCP / the service, which writes and hashes =", 1 / shares["the service"], 4, "x"
        ),
        target(
            "the service / raw TCP, written and hashed =",
            medians["the service"] / medians["raw TCP, written and hashed"],
            2,
            "x",
        ),
    ]
    return Section(f"Upload in chunks of {bench.chunk >> 10} KiB", "\n".join(rows), lines)


def memory(bench: Bench) -> Section:
    """The front, for models of any size and for many of them."""
    rows = [markdown("uploads", "peak MB", "MB afterwards"), "|---|--:|--:|"]
    peaks = []
    for label, size, count in (
        ("one of 1 MB", MB, 1),
        ("one of 2 GB", 2000 * MB, 1),
        ("50 of 8 MB at once", 8 * MB, 50),
    ):
        with bench.files() as folder, bench.server() as (port, server):
            paths = [_junk(folder, size, number) for number in range(count)]
            words = [_words("grpc_send", port, path, bench.chunk) for path in paths]
            clients = [subprocess.Popen(each, stdout=subprocess.DEVNULL) for each in words]
            codes = [client.wait() for client in clients]
            assert not any(codes)
            time.sleep(_UNTIL_QUIET)
            peaks.append(peak(server) / MB)
            after = server.process.memory_info().rss / MB
        rows.append(markdown(label, f"{peaks[-1]:.0f}", f"{after:.0f}"))
    line = target("for a model of any size it has, in MB,", max(peaks[:2]), 100)
    return Section("Memory of the front", "\n".join(rows), [line])
