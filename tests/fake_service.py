"""A service that says what a test wants: on a real socket, in this process, without any folding."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from folding.errors import FoldError
from folding.v1 import folding_pb2 as v1
from folding.v1.folding_pb2_grpc import FoldingServiceServicer, add_FoldingServiceServicer_to_server
from folding_server.reports import VERDICTS
from folding_server.status import status_of

#: What a call is answered with: a generator of responses, of the fields of the method's own.
Script = Callable[["Call"], Iterator[dict[str, Any]]]
_MIB = 1 << 20


@dataclass(slots=True)
class Call:
    """One call: what arrived, and what can be done to it."""

    requests: Iterator[Any]
    context: grpc.ServicerContext
    header: Any = None
    received: dict[int, bytes] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)

    @property
    def files(self) -> list[v1.File]:
        """Those of the header, in its order."""
        header = self.header
        if isinstance(header, v1.VerifyHeader):
            models = [header.reference, header.candidate]
        else:
            models = [header.model]
        found = [file for model in models for file in (model.file, *model.external_data)]
        inputs = [] if isinstance(header, v1.ExplainHeader) else header.run.inputs
        return [*found, *inputs]

    def accepted(self, *wanted: int, chunk_bytes: int = _MIB) -> dict[str, Any]:
        """What says which files are wanted; all, if none is named."""
        numbers = wanted or range(len(self.files))
        return {"accepted": v1.Accepted(wanted=numbers, chunk_bytes=chunk_bytes)}

    def take(self) -> None:
        """All chunks."""
        for request in self.requests:
            chunk = request.chunk
            self.sizes.append(len(chunk.data))
            self.received[chunk.file] = self.received.get(chunk.file, b"") + chunk.data

    def refuse(self, error: FoldError) -> None:
        """End it as a server does."""
        status = status_of(error)
        details = (("grpc-status-details-bin", status.SerializeToString()),)
        self.context.set_trailing_metadata(details)
        code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
        self.context.abort(code, status.message)


def about(call: Call, report: dict[str, Any]) -> dict[str, Any]:
    """A report as if it were about the model that the client sent."""
    source = {**report["source"], "sha256": call.files[0].sha256}
    return {**report, "source": source}


def results(
    report: dict[str, Any], *files: tuple[str, bytes], chunk_bytes: int = _MIB
) -> Iterator[dict[str, Any]]:
    """The report and the files that come after it."""
    whole = [("report.json", json.dumps(report).encode()), *files]
    yield {"report": announced(report, [described(*file) for file in whole])}
    for number, (_, data) in enumerate(whole):
        for start in range(0, len(data), chunk_bytes):
            yield chunk(number, data[start : start + chunk_bytes])


def announced(report: dict[str, Any], files: Sequence[v1.File]) -> v1.Report:
    """The message that comes before the files; what was only explained has no verdict."""
    proof = report.get("verification", {"verdict": None, "inputs": None})
    was_explained = proof["verdict"] == "skipped" and report["target"] is None
    return v1.Report(verdict=VERDICTS[None if was_explained else proof["verdict"]], files=files)


def described(path: str, data: bytes) -> v1.File:
    """A file, as reports name it."""
    return v1.File(path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest())


def chunk(number: int, data: bytes) -> dict[str, Any]:
    """A piece of a file."""
    return {"chunk": v1.Chunk(file=number, data=data)}


@dataclass(slots=True)
class Fake(FoldingServiceServicer):
    """The service; ``calls`` has all that came."""

    script: Script
    target: str = ""
    calls: list[Call] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    server: grpc.Server | None = None

    def Fold(self, requests: Any, context: Any) -> Iterator[Any]:  # noqa: N802 - gRPC's
        return self._answer(requests, context, v1.FoldResponse)

    def Verify(self, requests: Any, context: Any) -> Iterator[Any]:  # noqa: N802 - gRPC's
        return self._answer(requests, context, v1.VerifyResponse)

    def Explain(self, requests: Any, context: Any) -> Iterator[Any]:  # noqa: N802 - gRPC's
        return self._answer(requests, context, v1.ExplainResponse)

    def GetServerInfo(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's
        self.calls.append(Call(iter((request,)), context))
        for _ in self.script(self.calls[-1]):
            pass
        return v1.GetServerInfoResponse(version="9.9")

    def _answer(self, requests: Any, context: Any, response: type[Any]) -> Iterator[Any]:
        call = Call(requests, context)
        self.calls.append(call)
        context.add_callback(self.ended.set)
        call.header = next(requests).header
        for fields in self.script(call):
            yield response(**fields)


@contextmanager
def faked(script: Script, listen: str = "127.0.0.1:0") -> Iterator[Fake]:
    """The service, on a free port."""
    fake = Fake(script)
    server = grpc.server(ThreadPoolExecutor(8))
    add_FoldingServiceServicer_to_server(fake, server)
    port = server.add_insecure_port(listen)
    fake.target = listen if listen.startswith("unix:") else f"127.0.0.1:{port}"
    fake.server = server
    server.start()
    try:
        yield fake
    finally:
        server.stop(None).wait()
