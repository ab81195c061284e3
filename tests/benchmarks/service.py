"""How fast the service takes models in and folds them, and what its front costs.

    python -m pip install '.[test]' && python tests/benchmarks/service.py

starts servers of its own on loopback and prints a table for each section. Whatever is compared is
measured in turn, in one run, by whole processes; figures are medians. Nobody else should use the
machine meanwhile. Files and spools (6 GB) are in memory where the system has /dev/shm, so that it
is the service that is measured and not a disk; ``--folder`` takes another place.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

import architectures
from comparison import markdown, target
from sections import Section
from service_uploads import MB, Bench, end, memory, peak, upload

from folding_server import malloc
from folding_server.client import AsyncClient, Client

_LOCAL = """
import sys, time
import folding
start = time.perf_counter()
for source in sys.argv[1:]:
    folding.fold(source)
print(time.perf_counter() - start)
"""


def _models(folder: Path, count: int, channels: int) -> list[Path]:
    """Models of one kind, no two of the same bytes."""
    architectures.cnn(1, channels)(folder / "model.onnx")
    data = (folder / "model.onnx").read_bytes()
    paths = [folder / f"{number}.onnx" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(data + b"\x32\x04%04d" % number)  # The documentation of the model.
    return paths


def row(bench: Bench) -> Section:
    """Models one after another, here and there."""
    count = 100
    with bench.files() as folder, bench.server() as (_, server):
        paths = _models(folder, count, 170)
        words = [sys.executable, "-c", _LOCAL, *map(str, paths)]
        here = float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
        with Client(server.target) as client:
            start = time.perf_counter()
            for path in paths:
                client.fold(path, path.with_suffix(".served"))
            there = time.perf_counter() - start
        size = paths[0].stat().st_size / MB
        folded = paths[0].with_suffix(".folded.onnx").read_bytes()
        assert paths[0].with_suffix(".served").read_bytes() == folded
    rows = [
        markdown(f"{count} models of {size:.1f} MB", "seconds", "ms each"),
        "|---|--:|--:|",
        markdown("`folding.fold` in one process", f"{here:.2f}", f"{1e3 * here / count:.0f}"),
        markdown("`Client.fold`", f"{there:.2f}", f"{1e3 * there / count:.0f}"),
    ]
    more = 1e3 * (there - 1.5 * here) / count
    line = target("beyond 1.5 times that, each takes", more, 60, " ms")
    return Section("One after another", "\n".join(rows), [line])


async def _together(address: str, paths: Sequence[Path]) -> list[float]:
    """The seconds of folds that all begin at once."""

    async def fold(client: AsyncClient, path: Path) -> float:
        start = time.perf_counter()
        await client.fold(path, path.with_suffix(".served"))
        return time.perf_counter() - start

    async with AsyncClient(address) as client:
        return await asyncio.gather(*(fold(client, path) for path in paths))


def crowd(bench: Bench) -> Section:
    """200 small folds at once, and how long health takes to answer meanwhile."""
    count = 200
    with bench.files() as folder, bench.server() as (port, server):
        paths = _models(folder, count, 8)
        with end("health", port) as (_, process):
            start = time.perf_counter()
            asyncio.run(_together(server.target, paths))
            whole = time.perf_counter() - start
            answers = sorted(json.loads(process.communicate()[0]))
        served = sum(path.with_suffix(".served").exists() for path in paths)
        most, p99 = peak(server) / MB, answers[int(0.99 * len(answers))]
    rows = [
        markdown("folded", "seconds", "health p50", "p99", "longest", "front's peak MB"),
        "|--:|--:|--:|--:|--:|--:|",
        markdown(
            f"{served} of {count}",
            f"{whole:.1f}",
            *(f"{1e3 * each:.1f} ms" for each in (statistics.median(answers), p99, answers[-1])),
            f"{most:.0f}",
        ),
    ]
    lines = [
        target("folds that are lost", count - served, 0),
        target("health answers within", 1e3 * answers[-1], 100, " ms"),
    ]
    return Section(f"{count} at once", "\n".join(rows), lines)


def cached(bench: Bench) -> Section:
    """The same fold again."""
    times = []
    with bench.files() as folder, bench.server() as (_, server):
        (path,) = _models(folder, 1, 170)
        with Client(server.target) as client:
            for _ in range(21):
                start = time.perf_counter()
                client.fold(path, path.with_suffix(".served"))
                times.append(1e3 * (time.perf_counter() - start))
    first, again = times[0], statistics.median(times[1:])
    rows = [
        markdown("fold of 1 MB", "ms"),
        "|---|--:|",
        markdown("first", f"{first:.1f}"),
        markdown("again", f"{again:.1f}"),
    ]
    line = target("a cached answer takes", again, 20, " ms")
    return Section("Cached answers", "\n".join(rows), [line])


SECTIONS: tuple[Callable[[Bench], Section], ...] = (upload, memory, row, crowd, cached)


def main() -> None:
    """Print the sections that were asked for, each as soon as it is measured."""
    parser = argparse.ArgumentParser(description="Measure the service.")
    names = [section.__name__ for section in SECTIONS]
    parser.add_argument("--only", choices=names, action="append", help="this section; repeatable")
    parser.add_argument("--runs", type=int, default=5, help="of what is compared (default: 5)")
    parser.add_argument("--chunk", type=int, help="bytes of a chunk (default: the server's)")
    parser.add_argument("--folder", type=Path, help="for files and spools (default: in memory)")
    options = parser.parse_args()
    memory_disk = Path("/dev/shm")  # noqa: S108 - the folders made there are private
    folder = options.folder or (memory_disk if memory_disk.exists() else None)
    bench = Bench(folder, options.runs, options.chunk or malloc.chunk_bytes())
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("grpcio", "protobuf"))
    print(f"{versions}; Python {platform.python_version()}, {os.cpu_count()} CPUs.")
    for section in SECTIONS:
        if not options.only or section.__name__ in options.only:
            done = section(bench)
            print(f"\n**{done.title}**\n\n{done.table}\n", *done.targets, sep="\n", flush=True)


if __name__ == "__main__":
    main()
