"""A server that is attacked, and what has to hold after each attack."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from files import conv_net
from grpc_health.v1 import health_pb2, health_pb2_grpc
from serving import Server, serving, wait_until
from wire import ask, declared

from folding.v1 import folding_pb2 as pb

#: What the front may have, after whatever it met.
MOST_MEMORY = 100_000_000
_SERVICES = ("", "folding.v1.FoldingService")
_SOON = 5.0
_SEEDS = itertools.count(1000)


@dataclass(frozen=True, slots=True)
class Scene:
    """A server, a token of one of its clients, and the processes that it had when nobody called."""

    server: Server
    token: str = ""
    family: frozenset[int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "family", self._processes())

    def _processes(self) -> frozenset[int]:
        return frozenset(child.pid for child in self.server.process.children(recursive=True))

    def check(self) -> None:
        """See that nothing of an attack is left, and that the server does what it did before."""
        wait_until(lambda: self._processes() <= self.family, _SOON)
        wait_until(lambda: self.server.left() == [], _SOON)
        self.check_health()
        self.check_work()
        wait_until(lambda: self.memory() < MOST_MEMORY, _SOON)

    def memory(self) -> int:
        """Bytes that the front has."""
        return int(self.server.process.memory_info().rss)

    def check_health(self) -> None:
        """It says that it lives, and that it is ready."""
        with grpc.insecure_channel(self.server.target) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            for service in _SERVICES:
                asked = health_pb2.HealthCheckRequest(service=service)
                assert stub.Check(asked, timeout=5).status == 1

    def check_work(self) -> None:
        """A model that nobody sent before is folded."""
        header, contents = harmless(skip_verification=True)
        with self.server.stub() as stub:
            owner = (("authorization", f"Bearer {self.token}"),) if self.token else ()
            answer = ask(stub.Fold, pb.FoldRequest, header, contents, metadata=owner)
        assert answer.report.counts.folded == 1
        assert not answer.report.cached


def harmless(**options: Any) -> tuple[pb.FoldHeader, list[bytes]]:
    """A model that folds, another one each time."""
    data = conv_net(seed=next(_SEEDS)).SerializeToString()
    model = pb.Model(file=declared("net.onnx", data))
    return pb.FoldHeader(model=model, **options), [data]


@contextmanager
def attacked(
    folder: Path, *words: str, within: Sequence[str] = (), token: str = ""
) -> Iterator[Scene]:
    """A server that waits for attacks, and a token of those that it serves."""
    with serving(folder, *words, within=within) as server:
        yield Scene(server, token)
