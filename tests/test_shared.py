"""Constants with several readers: one tensor where all agree on what becomes of it, else a copy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from graphs import (
    BOOL,
    DOUBLE,
    FLOAT,
    HALF,
    INT64,
    Net,
    Result,
    assert_same_function,
    fold,
    fold_unverified,
)
from onnx import GraphProto, helper, numpy_helper
from test_growth import MOST, SMALL, TIMES, built, steps

from folding import Kept, Reason, trial
from folding.constants import Constants
from folding.doubled import Doubled
from folding.draft import Draft
from folding.factor import Factor, along
from folding.graph import index
from folding.layers import scale_weight
from folding.modelfile import in_memory
from folding.names import Names
from folding.planner import plan_model
from folding.protos import graphs

LAYERS = ["Conv", "ConvTranspose", "Gemm", "MatMul"]
NUMBERS = ("gamma", "beta", "mean", "var")


def layer(net: Net, operator: str, x: str = "x", weight: str = "w") -> str:
    """A layer with four channels in its output, whose weight is ``w``."""
    if not net.inputs:
        net.input(*((2, 3, 5) if operator.startswith("Conv") else (2, 3)))
    if weight not in net.stored and not any(weight in node.output for node in net.nodes):
        shapes = {"Conv": (4, 3, 1), "ConvTranspose": (3, 4, 1)}
        net.weight(*shapes.get(operator, (3, 4)), name=weight)
    return net.node(operator, x, weight)


def parameters(net: Net, prefix: str) -> list[str]:
    """Gamma, beta, mean and variance of four channels."""
    if f"{prefix}.var" not in net.stored:
        for name in NUMBERS[:-1]:
            net.weight(4, name=f"{prefix}.{name}")
        net.positive(4, name=f"{prefix}.var")
    return [f"{prefix}.{name}" for name in NUMBERS]


def same_parameters(net: Net, prefix: str, like: str) -> None:
    """Other parameters of the same numbers."""
    for old, name in zip(parameters(net, like), NUMBERS, strict=True):
        net.store(net.stored[old], f"{prefix}.{name}")


def norm(net: Net, x: str, prefix: str = "p", out: str = "") -> str:
    """A batch norm with the parameters of that name."""
    return net.node("BatchNormalization", x, *parameters(net, prefix), out=out)


def twins(net: Net, operator: str, *prefixes: str) -> list[str]:
    """Layers with one weight, each with a norm behind it; those of one prefix are equal."""
    values = []
    for number, prefix in enumerate(prefixes):
        same_parameters(net, f"{prefix}.{number}", prefix)
        values.append(norm(net, layer(net, operator), f"{prefix}.{number}"))
    for prefix in set(prefixes):
        for name in parameters(net, prefix):
            del net.stored[name]
    return values


def weights(result: Result) -> list[str]:
    """What the layers of a folded model read as their weights."""
    return [node.input[1] for node in result.model.graph.node if node.op_type in LAYERS]


# --- all agree ----------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", LAYERS)
@pytest.mark.parametrize("count", [2, 3, 7])
def test_a_weight_on_which_all_layers_agree_stays_one_tensor_under_its_name(
    operator: str, count: int
) -> None:
    """However many they are."""
    net = Net()
    model = net.model(*twins(net, operator, *["p"] * count))

    result = fold(model)

    assert all(decision.is_folded for decision in result.plan.decisions)
    assert weights(result) == ["w"] * count
    assert result.tensors["w"].shape == net.stored["w"].shape
    assert not np.array_equal(result.tensors["w"], net.stored["w"])
    assert not any(name.startswith("w_") for name in result.tensors)
    assert_same_function(model, result.model)


@pytest.mark.parametrize("operator", ["Conv", "ConvTranspose"])
def test_so_does_one_below_ir_4(operator: str) -> None:
    """The signature stays, and no node is added."""
    net = Net(ir_version=3, opset=9)
    model = net.model(*twins(net, operator, "p", "p", "p"))

    result = fold(model)

    assert all(decision.is_folded for decision in result.plan.decisions)
    assert weights(result) == ["w"] * 3
    assert [v.name for v in result.model.graph.input] == [v.name for v in model.graph.input]
    assert len(result.operators) <= len(model.graph.node)
    assert_same_function(model, result.model)


def test_a_bias_on_which_all_layers_agree_stays_one_tensor_too() -> None:
    """Together with the weight."""
    net = Net()
    net.input(2, 3, 5)
    net.weight(4, name="b")
    layers = [net.node("Conv", "x", layer_weight(net), "b") for _ in range(3)]
    model = net.model(*(norm(net, value) for value in layers))

    result = fold(model)

    assert {tuple(node.input) for node in result.model.graph.node} == {("x", "w", "b")}
    assert result.tensors.keys() == {"w", "b"}
    assert_same_function(model, result.model)


def layer_weight(net: Net) -> str:
    if "w" not in net.stored:
        net.weight(4, 3, 1, name="w")
    return "w"


def test_a_weight_that_a_constant_node_holds_is_stored_once() -> None:
    """The node goes."""
    net = Net()
    value = numpy_helper.from_array(net.random.normal(size=(4, 3, 1)).astype("f4"))
    net.node("Constant", out="w", value=value)
    net.input(2, 3, 5)
    model = net.model(*(norm(net, net.node("Conv", "x", "w")) for _ in range(3)))

    result = fold(model)

    assert result.operators == ["Conv"] * 3
    assert len(set(weights(result))) == 1
    assert_same_function(model, result.model)


@pytest.mark.parametrize("chained", [True, False])
@pytest.mark.parametrize("ir_version", [3, 8])
def test_a_weight_that_each_layer_reads_under_another_name_stays_one(
    ir_version: int, *, chained: bool
) -> None:
    """As PyTorch exports a layer that is called several times; the Identities go."""
    net = Net(ir_version=ir_version, opset=9)
    values = [norm(net, layer(net, "Conv"), "p0")]
    weight = "w"
    for number in range(1, 4):
        same_parameters(net, f"p{number}", "p0")
        weight = net.node("Identity", weight if chained else "w", out=f"w{number}")
        values.append(norm(net, layer(net, "Conv", weight=weight), f"p{number}"))
    model = net.model(*values)

    result = fold(model)

    assert result.operators == ["Conv"] * 4
    assert weights(result) == ["w"] * 4
    assert_same_function(model, result.model)


def test_a_weight_that_each_layer_transposes_for_itself_stays_one() -> None:
    """As exporters leave a dense layer that is called several times."""
    net = Net()
    net.input(2, 3)
    net.weight(4, 3, name="w")
    turned = [net.node("Transpose", "w", perm=[1, 0]) for _ in range(3)]
    model = net.model(*(norm(net, net.node("MatMul", "x", name)) for name in turned))

    result = fold(model)

    assert result.plan.counts["folded"] == 3
    assert len(set(weights(result))) == 1
    assert "w" not in result.tensors
    assert_same_function(model, result.model)


def test_a_weight_and_what_is_computed_from_it_are_no_agreement() -> None:
    """Nor are two that are computed otherwise."""
    net = Net()
    net.input(2, 4, 4, 4)
    net.weight(4, 4, 4, name="w")
    perms = [[0, 2, 1], [1, 0, 2], [0, 2, 1]]
    names = ["w", *(net.node("Transpose", "w", perm=perm) for perm in perms), net.node("Neg", "w")]
    net.weight(4, name="s")
    model = net.model(*(net.node("Mul", net.node("MatMul", "x", name), "s") for name in names))

    result = fold(model)

    assert result.plan.counts["folded"] == 5
    assert len(set(weights(result))) == 4
    assert_same_function(model, result.model)


def test_an_identity_of_another_weight_is_no_agreement() -> None:
    """However alike the numbers of the norms are."""
    net = Net()
    one, other = layer(net, "Conv"), layer(net, "Conv", weight="other")
    renamed = net.node("Conv", "x", net.node("Identity", "other"))
    model = net.model(*(norm(net, value) for value in (one, other, renamed)))

    result = fold(model)

    assert weights(result) == ["w", "other", "other"]
    assert_same_function(model, result.model)


@pytest.mark.parametrize("operator", ["Neg", "Transpose"])
def test_a_weight_that_is_computed_is_stored_once(operator: str) -> None:
    """What it was computed from goes."""
    net = Net()
    net.input(2, 3)
    net.weight(*((4, 3) if operator == "Transpose" else (3, 4)), name="source")
    net.node(operator, "source", out="w")
    model = net.model(*(norm(net, net.node("MatMul", "x", "w")) for _ in range(3)))

    result = fold(model)

    assert operator not in result.operators
    assert len(set(weights(result))) == 1
    assert "source" not in result.tensors
    assert_same_function(model, result.model)


def test_layers_that_take_in_two_affines_each_agree_on_both() -> None:
    """One behind the other, and one before the layer."""
    net = Net()
    values = []
    for _ in range(3):
        before = net.node("Relu", net.input(2, 3, 5) if not net.inputs else "x")
        scaled = net.node("Mul", before, "s" if "s" in net.stored else net.weight(3, 1, name="s"))
        first = norm(net, layer(net, "Conv", scaled), "p")
        values.append(norm(net, net.node("Identity", first), "q"))
    model = net.model(*values)

    result = fold(model)

    assert result.plan.counts["folded"] == 9
    assert weights(result) == ["w"] * 3
    assert_same_function(model, result.model)


def test_layers_agree_whatever_they_took_in_first() -> None:
    """What stands before a layer may be folded into it before or after what stands behind."""
    net = Net(DOUBLE)
    net.input(2, 3)
    net.weight(3, 4, name="w")
    model = in_memory(net.model(*(net.node("MatMul", "x", "w", out=name) for name in "ab")))
    scopes, _ = index(model)
    draft = Draft(scopes[0], Constants(model, scopes[0], None), Names(scopes), keeps_inputs=False)
    rows = Factor(along(0, (3, 4)), Doubled.exact(net.random.normal(size=3)))
    columns = Factor(along(1, (3, 4)), Doubled.exact(net.random.normal(size=4)))

    for node, factors in enumerate([(rows, columns), (columns, rows)]):
        for factor in factors:
            scale_weight(draft, node, 1, factor, "somebody")

    assert draft.node(0).input[1] == draft.node(1).input[1]


# --- some agree ---------------------------------------------------------------------------------


@pytest.mark.parametrize("prefixes", ["ppq", "pqp", "qpp", "pqqp", "pqrpqr"])
@pytest.mark.parametrize(
    ("operator", "ir_version"),
    [*((operator, 8) for operator in LAYERS), ("Conv", 3), ("ConvTranspose", 3)],
)
def test_each_content_is_stored_once(operator: str, prefixes: str, ir_version: int) -> None:
    """Whoever comes first; one of them has the name of the source."""
    net = Net(ir_version=ir_version, opset=9 if ir_version == 3 else 17)
    model = net.model(*twins(net, operator, *prefixes))

    result = fold(model)

    read = weights(result)
    assert len(set(read)) == len(set(prefixes))
    assert [read.index(name) for name in read] == [prefixes.index(p) for p in prefixes]
    assert "w" in read
    assert_same_function(model, result.model)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_layer_without_an_affine_keeps_the_original(place: int) -> None:
    """The others share one copy."""
    net = Net()
    values = [layer(net, "Conv") for _ in range(3)]
    model = net.model(*(v if i == place else norm(net, v) for i, v in enumerate(values)))

    result = fold(model)

    read = weights(result)
    np.testing.assert_array_equal(result.tensors["w"], net.stored["w"])
    assert read.pop(place) == "w"
    assert read[0] == read[1] != "w"
    assert_same_function(model, result.model)


def test_a_second_affine_of_one_layer_parts_what_agreed() -> None:
    """The first norms are alike; behind one of them stands another."""
    net = Net()
    one, other = (net.node("Identity", value) for value in twins(net, "Conv", "p", "p"))
    model = net.model(one, norm(net, other, "q"))

    result = fold(model)

    assert result.plan.counts["folded"] == 3
    assert len(set(weights(result))) == 2
    assert_same_function(model, result.model)


def test_numbers_that_differ_in_one_place_are_no_agreement() -> None:
    """Else one of the layers would be wrong."""
    net = Net()
    same_parameters(net, "q", "p")
    net.stored["q.gamma"][3] = np.nextafter(net.stored["q.gamma"][3], np.float32(9))
    model = net.model(*(norm(net, layer(net, "Conv"), prefix) for prefix in "pq"))

    result = fold(model)

    assert len(set(weights(result))) == 2
    assert_same_function(model, result.model)


def test_copies_of_two_weights_are_two() -> None:
    """However alike what becomes of them is."""
    net = Net()
    layers = [layer(net, "Conv", weight=name) for _ in range(3) for name in ("w", "other")]
    values = [*(norm(net, value) for value in layers[:4]), *layers[4:]]
    model = net.model(*values)

    result = fold(model)

    read = weights(result)
    assert read[0] == read[2] != read[1] == read[3]
    assert read[4:] == ["w", "other"]
    assert_same_function(model, result.model)


def test_stored_scales_that_differ_are_no_agreement() -> None:
    """Nothing of them is beyond a float64."""
    net = Net()
    values = [net.node("Mul", layer(net, "Conv"), net.weight(4, 1)) for _ in range(2)]
    model = net.model(*values)

    result = fold(model)

    assert len(set(weights(result))) == 2
    assert_same_function(model, result.model)


def test_the_same_numbers_on_two_sides_of_a_layer_are_no_agreement() -> None:
    """One scales the rows of the weight, the other its columns."""
    net = Net()
    net.input(2, 4)
    net.weight(4, 4, name="w")
    net.weight(4, name="s")
    before = net.node("MatMul", net.node("Mul", "x", "s"), "w")
    behind = net.node("Mul", net.node("MatMul", "x", "w"), "s")
    model = net.model(before, behind)

    result = fold(model)

    assert result.plan.counts["folded"] == 2
    assert len(set(weights(result))) == 2
    assert_same_function(model, result.model)


def test_tables_that_were_shifted_otherwise_before_are_no_agreement() -> None:
    """Although what they are scaled by then is the same."""
    net = Net()
    net.weight(7, 4, name="table")
    same_parameters(net, "q", "p")
    net.stored["q.beta"][:] = -net.stored["p.beta"]
    net.weight(4, name="s")
    values = []
    for prefix in "pq":
        rows = net.node("Gather", "table", net.input(2, name=f"i{prefix}", elem_type=INT64))
        values.append(net.node("Mul", net.node("Identity", norm(net, rows, prefix)), "s"))
    model = net.model(*values)

    result = fold(model)

    assert result.plan.counts["folded"] == 4
    assert result.operators == ["Gather", "Identity"] * 2
    tables = [node.input[0] for node in result.model.graph.node if node.op_type == "Gather"]
    assert len(set(tables)) == 2
    assert_same_function(model, result.model)


def test_shifts_that_differ_are_no_agreement_of_a_bias() -> None:
    """The weight is one, the biases are two."""
    net = Net()
    net.input(2, 3, 5)
    net.weight(4, name="b")
    same_parameters(net, "q", "p")
    net.weight(4, name="q.beta")
    layers = [net.node("Conv", "x", layer_weight(net), "b") for _ in range(2)]
    pairs = zip(layers, "pq", strict=True)
    model = net.model(*(norm(net, value, prefix) for value, prefix in pairs))

    result = fold(model)

    assert weights(result) == ["w", "w"]
    assert len({node.input[2] for node in result.model.graph.node}) == 2
    assert_same_function(model, result.model)


# --- who else sees it ---------------------------------------------------------------------------


def test_a_weight_that_is_also_a_graph_output_is_left_and_copied_once() -> None:
    """The caller gets what was stored."""
    net = Net()
    model = net.model(*twins(net, "Conv", "p", "p"), "w")

    result = fold(model)

    np.testing.assert_array_equal(result.tensors["w"], net.stored["w"])
    assert len(set(weights(result)) - {"w"}) == 1
    assert_same_function(model, result.model)


def body_of(*nodes: tuple[str, list[str]], prefix: str, net: Net | None = None) -> GraphProto:
    """A body that ends with the last of some nodes."""
    net = net or Net()
    for number, (operator, reads) in enumerate(nodes):
        net.node(operator, *reads, out=f"{prefix}{number}")
    return net.graph(f"{prefix}{len(nodes) - 1}")


def norm_body(net: Net, prefix: str, parameters_of: str) -> GraphProto:
    """A body with a layer and its norm, whose constants are all the outer graph's."""
    reads = [f"{prefix}0", *parameters(net, parameters_of)]
    return body_of(("Conv", ["x", "w"]), ("BatchNormalization", reads), prefix=prefix)


