"""Whether the windows of an AveragePool fit into what flows into it.

An input that is shorter than the window has no output in ONNX, but onnxruntime has one where the
stride is longer than what is missing, and below operator set 19 it counts zeros there that
``count_include_pad`` does not mean. A fold need not keep that, and no model is meant for it: so
where a size is open, inputs so short are not made up. (What the user gives is run as it is.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from onnx import NodeProto

from folding.equivalence.runtime import RuntimeRefused
from folding.inference import Shape
from folding.protos import attribute, integer, integers, is_default_domain, title


@dataclass(frozen=True, slots=True)
class Pool:
    """The windows of one node: how long those are whose axis has no known size, by axis."""

    name: str
    source: str
    lengths: Mapping[int, int]


def open_pools(nodes: Iterable[NodeProto], shape: Callable[[str], Shape | None]) -> list[Pool]:
    """The pools that count zeros without padding, where an input might be shorter than a window."""
    found = []
    for node in filter(_counts_zeros, nodes):
        lengths = dict(enumerate(_lengths(node), 2))
        known = dict(enumerate(shape(node.input[0]) or ()))
        is_open = {axis: length for axis, length in lengths.items() if known.get(axis) is None}
        if is_open:
            found.append(Pool(title(node), node.input[0], is_open))
    return found


def check_fit(pools: Iterable[Pool], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """See whether each window fits.

    Raises:
        RuntimeRefused: one does not.
    """
    for pool in pools:
        sizes = dict(enumerate(shapes[pool.source]))
        if any(sizes.get(axis, length) < length for axis, length in pool.lengths.items()):
            raise RuntimeRefused(
                f"the input of AveragePool {pool.name!r} is shorter than its window"
            )


def _counts_zeros(node: NodeProto) -> bool:
    is_pool = node.op_type == "AveragePool" and is_default_domain(node)
    if not is_pool or not integer(node, "count_include_pad", 0):
        return False
    mode = attribute(node, "auto_pad")
    is_same = mode is not None and mode.s.startswith(b"SAME")
    return not is_same and not any(integers(node, "pads") or ())


def _lengths(node: NodeProto) -> list[int]:
    """How long a window is along each spatial axis, holes included."""
    kernel = integers(node, "kernel_shape") or ()
    steps = integers(node, "dilations") or (1,) * len(kernel)
    return [(taps - 1) * step + 1 for taps, step in zip(kernel, steps, strict=False)]
