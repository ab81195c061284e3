"""Variants: what is run beside the two models, made of their own nodes and weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from files import conv_net
from graphs import BOOL, DOUBLE, FLOAT, HALF, Array, Feed, Net, feed_for, fold, run
from inprocess import drafts_of
from onnx import ModelProto, helper

import folding
from folding.equivalence.draws import draws
from folding.equivalence.sites import Piece, find_sites
from folding.equivalence.variants import (
    piece_input,
    piece_output,
    pieces,
    shape_name,
    with_noise,
    with_outputs,
)
from folding.modelfile import in_memory


def named(model: ModelProto, feed: Feed) -> dict[str, Any]:
    values = run(model, feed)
    return {value.name: array for value, array in zip(model.graph.output, values, strict=True)}


# --- more outputs --------------------------------------------------------------------------------


def test_inner_values_and_shapes_are_given_beside_the_outputs() -> None:
    model, feed = conv_net(), feed_for(conv_net())

    found = named(with_outputs(model, ["c", "n"], shapes=["c"]), feed)

    assert list(found) == ["y", "c", "n", shape_name("c")]
    assert list(found[shape_name("c")]) == list(found["c"].shape)
    np.testing.assert_array_equal(found["y"], np.maximum(found["n"], 0))


def test_a_value_is_given_once_and_an_input_not_at_all() -> None:
    """An output of the name of an input would be none."""
    found = with_outputs(conv_net(), ["y", "c", "c", "x"], shapes=[])

    assert [value.name for value in found.graph.output] == ["y", "c"]


def test_the_model_itself_is_not_changed() -> None:
    model, before = conv_net(), conv_net()

    with_outputs(model, ["c"], shapes=["c"])
    with_noise(model, {"n": FLOAT})

    assert model == before


# --- pieces --------------------------------------------------------------------------------------


def two_layers() -> ModelProto:
    net = Net()
    hidden = net.batch_norm(net.node("Conv", net.input(1, 3, 7, 7), net.weight(3, 3, 3, 3)), 3, "a")
    hidden = net.batch_norm(net.node("Conv", hidden, net.weight(3, 3, 3, 3)), 3, "b")
    net.node("Relu", hidden, out="y")
    return net.model("y")


def side_by_side(source: ModelProto) -> tuple[ModelProto, list[Piece]]:
    """The sites of a fold as one graph."""
    folded, _ = folding.fold_model(source, verify=False)
    sites, _ = find_sites(drafts_of(in_memory(source))[0], folded.graph)
    parts = [site.after for site in sites]
    kinds = {piece_input(n, name): FLOAT for n, part in enumerate(parts) for name in part.inputs}
    return pieces(folded, parts, kinds), parts


def test_pieces_do_not_see_each_other_s_values() -> None:
    """The second one gets what it is given, not what the first one made."""
    made, _ = side_by_side(two_layers())
    x, a = (
        np.random.default_rng(n).normal(size=s) for n, s in ((1, (1, 3, 7, 7)), (2, (1, 3, 5, 5)))
    )
    source = two_layers()

    found = named(
        made,
        {piece_input(0, "x"): x.astype(np.float32), piece_input(1, "a"): a.astype(np.float32)},
    )

    one = named(with_outputs(source, ["a"], shapes=[]), {"x": x.astype(np.float32)})["a"]
    rest = helper.make_graph(
        source.graph.node[2:],
        "rest",
        [helper.make_tensor_value_info("a", FLOAT, [1, 3, 5, 5])],
        [helper.make_tensor_value_info("b", FLOAT, None)],
        source.graph.initializer,
    )
    del rest.node[-1]
    other = named(
        helper.make_model(rest, opset_imports=source.opset_import, ir_version=8),
        {"a": a.astype(np.float32)},
    )["b"]
    np.testing.assert_allclose(found[piece_output(0)], one, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found[piece_output(1)], other, rtol=1e-4, atol=1e-4)


def test_a_piece_may_make_again_what_it_is_given() -> None:
    """One part of the Split is what it was, and the other one is not."""
    net = Net()
    net.node("Conv", net.input(2, 3, 4), net.weight(2, 3, 1), out="v")
    net.node("Split", "v", net.integers(1, 1), out="same,other", axis=1)
    net.node("Concat", "other", "same", out="c", axis=1)
    net.node("Mul", "c", net.store([[0.5], [1.0]]), out="y")
    source = net.model("y")
    made, _ = side_by_side(source)
    given = np.full((2, 1, 4), 7.0, np.float32)

    feed = {piece_input(number, "x"): feed_for(source)["x"] for number in (0, 1)}
    found = named(made, {**feed, piece_input(0, "same"): given})

    np.testing.assert_array_equal(found[piece_output(0)][:, 1:], given)
    assert fold(source).operators == ["Conv", "Split", "Concat"]


def test_pieces_have_the_weights_that_they_read_and_no_others() -> None:
    source = two_layers()
    folded, _ = folding.fold_model(source, verify=False)
    (site, _), _ = find_sites(drafts_of(in_memory(source))[0], folded.graph)

    made = pieces(folded, [site.after], {piece_input(0, "x"): FLOAT})

    assert {tensor.name for tensor in made.graph.initializer} == set(made.graph.node[0].input[1:])


def test_a_piece_that_is_there_twice_is_run_twice() -> None:
    """Two affines may share what they are computed with."""
    part = Piece(("x",), "c", (0,))
    made = pieces(conv_net(), [part, part], {piece_input(n, "x"): FLOAT for n in (0, 1)})
    x = feed_for(conv_net())["x"]

    found = named(made, {piece_input(0, "x"): x, piece_input(1, "x"): 2 * x})

    assert not np.array_equal(found[piece_output(0)], found[piece_output(1)])


def test_outputs_that_a_node_does_not_have_stay_out() -> None:
    net = Net()
    dropped = net.node("Dropout", net.input(2, 3), out="d,")
    net.node("Relu", dropped, out="y")

    made = pieces(net.model("y"), [Piece(("x",), "d", (0,))], {piece_input(0, "x"): FLOAT})

    assert list(made.graph.node[0].output) == [piece_input(0, "d"), ""]
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(run(made, {piece_input(0, "x"): x})[0], x)


# --- noise ---------------------------------------------------------------------------------------


def noisy(model: ModelProto, feed: Feed, sizes: dict[str, Any], kind: int, seed: int = 0) -> Array:
    types = dict.fromkeys(sizes, kind)
    looked = with_outputs(model, [], shapes=list(sizes))
    shapes = {
        name: tuple(map(int, shape))
        for name, shape in zip(sizes, run(looked, feed)[-len(sizes) :], strict=True)
    }
    doubles = {name: np.asarray(size, np.float64) for name, size in sizes.items()}
    given = draws(doubles, shapes, types, np.random.default_rng(seed))
    return run(with_noise(model, types), {**feed, **given})[0]


@pytest.mark.parametrize("kind", [FLOAT, DOUBLE, HALF])
def test_noise_is_as_large_as_it_is_told_in_each_channel_and_no_larger(kind: int) -> None:
    net = Net(elem_type=kind)
    net.node("Identity", net.input(4, 3, 50, name="x"), out="y")
    model = net.model("y")
    feed = {"x": np.zeros((4, 3, 50), helper.tensor_dtype_to_np_dtype(kind))}

    found = np.abs(noisy(model, feed, {"y": [[0.5], [0.25], [0.0]]}, kind)).astype(np.float64)

    assert found[:, 2].max() == 0
    assert 0.25 < found[:, 0].max() <= 1.0
    assert 0.12 < found[:, 1].max() <= 0.5
    assert len(np.unique(found[:, 0])) > 100


def test_noise_does_not_vanish_in_an_average() -> None:
    """Half of it is the same for all elements of a channel."""
    net = Net()
    net.node("Identity", net.input(1, 3, 4000, name="x"), out="y")
    feed = {"x": np.zeros((1, 3, 4000), np.float32)}

    found = noisy(net.model("y"), feed, {"y": [[1.0], [1.0], [1.0]]}, FLOAT)

    assert np.abs(found.mean((0, 2))).max() > 0.1
    assert (found.std((0, 2)) > 0.5).all()


def test_without_size_there_is_no_noise() -> None:
    model, feed = conv_net(), feed_for(conv_net())

    np.testing.assert_array_equal(noisy(model, feed, {"n": 0.0}, FLOAT), run(model, feed)[0])


def test_noise_goes_on_to_whatever_reads_the_value() -> None:
    """Also into bodies, and out of the graph."""
    inner, net = Net(), Net()
    net.node("Identity", net.input(2, 3), out="h")
    inner.node("Neg", "h", out="i")
    body = inner.graph("i")
    body.output[0].type.CopyFrom(helper.make_tensor_type_proto(FLOAT, (2, 3)))
    flag = net.input(name="flag", elem_type=BOOL)
    net.node("If", flag, then_branch=body, else_branch=body, out="y")
    model, feed = net.model("y"), {"x": np.zeros((2, 3), np.float32), "flag": np.array(True)}

    assert np.abs(noisy(model, feed, {"h": 1.0}, FLOAT)).min() > 0
    assert np.abs(noisy(model, feed, {"y": 1.0}, FLOAT)).min() > 0


def test_the_same_seed_draws_the_same_noise_and_another_one_does_not() -> None:
    model, feed = conv_net(), feed_for(conv_net())
    one, same, other = (noisy(model, feed, {"n": 0.1}, FLOAT, seed) for seed in (1, 1, 2))

    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_two_values_have_noise_that_has_to_do_with_each_other(seed: int) -> None:
    """Else it would cancel where they meet."""
    net, names = Net(), [f"a{number}" for number in range(6)]
    x = net.input(4000)
    for name in names:
        net.node("Identity", x, out=name)
    net.node("Concat", *names, out="y", axis=0)
    feed = {"x": np.zeros(4000, np.float32)}

    found = noisy(net.model("y"), feed, dict.fromkeys(names, 1.0), FLOAT, seed)

    assert np.abs(np.corrcoef(found.reshape(6, -1)) - np.eye(6)).max() < 0.1
