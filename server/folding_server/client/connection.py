"""What both clients do alike: the way to the server, and steps carried out on it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import grpc

from folding.v1.folding_pb2_grpc import FoldingServiceStub
from folding_server.client.access import Access
from folding_server.client.patience import Patience
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
#: Seconds until a question has to be answered: a server that begins tries a job before it does.
_ANSWER = 120.0

T = TypeVar("T")


class Stopped(Exception):
    """Another thread wants no more of these steps."""


class Connection:
    """The way to one server.

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

    def _calls(self) -> Calls:
        return Calls(self._stub, self._access.target, self._access.metadata)


class Calls:
    """What carries out the steps of one operation: one call after the other."""

    def __init__(
        self, stub: FoldingServiceStub, server: str, metadata: list[tuple[str, str]]
    ) -> None:
        self._stub, self._server, self._metadata = stub, server, metadata
        self._requests = queue.Queue[Request | None](1)
        self._call: Any = None
        self._patience: Patience | None = None
        self._stopped = threading.Event()

    def carry_out(self, steps: Steps[T]) -> T:
        """All steps, to their result. However they end, no call goes on."""
        try:
            step = next(steps)
            while True:
                try:
                    answer = self._do(step)
                except grpc.RpcError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            self._end()
            steps.close()

    def stop(self) -> None:
        """Let another thread that carries out steps come to an end at once."""
        self._stopped.set()
        if self._call is not None:
            self._call.cancel()

    def _do(self, step: Step) -> Any:
        if self._stopped.is_set():
            raise Stopped
        match step:
            case Begin(method, patience):
                self._begin(method, patience)
            case Send(request):
                return self._waited(lambda: self._put(request))
            case Finish():
                return self._waited(lambda: self._put(None))
            case Receive():
                return self._waited(lambda: next(self._call, None))
            case Ask(method, request):
                ask = getattr(self._stub, method)
                return ask(request, metadata=self._metadata, timeout=_ANSWER)
            case Pause(seconds):
                self._stopped.wait(seconds)
        return None

    def _waited(self, act: Callable[[], T]) -> T:
        assert self._patience is not None
        with self._patience.waiting():
            return act()

    def _begin(self, method: str, patience: float) -> None:
        self._end()
        self._requests = queue.Queue(1)
        requests = iter(self._requests.get, None)
        self._call = getattr(self._stub, method)(requests, metadata=self._metadata)
        self._patience = Patience(self._call, self._server, patience)
        if self._stopped.is_set():
            self._call.cancel()

    def _put(self, request: Request | None) -> bool:
        """Hand a request to the thread that sends, if the call still goes on."""
        while self._call.is_active():
            with suppress(queue.Full):
                self._requests.put(request, timeout=_MOMENT)
                return True
        return False

    def _end(self) -> None:
        """End the call, if there is one, and the thread that sends."""
        if self._patience is not None:
            self._patience.end()
        if self._call is not None:
            self._call.cancel()
            with suppress(queue.Full):  # Then it is not waiting.
                self._requests.put_nowait(None)
