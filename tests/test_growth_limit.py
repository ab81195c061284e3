"""Copies grow a model by 1 % and no more, unless the caller allows it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from files import contents, put_apart, run, save
from graphs import BOOL, INT64, Net, Result, assert_same_function, fold_unverified
from hypothesis import event, given
from hypothesis import strategies as st
from onnx import ModelProto, numpy_helper

import folding
from folding import Kept, Reason, trial
from folding.plan import Decision
from folding.planner import plan_model
from folding.protos import graphs

#: A copy of this much may be made in any model.
PAGE = 4096
#: The channels of a weight of one tap that is a page, and the least of one that is more.
SMALL, LARGE = 32, 33


def conv(net: Net, x: str, weight: str, channels: int = LARGE) -> str:
    """A convolution of one tap that keeps the shape."""
    if weight not in net.stored:
        net.weight(channels, channels, 1, name=weight)
    return net.node("Conv", x, weight)


def normed(net: Net, x: str, weight: str, channels: int = LARGE, out: str = "") -> str:
    return net.batch_norm(conv(net, x, weight, channels), channels, out)


def shared(channels: int = LARGE, ballast: int = 0) -> Net:
    """A norm ``y`` behind a layer whose weight another one reads; ``ballast`` is other floats."""
    net = Net()
    net.input(1, channels, 3)
    normed(net, "x", "w", channels, out="y")
    net.node("Relu", conv(net, "x", "w", channels), out="z")
    net.node("Add", "z", net.weight(ballast, 1, 1) if ballast else "z", out="last")
    return net


def kept_for_copies(decisions: Sequence[Decision]) -> dict[str, str]:
    """The affines that stay since something would be stored twice, and what."""
    return {
        d.name: d.outcome.at
        for d in decisions
        if isinstance(d.outcome, Kept)
        and d.outcome.reason in (Reason.COPIES, Reason.COMPUTED_COPIES)
    }


def folded_by(model: ModelProto, *, allow_growth: bool = False) -> Result:
    folded, report = folding.fold_model(model, verify=False, allow_growth=allow_growth)
    return Result(model, folded, report.plan)


# --- how much is too much -----------------------------------------------------------------------


def test_a_large_copy_is_not_made() -> None:
    """The affine stays, and the model is returned byte for byte; the tensor is named."""
    model = shared().model("y", "last")

    folded, report = folding.fold_model(model)

    assert kept_for_copies(report.plan.decisions) == {"y": "w"}
    assert folded.SerializeToString() == model.SerializeToString()


def test_a_large_copy_is_made_if_growth_is_allowed() -> None:
    """And proved like any other fold."""
    model = shared().model("y", "last")

    folded, report = folding.fold_model(model, allow_growth=True)

    assert report.plan.counts["folded"] == 1
    assert folded.ByteSize() > 1.01 * model.ByteSize()
    assert_same_function(model, folded)


def test_a_copy_of_a_page_may_always_be_made() -> None:
    """One of some bytes more may not."""
    assert kept_for_copies(folded_by(shared(SMALL).model("y", "last")).plan.decisions) == {}
    assert kept_for_copies(folded_by(shared(LARGE).model("y", "last")).plan.decisions)


def test_a_copy_of_one_per_cent_may_be_made() -> None:
    """Of the whole file, its structure included."""
    weight = 4 * LARGE**2
    enough = shared(ballast=25 * weight)
    less = shared(ballast=24 * weight)

    assert kept_for_copies(folded_by(enough.model("y", "last")).plan.decisions) == {}
    assert kept_for_copies(folded_by(less.model("y", "last")).plan.decisions) == {"y": "w"}


def test_data_in_other_files_counts_as_part_of_the_model(tmp_path: Path) -> None:
    """As much as if it were in the same one."""
    model = shared(ballast=100 * LARGE**2).model("y", "last")
    path = tmp_path / "m.onnx"
    for tensor in model.graph.initializer:
        put_apart(tensor, tmp_path, "weights.bin")
    save(model, path)

    assert folding.explain(path).counts["folded"] == 1


@pytest.mark.parametrize("ir_version", [3, 8])
def test_layers_that_agree_need_no_copy(ir_version: int) -> None:
    """However large the weight is."""
    net = Net(ir_version=ir_version, opset=9)
    net.input(1, LARGE, 3)
    first = normed(net, "x", "w", out="y")
    last = net.node("BatchNormalization", conv(net, "x", "w"), *copies(net, "y"))
    model = net.model(first, last)

    result = folded_by(model)

    assert result.plan.counts["folded"] == 2
    assert len({node.input[1] for node in result.model.graph.node}) == 1
    assert_same_function(model, result.model)


def copies(net: Net, prefix: str) -> list[str]:
    """Other parameters of a norm, with the same numbers."""
    names = (f"{prefix}.{name}" for name in ("gamma", "beta", "mean", "var"))
    return [net.store(net.stored[name], f"{name}.copy") for name in names]


@pytest.mark.parametrize("where", ["initializer", "Constant", "Transpose"])
def test_layers_that_do_not_agree_need_one(where: str) -> None:
    """None of them folds, since whichever did would need it; wherever the weight is stored."""
    net = Net()
    net.input(3, LARGE)
    numbers = net.random.normal(size=(LARGE, LARGE)).astype("f4")
    if where == "Constant":
        net.node("Constant", out="w", value=numpy_helper.from_array(numbers))
    elif where == "Transpose":
        net.node("Transpose", net.store(numbers), out="w")
    else:
        net.store(numbers, "w")
    for name in "abc":
        net.batch_norm(net.node("MatMul", "x", "w"), LARGE, name)
    model = net.model("a", "b", "c")

    result = folded_by(model)

    assert kept_for_copies(result.plan.decisions) == {"a": "w", "b": "w", "c": "w"}
    assert result.model.SerializeToString() == model.SerializeToString()


@pytest.mark.parametrize("where", ["Constant", "Transpose", "Neg"])
def test_a_weight_of_one_layer_is_no_copy_wherever_it_is_stored(where: str) -> None:
    """What it was goes; computed weights are small."""
    size = 30 if where == "Neg" else LARGE
    net = Net()
    net.input(3, size)
    numbers = net.random.normal(size=(size, size)).astype("f4")
    for number in range(4):
        if where == "Constant":
            net.node("Constant", out=f"w{number}", value=numpy_helper.from_array(numbers))
        else:
            net.node(where, net.store(numbers), out=f"w{number}")
        net.batch_norm(net.node("MatMul", "x", f"w{number}"), size, f"y{number}")

    result = folded_by(net.model(*(f"y{number}" for number in range(4))))

    assert result.plan.counts["folded"] == 4


def test_a_computed_weight_that_others_read_is_copied() -> None:
    """What it is computed from stays; two such copies are more than a page."""
    net = Net()
    net.input(3, 30)
    for number in range(2):
        net.node("Neg", net.weight(30, 30), out=f"w{number}")
        net.batch_norm(net.node("MatMul", "x", f"w{number}"), 30, f"y{number}")
        net.node("MatMul", "x", f"w{number}", out=f"z{number}")

    result = folded_by(net.model("y0", "z0", "y1", "z1"))

    assert kept_for_copies(result.plan.decisions) == {"y0": "w0", "y1": "w1"}


def test_biases_that_layers_get_do_not_count() -> None:
    """Nor do the parameters that go weigh against anything."""
    net = Net()
    x = net.input(1, 1, 2000)
    for number in range(3):
        x = net.node("Relu", net.batch_norm(conv(net, x, f"w{number}", 1), 1))
    wide = net.node("Conv", x, net.weight(2000, 1, 1, name="wide"))
    net.node("Mul", wide, net.weight(2000, 1), out="m")
    net.node("Add", "m", net.weight(2000, 1), out="y")

    assert folded_by(net.model("y")).plan.counts["kept"] == 0


def test_a_constant_that_must_have_a_number_for_each_channel_counts() -> None:
    """The C of a Gemm that has one for each row becomes a matrix."""
    net = Net()
    net.input(80, 5)
    net.node("Gemm", "x", net.weight(5, 80), net.weight(80, 1, name="c"), out="v")
    net.batch_norm("v", 80, "y")
    model = net.model("y")

    assert kept_for_copies(folded_by(model).plan.decisions) == {"y": "c"}
    assert folded_by(model, allow_growth=True).plan.counts["folded"] == 1


@pytest.mark.parametrize("ir_version", [3, 8])
def test_below_ir_4_what_nothing_reads_any_more_still_takes_its_bytes(ir_version: int) -> None:
    """It is a graph input, and the signature stays."""
    net = Net(ir_version=ir_version, opset=9)
    net.input(600, 5)
    net.node("Gemm", "x", net.weight(5, 2), net.weight(600, 1, name="c"), out="v")
    net.batch_norm("v", 2, "y")

    found = kept_for_copies(folded_by(net.model("y")).plan.decisions)

    assert found == ({"y": "c"} if ir_version == 3 else {})


def test_a_weight_that_is_read_in_two_bodies_is_stored_in_both() -> None:
    """The outer graph's goes, so that it grows by one; a body alone takes it with it."""

    def in_bodies(count: int) -> list[Decision]:
        net = Net()
        net.input(1, LARGE, 3)
        net.weight(LARGE, LARGE, 1, name="w")
        net.input(name="condition", elem_type=BOOL)
        bodies = []
        for number in range(2):
            body = Net(seed=number)
            value = normed(body, "x", "w", out=f"y{number}") if number < count else ""
            body.stored.pop("w", None)
            bodies.append(body.graph(value or body.node("Neg", "x", out=f"y{number}")))
        net.node("If", "condition", out="z", then_branch=bodies[0], else_branch=bodies[1])
        return list(folded_by(net.model("z")).plan.decisions)

    assert kept_for_copies(in_bodies(1)) == {}
    assert kept_for_copies(in_bodies(2)) == {"y0": "w", "y1": "w"}


