"""Sites in runs: each folded layer beside the one it replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from files import conv_net, initializer, kept_net
from graphs import BOOL, DOUBLE, FLOAT, HALF, Array, Feed, Net, feed_for, run
from inprocess import compared, folded
from onnx import ModelProto, helper, numpy_helper

from folding.equivalence import activations, site_check
from folding.equivalence.runs import Answer
from folding.equivalence.sampling import Unsupported
from folding.equivalence.verdict import Status


def edited(source: ModelProto, name: str, edit: Callable[[Array], Array]) -> ModelProto:
    """The fold of a model with one of its tensors changed."""
    model = folded(source)
    tensor = initializer(model, name)
    values = edit(numpy_helper.to_array(tensor).copy())
    tensor.CopyFrom(numpy_helper.from_array(values, name))
    return model


def first_channel(factor: float) -> Callable[[Array], Array]:
    def edit(values: Array) -> Array:
        values[0] *= np.asarray(factor, values.dtype)
        return values

    return edit


def two_layers(seed: int = 0) -> ModelProto:
    """Two convolutions, each with its normalisation, and a sigmoid between them."""
    net = Net(seed=seed)
    hidden = net.node("Conv", net.input(1, 3, 9, 9), net.weight(4, 3, 3, 3, name="v"), name="one")
    hidden = net.node("Sigmoid", net.batch_norm(hidden, 4, out="a"))
    hidden = net.node("Conv", hidden, net.weight(5, 4, 3, 3, name="w"), name="two")
    net.node("Relu", net.batch_norm(hidden, 5, out="b"), out="y")
    return net.model("y")


# --- right folds ---------------------------------------------------------------------------------


def dense(seed: int, kind: int) -> ModelProto:
    net = Net(seed=seed, elem_type=kind)
    hidden = net.node("Gemm", net.input("n", 30), net.weight(20, 30), net.weight(20), transB=1)
    net.node("Tanh", net.batch_norm(hidden, 20), out="y")
    return net.model("y")


def turned(seed: int, kind: int) -> ModelProto:
    net = Net(seed=seed, elem_type=kind)
    hidden = net.node("MatMul", net.input(2, 7, 30), net.weight(30, 20))
    hidden = net.node("Transpose", hidden, perm=[0, 2, 1])
    net.node("Relu", net.batch_norm(hidden, 20), out="y")
    return net.model("y")


def grouped(seed: int, kind: int) -> ModelProto:
    net = Net(seed=seed, elem_type=kind)
    hidden = net.node("ConvTranspose", net.input(1, 6, 4, 4), net.weight(6, 3, 3, 3), group=2)
    net.node("Relu", net.batch_norm(hidden, 6), out="y")
    return net.model("y")


def pictures(seed: int, kind: int) -> ModelProto:
    return conv_net(6, kind, seed=seed)


RIGHT = {
    "Conv": (pictures, FLOAT),
    "Conv in half": (pictures, HALF),
    "Gemm": (dense, FLOAT),
    "Gemm in double": (dense, DOUBLE),
    "MatMul and Transpose": (turned, FLOAT),
    "MatMul and Transpose in double": (turned, DOUBLE),
    "ConvTranspose in groups": (grouped, FLOAT),
}


@pytest.mark.parametrize("what", RIGHT)
def test_a_right_fold_passes_with_any_numbers(what: str) -> None:
    """On inputs of every kind: large ones, subnormal ones, zeros."""
    make, kind = RIGHT[what]
    for seed in range(10):
        source = make(seed, kind)

        found = compared(source, folded(source))

        assert found.sites.status is Status.PASSED, (seed, found.sites)
        assert found.outputs.status is Status.PASSED, (seed, found.outputs)
        assert not found.guilty


@pytest.mark.parametrize("batch", [2, "n"])
@pytest.mark.parametrize("operator", ["GlobalAveragePool", "ReduceMean", "ReduceSum"])
def test_a_shift_that_is_summed_thousands_of_times_is_no_alarm(
    operator: str, batch: int | str
) -> None:
    """Of zeros the source is exact, and the candidate rounds the same way with every summand."""
    source = averaged(operator, batch)

    found = compared(source, folded(source))

    assert found.sites.status is Status.PASSED, found.sites
    assert found.outputs.status is Status.PASSED, found.outputs


def test_a_fault_that_is_summed_thousands_of_times_is_one() -> None:
    source = averaged("GlobalAveragePool", "n")
    candidate = folded(source)
    tensor = initializer(candidate, "b")
    values = numpy_helper.to_array(tensor) * np.array([1, 1, 1.0001, 1], np.float32)
    tensor.CopyFrom(numpy_helper.from_array(values, "b"))

    found = compared(source, candidate)

    assert found.sites.status is Status.FAILED
    assert "channel 2" in found.sites.why


def averaged(operator: str, batch: int | str) -> ModelProto:
    net = Net()
    value = net.node("Conv", net.input(batch, 3, 48, 48), net.weight(4, 3, 1, 1), "b")
    net.weight(4, name="b")
    given: dict[str, Any] = {"axes": [2, 3]} if operator == "ReduceMean" else {}
    more = [net.integers(2, 3)] if operator == "ReduceSum" else []
    net.node(operator, value, *more, out="m", **given)
    net.batch_norm("m", 4, "y")
    return net.model("y")


def inaccurate() -> ModelProto:
    """A bias and a mean of 1e4 that cancel, and a signal of 1e-2."""
    source = conv_net(seed=3)
    for name, edit in (
        ("b", lambda v: v + 1e4),
        ("mean", lambda v: v + 1e4),
        ("w", lambda v: v * 1e-2),
    ):
        tensor = initializer(source, name)
        values = edit(numpy_helper.to_array(tensor)).astype(np.float32)  # type: ignore[no-untyped-call]  # lambdas
        tensor.CopyFrom(numpy_helper.from_array(values, name))
    return source


def test_a_fold_that_is_more_accurate_than_its_source_passes() -> None:
    source = inaccurate()
    feed = feed_for(source)

    found = compared(source, folded(source), feeds=[feed])

    ours, theirs = run(source, feed)[0], run(folded(source), feed)[0]
    assert not np.allclose(ours, theirs, rtol=1e-3, atol=1e-5)
    assert (found.sites.status, found.outputs.status) == (Status.PASSED, Status.PASSED)
    assert found.sites.worst is not None
    assert found.sites.worst <= 0.6


# --- wrong folds ---------------------------------------------------------------------------------

FAULTS: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "a weight off by a thousandth in one channel": ("w", first_channel(1.001)),
    "a weight off by a ten thousandth in one channel": ("w", first_channel(1.0001)),
    "the shift missing": ("b", np.zeros_like),
    "one shift off": ("b", first_channel(1.001)),
    "the channels rolled": ("w", lambda values: np.roll(values, 1, 0)),
    "one element left out": (
        "w",
        lambda v: np.where(np.arange(v.size).reshape(v.shape) == 40, 0, v),
    ),
    "everything rounded to half": ("w", lambda v: v.astype(np.float16).astype(np.float32)),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_fails_its_site_which_names_the_layer_and_the_affine(what: str) -> None:
    source = conv_net()

    found = compared(source, edited(source, *FAULTS[what]))

    assert found.sites.status is Status.FAILED
    assert (found.sites.at, found.guilty) == ("n", ("n",))
    assert "'n', folded into 'conv', is off" in found.sites.why
    assert (found.sites.worst or 0) > 1 == found.sites.bound


def test_a_fault_that_only_one_corner_shows_is_found() -> None:
    """Of more elements than are compared."""
    net = Net()
    hidden = net.node("Conv", net.input(1, 3, 32, 32), net.weight(4, 3, 3, 3, name="w"))
    net.node("Relu", net.batch_norm(hidden, 4, out="n"), out="y")
    source, x = net.model("y"), np.zeros((1, 3, 32, 32), np.float32)
    x[..., -3:, -3:] = np.random.default_rng(1).normal(size=(1, 3, 3, 3))

    found = compared(source, edited(source, "w", first_channel(1.01)), feeds=[{"x": x}])

    assert found.guilty == ("n",)


def test_once_a_site_has_failed_no_more_inputs_are_tried() -> None:
    source = conv_net()

    wrong = compared(source, edited(source, "w", first_channel(1.1)))
    right = compared(source, folded(source))

    assert (wrong.ran_on.count("seed 0"), right.ran_on.count("seed 0")) == (1, 6)


@pytest.mark.parametrize("channel", [0, 2, 3])
def test_the_channel_that_is_off_is_named(channel: int) -> None:
    def edit(values: Array) -> Array:
        values[channel] *= np.float32(1.01)
        return values

    source = conv_net()

    assert f"channel {channel} of 'n'" in compared(source, edited(source, "w", edit)).sites.why


@pytest.mark.parametrize(("tensor", "affine", "layer"), [("v", "a", "one"), ("w", "b", "two")])
def test_the_site_at_fault_is_named_and_no_other(tensor: str, affine: str, layer: str) -> None:
    """What is wrong before a site does not reach it: it runs on the source's activations."""
    source = two_layers()

    found = compared(source, edited(source, tensor, first_channel(1.1)))

    assert found.guilty == (affine,)
    assert f"of {affine!r}, folded into {layer!r}" in found.sites.why