def choose(net: Net, then: GraphProto, other: GraphProto, out: str = "z") -> str:
    if "condition" not in [value.name for value in net.inputs]:
        net.input(name="condition", elem_type=BOOL)
    return net.node("If", "condition", out=out, then_branch=then, else_branch=other)


def test_a_weight_that_a_body_reads_is_left_and_copied_once() -> None:
    """The body is as it was."""
    net = Net()
    values = twins(net, "Conv", "p", "p")
    choose(
        net,
        body_of(("Conv", ["x", "w"]), prefix="t"),
        body_of(("Conv", ["x", "w"]), ("Neg", ["e0"]), prefix="e"),
    )
    model = net.model(*values, "z")

    result = fold(model)

    np.testing.assert_array_equal(result.tensors["w"], net.stored["w"])
    before, after = graphs(model)[1:], graphs(result.model)[1:]
    assert [g.SerializeToString() for g in before] == [g.SerializeToString() for g in after]
    assert len(set(weights(result)) - {"w"}) == 1
    assert_same_function(model, result.model)


def loop(net: Net, body: GraphProto, trips: str) -> str:
    """A Loop whose body gives a condition, what it carries, and what it lists."""
    return net.node("Loop", trips, "", "x", out="last,listed", body=body)


def looped(net: Net) -> str:
    """A layer and its norm in a Loop, whose constants are all the outer graph's."""
    body = Net()
    body.node("Identity", "keep_in", out="keep")
    body.node("Identity", "carried_in", out="carried")
    body.node("Conv", "x", "w", out="v")
    body.node("BatchNormalization", "v", *parameters(net, "p"), out="y")
    graph = body.graph("keep", "carried", "y")
    graph.input.extend(
        [
            helper.make_tensor_value_info("trip", INT64, ()),
            helper.make_tensor_value_info("keep_in", BOOL, ()),
            helper.make_tensor_value_info("carried_in", FLOAT, (2, 3, 5)),
        ]
    )
    graph.output[0].CopyFrom(helper.make_tensor_value_info("keep", BOOL, ()))
    for value, shape in zip(graph.output[1:], [(2, 3, 5), (2, 4, 5)], strict=True):
        value.CopyFrom(helper.make_tensor_value_info(value.name, FLOAT, shape))
    loop(net, graph, net.store(3, "trips", INT64))
    return "listed"


