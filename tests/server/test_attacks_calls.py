"""Hostile calls: each is refused with the right reason, and leaves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from attacks.calls import ATTACKS, Attack
from attacks.scene import Scene, attacked
from wire import refusal

FOLD = "/folding.v1.FoldingService/Fold"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One server meets them all."""
    with attacked(tmp_path_factory.mktemp("server")) as scene:
        yield scene


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_a_hostile_call_is_refused_and_leaves_nothing(scene: Scene, attack: Attack) -> None:
    """The reason is the right one; then the server is as it was."""
    packing = grpc.Compression.Gzip if attack.packed else None
    with grpc.insecure_channel(scene.server.target) as channel:
        method: Any = channel.stream_stream(FOLD)
        with pytest.raises(grpc.RpcError) as caught:
            list(method(attack.messages(), timeout=60, compression=packing))
    found = refusal(caught.value)

    assert (found.code, found.reason) == (attack.right.code, attack.right.reason)
    assert str(scene.server.spool) not in f"{found.message} {found.hint}"
    scene.check()
