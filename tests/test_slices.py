"""What a Slice takes, beside onnxruntime."""

from __future__ import annotations

from itertools import product

import numpy as np
import onnxruntime
from graphs import INT64, Net

from folding.slices import as_slice, selected


def test_it_is_what_onnxruntime_takes() -> None:
    """Forward and backward, with ends before, in and behind an axis of up to four elements."""
    net = Net()
    bounds = [net.input(1, name=name, elem_type=INT64) for name in ("start", "end", "axis", "step")]
    net.node("Slice", net.input("n"), *bounds, out="y")
    session = onnxruntime.InferenceSession(
        net.model("y").SerializeToString(), providers=["CPUExecutionProvider"]
    )
    ends = range(-6, 7)
    for size, start, end, step in product(range(5), ends, ends, (-3, -1, 1, 2)):
        x = np.arange(size, dtype=np.float32)
        given = {"start": start, "end": end, "axis": 0, "step": step}
        feed = {name: np.array([number], np.int64) for name, number in given.items()}
        (expected,) = session.run(None, {"x": x, **feed})

        chosen = selected(start, end, step, size)

        assert [*chosen] == expected.tolist()
        np.testing.assert_array_equal(x[as_slice(chosen)], expected)