def test_a_large_table_that_a_layer_reads_too_takes_nothing_in() -> None:
    """As in a language model whose last layer is its embedding."""
    net = Net()
    net.weight(90, 30, name="table")
    rows = net.node("Gather", "table", net.input(2, name="i", elem_type=INT64))
    net.node("MatMul", net.batch_norm(rows, 30, "y"), net.node("Transpose", "table"), out="z")
    model = net.model("z")

    result = folded_by(model)

    assert kept_for_copies(result.plan.decisions) == {"y": "table"}
    assert result.model.SerializeToString() == model.SerializeToString()


# --- which ones ---------------------------------------------------------------------------------


def several(*sizes: int) -> ModelProto:
    """Pairs of layers with one weight and other norms, as large as it is said."""
    net = Net()
    for number, channels in enumerate(sizes):
        x = net.input(1, channels, 3, name=f"x{number}")
        for name in "ab":
            normed(net, x, f"w{number}", channels, out=f"{name}{number}")
    return net.model(*(f"{name}{number}" for number in range(len(sizes)) for name in "ab"))


def test_copies_that_are_too_large_alone_do_not_keep_others_from_being_made() -> None:
    """Each that is not made is told with its own tensor."""
    result = folded_by(several(8, LARGE, 9, 40))

    wanted = {"a1": "w1", "b1": "w1", "a3": "w3", "b3": "w3"}
    assert kept_for_copies(result.plan.decisions) == wanted
    assert result.plan.counts["folded"] == 4


