"""A real server: a process of its own on a real socket, of which nothing may be left afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil
import pytest

from folding.v1.folding_pb2_grpc import FoldingServiceStub

_FIRST = "fold-model: serving on "
_PATIENCE = 30.0
_ANY_PORT = "127.0.0.1:0"
#: What a job leaves here is left for good.
_PASSING = ("uploads", "jobs")


#: The front hides from its own user, whose jobs might look into it.
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into the front")


@dataclass(frozen=True, slots=True)
class Server:
    """One that runs. ``target`` is where, ``log`` the file that it writes its log to."""

    target: str
    process: psutil.Popen
    spool: Path
    log: Path

    @contextmanager
    def stub(self) -> Iterator[FoldingServiceStub]:
        """Its calls, in plain text and without a token."""
        with grpc.insecure_channel(self.target) as channel:
            yield FoldingServiceStub(channel)

    def lines(self) -> list[str]:
        """What it has logged so far."""
        return self.log.read_text().splitlines()

    def left(self) -> list[Path]:
        """The files of uploads and jobs."""
        folders = (self.spool / name for name in _PASSING)
        # It passes over what goes away meanwhile.
        walks = (walk for folder in folders for walk in os.walk(folder))
        return [Path(top, name) for top, inner, files in walks for name in (*inner, *files)]


@contextmanager
def serving(
    folder: Path,
    *words: str,
    listen: str = _ANY_PORT,
    ready: bool = True,
    within: Sequence[str] = (),
) -> Iterator[Server]:
    """Start ``python -m folding_server`` and wait for its first line; in the end, stop it.

    ``folder`` is for its spool and its log; ``within`` is a command that becomes the one given to
    it. After the block no process of it may be left, and no file of a job.
    """
    with started(folder, *words, listen=listen, within=within) as process:
        log = folder / "log"
        target = _target(process, log)
        # A command may give it a world of its own.
        root = Path(f"/proc/{process.pid}/root") if within else Path("/")
        server = Server(target, process, root / (folder / "spool").relative_to("/"), log)
        if ready:
            wait_until(lambda: '"ready"' in log.read_text())
        family = process.children(recursive=True)
        yield server
        family += process.children(recursive=True) if process.poll() is None else []
        assert stop(process) == 0, log.read_text()[-5000:]
        _, alive = psutil.wait_procs(family, timeout=5)
        assert alive == []
        assert server.left() == []


@contextmanager
def started(
    folder: Path, *words: str, listen: str = _ANY_PORT, within: Sequence[str] = ()
) -> Iterator[psutil.Popen]:
    """Only its process, which is ended for certain."""
    command = [*within, sys.executable, "-m", "folding_server", "--listen", listen]
    command += ["--spool", str(folder / "spool"), *words]
    with (folder / "log").open("wb") as log:
        environment = {**os.environ, "PYTHONFAULTHANDLER": "1"}
        process = psutil.Popen(command, stderr=log, stdin=subprocess.DEVNULL, env=environment)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def stop(process: psutil.Popen) -> int | None:
    """Ask it to end; its exit code. If it does not end, its log says where it was."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(_PATIENCE)
    except psutil.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        return process.wait(_PATIENCE)


def refused(folder: Path, *words: str, listen: str = _ANY_PORT) -> tuple[int, str]:
    """The exit code of a server that shall not start, and what it said."""
    with started(folder, *words, listen=listen) as process:
        code = process.wait(_PATIENCE)
    return code, (folder / "log").read_text()


def wait_until(holds: object, patience: float = _PATIENCE) -> None:
    """Wait until ``holds`` is true of the world."""
    assert callable(holds)
    end = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def _target(process: psutil.Popen, log: Path) -> str:
    wait_until(lambda: _FIRST in log.read_text() or process.poll() is not None)
    first: Sequence[str] = log.read_text().splitlines()[:1]
    assert first, "it ended without a word"
    assert first[0].startswith(_FIRST), log.read_text()
    return first[0].removeprefix(_FIRST).split(", ")[0]
