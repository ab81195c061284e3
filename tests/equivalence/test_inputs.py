"""Inputs as the check of outputs takes them: one set, by the user or of normal numbers."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from files import conv_net

from folding.equivalence.inputs import load, random_feed
from folding.errors import BadCall

GOOD = np.zeros((1, 3, 5, 5), np.float32)


def test_one_set_is_taken() -> None:
    assert load({"x": GOOD}, conv_net())["x"] is GOOD


def test_several_sets_are_refused() -> None:
    with pytest.raises(BadCall, match="2 sets"):
        load([{"x": GOOD}, {"x": GOOD}], conv_net())


def test_seeded_inputs_are_the_same_each_time() -> None:
    one, other = random_feed(conv_net(), 2), random_feed(conv_net(), 2)

    assert one is not None
    assert other is not None
    np.testing.assert_array_equal(one["x"], other["x"])


def test_inputs_too_large_are_not_made_up() -> None:
    net = conv_net()
    net.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1 << 40

    assert random_feed(net, 2) is None


def test_inputs_are_made_without_the_runtime() -> None:
    code = "import sys, folding.equivalence.inputs; sys.exit('onnxruntime' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