def scanned(net: Net) -> str:
    """The same in a Scan over the rows of x."""
    body = Net()
    body.node("Conv", "row", "w", out="v")
    body.node("BatchNormalization", "v", *parameters(net, "p"), out="y")
    graph = body.graph("y")
    graph.input.append(helper.make_tensor_value_info("row", FLOAT, (2, 3, 5)))
    graph.output[0].CopyFrom(helper.make_tensor_value_info("y", FLOAT, (2, 4, 5)))
    return net.node("Scan", "rows", out="listed", body=graph, num_scan_inputs=1)


def branched(net: Net) -> str:
    """The same in one branch of an If."""
    other = body_of(("Neg", ["x"]), ("Concat", ["e0", "e0"]), prefix="e")
    other.node[1].attribute.append(helper.make_attribute("axis", 1))
    return choose(net, norm_body(net, "t", "p"), other)


def outer_net(make: Callable[[Net], str]) -> tuple[Net, str]:
    net = Net()
    net.input(2, 3, 5)
    if make is scanned:
        net.input(3, 2, 3, 5, name="rows")
    layer_weight(net)
    return net, make(net)


@pytest.mark.parametrize("make", [branched, looped, scanned])
def test_a_weight_of_the_outer_graph_that_only_a_body_reads_moves_into_it(
    make: Callable[[Net], str],
) -> None:
    """Under a name that hides none; what nobody reads any more is gone."""
    net, out = outer_net(make)
    model = net.model(out)

    result = fold(model)

    (decision,) = result.plan.decisions
    assert decision.is_folded
    assert not result.tensors.keys() & {"w", *parameters(net, "p")}
    names = [t.name for graph in graphs(result.model) for t in graph.initializer]
    assert len(names) == len(set(names))
    assert_same_function(model, result.model)


