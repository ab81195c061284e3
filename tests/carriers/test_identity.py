"""Identity passes every affine."""

from __future__ import annotations

import pytest
from graphs import DOUBLE, FLOAT, TYPES, Net, assert_folds_to, feed_for, fold, run
from oracle import evaluate
from passing import affine_of, assert_goes_down, assert_goes_up, random_affine


@pytest.mark.parametrize("elem_type", TYPES)
def test_an_affine_passes_any_number_of_them(elem_type: int) -> None:
    net = Net(elem_type)
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node("Identity", "v", out="w")
    net.node("Identity", "w", out="u")
    net.batch_norm("u", 4, "y")

    assert_folds_to(net.model("y"), "Conv", "Identity", "Identity")


def test_the_values_on_the_way_get_new_names_that_are_reported() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node("Identity", "v", out="w")
    net.batch_norm("w", 4, "y")

    result = fold(net.model("y"))

    new = result.plan.changed_values
    assert list(new) == ["v"]
    assert [list(node.output) for node in result.model.graph.node] == [[new["v"]], ["y"]]


@pytest.mark.parametrize("axis", [None, -1, -2, -3])
@pytest.mark.parametrize("opset", [1, 13, 14, 16, 19, 21, 23, 24, 25])
def test_it_is_passed_in_both_directions(opset: int, axis: int | None) -> None:
    """Whatever the affine is."""
    net = Net(DOUBLE, opset=opset)
    net.node("Identity", net.input(3, "n", 5), out="y")
    affine = affine_of(-2.0, 3.0, None) if axis is None else random_affine((3, 4, 5)[axis], axis)

    assert_goes_up(net, affine, n=4)
    assert_goes_down(net, affine, n=4)


def test_the_definition_agrees_with_onnxruntime() -> None:
    """What the rule is tested against."""
    net = Net(FLOAT)
    model = net.model(net.node("Identity", net.input(2, 3)))
    feed = feed_for(model)

    assert (evaluate(model, feed)[0] == run(model, feed)[0]).all()
