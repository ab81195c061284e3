"""The client for threads: steps carried out in the thread of the caller."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from folding_server.client import operations
from folding_server.client.connection import Connection
from folding_server.client.transfer import Steps

P = ParamSpec("P")
T = TypeVar("T")


def _carried_out(
    steps: Callable[Concatenate[str, P], Steps[T]],
) -> Callable[Concatenate[Client, P], T]:
    """The method that does what steps say."""

    def method(self: Client, /, *arguments: P.args, **more: P.kwargs) -> T:
        return self._calls().carry_out(steps(self._access.target, *arguments, **more))

    functools.update_wrapper(method, steps)
    return method


class Client(Connection):
    """Folds and verifies on a server; made as ``Connection`` says.

    A call ends its job on the server when it ends here, also by an exception in ``progress``, or
    by an interrupt. Calls from several threads at once are fine.
    """

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