def test_the_worst_of_several_comes_first() -> None:
    source = two_layers()
    model = edited(source, "v", first_channel(1.001))
    other = initializer(edited(source, "w", lambda v: v * 3), "w")
    initializer(model, "w").CopyFrom(other)

    found = compared(source, model)

    assert found.guilty == ("b", "a")
    assert found.sites.at == "b"


def test_a_site_of_another_shape_is_off() -> None:
    source = conv_net()
    model = folded(source)
    model.graph.node[0].attribute.append(helper.make_attribute("pads", [1, 1, 1, 1]))

    found = compared(source, model)

    assert found.guilty == ("n",)
    assert "float32 (1, 4, 3, 3) became float32 (1, 4, 5, 5)" in found.sites.why


def test_a_site_that_does_not_run_is_off_and_says_why() -> None:
    source = conv_net()

    found = compared(source, edited(source, "b", lambda values: values[:2]))

    assert found.guilty == ("n",)
    assert "its candidate does not run" in found.sites.why


# --- the ends of the type ------------------------------------------------------------------------


def scaled_input(source: ModelProto, size: float) -> Feed:
    most = np.finfo(np.float32).max
    return {"x": np.clip(feed_for(source)["x"] * np.float64(size), -most, most).astype(np.float32)}


@pytest.mark.parametrize("size", [1e-44, 1e-40, 1e-38, 1e30, 1e37, 3e38])
def test_a_right_fold_passes_at_the_ends_of_the_type(size: float) -> None:
    """Where sums overflow, or products vanish, by their order."""
    source = conv_net()

    found = compared(source, folded(source), feeds=[scaled_input(source, size)])

    is_near = size > 1e36
    assert found.sites.status is (Status.NOT_RUN if is_near else Status.PASSED), found.sites
    assert found.sites.excused is is_near


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_a_fault_is_found_before_the_ends_of_the_type(size: float) -> None:
    source = conv_net()
    model = edited(source, "w", first_channel(1.01))
    for net in (source, model):
        initializer(net, "b").raw_data = bytes(16)

    found = compared(source, model, feeds=[scaled_input(source, size)])

    assert found.sites.status is Status.FAILED