@pytest.mark.parametrize("make", [branched, looped, scanned])
def test_a_weight_of_the_outer_graph_that_others_read_too_stays(
    make: Callable[[Net], str],
) -> None:
    """A layer there that has no affine, and one that has one."""
    net, out = outer_net(make)
    plain = net.node("Conv", "x", "w", out="plain")
    model = net.model(out, plain, norm(net, net.node("Conv", "x", "w"), "q"))

    result = fold(model)

    assert all(decision.is_folded for decision in result.plan.decisions)
    np.testing.assert_array_equal(result.tensors["w"], net.stored["w"])
    assert_same_function(model, result.model)


@pytest.mark.parametrize("also", ["a branch", "a nested body", "an output", "a shape"])
def test_a_weight_stays_that_something_of_a_body_still_reads(also: str) -> None:
    """The other branch, a body within it, the caller, or who asks for its shape."""
    net = Net()
    net.input(2, 3, 5)
    layer_weight(net)
    other = body_of(("Conv", ["x", "w"]), prefix="e")
    if also == "a nested body":
        holder, inner = Net(), body_of(("Neg", ["w"]), ("Conv", ["x", "n0"]), prefix="n")
        holder.node("If", "condition", out="e0", then_branch=inner, else_branch=other)
        other = holder.graph("e0")
    elif also in ("an output", "a shape"):
        other = body_of(("Conv", ["x", "other"]), prefix="e")
        net.weight(4, 3, 1, name="other")
    choose(net, norm_body(net, "t", "p"), other)
    outputs = {"an output": "w", "a shape": net.node("Shape", "w")}
    if also != "a shape":
        net.nodes.pop()
    model = net.model("z", *([outputs[also]] if also in outputs else []))

    result = fold(model)

    np.testing.assert_array_equal(result.tensors["w"], net.stored["w"])
    assert_same_function(model, result.model)


