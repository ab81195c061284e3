"""What is said where operators of another domain stand before what does not match."""

from __future__ import annotations

from graphs import Net
from onnx import ModelProto
from pairs import judged

from folding.equivalence.foreign import NotEstablished


def pooled(*, domain: str = "", moved: str = "") -> ModelProto:
    """A convolution, an operator behind it, and one that needs to know its shape."""
    net = Net()
    y = net.node("Conv", net.input(1, 3, 6, 6), net.weight(4, 3, 3, 3))
    y = net.node("Relu", y, name="relu", domain=domain)
    net.node(moved or "Flatten", y, out="y")
    return net.model("y")


def why(reference: ModelProto, candidate: ModelProto) -> str:
    found = judged(reference, candidate)
    assert isinstance(found, NotEstablished)
    return found.why


def test_what_stands_behind_an_operator_of_another_domain_is_told() -> None:
    """Nothing is known of its result, so a Flatten is not seen through."""
    said = why(pooled(), pooled(domain="elsewhere"))
    assert said.startswith("where the reference has Reshape to 'y', the candidate has Flatten 'y'")
    assert said.endswith("; it stands behind elsewhere:Relu 'relu', of which ONNX says nothing")


def test_one_that_both_have_is_no_cause() -> None:
    models = (pooled(domain="elsewhere", moved=name) for name in ("Sigmoid", "Tanh"))
    assert why(*models) == "where the reference has Sigmoid 'y', the candidate has Tanh 'y'"


def test_the_operator_itself_is_told_but_once() -> None:
    said = why(pooled(moved="Sigmoid"), pooled(domain="elsewhere", moved="Sigmoid"))
    assert said == "where the reference has Relu 'relu', the candidate has elsewhere:Relu 'relu'"
