"""Kills processes that use a spool, at any moment, and looks at what they left: a program.

    python tests/spool_killing.py FOLDER ROUNDS SEED

Prints in how many rounds something was left half-made, where nobody sees it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
from spools import OWNER, file_of, finished, left_in, send, spool_at

from folding_server.store import Spool

#: So few that uploads and results also go while others come.
SPOOL_BYTES = 1 << 20
KEYS = [str(number) * 64 for number in range(4)]


def work(folder: Path, ready: int) -> None:
    """Send files and keep results for ever."""
    with spool_at(folder, spool_bytes=SPOOL_BYTES) as spool:
        os.write(ready, b"!")
        chance = np.random.default_rng()
        while True:
            asyncio.run(one_call(spool, chance))


async def one_call(spool: Spool, chance: np.random.Generator) -> None:
    """Send a file in many chunks, and keep a result."""
    data = chance.bytes(int(chance.integers(200_000)))
    file, step = file_of(data), int(chance.integers(1000, 100_000))
    with spool.blobs.pin(OWNER, [file]):
        chunks = [(0, data[at : at + step]) for at in range(0, len(data), step)]
        await send(spool, [file], *chunks)
    key = KEYS[chance.integers(len(KEYS))]
    with spool.results.pin(key):
        spool.results.put(key, finished(spool, "x" * int(chance.integers(100_000))))


def kill_one(folder: Path, after: float) -> None:
    """Start a process that works, and kill it so many seconds later."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        work(folder, writer)
    os.close(writer)
    os.read(reader, 1)
    os.close(reader)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def check(folder: Path) -> None:
    """See that what is in its place is whole."""
    for blob in (folder / "blobs").glob("*/*"):
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
        assert blob.stat().st_mode & 0o777 == 0o400
    for result in (folder / "results").iterdir():
        told = json.loads((result / "outcome.json").read_text())
        for file in told["files"]:
            data = (result / "files" / file["path"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == file["sha256"]


def main(folder: Path, rounds: int, seed: int) -> None:
    """Kill, look, start again."""
    moments, halves = np.random.default_rng(seed), 0
    for _ in range(rounds):
        kill_one(folder, moments.random() * 0.1)
        check(folder)
        halves += bool(left_in(folder / "uploads"))
        with spool_at(folder):
            assert not left_in(folder / "uploads")
            assert not list((folder / "jobs").iterdir())
        check(folder)
    assert list((folder / "blobs").glob("*/*"))
    assert list((folder / "results").iterdir())
    sys.stdout.write(str(halves))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