def test_of_small_copies_that_are_too_large_together_none_is_made() -> None:
    """Else folding again would make some more."""
    model = several(20, 20, 20)

    result = folded_by(model)

    assert len(kept_for_copies(result.plan.decisions)) == 6
    assert result.model.SerializeToString() == model.SerializeToString()


def test_what_needs_no_copy_is_folded_whatever_others_need() -> None:
    """A weight of one layer alone, beside small copies that are too large together."""
    net = Net()
    x = net.input(1, 20, 3)
    for name in ("w0", "w1", "w2"):
        normed(net, x, name, 20, out=f"{name}y")
        net.node("Relu", conv(net, x, name), out=f"{name}z")
    normed(net, x, "w", 20, out="alone")
    names = [f"{name}{end}" for name in ("w0", "w1", "w2") for end in "yz"]

    result = folded_by(net.model("alone", *names))

    assert kept_for_copies(result.plan.decisions) == {"w0y": "w0", "w1y": "w1", "w2y": "w2"}
    assert result.decision("alone").is_folded


def test_of_two_affines_in_one_copy_both_stay() -> None:
    """The one behind could not be folded without it either."""
    net = shared()
    net.node("Identity", "y", out="i")
    net.batch_norm("i", LARGE, "last norm")
    model = net.model("last norm", "last")

    result = folded_by(model)

    assert kept_for_copies(result.plan.decisions)["y"] == "w"
    assert result.plan.counts["kept"] == 2
    assert result.model.SerializeToString() == model.SerializeToString()


