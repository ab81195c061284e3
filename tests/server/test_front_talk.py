"""How much is asked for, and given, at a time."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import grpc
import pytest

from folding.v1 import folding_pb2 as pb
from folding_server import waits
from folding_server.calls import CALL, Call
from folding_server.errors import ServiceError
from folding_server.gate import Gate
from folding_server.jobs.runner import FileSpec, JobResult
from folding_server.limits import ServerLimits
from folding_server.reports import answer_of
from folding_server.talk import Talk

MIB = 1 << 20


class Context:
    """A client that takes everything."""

    def __init__(self) -> None:
        self.taken = list[pb.FoldResponse]()

    async def read(self) -> None:
        await asyncio.Future()

    async def write(self, message: pb.FoldResponse) -> None:
        self.taken.append(message)


def talk(context: Any, gate: Gate | None = None, **limits: Any) -> Talk:
    CALL.set(Call("", ""))
    return Talk(context, pb.FoldResponse, ServerLimits(**limits), gate or Gate(1, 1))


@pytest.mark.parametrize(
    ("idle", "room", "size"),
    [
        (60, MIB, MIB),
        (60, MIB // 3, MIB // 4),
        (60, 1, 1 << 16),
        (6, MIB, 1 << 16),
        (1, MIB, 1 << 14),
        (0.1, MIB, 1 << 13),
    ],
)
def test_a_chunk_comes_in_time_and_has_room(idle: float, room: int, size: int) -> None:
    """20,000 bytes a second are enough for who is not to be idle."""
    context = Context()

    asyncio.run(talk(context, idle_seconds=idle).accept([2], [0, 0, 9], room))

    assert context.taken == [pb.FoldResponse(accepted=pb.Accepted(wanted=[2], chunk_bytes=size))]


class Sender(Context):
    """A client that sends so many bytes of each of these files."""

    def __init__(self, *sent: tuple[int, int]) -> None:
        super().__init__()
        self._sent = list(sent)

    async def read(self) -> Any:
        if not self._sent:
            return grpc.aio.EOF
        number, size = self._sent.pop(0)
        return pb.FoldRequest(chunk=pb.Chunk(file=number, data=bytes(size)))


@pytest.mark.parametrize(
    ("sent", "fault"),
    [
        ([(0, 3), (1, 2), (2, 4)], ""),
        ([(1, 2)], ""),
        ([(1, 1), (0, 2), (1, 1), (0, 1)], ""),
        ([(1, 2), (0, 4)], "more bytes were sent than are wanted"),
        ([(1, 2), (0, 3), (0, 1)], "more bytes were sent than are wanted"),
        ([(1, 2), (1, 1)], "more bytes were sent than are wanted"),
        ([(1, 2), (3, 1)], "more bytes were sent than are wanted"),
    ],
)
def test_of_files_that_are_here_nothing_is_taken(sent: list[tuple[int, int]], fault: str) -> None:
    """Not all clients wait to hear what is wanted: each file may come once, and no other bytes."""
    taken = list[tuple[int, int]]()

    async def take(number: int, data: bytes) -> None:
        taken.append((number, len(data)))

    async def run() -> None:
        context = Sender(*sent)
        told = talk(context)
        await told.accept([1], [3, 2, 4], MIB)
        await told.pass_on(2, take)
        await told.unless_more(asyncio.sleep(0.05))

    if not fault:
        asyncio.run(run())
    else:
        with pytest.raises(ServiceError, match=fault) as caught:
            asyncio.run(run())
        assert caught.value.hint.startswith("Send each file that Accepted.wanted names once")
    assert sum(size for _, size in taken) == 2
    assert {number for number, _ in taken} == {1}


async def _given(result: JobResult, rooms: list[int], **limits: Any) -> list[pb.FoldResponse]:
    context = Context()
    await talk(context, **limits).give(answer_of(result, MIB, cached=True), rooms.pop)
    return context.taken


def result_in(folder: Path, **contents: bytes) -> JobResult:
    specs = []
    for name, data in contents.items():
        (folder / name).write_bytes(data)
        specs.append(FileSpec(name, len(data), hashlib.sha256(data).hexdigest()))
    return JobResult({"verdict": None}, folder, tuple(specs))


def test_an_answer_comes_in_pieces_for_which_there_is_room(tmp_path: Path) -> None:
    """More or less from one to the next; none is without bytes."""
    data = bytes(range(256)) * 1024
    result = result_in(tmp_path, one=data, none=b"", two=b"2")

    report, *chunks = asyncio.run(_given(result, [MIB, MIB, 100_000, 5]))

    assert report.report.cached
    assert [(each.chunk.file, len(each.chunk.data)) for each in chunks] == [
        (0, 1 << 14),
        (0, 100_000),
        (0, len(data) - 100_000 - (1 << 14)),
        (2, 1),
    ]
    assert b"".join(each.chunk.data for each in chunks) == data + b"2"


def test_an_answer_comes_in_pieces_that_a_slow_link_takes_in_time(tmp_path: Path) -> None:
    """As small as those that are asked for, however much room there is."""
    result = result_in(tmp_path, one=bytes(100_000))

    _, *chunks = asyncio.run(_given(result, [MIB] * 9, idle_seconds=2))

    assert {len(each.chunk.data) for each in chunks[:-1]} == {1 << 15}


def test_a_result_that_is_cut_off_is_no_answer(tmp_path: Path) -> None:
    """It ends with an error, and does end."""
    result = result_in(tmp_path, one=b"12345")
    (tmp_path / "one").write_bytes(b"123")

    with pytest.raises(OSError, match="shorter than it was"):
        asyncio.run(_given(result, [MIB, MIB]))


def test_who_has_not_said_that_nothing_follows_goes_where_memory_is_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While its job runs it may be sending a message that nobody sees; else it may take long."""
    monkeypatch.setattr(waits, "_SHORT_SECONDS", 0.0)

    async def ended(*, is_short: bool) -> str:
        gate = Gate(1, 1)
        if is_short:
            asyncio.get_running_loop().call_later(0.02, gate.thin)
        try:
            return await talk(Context(), gate).unless_more(asyncio.sleep(0.1, "done"))
        except ServiceError as error:
            return error.reason

    assert asyncio.run(ended(is_short=True)) == "QUEUE_FULL"
    assert asyncio.run(ended(is_short=False)) == "done"