@pytest.mark.parametrize("is_read", [True, False])
def test_a_body_with_an_own_weight_of_that_name_keeps_the_one_outside(*, is_read: bool) -> None:
    """Runtimes read a hidden name differently."""
    net = Net()
    net.input(2, 3, 5)
    layer_weight(net)
    net.weight(4, 3, 1, name="v")
    inner = Net(seed=3)
    layer_weight(inner)
    other = body_of(("Conv", ["x", "w" if is_read else "v"]), prefix="e", net=inner)
    choose(net, norm_body(net, "t", "p"), other)
    model = net.model("z")

    result = fold_unverified(model) if is_read else fold(model)

    assert result.plan.counts["folded"] == 1
    np.testing.assert_array_equal(result.tensors["w"], net.stored["w"])


def test_two_norms_that_share_parameters_keep_them_where_one_stays() -> None:
    """The one behind a Relu reads them still."""
    net = Net()
    folded = norm(net, layer(net, "Conv"), "p")
    kept = norm(net, net.node("Relu", layer(net, "Conv")), "p")
    model = net.model(folded, net.node("Relu", kept))

    result = fold(model)

    for name in parameters(net, "p"):
        np.testing.assert_array_equal(result.tensors[name], net.stored[name])
    np.testing.assert_array_equal(result.tensors["w"], net.stored["w"])
    assert_same_function(model, result.model)