def test_nan_in_the_input_is_no_alarm() -> None:
    source = conv_net()
    feed = feed_for(source)
    feed["x"][0, 0, 0, 0] = np.nan

    assert compared(source, folded(source), feeds=[feed]).sites.status is Status.PASSED


# --- what is no site, or cannot be evaluated -----------------------------------------------------


def with_body(*, outside: bool) -> ModelProto:
    """A fold inside of a branch, and perhaps one outside."""
    inner, net = Net(), Net()
    inner.batch_norm(
        inner.node("Conv", "h", inner.weight(4, 3, 3, 3, name="v"), out="c"), 4, out="i"
    )
    body = inner.graph("i")
    body.output[0].type.CopyFrom(helper.make_tensor_type_proto(FLOAT, (1, 4, 5, 5)))
    hidden = net.input(1, 3, 7, 7)
    if outside:
        hidden = net.batch_norm(net.node("Conv", hidden, net.weight(3, 3, 1, 1)), 3, out="o")
    net.node("Relu", hidden, out="h")
    flag = net.input(name="flag", elem_type=BOOL)
    net.node("If", flag, then_branch=body, else_branch=body, out="y")
    return net.model("y")


def test_folds_in_bodies_are_not_compared_and_it_is_said() -> None:
    source = with_body(outside=False)

    check = compared(source, folded(source)).sites

    assert (check.status, check.excused) == (Status.NOT_RUN, True)
    assert check.why.startswith("no site can be compared: they lie inside of bodies")


