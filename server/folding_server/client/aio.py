"""The client for event loops: the same steps, whose files are read and written by a thread."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import grpc

from folding.v1.folding_pb2_grpc import FoldingServiceStub
from folding_server.client import operations
from folding_server.client.access import Access
from folding_server.client.transfer import Ask, Begin, Finish, Pause, Receive, Send, Step, Steps

P = ParamSpec("P")
T = TypeVar("T")


def _carried_out(
    steps: Callable[Concatenate[str, P], Steps[T]],
) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    """The method that does what steps say."""

    async def method(self: AsyncClient, /, *arguments: P.args, **more: P.kwargs) -> T:
        return await self._carry_out(steps(self._access.target, *arguments, **more))

    functools.update_wrapper(method, steps)
    return method


class AsyncClient:
    """As ``Client``, for asyncio: made and used in a running loop.

    A task that is cancelled ends its call, and so the job on the server. ``progress`` is called in
    another thread than the loop's.
    """

    def __init__(
        self,
        target: str,
        *,
        token: str | None = None,
        root_certificates: bytes | None = None,
        private_key: bytes | None = None,
        certificate_chain: bytes | None = None,
        insecure: bool = False,
    ) -> None:
        self._access = Access(
            target, token, root_certificates, private_key, certificate_chain, insecure
        )
        if self._access.is_encrypted:
            credentials, options = self._access.credentials, self._access.options
            self._channel = grpc.aio.secure_channel(target, credentials, options)
        else:
            self._channel = grpc.aio.insecure_channel(target, self._access.options)
        self._stub = FoldingServiceStub(self._channel)

    fold = _carried_out(operations.fold)
    verify = _carried_out(operations.verify)
    explain = _carried_out(operations.explain)
    info = _carried_out(operations.info)

    async def close(self) -> None:
        """End all calls, and let go of the connection."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _carry_out(self, steps: Steps[T]) -> T:
        calls = _Calls(self._stub, self._access.metadata)
        result: list[T] = []
        try:
            step = await _apart(functools.partial(_taken, steps, result, None))
            while step is not None:
                resume: Callable[[Any], Step] = steps.send
                try:
                    answer = await calls.do(step)
                except grpc.RpcError as error:
                    resume, answer = steps.throw, error
                step = await _apart(functools.partial(_taken, steps, result, resume, answer))
            return result[0]
        finally:
            calls.end()
            await _apart(steps.close)


def _taken(
    steps: Steps[T],
    result: list[T],
    resume: Callable[[Any], Step] | None,
    answer: Any = None,
) -> Step | None:
    """The next step, None after the last. No StopIteration comes out of a thread."""
    try:
        return next(steps) if resume is None else resume(answer)
    except StopIteration as done:
        result.append(done.value)
        return None


async def _apart(work: Callable[[], T]) -> T:
    """Work of a thread, which is always waited for: nothing goes on behind a task's back."""
    done = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait([done])
        raise


class _Calls:
    """What carries out steps: one call after the other."""

    def __init__(self, stub: Any, metadata: list[tuple[str, str]]) -> None:
        self._stub, self._metadata = stub, metadata
        self._call: Any = None

    async def do(self, step: Step) -> Any:
        """Carry out one; its answer.

        Raises:
            grpc.RpcError: the server, or what is between, ended the call.
        """
        match step:
            case Begin(method):
                self.end()
                self._call = getattr(self._stub, method)(metadata=self._metadata)
            case Send(request):
                return await self._going(self._call.write, request)
            case Finish():
                return await self._going(self._call.done_writing)
            case Receive():
                response = await self._call.read()
                return None if response is grpc.aio.EOF else response
            case Ask(method, request):
                return await getattr(self._stub, method)(request, metadata=self._metadata)
            case Pause(seconds):
                await asyncio.sleep(seconds)
        return None

    async def _going(self, request: Callable[..., Any], *arguments: Any) -> bool:
        """Whether the call still goes on; what ended it is received."""
        with suppress(asyncio.InvalidStateError, grpc.RpcError):
            await request(*arguments)
            return True
        return False

    def end(self) -> None:
        """End the call, if there is one."""
        if self._call is not None:
            self._call.cancel()