@pytest.mark.parametrize("weights", [1, 12])
@pytest.mark.parametrize("norms", [1, 6])
def test_many_folds_that_are_not_worth_it_cost_few_plans(
    monkeypatch: pytest.MonkeyPatch, weights: int, norms: int
) -> None:
    """They are refused at once: all affines in a copy, and all copies that are too large."""
    plans = []

    def counting(*arguments: object) -> object:
        plans.append(arguments)
        return plan_model(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(trial, "plan_model", counting)
    net = Net()
    x = net.input(1, LARGE, 3)
    outputs = []
    for number in range(weights):
        value = normed(net, x, f"w{number}")
        for _ in range(norms - 1):
            value = net.batch_norm(net.node("Identity", value), LARGE)
        outputs += [value, net.node("Relu", conv(net, x, f"w{number}"))]

    result = folded_by(net.model(*outputs))

    assert result.plan.counts["kept"] == weights * norms
    assert len(plans) == 2


def test_a_fold_that_another_one_rested_on_is_planned_anew() -> None:
    """A norm that stays does not keep those elsewhere from being folded."""
    net = shared()
    normed(net, net.node("Relu", "y"), "other", out="far")

    result = folded_by(net.model("far", "last"))

    assert kept_for_copies(result.plan.decisions) == {"y": "w"}
    assert result.decision("far").is_folded


# --- what is said of it -------------------------------------------------------------------------


def by_fold(path: Path, *, allow_growth: bool) -> folding.Plan:
    target = path.with_name("folded.onnx")
    return folding.fold(path, target, verify=False, allow_growth=allow_growth).plan


def by_explain(path: Path, *, allow_growth: bool) -> folding.Plan:
    return folding.explain(path, allow_growth=allow_growth)


Ways = Callable[..., folding.Plan]


@pytest.mark.parametrize("allow_growth", [True, False])
@pytest.mark.parametrize("sizes", [(LARGE,), (20, 20, 20), (8, LARGE)])
def test_explain_says_what_fold_does(
    tmp_path: Path, sizes: tuple[int, ...], *, allow_growth: bool
) -> None:
    """And so does a fold in memory."""
    model = several(*sizes)
    path = save(model, tmp_path / "m.onnx")

    plans = [way(path, allow_growth=allow_growth) for way in (by_fold, by_explain)]

    assert plans[0] == plans[1]
    assert plans[0] == folded_by(model, allow_growth=allow_growth).plan
    assert (plans[0].counts["kept"] == 0) == allow_growth


@pytest.mark.parametrize(
    ("options", "code", "outcome"),
    [((), "GROWTH_REFUSED", "kept"), (("--allow-growth",), "GROWTH_ALLOWED", "folded")],
)
@pytest.mark.parametrize("command", ["explain", "fold"])
def test_the_reports_say_whether_growth_was_allowed(
    tmp_path: Path, command: str, options: tuple[str, ...], code: str, outcome: str
) -> None:
    """As text and as JSON."""
    path = save(shared().model("y", "last"), tmp_path / "m.onnx")

    done = run(command, path, "--json", tmp_path / "report.json", *options)

    report = json.loads((tmp_path / "report.json").read_text())
    (warning,) = report["warnings"]
    (decision,) = report["decisions"]
    assert done.returncode == 0
    assert warning["code"] == code
    assert warning["text"] in done.stdout
    assert decision["outcome"] == outcome
    assert decision["reason"] == ("COPIES" if outcome == "kept" else None)


def test_nothing_is_said_where_little_is_copied() -> None:
    """A page more or less is nobody's concern."""
    _, report = folding.fold_model(shared(SMALL).model("y", "last"), verify=False)

    assert report.warnings == ()


def test_what_stays_for_another_reason_is_not_counted() -> None:
    """Allowing growth would not fold it."""
    net = Net()
    net.batch_norm(net.input(1, 4, 3, name="other"), 4, "first")
    net.node("Relu", "first", out="end")
    _, alone = folding.fold_model(net.model("end"), verify=False)
    normed(net, net.input(1, LARGE, 3), "w", out="y")
    net.node("Relu", conv(net, "x", "w"), out="z")
    _, report = folding.fold_model(net.model("end", "y", "z"), verify=False)

    assert alone.warnings == ()
    (warning,) = report.warnings
    assert (warning.at, warning.text[:6]) == ("w", "1 of 2")


def test_strict_minds_what_stays_for_its_size(tmp_path: Path) -> None:
    """With the flag nothing stays."""
    path = save(shared().model("y", "last"), tmp_path / "m.onnx")

    assert run("fold", path, "--strict").returncode == 3
    assert run("fold", path, "--strict", "--allow-growth").returncode == 0


def test_a_model_that_is_left_alone_is_copied_byte_for_byte(tmp_path: Path) -> None:
    """What was planned first leaves no trace."""
    path = save(shared().model("y", "last"), tmp_path / "m.onnx")

    folding.fold(path)

    found = contents(tmp_path)
    assert found["m.folded.onnx"] == found["m.onnx"]


# --- whatever the graph -------------------------------------------------------------------------


@st.composite
def nets(draw: st.DrawFn) -> ModelProto:
    """Layers in rows, with norms and weights that some of them share."""
    net = Net(seed=draw(st.integers(0, 99)))
    channels = draw(st.sampled_from([4, 20, LARGE]))
    kinds = st.sampled_from(["own", "p", "q", "none"])
    values = [net.input(1, channels, 3)]
    for number in range(draw(st.integers(1, 8))):
        x = draw(st.sampled_from(values))
        value = conv(net, x, draw(st.sampled_from(["v", "w", f"w{number}"])), channels)
        kind = draw(kinds)
        if kind == "own":
            value = net.batch_norm(value, channels)
        elif kind != "none":
            if f"{kind}.var" not in net.stored:
                for name in ("gamma", "beta", "mean"):
                    net.weight(channels, name=f"{kind}.{name}")
                net.positive(channels, name=f"{kind}.var")
            names = (f"{kind}.{name}" for name in ("gamma", "beta", "mean", "var"))
            value = net.node("BatchNormalization", value, *names)
        values.append(net.node("Relu", value) if draw(st.booleans()) else value)
    return net.model(*values[1:])


def biases(before: ModelProto, after: ModelProto) -> int:
    """The bytes of the tensors that are new and no copies of weights, with their headers."""
    known = {tensor.name for graph in graphs(before) for tensor in graph.initializer}
    new = [t for graph in graphs(after) for t in graph.initializer if t.name not in known]
    return sum(tensor.ByteSize() + 8 for tensor in new if len(tensor.dims) == 1)


@given(nets())
def test_a_folded_model_is_hardly_larger(model: ModelProto) -> None:
    """Whatever its layers share, and whoever agrees."""
    folded, report = folding.fold_model(model, verify=False)

    event(f"copies refused: {bool(kept_for_copies(report.plan.decisions))}")
    names = 64 * len(model.graph.node)
    most = max(1.01 * model.ByteSize(), model.ByteSize() + PAGE)
    assert folded.ByteSize() <= most + biases(model, folded) + names


@given(nets())
def test_folding_again_changes_nothing(model: ModelProto) -> None:
    """Nothing is copied that was not copied the first time."""
    folded = fold_unverified(model).model

    again = fold_unverified(folded)

    assert again.model.SerializeToString() == folded.SerializeToString()


@given(nets())
def test_with_growth_allowed_all_norms_behind_layers_fold(model: ModelProto) -> None:
    """None is left for its size, and each is the same function."""
    result = folded_by(model, allow_growth=True)

    assert kept_for_copies(result.plan.decisions) == {}
    assert_same_function(model, result.model)