def test_it_is_said_how_many_of_all_folds_are_compared() -> None:
    source = with_body(outside=True)

    check = compared(source, folded(source)).sites

    assert check.status is Status.PASSED
    assert check.why == "1 of 3 compared"


def test_where_nothing_was_folded_there_is_nothing_to_compare() -> None:
    check = compared(kept_net(), kept_net()).sites

    assert (check.status, check.why, check.excused) == (
        *(Status.NOT_RUN, "nothing was folded", True),
    )


def test_a_site_that_cannot_be_evaluated_is_not_compared_and_makes_noise_nevertheless(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reason = "no way to compute it"
    monkeypatch.setattr(site_check, "evaluate", lambda *_: Unsupported(reason))
    source = conv_net()

    found = compared(source, folded(source))

    assert (found.sites.status, found.sites.excused) == (Status.NOT_RUN, True)
    assert reason in found.sites.why
    assert found.outputs.status is Status.PASSED
    assert "insensitive" not in found.outputs.why


# --- groups --------------------------------------------------------------------------------------


def chain(length: int) -> ModelProto:
    net = Net()
    hidden = net.input(1, 4, 6, 6)
    for number in range(length):
        hidden = net.node("Conv", hidden, net.weight(4, 4, 1, 1, name=f"w{number}"))
        hidden = net.node("Sigmoid", net.batch_norm(hidden, 4, out=f"n{number}"))
    net.node("Relu", hidden, out="y")
    return net.model("y")


@pytest.mark.parametrize("limit", [1, 2000, 1 << 26])
def test_sites_are_compared_a_few_at_a_time_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    source = chain(5)
    expected: list[Answer] = []
    sizes: list[int] = []
    take = activations.activations

    def spied(sessions: Any, feed: Any, group: Any) -> Any:
        sizes.append(len(group))
        return take(sessions, feed, group)

    model = edited(source, "w3", first_channel(1.1))
    for most in (1 << 26, limit):
        sizes.clear()
        monkeypatch.setattr(site_check, "activations", spied)
        monkeypatch.setattr(activations, "_MOST_BYTES", most)
        expected.append(compared(source, model, feeds=[feed_for(source)]))

    assert expected[0].sites == expected[1].sites
    assert expected[0].guilty == expected[1].guilty == ("n3",)
    assert sizes == {1: [1] * 5, 2000: [1] * 5, 1 << 26: [5]}[limit]


def test_the_same_inputs_are_judged_the_same_twice() -> None:
    source = two_layers()

    assert compared(source, folded(source)) == compared(source, folded(source))


def test_the_coarsest_type_of_a_site_says_what_is_allowed() -> None:
    """A weight that is stored in half, and then made wide, is as far off as one in half."""
    source = conv_net()
    candidate = folded(source)
    wide = initializer(candidate, "w")
    wide.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(wide).astype(np.float16), "half"))
    candidate.graph.node.insert(0, helper.make_node("Cast", ["half"], ["w"], to=FLOAT))

    found = compared(source, candidate, measured=False)

    assert found.sites.status is Status.PASSED, found.sites
    assert (found.sites.worst or 0) * 2.0**-11 > 2.0**-24
