"""The steps of one call: the header, the files that the server wants, and what it answers.

A step is plain data. Whoever carries it out sends back its answer, or throws the error of gRPC in.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc

from folding.v1.folding_pb2 import (
    Accepted,
    Chunk,
    ExplainHeader,
    ExplainRequest,
    FoldHeader,
    FoldRequest,
    VerifyHeader,
    VerifyRequest,
)
from folding_server.client.answers import Names, bad_answer, error_from
from folding_server.client.results import Results
from folding_server.client.sources import Outgoing
from folding_server.limits import ServerLimits
from folding_server.texts import line

_MOST_CHUNK_BYTES = 1 << 20
_LONGEST_STAGE = 40
#: Seconds that a server may say nothing beyond what the job may take. One that is at work does.
_SILENCE = 300.0
#: Seconds that a job may take if nothing is asked for, as servers are by themselves.
_LONG = ServerLimits().max_seconds
#: Seconds between tries.
_PAUSES = (0.5, 1.0, 2.0)

T = TypeVar("T")

#: Is told what goes on, and how much of that is done, from 0 to 1: "upload", "queued", the stages
#: of a report's seconds, "download".
Progress = Callable[[str, float], object]

Header = FoldHeader | VerifyHeader | ExplainHeader
Request = FoldRequest | VerifyRequest | ExplainRequest

_REQUESTS: dict[type[Any], tuple[str, type[Any]]] = {
    FoldHeader: ("Fold", FoldRequest),
    VerifyHeader: ("Verify", VerifyRequest),
    ExplainHeader: ("Explain", ExplainRequest),
}


@dataclass(frozen=True, slots=True)
class Begin:
    """Begin a call of the method of that name; one that was begun before is over.

    It is given up when one step of it takes longer than ``patience`` seconds.
    """

    method: str
    patience: float


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request. The answer is whether the call still goes on."""

    request: Request


@dataclass(frozen=True, slots=True)
class Finish:
    """Say that no more requests come."""


@dataclass(frozen=True, slots=True)
class Receive:
    """Wait for a response. The answer is that, or None if it was the last."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Call the method of that name with one request. The answer is its response."""

    method: str
    request: Any


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for so many seconds."""

    seconds: float


Step = Begin | Send | Finish | Receive | Ask | Pause
Steps = Generator[Step, Any, T]


@dataclass(slots=True)
class Conversation:
    """One call, from its header to the last byte of its answer."""

    server: str
    header: Header
    files: Sequence[Outgoing]
    results: Results
    names: Names = field(default_factory=Names)
    progress: Progress | None = None
    may_have_begun: bool = False

    def steps(self) -> Steps[None]:
        """All of it; again from the start if the server goes away before it has everything.

        After that a job may have begun, and would begin once more.

        Raises:
            FoldError: what the server refuses, or that it cannot be reached or believed.
        """
        yield from persistent(self._steps, self._error, lambda: not self.may_have_begun)

    def _error(self, error: grpc.RpcError) -> Exception:
        return error_from(error, self.server, self.names, was_heard=self.may_have_begun)

    def _steps(self) -> Steps[None]:
        method, request = _REQUESTS[type(self.header)]
        yield Begin(method, (self.header.job.time_limit_seconds or _LONG) + _SILENCE)
        yield Send(request(header=self.header))
        response = yield Receive()
        if response is None or response.WhichOneof("message") != "accepted":
            raise bad_answer(self.server, "did not accept the call")
        yield from self._send(response.accepted, request)
        yield Finish()
        while (response := (yield Receive())) is not None:
            self._take(response)
        self.results.end()

    def _send(self, accepted: Accepted, request: type[Any]) -> Steps[None]:
        """The files that the server wants; ends early if it has ended the call."""
        if any(index >= len(self.files) for index in accepted.wanted):
            raise bad_answer(self.server, "wants a file that there is not")
        most = min(accepted.chunk_bytes or _MOST_CHUNK_BYTES, _MOST_CHUNK_BYTES)
        whole, sent = sum(self.files[index].file.size for index in accepted.wanted), 0
        self.may_have_begun = not whole
        for index in accepted.wanted:
            file = self.files[index].source
            for start in range(0, file.size, most):
                self._tell("upload", sent / whole)
                data = file.read(start, min(start + most, file.size))
                sent += len(data)
                self.may_have_begun = (
                    sent == whole
                )  # With the last byte, whether it is heard or not.
                if not (yield Send(request(chunk=Chunk(file=index, data=data)))):
                    return
            file.check_unchanged()

    def _take(self, response: Any) -> None:
        kind = response.WhichOneof("message")
        if kind == "progress":
            self._tell(line(response.progress.stage, _LONGEST_STAGE), response.progress.fraction)
        elif kind == "report":
            self.results.begin(response.report)
        elif kind == "chunk":
            self.results.take(response.chunk)
            self._tell("download", self.results.fraction)

    def _tell(self, stage: str, fraction: float) -> None:
        if self.progress is not None:
            self.progress(stage, fraction)


def persistent(
    steps: Callable[[], Steps[T]],
    meaning: Callable[[grpc.RpcError], Exception],
    may_repeat: Callable[[], bool],
) -> Steps[T]:
    """Steps that are taken again while the server is unavailable, a few times.

    Args:
        steps: what to do.
        meaning: what the error of the last time means.
        may_repeat: whether nothing has been answered yet.
    """
    for seconds in (*_PAUSES, None):
        try:
            return (yield from steps())
        except grpc.RpcError as error:
            is_away = error.code() is grpc.StatusCode.UNAVAILABLE
            if seconds is None or not (is_away and may_repeat()):
                raise meaning(error) from error
        yield Pause(seconds)
    raise AssertionError
