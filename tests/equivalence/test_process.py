"""A child process ends by itself in each of its ways, and is understood in its death."""

from __future__ import annotations

import pickle
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from folding.equivalence import process
from folding.equivalence.child import SIZE, write
from folding.equivalence.process import Ended, Process

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has no signals")


@pytest.fixture
def child() -> Iterator[Process]:
    with Process((), None) as started:
        started.greet()
        yield started


def request(name: str, seconds: float = 60) -> bytes:
    return pickle.dumps((f"misbehaviour:{name}", (), seconds))


def send(child: Process, message: bytes) -> None:
    """Ask without waiting for an answer."""
    write(child._requests, SIZE.pack(1), SIZE.pack(len(message)), message)


def test_a_child_whose_requests_end_ends(child: Process) -> None:
    """So it does when its parent dies, on any system."""
    send(child, request("loop"))
    time.sleep(0.3)

    child._requests.close()

    assert child._popen.wait(2) == 0


def test_a_child_that_was_forgotten_ends_with_its_time(child: Process) -> None:
    """Whatever it does, and whoever else keeps its pipes open."""
    start = time.monotonic()
    with pytest.raises(Ended):
        child.exchange([request("loop_alone", seconds=0.5 - 5)])

    assert child.death().by_time
    assert time.monotonic() - start < 10


def test_a_child_that_answered_in_time_goes_on(child: Process) -> None:
    """The alarm of one call is not that of the next."""
    child.exchange([request("echo", seconds=0.2 - 5)])
    time.sleep(0.5)

    assert child.exchange([request("echo")]) == b'{"result": []}'


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="as Linux does it")
def test_a_child_ends_with_the_thread_that_started_it() -> None:
    """The system sees to it, even when somebody else keeps its pipes open."""
    made: list[Process] = []

    def start() -> None:
        made.append(Process((), None))
        made[0].greet()
        send(made[0], request("loop_alone"))
        time.sleep(0.3)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    with made[0] as child:
        assert child.death().by_kill


def test_a_program_that_only_talks_is_no_interpreter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nobody listens to it for long."""
    path = tmp_path / "talker"
    path.write_text("#!/bin/sh\nwhile echo hello; do :; done\n", encoding="ascii")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))
    monkeypatch.setattr(process, "_MOST_NOISE", 1 << 12)

    with Process((), None) as child, pytest.raises(Ended):
        child.greet()


def test_an_answer_may_come_in_pieces(child: Process) -> None:
    """A pipe gives as much as it likes."""
    assert len(child.exchange([request("answer_long")])) == (1 << 20) + len('{"result": ""}')
