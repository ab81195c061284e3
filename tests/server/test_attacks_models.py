"""Hostile models: each gets the right answer, and costs nobody but its sender."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from attacks.scene import Scene, attacked
from attacks.table import ATTACKS, Attack, Refused
from wire import ask, declared, refusal

from folding.v1 import folding_pb2 as pb


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One server meets them all."""
    with attacked(tmp_path_factory.mktemp("server")) as scene:
        yield scene


def answer(scene: Scene, attack: Attack) -> pb.Report:
    """What the model is answered, sent as it should be."""
    made = attack.make()
    contents = [made] if isinstance(made, bytes) else list(made)
    files = list(map(declared, ("net.onnx", "w.bin"), contents))
    model = pb.Model(file=files[0], external_data=files[1:])
    header = pb.FoldHeader(model=model, **attack.options)  # type: ignore[arg-type]
    with scene.server.stub() as stub:
        return ask(stub.Fold, pb.FoldRequest, header, contents, timeout=120).report


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(attack, id=attack.name, marks=[pytest.mark.long] if attack.is_long else [])
        for attack in ATTACKS
    ],
)
def test_a_hostile_model_gets_the_right_answer_and_leaves_nothing(
    scene: Scene, attack: Attack
) -> None:
    """A refusal with its reason, or a verdict; then the server is as it was."""
    if isinstance(attack.right, Refused):
        with pytest.raises(grpc.RpcError) as caught:
            answer(scene, attack)
        found = refusal(caught.value)
        assert (found.code, found.reason) == (attack.right.code, attack.right.reason)
        assert str(scene.server.spool) not in f"{found.message} {found.hint}"
        assert found.message.isprintable()
    else:
        assert answer(scene, attack).verdict == attack.right.verdict
    scene.check()
