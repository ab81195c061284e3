"""What only running a model shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files import save
from graphs import Net
from linting import conv, normed
from onnx import ModelProto

import folding
from folding.equivalence.jobs import ModelPlace
from folding.equivalence.limits import RunLimits
from folding.lint import lint
from folding.lint.runs import Trial, tried


def ran(model: ModelProto, folder: Path, **more: Any) -> dict[str, Any]:
    """What the child process would answer."""
    return tried(Trial(ModelPlace(save(model, folder / "m.onnx")), 32, **more))


def dense(net: Net, batch: int | str = "N") -> str:
    return net.node("MatMul", net.input(batch, 5), net.weight(5, 4))


def centred(net: Net, y: str) -> str:
    """A part of every example is that of the others: no lint of the graph knows this form."""
    return net.node("Sub", y, net.node("ReduceMean", y, axes=[0]))


def test_outputs_that_hang_on_the_other_examples_are_found(tmp_path: Path) -> None:
    """Of several outputs those that do."""
    net = Net()
    y = dense(net)
    out, plain = centred(net, y), net.node("Relu", y)
    assert ran(net.model(out, plain), tmp_path)["dependent"] == [out]


def test_sound_models_are_silent(tmp_path: Path) -> None:
    """One with a normalisation, and one by layers."""
    net = Net()
    y = net.node("LayerNormalization", normed(net, dense(net)), net.positive(4), net.weight(4))
    assert ran(net.model(y), tmp_path) == {"random": [], "dependent": [], "unrun": ""}


def test_a_first_axis_whose_order_matters_is_no_batch(tmp_path: Path) -> None:
    """Steps of time hang on each other as they should."""
    net = Net()
    y = net.node("CumSum", dense(net), net.store(np.array(0), "", 0))
    assert ran(net.model(y), tmp_path)["dependent"] == []


def test_what_hangs_on_what_comes_after_it_is_no_batch(tmp_path: Path) -> None:
    """Sums from the end change with the later examples, but with their order, too."""
    net = Net()
    y = net.node("CumSum", dense(net), net.store(np.array(0), "", 0), reverse=1)
    assert ran(net.model(y), tmp_path)["dependent"] == []


def test_what_may_be_a_length_is_no_batch(tmp_path: Path) -> None:
    """With two open axes the first may be either; with none there is no telling."""
    net = Net()
    y = net.node("MatMul", net.input("T", "N", 5), net.weight(5, 4))
    fixed = Net()
    for model in (
        net.model(centred(net, y)),
        fixed.model(centred(fixed, dense(fixed, 6))),
    ):
        found = ran(model, tmp_path)
        assert found["dependent"] == []
        assert found["unrun"].startswith("which axis of its inputs is the batch is unknown")


@pytest.mark.parametrize("dims", [(4, 3, 8, 8), ("N", 3, "H", "W"), (2, 3, "H", 8)])
def test_the_first_axis_of_images_is_their_batch(
    dims: tuple[int | str, ...], tmp_path: Path
) -> None:
    """Though it is fixed, or height and width are open as well."""
    net = Net()
    y = conv(net, net.input(*dims))
    out, plain = centred(net, y), net.node("Relu", y)
    found = ran(net.model(out, plain), tmp_path)
    assert (found["dependent"], found["unrun"]) == ([out], "")


def test_a_fixed_batch_of_one_has_no_others(tmp_path: Path) -> None:
    """So nothing can hang on them."""
    net = Net()
    found = ran(net.model(centred(net, conv(net, net.input(1, 3, 8, 8)))), tmp_path)
    assert (found["dependent"], found["unrun"]) == ([], "")


def test_an_axis_that_is_called_batch_is_one(tmp_path: Path) -> None:
    """Beside a length that is open, too."""
    for name, expected in (("batch_size", True), ("T", False)):
        net = Net()
        out = centred(net, net.node("MatMul", net.input(name, "N", 5), net.weight(5, 4)))
        assert ran(net.model(out), tmp_path)["dependent"] == [out] * expected


def test_inputs_of_several_sizes_have_no_batch_in_common(tmp_path: Path) -> None:
    """Which of their first axes it is, nobody knows."""
    net = Net()
    y = centred(net, dense(net))
    z = net.node("Relu", net.input("M", 5, name="z"))
    random = np.random.default_rng(0)
    sizes = {"x": 4, "z": 3}
    feed = {name: random.normal(size=(n, 5)).astype(np.float32) for name, n in sizes.items()}
    assert ran(net.model(y, z), tmp_path, feeds=[feed])["dependent"] == []


def test_an_output_without_the_batch_is_silent(tmp_path: Path) -> None:
    """A sum over all examples is meant to be one."""
    net = Net()
    y = net.node("ReduceMean", dense(net), axes=[0])
    assert ran(net.model(y), tmp_path)["dependent"] == []


def test_two_runs_that_differ_are_random(tmp_path: Path) -> None:
    """The batch has nothing to do with it."""
    net = Net()
    y = dense(net)
    out = net.node("Add", y, net.node("RandomNormalLike", y))
    found = ran(net.model(out, net.node("Relu", y)), tmp_path)
    assert (found["random"], found["dependent"]) == ([out], [])


def test_the_users_inputs_are_run_on(tmp_path: Path) -> None:
    """One example has no others."""
    net = Net()
    model = net.model(centred(net, dense(net)))
    for count, expected in ((1, []), (4, ["sub2"])):
        feed = {"x": np.random.default_rng(0).normal(size=(count, 5)).astype(np.float32)}
        assert ran(model, tmp_path, feeds=[feed])["dependent"] == expected


def test_what_the_runtime_refuses_is_said(tmp_path: Path) -> None:
    """With the reason."""
    net = Net()
    y = net.node("Reshape", dense(net), net.integers(7, 11))
    assert ran(net.model(y), tmp_path)["unrun"]


def saved(folder: Path) -> Path:
    net = Net()
    return save(net.model(centred(net, dense(net))), folder / "m.onnx")


def test_lint_runs_the_model_in_a_process_of_its_own(tmp_path: Path) -> None:
    """Unless it is asked not to."""
    path = saved(tmp_path)
    assert [finding.code.name for finding in lint(path).findings] == ["BATCH_DEPENDENT"]
    assert lint(path, run=False).findings == []


def test_a_model_that_takes_too_long_is_said_to_be_unrun(tmp_path: Path) -> None:
    """What the graph shows is there nevertheless."""
    found = lint(saved(tmp_path), run_limits=RunLimits(seconds=1e-6))
    assert found.findings == []
    assert "longer than" in found.unrun


def test_what_cannot_be_run_is_said_to_be_unrun(tmp_path: Path) -> None:
    """An operator that draws needs no run to be found."""
    net = Net()
    y = dense(net)
    model = net.model(net.node("Add", y, net.node("RandomNormalLike", y)))
    found = lint(save(model, tmp_path / "m.onnx"))
    assert [finding.code.name for finding in found.findings] == ["RANDOM_AT_INFERENCE"]
    assert found.unrun == "RandomNormalLike is random"


def test_a_live_model_is_no_source() -> None:
    """It is said what to do with it."""
    with pytest.raises(folding.BadCall, match="the source is a ModelProto, and lint takes a path"):
        lint(Net().model())  # type: ignore[arg-type]


def test_shapes_and_inputs_must_fit(tmp_path: Path) -> None:
    """As they must for a fold."""
    path = saved(tmp_path)
    with pytest.raises(folding.BadCall, match="no input"):
        lint(path, inputs={"z": np.zeros(1)})
    with pytest.raises(folding.BadCall):
        lint(path, shapes={"x": (2, 6)})
