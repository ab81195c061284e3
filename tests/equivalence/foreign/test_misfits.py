"""Nodes whose inputs do not fit them, which no runtime runs: compared and folded as far as can be.

The checker of ONNX lets them pass, so the files are models to all who read them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from graphs import FLOAT, INT64, Net
from onnx import ModelProto, ValueInfoProto, helper, numpy_helper
from pairs import judged

import folding
from folding.equivalence.foreign import Matched, NotEstablished
from folding.equivalence.foreign.check import compare
from folding.modelfile import in_memory

MISFITS: dict[str, Callable[[], ModelProto]] = {}


def misfit(build: Callable[[], ModelProto]) -> Callable[[], ModelProto]:
    MISFITS[build.__name__] = build
    return build


@misfit
def reduction_of_a_number() -> ModelProto:
    net = Net()
    return net.model(net.node("ReduceMean", net.input(), axes=[0], keepdims=0, out="y"))


@misfit
def reduction_along_no_axis() -> ModelProto:
    net = Net()
    return net.model(net.node("ReduceMax", net.input(2, 3), axes=[2], out="y"))


@misfit
def slice_of_a_number() -> ModelProto:
    net = Net()
    bounds = net.integers(0), net.integers(1)
    return net.model(net.node("Slice", net.input(), *bounds, out="y"))


@misfit
def slice_along_no_axis() -> ModelProto:
    net = Net()
    bounds = net.integers(0), net.integers(1), net.integers(-5)
    return net.model(net.node("Slice", net.input(2, 3), *bounds, out="y"))


@misfit
def softmax_along_no_axis() -> ModelProto:
    net = Net()
    return net.model(net.node("Softmax", net.input(2, 3), axis=-4, out="y"))


@misfit
def transposition_of_a_number() -> ModelProto:
    net = Net()
    turned = net.node("Transpose", net.store(3.0), perm=[1, 0])
    return net.model(net.node("Add", net.input(2, 2), turned, out="y"))


@misfit
def transposition_of_too_few_axes() -> ModelProto:
    net = Net()
    scaled = net.node("Mul", net.input(2, 4), net.weight(2, 1))
    turned = net.node("Transpose", scaled, perm=[0])
    return net.model(net.node("MatMul", turned, net.weight(4, 3), out="y"))


@misfit
def bias_of_too_few_channels() -> ModelProto:
    net = Net()
    return net.model(net.node("Conv", net.input(2, 3, 4, 4), net.weight(3, 3, 1, 1), net.weight(2)))


@misfit
def product_with_nothing() -> ModelProto:
    net = Net()
    name = net.node("Conv", net.input(2, 4, 5, 5), net.weight(4, 4, 1, 1))
    for values in (np.full((4, 1, 1), 2.0), np.zeros((0,)), np.arange(1.0, 6.0)):
        name = net.node("Mul", name, net.store(values))
    return net.model(net.node("Relu", name, out="y"))


@misfit
def normalisation_of_nothing() -> ModelProto:
    net = Net()
    normed = net.batch_norm(net.input(2, 0, 3, 3), 0)
    return net.model(net.node("Conv", normed, net.weight(4, 0, 1, 1), out="y"))


@misfit
def blocks_of_too_many_axes() -> ModelProto:
    net = Net()
    scaled = net.node("Div", net.input(2, 4, 2, 2), net.weight(2, 1, 1, 1))
    scaled = net.node("Mul", net.weight(1, 1, 4, 1, 1), scaled)
    return net.model(net.node("DepthToSpace", scaled, blocksize=2, mode="CRD", out="y"))


@misfit
def scale_of_whole_numbers() -> ModelProto:
    """Inference takes the type of the first input for that of the result."""
    net = Net()
    layer = net.node("Conv", net.input(2, 4, 5, 5, elem_type=INT64), net.weight(4, 4, 1, 1))
    clipped = net.node("Clip", layer, "", net.store(1.0))
    return net.model(net.node("Mul", clipped, net.store(2.0), out="y"))


@misfit
def scale_before_whole_numbers() -> ModelProto:
    net = Net()
    scaled = net.node("Mul", net.input(2, 4), net.store(2.0))
    whole = net.node("Mul", net.integers(1), scaled)
    clipped = net.node("Clip", whole, "", net.store(1.0))
    return net.model(net.node("MatMul", clipped, net.weight(4, 3), out="y"))


@pytest.mark.parametrize("name", MISFITS)
def test_a_model_that_does_not_fit_together_matches_itself(name: str) -> None:
    model = MISFITS[name]()
    assert isinstance(judged(model, model), Matched)


@pytest.mark.parametrize("name", MISFITS)
def test_a_model_that_does_not_fit_together_can_be_folded(name: str) -> None:
    """Of it as much as fits."""
    folded, _ = folding.fold_model(MISFITS[name](), verify=False)
    assert len(folded.graph.node)


def test_a_bias_that_does_not_fit_is_not_the_bias_of_another_length() -> None:
    model = MISFITS["bias_of_too_few_channels"]()
    other = MISFITS["bias_of_too_few_channels"]()
    del other.graph.node[0].input[2]
    for pair in ((model, other), (other, model)):
        assert not isinstance(judged(*pair), Matched)


def test_an_axis_that_is_not_there_is_not_another_one() -> None:
    model = MISFITS["reduction_along_no_axis"]()
    other = MISFITS["reduction_along_no_axis"]()
    other.graph.node[0].attribute[0].ints[0] = 0
    assert not isinstance(judged(model, other), Matched)


@pytest.mark.parametrize("groups", [2, 5])
def test_groups_that_do_not_divide_the_channels_prove_nothing(groups: int) -> None:
    def grouped(*operators: str) -> ModelProto:
        net = Net()
        given = net.input(2, 3, 4, 4), net.weight(3, 3, 1, 1), net.store(np.zeros(3 * groups))
        name = net.node("ConvTranspose", *given, group=groups)
        for operator in operators:
            name = net.node(operator, name, net.store(np.full((3 * groups, 1, 1), 1e9)))
        return net.model(net.node("Relu", name, out="y"))

    found = judged(grouped(), grouped("Add", "Sub"))
    assert not isinstance(found, Matched)


def branching(outputs: str, *, results: int = 1) -> ModelProto:
    """An If with a known condition: outputs as named, and so many results in each branch."""
    net = Net()
    x = net.input(2, 3)
    body = Net()
    made = [body.node("Relu", x, out=f"r{place}") for place in range(results)]
    branch = body.graph(*made)
    for value in branch.output:
        value.type.CopyFrom(helper.make_tensor_type_proto(FLOAT, (2, 3)))
    always = net.store(np.bool_(1), "always", elem_type=0)
    net.node("If", always, then_branch=branch, else_branch=branch, out=outputs)
    return net.model("y")


@pytest.mark.parametrize(("outputs", "results"), [("y", 2), ("y,z", 1)])
def test_a_branch_of_more_or_fewer_values_is_not_taken(outputs: str, results: int) -> None:
    """No runtime takes such a node."""
    model, right = branching(outputs, results=results), branching("y")
    assert isinstance(judged(right, right), Matched)
    for pair in ((model, right), (right, model)):
        assert isinstance(judged(*pair), NotEstablished)


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool", "LpPool", "Conv"])
def test_a_window_that_does_not_move_is_left_as_it_is(operator: str, mode: str) -> None:
    """There is no padding that it could ask for."""

    def windows(stride: int) -> ModelProto:
        net = Net()
        given = [net.input(1, 3, 8, 8), *([net.weight(4, 3, 3, 3)] if operator == "Conv" else [])]
        said: dict[str, Any] = {"strides": [stride, stride], "auto_pad": mode}
        node = helper.make_node(operator, given, ["y"], kernel_shape=[3, 3], **said)
        graph = helper.make_graph([node], "net", net.inputs, [ValueInfoProto(name="y")])
        graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in net.stored.items())
        graph.output[0].type.CopyFrom(helper.make_tensor_type_proto(FLOAT, None))
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    still, moving = in_memory(windows(0)), in_memory(windows(2))
    assert isinstance(compare(still, still), Matched)
    assert isinstance(compare(still, moving), NotEstablished)
