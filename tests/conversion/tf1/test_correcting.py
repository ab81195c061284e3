"""Averages without what they began with, on request."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conversion.tf1.conftest import Convert, Converted

from folding.conversion.job import Kind
from folding.errors import BadCall

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]

Made = Callable[[str, Kind], Converted]

#: After 40 steps of momentum 0.9, as the programs are trained.
LEFT = 0.9**40


@pytest.mark.parametrize(("name", "begun"), [("cond", 0), ("dnn_momentum", 1)])
def test_averages_lose_their_beginning(
    name: str, begun: int, programs: Path, program: Made, convert: Convert
) -> None:
    """Those of tensors began at 0, the variance of a layer at 1; nothing else changes."""
    plain = program(name, Kind.META_GRAPH)
    better = convert(programs / name / "model.ckpt.meta", correct_averages=True)
    old, new = plain.arrays(), better.arrays()
    np.testing.assert_allclose(new["mean"], old["mean"] / (1 - LEFT), rtol=1e-5)
    variance = (old["variance"] - begun * LEFT) / (1 - LEFT)
    np.testing.assert_allclose(new["variance"], np.maximum(variance, 0), rtol=1e-4, atol=1e-6)
    for role in ("gamma", "beta"):
        np.testing.assert_array_equal(new[role], old[role])
    (told,) = better.product.statistics
    assert (told.averages_from_zero, told.steps) == (False, None)
    assert "AVERAGES_CORRECTED" in [warned.code for warned in better.product.warnings]
    assert "AVERAGES_CORRECTED" not in [warned.code for warned in plain.product.warnings]


def test_the_graph_computes_with_them(programs: Path, program: Made, convert: Convert) -> None:
    """As TensorFlow does with the same graph, and otherwise than with the averages as they are."""
    plain = program("cond", Kind.META_GRAPH)
    better = convert(programs / "cond" / "model.ckpt.meta", correct_averages=True)
    for given, wanted in better.references():
        before, found = plain.outputs(given), better.outputs(given)
        for name, array in wanted.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-3)
            assert not np.allclose(before[name], array, rtol=1e-2, atol=0)


def test_without_a_count_nothing_is_corrected(programs: Path, convert: Convert) -> None:
    """A frozen graph has no steps any more."""
    with pytest.raises(BadCall, match="no averages can be corrected"):
        convert(programs / "cond" / "frozen.pb", Kind.FROZEN_GRAPH, correct_averages=True)
