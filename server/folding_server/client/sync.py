"""The client for threads: steps carried out one after another, in the thread of the caller."""

from __future__ import annotations

import functools
import queue
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import grpc

from folding.v1.folding_pb2_grpc import FoldingServiceStub
from folding_server.client import operations
from folding_server.client.access import Access
from folding_server.client.transfer import (
    Ask,
    Begin,
    Finish,
    Pause,
    Receive,
    Request,
    Send,
    Step,
    Steps,
)

#: Seconds until it is looked again whether a call that takes no more requests has ended.
_MOMENT = 0.05

P = ParamSpec("P")
T = TypeVar("T")


def _carried_out(
    steps: Callable[Concatenate[str, P], Steps[T]],
) -> Callable[Concatenate[Client, P], T]:
    """The method that does what steps say."""

    def method(self: Client, /, *arguments: P.args, **more: P.kwargs) -> T:
        return self._carry_out(steps(self._access.target, *arguments, **more))

    functools.update_wrapper(method, steps)
    return method


class Client:
    """Folds and verifies on a server.

    A call ends its job on the server when it ends here, also by an exception in ``progress``, or
    by an interrupt. Calls from several threads at once are fine.

    Args:
        target: the server: ``HOST:PORT``, or ``unix:PATH``.
        token: that says who calls.
        root_certificates: PEM of who may vouch for the server; None for those of the system.
        private_key: PEM of the client's own key, where the server wants one.
        certificate_chain: PEM of the certificate for it.
        insecure: whether to speak plain text to other machines, and without a token. To this one
            it is spoken unless there are certificates.

    Raises:
        BadCall: these do not fit together.
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
            self._channel = grpc.secure_channel(target, credentials, options)
        else:
            self._channel = grpc.insecure_channel(target, self._access.options)
        self._stub = FoldingServiceStub(self._channel)

    fold = _carried_out(operations.fold)
    verify = _carried_out(operations.verify)
    explain = _carried_out(operations.explain)
    info = _carried_out(operations.info)

    def close(self) -> None:
        """End all calls, and let go of the connection."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _carry_out(self, steps: Steps[T]) -> T:
        calls = _Calls(self._stub, self._access.metadata)
        try:
            step = next(steps)
            while True:
                try:
                    answer = calls.do(step)
                except grpc.RpcError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            calls.end()
            steps.close()


class _Calls:
    """What carries out steps: one call after the other."""

    def __init__(self, stub: FoldingServiceStub, metadata: list[tuple[str, str]]) -> None:
        self._stub, self._metadata = stub, metadata
        self._requests = queue.Queue[Request | None](1)
        self._call: Any = None

    def do(self, step: Step) -> Any:
        """Carry out one; its answer.

        Raises:
            grpc.RpcError: the server, or what is between, ended the call.
        """
        match step:
            case Begin(method):
                self._begin(method)
            case Send(request):
                return self._put(request)
            case Finish():
                return self._put(None)
            case Receive():
                return next(self._call, None)
            case Ask(method, request):
                return getattr(self._stub, method)(request, metadata=self._metadata)
            case Pause(seconds):
                time.sleep(seconds)
        return None

    def _begin(self, method: str) -> None:
        self.end()
        self._requests = queue.Queue(1)
        requests = iter(self._requests.get, None)
        self._call = getattr(self._stub, method)(requests, metadata=self._metadata)

    def _put(self, request: Request | None) -> bool:
        """Hand a request to the thread that sends, if the call still goes on."""
        while self._call.is_active():
            with suppress(queue.Full):
                self._requests.put(request, timeout=_MOMENT)
                return True
        return False

    def end(self) -> None:
        """End the call, if there is one, and the thread that sends."""
        if self._call is not None:
            self._call.cancel()
            with suppress(queue.Full):  # Then it is not waiting.
                self._requests.put_nowait(None)
