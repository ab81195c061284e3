"""Who may not, may not: tokens, files of others, an API that is not told; and a thousand idlers."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from attacks.scene import Scene, attacked, harmless
from grpc_health.v1 import health_pb2, health_pb2_grpc
from wire import Refusal, ask, declared, refusal

from folding.v1 import folding_pb2 as pb
from folding.v1.folding_pb2_grpc import FoldingServiceStub

OWNER = "alice"
_STREAMS = 1000
_REFLECTION = (
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
)


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),) if token else ()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A server that knows alice and mallory, and knew carol."""
    folder = tmp_path_factory.mktemp("server")
    ends = {"alice": "", "mallory": "", "carol": "2020-01-01"}
    lines = [
        f"{hashlib.sha256(name.encode()).hexdigest()} {name} fold,verify {end}\n"
        for name, end in ends.items()
    ]
    (folder / "tokens").write_text("".join(lines))
    (folder / "tokens").chmod(0o600)
    with attacked(folder, "--tokens", str(folder / "tokens"), token=OWNER) as scene:
        yield scene


def refused(call: Any, *arguments: Any, **more: Any) -> Refusal:
    with pytest.raises(grpc.RpcError) as caught:
        ask(call, *arguments, **more)
    return refusal(caught.value)


@pytest.mark.parametrize("token", ["", "eve", "carol", "alic", "alice x", "ALICE"])
def test_a_call_without_a_good_token_is_refused(scene: Scene, token: str) -> None:
    """One that is missing, unknown, expired, or only almost right is no token."""
    header, contents = harmless()
    with scene.server.stub() as stub:
        found = refused(stub.Fold, pb.FoldRequest, header, contents, metadata=bearer(token))

    assert (found.code, found.reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
    scene.check()


def test_a_scope_that_was_not_given_is_missing(scene: Scene) -> None:
    """To fold is not to explain."""
    header, contents = harmless()
    asked = pb.ExplainHeader(model=header.model)
    with scene.server.stub() as stub:
        found = refused(
            stub.Explain, pb.ExplainRequest, asked, contents, metadata=bearer("mallory")
        )

    assert (found.code, found.reason) == (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")
    scene.check()


@pytest.mark.parametrize("method", ["Fold", "Verify"])
def test_to_know_a_digest_is_not_to_have_the_file(scene: Scene, method: str) -> None:
    """What alice sent and got is asked for again when mallory names it, and told him never."""
    header, contents = harmless()
    with scene.server.stub() as stub:
        for wanted in ([0], []):
            done = ask(stub.Fold, pb.FoldRequest, header, contents, metadata=bearer("alice"))
            assert list(done.accepted.wanted) == wanted
        other, request = (
            (header, pb.FoldRequest)
            if method == "Fold"
            else (pb.VerifyHeader(reference=header.model, candidate=header.model), pb.VerifyRequest)
        )
        found = refused(
            getattr(stub, method), request, other, [b"", b""], metadata=bearer("mallory")
        )

    assert found.reason == "SIZE_MISMATCH"
    scene.check()


@pytest.mark.parametrize("method", _REFLECTION)
def test_an_api_that_shall_not_be_told_is_not(scene: Scene, method: str) -> None:
    """Without ``--reflection`` there is no such service, whoever asks."""
    with grpc.insecure_channel(scene.server.target) as channel:
        call: Any = channel.stream_stream(method)
        with pytest.raises(grpc.RpcError) as caught:
            list(call(iter([b""]), timeout=10, metadata=bearer("alice")))

    assert refusal(caught.value).code is grpc.StatusCode.UNIMPLEMENTED
    scene.check()


async def slow(stub: FoldingServiceStub, number: int) -> str:
    """Say a header or not, then a byte or not, then nothing; why the call was ended."""

    async def requests() -> AsyncIterator[pb.FoldRequest]:
        if number % 3:
            file = declared("net.onnx", b"%d" % number * 1000)
            yield pb.FoldRequest(header=pb.FoldHeader(model=pb.Model(file=file)))
        if number % 3 == 2:
            yield pb.FoldRequest(chunk=pb.Chunk(data=b"%d" % number))
        await asyncio.sleep(60)

    call: Any = stub.Fold(requests(), timeout=60)  # type: ignore[arg-type]
    try:
        async for _ in call:
            pass
    except grpc.aio.AioRpcError as error:
        return refusal_reason(error)
    return ""


def refusal_reason(error: grpc.aio.AioRpcError) -> str:
    """The reason within the status that a call ended with."""
    details = dict(error.trailing_metadata()).get("grpc-status-details-bin", b"")
    return next(
        (name for name in (b"UPLOAD_IDLE", b"QUEUE_FULL") if name in details), b"?"
    ).decode()


async def lingering(target: str) -> tuple[Counter[str], float]:
    """A thousand at once: what they are told, and the longest that health had to be waited for."""
    longest = 0.0
    async with grpc.aio.insecure_channel(target) as channel:
        stub = FoldingServiceStub(channel)
        calls = asyncio.gather(*(slow(stub, number) for number in range(_STREAMS)))
        async with grpc.aio.insecure_channel(target) as other:
            health = health_pb2_grpc.HealthStub(other)
            while not calls.done():
                start = time.monotonic()
                reply = await health.Check(health_pb2.HealthCheckRequest(), timeout=10)
                assert reply.status == 1
                longest = max(longest, time.monotonic() - start)
                await asyncio.sleep(0.01)
        return Counter(await calls), longest


def test_a_thousand_that_send_nothing_are_given_up(tmp_path: Path) -> None:
    """Each for being idle; meanwhile the server is well, and afterwards it has forgotten them."""
    with attacked(tmp_path, "--idle", "2") as scene:
        found, longest = asyncio.run(lingering(scene.server.target))

        assert found == {"UPLOAD_IDLE": _STREAMS}
        assert longest < 5
        scene.check()
