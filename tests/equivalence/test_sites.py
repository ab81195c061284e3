"""Sites: the pieces of both models that compute the output of a folded affine."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from files import conv_net, kept_net
from graphs import Net
from inprocess import drafts_of
from onnx import ModelProto, ValueInfoProto, helper

import folding
from folding.equivalence import sites as module
from folding.equivalence.sites import Piece, Site, find_sites
from folding.modelfile import in_memory


def found(
    source: ModelProto, candidate: ModelProto | None = None, values: Mapping[str, str] | None = None
) -> tuple[list[Site], list[str]]:
    """The sites of a model and its fold, or something else."""
    folded = folding.fold_model(source, verify=False)[0] if candidate is None else candidate
    return find_sites(drafts_of(in_memory(source))[0], folded.graph, values)


def operators(model: ModelProto, piece: Piece) -> list[str]:
    return [model.graph.node[index].op_type for index in piece.nodes]


def sited(source: ModelProto) -> list[tuple[list[str], list[str], Site]]:
    """For each site, the operators of both pieces."""
    folded, _ = folding.fold_model(source, verify=False)
    sites, missing = found(source, folded)
    assert not missing
    return [(operators(source, s.before), operators(folded, s.after), s) for s in sites]


def test_a_layer_and_its_normalisation_are_a_site() -> None:
    ((before, after, site),) = sited(conv_net())

    assert (before, after) == (["Conv", "BatchNormalization"], ["Conv"])
    assert (site.before.inputs, site.after.inputs) == (("x",), ("x",))
    assert (site.name, site.before.output, site.after.output) == ("n", "n", "n")
    assert (site.layers, site.axis) == (("conv",), -3)


def test_what_lies_between_layer_and_affine_belongs_to_the_site() -> None:
    net = Net()
    hidden = net.node("MatMul", net.input(2, 3, 4), net.weight(4, 5), name="dense")
    turned = net.node("Transpose", net.node("Identity", hidden), perm=[0, 2, 1])
    net.node("Relu", net.batch_norm(turned, 5, out="n"), out="y")

    ((before, after, site),) = sited(net.model("y"))

    assert before == ["MatMul", "Identity", "Transpose", "BatchNormalization"]
    assert after == ["MatMul", "Add", "Identity", "Transpose"]
    assert (site.layers, site.axis) == (("dense",), -2)


def test_affines_one_behind_the_other_are_one_site() -> None:
    """The last one took the others along."""
    net = Net()
    hidden = net.node("Conv", net.input(1, 3, 5, 5), net.weight(4, 3, 3, 3))
    hidden = net.batch_norm(hidden, 4, out="a")
    hidden = net.node("Mul", hidden, net.weight(1, 4, 1, 1), out="b")
    net.node("Relu", net.node("Add", hidden, net.weight(4, 1, 1), out="c"), out="y")

    ((before, after, site),) = sited(net.model("y"))

    assert before == ["Conv", "BatchNormalization", "Mul", "Add"]
    assert after == ["Conv"]
    assert site.name == "c"


def test_an_affine_that_a_later_one_takes_along_is_no_site_of_its_own() -> None:
    """The value behind it exists no more."""
    net = Net()
    hidden = net.node("MatMul", net.input(2, 3, 4), net.weight(4, 5))
    hidden = net.node("Transpose", net.node("Mul", hidden, net.weight(5), out="a"), perm=[0, 2, 1])
    net.node("Relu", net.batch_norm(hidden, 5, out="b"), out="y")

    ((before, after, site),) = sited(net.model("y"))

    assert before == ["MatMul", "Mul", "Transpose", "BatchNormalization"]
    assert after == ["MatMul", "Add", "Transpose"]
    assert site.name == "b"


def test_a_folded_place_ends_where_the_next_begins() -> None:
    """Each has its own layer, and no node of another."""
    net = Net()
    hidden = net.batch_norm(net.node("Conv", net.input(1, 3, 9, 9), net.weight(4, 3, 3, 3)), 4, "a")
    hidden = net.batch_norm(net.node("Conv", hidden, net.weight(5, 4, 3, 3)), 5, "b")
    net.node("Relu", hidden, out="y")

    first, second = sited(net.model("y"))

    assert (first[2].name, first[2].before.inputs) == ("a", ("x",))
    assert (second[2].name, second[2].before.inputs) == ("b", ("a",))
    assert not set(first[2].before.nodes) & set(second[2].before.nodes)


def test_a_piece_has_its_nodes_in_order() -> None:
    """The runtime wants them so, however far apart they are."""
    net = Net()
    net.node("Abs", net.input(1, 3, 9, 9), out="p0")
    hidden = net.node("Conv", "x", net.weight(4, 3, 3, 3))
    for number in range(6):
        net.node("Abs", f"p{number}", out=f"p{number + 1}")
    net.node("Relu", net.batch_norm(net.node("Identity", hidden), 4), out="y")

    ((_, _, site),) = sited(net.model("y", "p6"))

    assert (site.before.nodes, site.after.nodes) == ((1, 8, 9), (1, 8))


def test_where_nothing_is_folded_there_is_none() -> None:
    assert found(kept_net()) == ([], [])


def test_a_candidate_without_such_a_value_has_no_such_site() -> None:
    folded, _ = folding.fold_model(conv_net(), verify=False)
    folded.graph.node[0].output[0] = folded.graph.node[1].input[0] = "other"

    assert found(conv_net(), folded) == ([], ["n"])


def test_a_value_may_have_another_name_in_the_candidate() -> None:
    folded, _ = folding.fold_model(conv_net(), verify=False)
    folded.graph.node[0].input[0] = folded.graph.input[0].name = "image"
    folded.graph.node[0].output[0] = folded.graph.node[1].input[0] = "other"

    (site,), missing = found(conv_net(), folded, {"n": "other", "x": "image"})

    assert not missing
    assert (site.after.inputs, site.after.output) == (("image",), "other")
    assert (site.before.inputs, site.name) == (("x",), "n")


def test_a_candidate_that_computes_it_from_something_else_has_no_such_site() -> None:
    folded, _ = folding.fold_model(conv_net(), verify=False)
    folded.graph.node[0].input[0] = "z"
    folded.graph.input.append(ValueInfoProto(name="z"))

    assert found(conv_net(), folded) == ([], ["n"])


def test_a_candidate_in_which_the_value_is_an_input_has_no_such_site() -> None:
    folded, _ = folding.fold_model(conv_net(), verify=False)
    del folded.graph.node[0]
    folded.graph.input.append(ValueInfoProto(name="n"))

    assert found(conv_net(), folded) == ([], ["n"])


def test_a_candidate_that_computes_it_in_a_body_has_no_such_site() -> None:
    """What the body reads from outside is not looked for."""
    folded, _ = folding.fold_model(conv_net(), verify=False)
    body = helper.make_graph([], "body", [], [])
    folded.graph.node[0].CopyFrom(
        helper.make_node("If", ["x"], ["n"], then_branch=body, else_branch=body)
    )

    assert found(conv_net(), folded) == ([], ["n"])


@pytest.mark.parametrize("most", [2, 3])
def test_a_piece_of_too_many_nodes_is_a_coincidence_of_names(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(module, "_MOST_NODES", most)
    candidate = conv_net()
    candidate.graph.node[2].output[0] = "n"
    candidate.graph.node[1].output[0] = candidate.graph.node[2].input[0] = "other"

    sites, missing = found(conv_net(), candidate)

    assert (len(sites), missing) == ((0, ["n"]) if most < len(candidate.graph.node) else (1, []))


def test_a_constant_that_a_node_holds_is_part_of_the_piece() -> None:
    """As is what computes one."""
    candidate = conv_net()
    folded, _ = folding.fold_model(conv_net(), verify=False)
    bias = next(t for t in folded.graph.initializer if t.name == "b")
    candidate.CopyFrom(folded)
    candidate.graph.initializer.remove(next(t for t in candidate.graph.initializer if t == bias))
    candidate.graph.node.insert(0, helper.make_node("Constant", [], ["b"], value=bias))

    (site,), _ = found(conv_net(), candidate)

    assert operators(candidate, site.after) == ["Constant", "Conv"]
