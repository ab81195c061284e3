"""What looks wrong in a model is said of it through a server as it is said here, to the letter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from files import save
from graphs import Net
from lint.test_flags import switched
from linting import conv, image, normed
from onnx import ModelProto
from server.test_client_command import both
from serving import Server, serving

from folding.lint.finding import Code


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server")) as found:
        yield found


def untrained(net: Net) -> str:
    """Two at their initial statistics, one of them behind an activation."""
    zeros, ones = np.zeros(4, np.float32), np.ones(4, np.float32)
    first = normed(net, conv(net, image(net)), mean=zeros, var=ones)
    second = net.node("Relu", conv(net, first, inner=4))
    return normed(net, second, mean=zeros, var=ones)


def dead(net: Net) -> str:
    """A channel that hardly varies, and an epsilon that nobody uses."""
    variance = np.array([1, 1e-3, 1, 1], np.float32)
    return normed(net, conv(net, image(net)), epsilon=0.1, var=variance)


def live(net: Net) -> str:
    """Statistics of the batch."""
    y = conv(net, image(net))
    root = net.node("Sqrt", net.node("ReduceMean", net.node("Mul", y, y), axes=[0, 2, 3]))
    return net.node("Div", y, root)


def saved(build: Callable[[Net], str]) -> ModelProto:
    net = Net(opset=17)
    return net.model(net.node("Relu", build(net)))


MODELS: dict[str, tuple[ModelProto, set[str]]] = {
    "untrained": (saved(untrained), {"STATISTICS_AT_INITIAL", "ACTIVATION_BEFORE_NORM"}),
    "dead": (saved(dead), {"UNUSUAL_EPSILON", "EPSILON_DOMINATES"}),
    "live": (saved(live), {"BATCH_STATISTICS"}),
    "flagged": (switched(), {"TRAINING_FLAG"}),
}


#: Where the remedy is another for each place.
REMEDIES = {"TRAINING_FLAG": "--freeze "}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "words", [["fold"], ["fold", "--no-verify"], ["explain"], ["explain", "--json", "-"]]
)
def test_warnings_are_the_same_text(
    server: Server, tmp_path: Path, name: str, words: list[str]
) -> None:
    """Each with its place, cause and remedy, and how many more places there are."""
    model, codes = MODELS[name]
    save(model, tmp_path / "m.onnx")

    here, there = both(server, tmp_path, words[0], "m.onnx", *words[1:])

    assert here == there
    said = here[1].decode() + here[2]
    for code in codes:
        assert REMEDIES.get(code, Code[code].value) in said
    if name == "untrained":
        assert "1 more place like this: see fold-model lint" in said
