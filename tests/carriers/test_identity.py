"""Identity passes every affine."""

from __future__ import annotations

import pytest
from graphs import TYPES, Net, assert_same_function, fold


@pytest.mark.parametrize("elem_type", TYPES)
def test_an_affine_passes_any_number_of_them(elem_type: int) -> None:
    net = Net(elem_type)
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node("Identity", "v", out="w")
    net.node("Identity", "w", out="u")
    net.batch_norm("u", 4, "y")
    model = net.model("y")

    result = fold(model)

    assert result.operators == ["Conv", "Identity", "Identity"]
    assert_same_function(model, result.model)


def test_the_values_on_the_way_get_new_names_that_are_reported() -> None:
    net = Net()
    net.node("Conv", net.input(2, 3, 5), net.weight(4, 3, 3), out="v")
    net.node("Identity", "v", out="w")
    net.batch_norm("w", 4, "y")

    result = fold(net.model("y"))

    new = result.plan.changed_values
    assert list(new) == ["v"]
    assert [list(node.output) for node in result.model.graph.node] == [[new["v"]], ["y"]]
