"""Frame: what a fold may do to a DequantizeLinear, and what not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from inprocess import planned_fold, planned_frame
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper
from quantising import INT8, UINT8, net_of, quantised

from folding.draft import Draft
from folding.equivalence.frame import check_frame
from folding.equivalence.parameters import check_parameters
from folding.equivalence.verdict import Status
from folding.modelfile import in_memory
from folding.repeated import Repeated


def net(scales: tuple[int, ...] = (), *, downward: bool = False) -> ModelProto:
    """Three layers, of which the first takes an affine in and the second has none."""
    net = net_of()
    x = net.input(2, 4, 5)
    affine = net.node("Mul", x, net.positive(4, 1)) if downward else x
    weight = quantised(net, 4, 4, 2, scales=scales, axis=int(downward))
    first = net.node("Conv", affine, weight, name="layer", out="c")
    first = first if downward else net.node("Mul", first, net.positive(4, 1), out="m")
    second = net.node("Conv", x, quantised(net, 4, 4, 2, kind=UINT8), name="other")
    net.node("Sum", first, second, out="y")
    net.node("Cast", "x", out="k", to=INT8)
    net.node("Sum", net.store(1.0, "spare"), net.store(np.ones(4), "spares"), out="z")
    return net.model("y", "z", "k")


def dequantizers(nodes: Any) -> list[NodeProto]:
    return [n for n in nodes if n is not None and n.op_type == "DequantizeLinear"]


@pytest.mark.parametrize("scales", [(), (4,)])
@pytest.mark.parametrize("downward", [False, True])
def test_the_right_fold_passes(scales: tuple[int, ...], *, downward: bool) -> None:
    reference, candidate, drafts = planned_fold(net(scales, downward=downward))

    assert check_frame(reference, in_memory(candidate), drafts).why == ""
    assert check_parameters(in_memory(candidate), drafts).status is Status.PASSED
    assert "Mul" not in {node.op_type for node in candidate.graph.node}


def set_axis(node: NodeProto, axis: int) -> None:
    (found,) = (a for a in node.attribute if a.name == "axis")
    found.i = axis


def spread_zero(draft: Draft, array: Any) -> None:
    (node,) = dequantizers(draft.nodes.values())
    draft.changed[node.input[2]].recipe = Repeated(array)


FAULTS: dict[str, Callable[[list[NodeProto]], Any]] = {
    "an axis of the first": lambda nodes: set_axis(nodes[0], 1),
    "an axis of the other": lambda nodes: nodes[1].attribute.extend(nodes[0].attribute),
    "other integers": lambda nodes: nodes[0].input.__setitem__(0, nodes[1].input[0]),
    "the scale of the other": lambda nodes: nodes[0].input.__setitem__(1, nodes[1].input[1]),
    "the zero point of the other": lambda nodes: nodes[0].input.__setitem__(2, nodes[1].input[2]),
    "no zero point": lambda nodes: nodes[0].input.pop(),
    "a zero point of the first for the other": lambda nodes: nodes[1].input.__setitem__(
        2, nodes[0].input[2]
    ),
    "the other's name for the weight": lambda nodes: nodes[0].output.__setitem__(
        0, nodes[1].output[0]
    ),
    "another size of blocks": lambda nodes: nodes[0].attribute.add(name="block_size", type=2, i=2),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_a_dequantizer_is_found(fault: str) -> None:
    reference, candidate, drafts = planned_fold(net())
    FAULTS[fault](dequantizers(candidate.graph.node))

    assert check_frame(reference, in_memory(candidate), drafts).status is Status.FAILED


def claim(draft: Draft, change: Callable[[NodeProto], Any]) -> None:
    """Let a plan change the dequantizer of the layer that has no affine."""
    index = [i for i, n in enumerate(draft.scope.nodes) if n.op_type == "DequantizeLinear"][1]
    change(draft.edit(index))


def planned(draft: Draft) -> NodeProto:
    return dequantizers(draft.nodes.values())[0]


PLANS: dict[str, Callable[[Draft], Any]] = {
    "another attribute": lambda d: planned(d).attribute.add(name="block_size", type=2, i=0),
    "an axis without a scale": lambda d: claim(d, lambda n: n.attribute.add(name="axis", type=2)),
    "another zero point": lambda d: spread_zero(d, np.full(4, 2, np.int8)),
    "one zero point that differs": lambda d: spread_zero(d, np.array([3, 3, 3, 1], np.int8)),
}


@pytest.mark.parametrize("fault", PLANS)
def test_a_fault_of_the_plan_itself_is_found(fault: str) -> None:
    assert planned_frame(net(), PLANS[fault]).status is Status.FAILED


@pytest.mark.parametrize("scales", [(4,)])
def test_a_plan_that_turns_the_scales_to_another_axis_is_found(scales: tuple[int, ...]) -> None:
    def turn(draft: Draft) -> None:
        (node,) = dequantizers(draft.nodes.values())
        set_axis(node, 1)

    assert planned_frame(net(scales), turn).status is Status.FAILED


def test_a_plan_that_gives_each_channel_its_own_zero_point_is_found() -> None:
    def spread(draft: Draft) -> None:
        (node,) = dequantizers(draft.nodes.values())
        zero, scale = node.input[2], draft.changed[node.input[1]]
        draft.changed[zero] = type(scale)(zero, INT8, Repeated(np.zeros(4, np.int8)), zero, {})

    assert planned_frame(net((4,)), spread).status is Status.FAILED


@pytest.mark.parametrize("kind", [INT8, UINT8, TensorProto.INT4, TensorProto.FLOAT8E4M3FN])
def test_another_zero_point_than_planned_is_found(kind: int) -> None:
    net = net_of()
    zero = None if kind == TensorProto.FLOAT8E4M3FN else 3
    weight = quantised(net, 5, 4, 2, kind=kind, zero=3 if zero else 0)
    net.node("Mul", net.node("Conv", net.input(2, 4, 5), weight), net.positive(5, 1), out="y")
    _, candidate, drafts = planned_fold(net.model("y"))
    (node,) = dequantizers(candidate.graph.node)
    (tensor,) = (t for t in candidate.graph.initializer if t.name == node.input[2])
    assert check_parameters(in_memory(candidate), drafts).status is Status.PASSED
    array = numpy_helper.to_array(tensor).copy()
    array[3] = 1
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))

    check = check_parameters(in_memory(candidate), drafts)

    assert (check.status, check.at) == (Status.FAILED, tensor.name)
