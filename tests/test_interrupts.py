"""Interrupts: one is taken, wherever it arrives, and nothing incomplete is left of it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from files import contents, conv_net, save, save_apart
from onnx import ModelProto

import folding
from folding.interrupts import SIGNALS, held_back

STORAGE = {"interrupts.py", "target.py", "waiting.py", "writing.py"}


@pytest.fixture(autouse=True)
def as_python_does() -> Iterator[None]:
    """Let an interrupt raise whenever it arrives, whatever other tests have set."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


# --- signals that are held back ------------------------------------------------------------------


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_is_held_back_comes_after_the_block(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """To the handler that was there before, which stays."""
    said: list[str] = []

    def handler(*_: Any) -> None:
        said.append("handled")

    usual = signal.signal(number, handler)
    with held_back():
        signal.raise_signal(number)
        said.append("done")

    assert said == ["done", "handled"]
    assert signal.signal(number, usual) is handler


def test_what_a_handler_raises_comes_out_of_the_block() -> None:
    """Whatever it is."""
    signal.signal(signal.SIGINT, lambda *_: sys.exit(7))

    with pytest.raises(SystemExit, match="7"), held_back():
        signal.raise_signal(signal.SIGINT)


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    """Inside of the block and after it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    with held_back():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN

    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_another_thread_holds_nothing_back() -> None:
    """It cannot, and is not interrupted either."""
    said: list[Any] = []

    def work() -> None:
        with held_back():
            said.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert said == [signal.default_int_handler]


class Stop(BaseException):
    """What the handler of a library's user may raise."""


def stop(*_: Any) -> None:
    raise Stop


def test_whatever_a_handler_raises_as_it_comes_back_the_others_come_back_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And what waited for them is delivered."""
    said: list[int] = []
    others = SIGNALS[1:]
    usual = [(number, signal.getsignal(number)) for number in SIGNALS]
    handlers: list[Any] = [stop, *(lambda number, _: said.append(number) for _ in others)]
    for number, handler in zip(SIGNALS, handlers, strict=True):
        signal.signal(number, handler)
    real = signal.signal

    def interrupted(number: int, handler: Any) -> Any:
        before = real(number, handler)
        if handler is stop:
            signal.raise_signal(number)
        return before

    def hold() -> None:
        with monkeypatch.context() as patch, held_back():
            patch.setattr(signal, "signal", interrupted)
            for number in others:
                signal.raise_signal(number)

    try:
        with pytest.raises(Stop):
            hold()
        assert [signal.getsignal(number) for number in SIGNALS] == handlers
        assert said == others
    finally:
        for number, before in usual:
            signal.signal(number, before)


def test_an_event_loop_hears_of_a_signal_once() -> None:
    """The system has told it already, past the handler."""
    heard: list[int] = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, lambda: heard.append(signal.SIGTERM))
        with held_back():
            signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(0.1)

    asyncio.run(work())

    assert heard == [signal.SIGTERM]


# --- folds that are interrupted ------------------------------------------------------------------


class Interruption:
    """Sends SIGINT before a line of the modules that store files, counted from the first."""

    def __init__(self, line: int) -> None:
        self.left = line

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "call":
            return self if Path(frame.f_code.co_filename).name in STORAGE else None
        if event == "line":
            self.left -= 1
            if not self.left:
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)
        return self

    def fold(self, source: Path, target: Path) -> bool:
        """Whether the fold came to its end before the line."""
        usual = sys.gettrace()
        sys.settrace(self)
        try:
            folding.fold(source, target, verify=False)
        except KeyboardInterrupt:
            assert self.left == 0
        finally:
            sys.settrace(usual)
        return self.left > 0


def nets() -> tuple[ModelProto, ModelProto]:
    return conv_net(16, seed=1), conv_net(16, seed=2)


@pytest.mark.parametrize("is_apart", [True, False])
def test_an_interrupt_at_any_line_leaves_the_old_pair_or_the_new(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_apart: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """And nothing else: no data of the other pair, no file that waits."""
    old, new = (
        (save_apart if is_apart else save)(net, tmp_path / f"{number}.onnx", *more)
        for number, net in enumerate(nets())
        for more in [[f"{number}.bin"] if is_apart else []]
    )
    monkeypatch.setattr("folding.target.PATIENCE", 1.0)  # Nobody may go on holding the folder.
    out = tmp_path / "out"
    pairs = []
    for source in (old, new):
        out.mkdir()
        folding.fold(source, out / "f.onnx", verify=False)
        pairs.append(contents(out))
        for path in out.iterdir():
            path.unlink()
        out.rmdir()
    out.mkdir()
    found = []
    for line in range(1, 2000):
        for path in out.iterdir():
            path.unlink()
        for name, data in pairs[0].items():
            (out / name).write_bytes(data)
        is_done = Interruption(line).fold(new, out / "f.onnx")
        found.append(pairs.index(contents(out)))
        if is_done:
            break

    assert found[-1] == 1
    assert found == sorted(found)
    assert len(found) > 100


# --- the command ---------------------------------------------------------------------------------

BEGINNING = """
import os, signal, sys
def interrupt():
    os.kill(os.getpid(), signal.{sent})
"""
AGAIN_WHILE_IT_IS_TOLD = """
import folding.carrying, folding.exits
complain = folding.exits.complain
def twice(text):
    complain(text)
    interrupt()
folding.exits.complain = twice
folding.carrying._write = lambda *_: interrupt()
"""
WHILE_A_LIBRARY_IS_LOADED = """
import folding.carrying
def loading(*_):
    try:
        interrupt()
    except KeyboardInterrupt:
        raise {error}("initialization failed") from None
folding.carrying._write = loading
"""
BEFORE_THE_COMMAND_IS_LOADED = """
class Finder:
    def find_spec(self, name, *_):
        if name == "folding.cli":
            interrupt()
sys.meta_path.insert(0, Finder())
"""
BEFORE_THE_COMMAND_BEGINS = """
import click
click.Group.resolve_command = lambda *_: interrupt()
"""
AFTER_THE_COMMAND = """
import click
click.exceptions.Exit.__init__ = lambda self, code: interrupt()
"""
END = """
from folding.__main__ import main
main()
"""


def interrupted(
    source: Path, code: str, sent: str = "SIGINT", **more: Any
) -> subprocess.CompletedProcess[str]:
    """Fold where something interrupts."""
    words = [sys.executable, "-c", BEGINNING.format(sent=sent) + code + END, "fold", str(source)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, **more)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return save(conv_net(), tmp_path / "m.onnx")


SAID = "fold-model: interrupted; no incomplete file was written.\n"


@pytest.mark.parametrize("sent", SIGNALS)
def test_a_second_interrupt_while_the_first_is_told_does_nothing(
    source: Path, sent: signal.Signals
) -> None:
    """Click would make an exit code of it that says something about the model."""
    found = interrupted(source, AGAIN_WHILE_IT_IS_TOLD, sent.name)

    assert (found.returncode, found.stderr.splitlines()[-1] + "\n") == (130, SAID)
    assert list(contents(source.parent)) == ["m.onnx"]


@pytest.mark.parametrize("error", ["ImportError", "SystemError", "RuntimeError", "AttributeError"])
def test_an_interrupt_that_a_library_makes_another_error_of_is_one(
    source: Path, error: str
) -> None:
    """It failed to load because of it, and there is nothing to report to us."""
    found = interrupted(source, WHILE_A_LIBRARY_IS_LOADED.format(error=error))

    assert (found.returncode, found.stderr.splitlines()[-1] + "\n") == (130, SAID)


@pytest.mark.parametrize(
    "code", [BEFORE_THE_COMMAND_IS_LOADED, BEFORE_THE_COMMAND_BEGINS, AFTER_THE_COMMAND]
)
def test_an_interrupt_before_and_after_the_work_is_one_too(source: Path, code: str) -> None:
    """Click would say that the model is another one."""
    found = interrupted(source, code)

    assert found.returncode == 130
    assert found.stderr.endswith(SAID)
    assert "Traceback" not in found.stderr


HANG_UP = """
import folding.carrying
write = folding.carrying._write
def _write(*arguments):
    interrupt()
    return write(*arguments)
folding.carrying._write = _write
"""


def test_a_signal_that_was_to_be_ignored_is_ignored(source: Path) -> None:
    """``nohup fold-model ...`` goes on when the terminal is closed."""
    nohup = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"

    found = interrupted(source, nohup + HANG_UP, "SIGHUP")
    without = interrupted(source, HANG_UP, "SIGHUP")

    assert (found.returncode, without.returncode) == (0, 130)


@pytest.mark.parametrize("code", [HANG_UP, BEFORE_THE_COMMAND_IS_LOADED])
def test_an_interrupt_can_be_told_to_nobody(source: Path, code: str) -> None:
    """The terminal that is closed takes no words any more; the exit code is the same."""
    with Path("/dev/full").open("w") as full:
        words = [sys.executable, "-c", BEGINNING.format(sent="SIGHUP") + code + END]
        found = subprocess.run(
            [*words, "fold", str(source), "--quiet"], stderr=full, timeout=60, check=False
        )

    assert found.returncode == 130
    assert list(contents(source.parent)) == ["m.onnx"]


SWALLOWED = """
import weakref
import folding.carrying
class Thing: pass
def swallowing():
    thing = Thing()
    reference = weakref.ref(thing, lambda _: interrupt())
    del thing
write = folding.carrying._write
def _write(*arguments):
    for _ in range({times}):
        swallowing()
    {then}
    return write(*arguments)
folding.carrying._write = _write
"""


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupt_after_one_that_was_swallowed_is_taken(source: Path, times: int) -> None:
    """Nobody has heard of the first."""
    found = interrupted(source, SWALLOWED.format(times=times, then="interrupt()"))

    assert (found.returncode, found.stderr.endswith(SAID)) == (130, True)
    assert list(contents(source.parent)) == ["m.onnx"]


@pytest.mark.parametrize("sent", SIGNALS)
def test_a_process_that_swallows_every_interrupt_ends_all_the_same(
    source: Path, sent: signal.Signals
) -> None:
    """By the signal itself."""
    found = interrupted(source, SWALLOWED.format(times=10, then=""), sent.name)

    assert found.returncode == -sent
    assert "m.folded.onnx" not in contents(source.parent)


WHILE_IT_IS_CLEARED_UP = """
import folding.carrying
from folding import writing
held_back = writing.held_back
def twice():
    interrupt()
    return held_back()
def _verify(*_):
    writing.held_back = twice
    interrupt()
folding.carrying._verify = _verify
"""


def test_a_second_interrupt_while_the_first_is_cleared_up_after_does_nothing(
    source: Path,
) -> None:
    """Both may arrive at once, and nothing may be left."""
    found = interrupted(source, WHILE_IT_IS_CLEARED_UP)

    assert (found.returncode, found.stderr.endswith(SAID)) == (130, True)
    assert list(contents(source.parent)) == ["m.onnx"]


WHILE_C_LOADS_IT = """
class Finder:
    def find_spec(self, name, *_):
        if name == "{name}":
            interrupt()
            print("loaded on", flush=True)
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize("name", ["numpy", "onnx"])
def test_no_library_is_interrupted_while_it_is_loaded(source: Path, name: str) -> None:
    """In C++, that ends the process."""
    found = interrupted(source, WHILE_C_LOADS_IT.format(name=name))

    assert (found.returncode, found.stdout) == (130, "loaded on\n")
    assert found.stderr.endswith(SAID)


WHILE_PYTHON_RUNS_FOR_C = """
import folding.carrying, ctypes
def unheard(*_):
    # As pybind11 does with what it executes: Python remembers that it was interrupted there.
    interrupt_there = b"import os, signal; os.kill(os.getpid(), signal.SIGINT)"
    ctypes.pythonapi.PyRun_SimpleString(interrupt_there)
    raise KeyboardInterrupt
folding.carrying._write = unheard
"""


def test_the_exit_code_is_ours_whatever_python_remembers(source: Path, tmp_path: Path) -> None:
    """Of a module it would kill itself at the end, with the signal that it was interrupted by."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(WHILE_PYTHON_RUNS_FOR_C)
    path = os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])
    found = subprocess.run(
        [sys.executable, "-m", "folding", "fold", str(source)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )

    assert (found.returncode, found.stderr.endswith(SAID)) == (130, True)