# --- tables -------------------------------------------------------------------------------------


def test_a_table_that_two_embeddings_read_stays_one_where_they_agree() -> None:
    """Scales and shifts of both."""
    net = Net()
    net.weight(7, 4, name="table")
    values = []
    for name in ("i", "j"):
        rows = net.node("Gather", "table", net.input(2, name=name, elem_type=INT64))
        values.append(norm(net, rows))
    model = net.model(*values)

    result = fold(model)

    assert all(decision.is_folded for decision in result.plan.decisions)
    assert result.tensors.keys() == {"table"}
    assert_same_function(model, result.model)


def test_a_table_that_a_layer_reads_too_is_copied() -> None:
    """As in a language model whose last layer is its embedding."""
    net = Net()
    net.weight(7, 4, name="table")
    rows = norm(net, net.node("Gather", "table", net.input(2, name="i", elem_type=INT64)))
    model = net.model(net.node("MatMul", rows, net.node("Transpose", "table")))

    result = fold(model)

    assert result.plan.counts["folded"] == 1
    np.testing.assert_array_equal(result.tensors["table"], net.stored["table"])
    assert len(result.tensors) == 2
    assert_same_function(model, result.model)


# --- numbers that do not fit, and work ----------------------------------------------------------


def test_layers_that_agree_on_numbers_that_do_not_fit_cost_few_plans(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All of them are kept at once."""
    plans = []

    def counting(*arguments: object) -> object:
        plans.append(arguments)
        return plan_model(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(trial, "plan_model", counting)
    net = Net(HALF)
    parameters(net, "p")
    net.stored["p.gamma"][:] = np.finfo(np.float16).max
    net.stored["p.beta"][:] = net.stored["p.mean"][:] = 0
    values = [norm(net, layer(net, "MatMul")) for _ in range(20)]

    result = fold_unverified(net.model(*values))

    outcomes = {decision.outcome for decision in result.plan.decisions}
    assert outcomes == {Kept(Reason.OVERFLOW, "w")}
    assert len(plans) <= 3


def agreeing(net: Net, n: int) -> list[str]:
    return twins(net, "Conv", *["p"] * n)


def differing(net: Net, n: int) -> list[str]:
    return twins(net, "Conv", *(f"p{number}" for number in range(n)))


def agreeing_twice(net: Net, n: int) -> list[str]:
    return [norm(net, net.node("Identity", value), "q") for value in agreeing(net, n)]


def in_bodies(net: Net, n: int) -> list[str]:
    net.input(2, 3, 5)
    layer_weight(net)
    return [
        choose(net, norm_body(net, f"t{i}_", "p"), norm_body(net, f"e{i}_", "p"), f"z{i}")
        for i in range(n)
    ]


@pytest.mark.parametrize("build", [agreeing, differing, agreeing_twice, in_bodies])
def test_the_work_grows_with_the_number_of_readers_and_no_faster(
    build: Callable[[Net, int], list[str]],
) -> None:
    """Copies are looked up, not searched."""
    small, large = (in_memory(built(build, n)) for n in (SMALL, TIMES * SMALL))

    assert steps(large) <= MOST * steps(small)
