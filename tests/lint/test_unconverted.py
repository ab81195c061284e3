"""Operators that a converter has left as they were."""

from __future__ import annotations

from pathlib import Path

import pytest
from files import save
from graphs import Net
from linting import image
from onnx import helper

from folding.lint import lint


def saved(folder: Path, operator: str, domain: str) -> Path:
    net = Net()
    x = image(net)
    net.nodes.append(helper.make_node(operator, [x], ["y"], "left", domain=domain))
    return save(net.model("y"), folder / "m.onnx")


@pytest.mark.parametrize(
    ("operator", "domain"),
    [("StatefulPartitionedCall", ""), ("ATen", "org.pytorch.aten")],
)
def test_an_operator_of_the_framework_is_found(tmp_path: Path, operator: str, domain: str) -> None:
    """Though no checker takes the file: that is what it is told for."""
    (found,) = lint(saved(tmp_path, operator, domain)).findings
    assert (found.code.name, found.at) == ("UNCONVERTED_OPERATOR", "left")
    assert operator in found.cause


def test_operators_of_other_domains_are_silent(tmp_path: Path) -> None:
    """Somebody has a library for them."""
    assert lint(saved(tmp_path, "FancyNorm", "com.example"), run=False).findings == []


def test_a_function_of_the_model_is_no_operator_that_is_left(tmp_path: Path) -> None:
    """Torch puts its own into the file that way, and they are defined there."""
    net = Net()
    x = image(net)
    net.nodes.append(helper.make_node("aten_relu", [x], ["y"], "called", domain="aten"))
    body = [helper.make_node("Relu", ["a"], ["b"])]
    imports = [helper.make_opsetid("", 17)]
    function = helper.make_function("aten", "aten_relu", ["a"], ["b"], body, imports)
    path = save(net.model("y", functions=[function]), tmp_path / "m.onnx")
    assert lint(path).findings == []
