"""A Python process with pipes to it: how it is started, spoken to, ended, and what it died of."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from io import FileIO
from typing import cast

from folding.equivalence.child import LONGEST_ANSWER, SIZE, read, write
from folding.equivalence.limits import NO_MEMORY
from folding.interrupts import name_of

#: What runs there. Nothing of the user's own program does.
_PROGRAM = """\
import json, sys
start = json.loads(sys.argv.pop())
sys.path[:] = start["path"]
from folding.equivalence.child import main
main(start)
"""
#: The interpreter's options that decide what can be imported, and what of it is written.
_OPTIONS = {
    "isolated": "-I",
    "ignore_environment": "-E",
    "no_user_site": "-s",
    "no_site": "-S",
    "dont_write_bytecode": "-B",
    "optimize": "-O",
}
#: What the user has set goes before.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"}

#: More than a process says that starts by itself.
_MOST_NOISE = 1 << 20
#: How much of what a library writes to standard error is kept: what fits into a pipe.
_MOST_SAID = 1 << 16
_LONGEST_QUOTE = 200
#: What is told of a process that wrote nothing there.
SILENT = "it says nothing"
#: Seconds that a process may take to end once it has closed its pipes.
_PATIENCE = 2.0


class Ended(Exception):
    """No answer can come any more."""


class Process(AbstractContextManager["Process"]):
    """A child that serves ``folding.equivalence.child``.

    The system kills it when the thread that started it ends, and no signal of a terminal reaches
    it.

    Raises:
        OSError: it cannot be started.
        ValueError: the path of the interpreter is none.
    """

    def __init__(self, warm: Sequence[str], memory: int | None) -> None:
        executable = sys.executable
        if not executable or getattr(sys, "frozen", False):
            raise ValueError("this program has no Python interpreter of its own")
        self._token = os.urandom(16).hex()
        start = {
            "path": [entry for entry in sys.path if isinstance(entry, str)],
            "token": self._token,
            "warm": list(warm),
            "memory": memory,
        }
        words = [executable, *_options(), "-c", _PROGRAM, json.dumps(start)]
        self._errors, errors = os.pipe()
        try:
            if sys.platform != "win32":
                os.set_blocking(self._errors, False)
                os.set_blocking(errors, False)  # Who writes more than the pipe holds goes on.
            self._popen = _started(words, errors)
        except BaseException:
            os.close(self._errors)
            raise
        finally:
            os.close(errors)
        # Without a buffer that is what they are.
        self._requests = cast("FileIO", self._popen.stdin)
        self._answers = cast("FileIO", self._popen.stdout)

    def __exit__(self, *_: object) -> None:
        """Kill it, wait for its end and close all pipes."""
        self.kill()
        self._popen.wait()
        self._requests.close()
        self._answers.close()
        os.close(self._errors)

    def greet(self) -> None:
        """Wait until it serves, whatever is printed before.

        Raises:
            Ended: it never will.
        """
        seen = b""
        while self._token.encode() not in seen:
            block = self._answers.read(_MOST_NOISE)
            if not block or len(seen) > _MOST_NOISE:
                raise Ended
            seen += block

    def exchange(self, request: Sequence[bytes | memoryview]) -> bytearray:
        """Send the parts of a request, wait for the answer.

        Raises:
            Ended: there is none.
        """
        sizes = (len(request), *map(len, request))
        with suppress(OSError):  # It may have answered before it has read everything.
            write(self._requests, b"".join(map(SIZE.pack, sizes)), *request)
        try:
            (size,) = SIZE.unpack(read(self._answers, SIZE.size))
            # What is too long is not read: that is no answer either.
            return read(self._answers, size if size <= LONGEST_ANSWER else 0)
        except (OSError, EOFError) as error:
            raise Ended from error

    def kill(self) -> None:
        """End it and all that it has started, at once."""
        if self._popen.returncode is None:
            self._kill_group()

    def _kill_group(self) -> None:
        with suppress(OSError):
            if sys.platform == "win32":
                self._popen.kill()
            else:
                os.killpg(self._popen.pid, signal.SIGKILL)

    def death(self) -> Death:
        """What became of it, after ``Ended``."""
        try:
            code = self._popen.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            return Death(None, self._said())
        self._kill_group()  # What it has started may live, and as long nobody else gets its number.
        return Death(code, self._said())

    def _said(self) -> str:
        with suppress(OSError):
            return os.read(self._errors, _MOST_SAID).decode(errors="replace")
        return ""


class Death:
    """How a process ended: its exit code, if it did, and what it wrote to standard error."""

    def __init__(self, code: int | None, said: str) -> None:
        self._code, self._said = code, said

    @property
    def by_time(self) -> bool:
        """Whether it ended by itself at the end of its time."""
        return sys.platform != "win32" and self._code == -signal.SIGALRM

    @property
    def by_kill(self) -> bool:
        """Whether somebody killed it, as the system does when memory runs out."""
        return sys.platform != "win32" and self._code == -signal.SIGKILL

    @property
    def by_memory(self) -> bool:
        """Whether it says that it got no memory."""
        return bool(self._code) and any(text in self._said for text in NO_MEMORY)

    @property
    def how(self) -> str:
        """As the end of a sentence, after its subject."""
        if self._code is None:
            return "closed its pipe"
        if self._code >= 0:
            return f"ended without an answer, with exit code {self._code}"
        name = name_of(-self._code)
        aborted = sys.platform != "win32" and self._code == -signal.SIGABRT
        return f"ended with {name} ({self.last_words})" if aborted else f"ended with {name}"

    @property
    def last_words(self) -> str:
        """The last line that it wrote, as far as it can be printed."""
        lines = self._said.strip().splitlines() or [SILENT]
        return "".join(c if c.isprintable() else "?" for c in lines[-1][:_LONGEST_QUOTE])


def _options() -> list[str]:
    """How to start an interpreter that imports what this one does; never from the folder it is in.

    (Unless ``sys.path`` says so, once the program has set it.)
    """
    given = [letter for name, letter in _OPTIONS.items() for _ in range(getattr(sys.flags, name))]
    return ["-P", *given, "-X", f"utf8={int(sys.flags.utf8_mode)}"]


def _started(words: list[str], errors: int) -> subprocess.Popen[bytes]:
    pipe, environment = subprocess.PIPE, {**_ENVIRONMENT, **os.environ}
    if sys.platform == "win32":
        return subprocess.Popen(  # noqa: S603
            words,
            bufsize=0,
            stdin=pipe,
            stdout=pipe,
            stderr=subprocess.DEVNULL,
            env=environment,
            creationflags=subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP,
        )
    return subprocess.Popen(  # noqa: S603
        words,
        bufsize=0,
        stdin=pipe,
        stdout=pipe,
        stderr=errors,
        env=environment,
        start_new_session=True,
    )
