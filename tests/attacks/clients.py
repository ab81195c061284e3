"""Clients that stop when they like: a call is taken to a stage, and left there."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any

import grpc
from files import conv_net
from jobbing import endless
from wire import chunks, declared, refusal

from folding.v1 import folding_pb2 as pb
from folding.v1.folding_pb2_grpc import FoldingServiceStub

_MIB = 1 << 20
_SECONDS = 60.0


class Caller:
    """A call of ``Fold``, step by step. Without ``data`` it has not even sent its header."""

    def __init__(self, stub: FoldingServiceStub, data: bytes | None, **options: Any) -> None:
        self._requests = queue.SimpleQueue[pb.FoldRequest | None]()
        self._data = data or b""
        self._accepted: pb.Accepted | None = None
        self.company: Caller | None = None
        if data is not None:
            model = pb.Model(file=declared("net.onnx", data))
            header = pb.FoldHeader(model=model, **options)
            self._requests.put(pb.FoldRequest(header=header))
        self._replies: Any = stub.Fold(iter(self._requests.get, None), timeout=_SECONDS)

    def send(self, size: int | None = None) -> None:
        """Send so many bytes, or all and say that this was all; nothing that is there already."""
        for number in self.until_accepted().wanted:
            for chunk in chunks(number, self._data[:size]):
                self._requests.put(pb.FoldRequest(chunk=chunk))
        if size is None:
            self._requests.put(None)

    def until(self, holds: Callable[[pb.FoldResponse], bool]) -> pb.FoldResponse:
        """Read until there is such a reply."""
        found: pb.FoldResponse = next(reply for reply in self._replies if holds(reply))
        return found

    def until_accepted(self) -> pb.Accepted:
        """Read until files are wanted, or none."""
        if self._accepted is None:
            self._accepted = self.until(lambda reply: reply.HasField("accepted")).accepted
        return self._accepted

    def until_stage(self, stage: str) -> None:
        """Read until the job has reached this stage."""
        self.until(lambda reply: reply.progress.stage == stage)

    def refusal(self) -> Any:
        """What the call fails with, after whatever is answered before."""
        try:
            for _ in self._replies:
                pass
        except grpc.RpcError as error:
            return refusal(error)
        raise AssertionError("it was answered")

    def leave(self) -> None:
        """Be gone without a word, and all company after it."""
        self._replies.cancel()
        self._requests.put(None)
        if self.company:
            self.company.leave()


def after_header(stub: FoldingServiceStub) -> Caller:
    """It was told what to send."""
    caller = Caller(stub, bytes(_MIB))
    caller.until_accepted()
    return caller


def before_header(stub: FoldingServiceStub) -> Caller:
    """It has said nothing."""
    return Caller(stub, None)


def mid_upload(stub: FoldingServiceStub) -> Caller:
    """It has sent half of its file."""
    caller = Caller(stub, bytes(8 * _MIB))
    caller.send(4 * _MIB)
    return caller


def running(stub: FoldingServiceStub, **options: Any) -> Caller:
    """Its job would never end."""
    caller = Caller(stub, endless().SerializeToString(), **options)
    caller.send()
    caller.until_stage("verify")
    return caller


def queued(stub: FoldingServiceStub) -> Caller:
    """Its job waits, at a server that runs one at a time."""
    first = running(stub)
    second = Caller(stub, endless().SerializeToString(), target="other.onnx")
    second.company = first
    second.send()
    second.until_stage("queued")
    return second


def mid_download(stub: FoldingServiceStub) -> Caller:
    """It has got the report of a large model, and a piece of that."""
    model = conv_net()
    model.doc_string = "x" * (32 * _MIB)
    caller = Caller(stub, model.SerializeToString(), skip_verification=True)
    caller.send()
    caller.until(lambda reply: reply.HasField("chunk") and reply.chunk.file == 1)
    return caller


#: How far a client may get before it is gone.
STAGES = (before_header, after_header, mid_upload, queued, running, mid_download)
