"""Training mode, live statistics and dropout: never silently something else than PyTorch has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import folding
from folding.errors import LeftInTraining

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]


def test_a_live_module_stays_as_it_is(tmp_path: Path) -> None:
    """Mode, statistics, weights, gradients and class stay; the graph has the evaluation mode."""
    import torch
    import torch_files
    import torch_models

    module = torch_models.train(torch_models.NETWORKS["classic"].build(), (1, 8, 8))
    module[3].eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    modes = [layer.training for layer in module.modules()]
    array = torch_files.rows((1, 8, 8))
    task, product = torch_files.of_module(tmp_path, module, array)
    assert [layer.training for layer in module.modules()] == modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert [warning.code for warning in product.warnings] == ["TRAINING_MODE"]
    torch_files.check(task, product)
    found = torch_files.outputs_of(task.folder / "model.onnx", {"input": array})
    torch_files.assert_close(found["output"], torch_models.computed(module.eval(), array))


@pytest.mark.parametrize("name", ["weight_norm", "old_weight_norm", "spectral_norm", "orthogonal"])
def test_a_live_module_keeps_what_computes_its_weight(tmp_path: Path, name: str) -> None:
    """It can be trained on, and computes the same as before."""
    import torch_files
    import torch_models

    network = torch_models.NETWORKS[name]
    module = torch_models.train(network.build(), network.shape)
    array = torch_files.rows(network.shape)
    names = [name for name, _ in module.named_parameters()]
    torch_files.of_module(tmp_path, module, array)
    assert [name for name, _ in module.named_parameters()] == names
    before = torch_models.computed(module.eval(), array)
    torch_models.train(module, network.shape)
    assert not np.array_equal(torch_models.computed(module.eval(), array), before)


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Not even by an exporter that fails."""
    import torch
    import torch_files

    class Odd(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.linalg.matrix_exp(x)

    with pytest.raises(folding.FoldError, match=r"'aten\.linalg_matrix_exp'"):
        torch_files.of_module(tmp_path, Odd(), torch_files.rows((4, 4)))
    assert capfd.readouterr() == ("", "")


def test_a_program_saved_in_training_mode_is_refused(tmp_path: Path) -> None:
    """Its outputs are those of training, and an exporter would write those of inference."""
    import torch_files
    import torch_models

    module = torch_models.train(torch_models.NETWORKS["classic"].build(), (1, 8, 8))
    with pytest.raises(LeftInTraining, match=r"saved in training mode: '1'") as refused:
        torch_files.of_program(tmp_path, module, torch_files.rows((1, 8, 8)))
    assert "--freeze training=false" in refused.value.hint
    assert [lint.at for lint in refused.value.lints] == ["1", "5", "9"]


def test_a_program_saved_in_training_mode_has_an_inference_form(tmp_path: Path) -> None:
    """Which is what the module computes in evaluation mode."""
    import torch_files
    import torch_models

    module = torch_models.train(torch_models.NETWORKS["classic"].build(), (1, 8, 8))
    array = torch_files.rows((1, 8, 8))
    wishes = {"freeze": {"training": False}}
    task, product = torch_files.of_program(tmp_path, module, array, **wishes)
    assert len(product.references) == 3
    report = torch_files.check(task, product)
    assert torch_files.folded_norms(report) == 3
    found = torch_files.outputs_of(task.folder / "model.onnx", {"input": array})
    torch_files.assert_close(found["output"], torch_models.computed(module.eval(), array))


def test_training_mode_cannot_be_asked_for(tmp_path: Path) -> None:
    """A graph is for inference."""
    import torch_files
    import torch_models

    module = torch_models.trained("classic")
    with pytest.raises(folding.BadCall, match="in training mode"):
        torch_files.of_program(
            tmp_path, module, torch_files.rows((1, 8, 8)), freeze={"training": True}
        )


def test_a_decomposed_program_in_training_mode_is_refused(tmp_path: Path) -> None:
    """Its normalisations have other names then."""
    import torch
    import torch_files
    import torch_models

    from folding.conversion.job import Kind
    from folding.conversion.routes import exported_program

    module = torch_models.train(torch_models.NETWORKS["conv1d"].build(), (8, 8))
    program = torch.export.export(module, (torch.randn(4, 8, 8),)).run_decompositions()
    torch.export.save(program, tmp_path / "net.pt2")
    task = torch_files.job(tmp_path, tmp_path / "net.pt2", Kind.EXPORTED_PROGRAM)
    with pytest.raises(folding.BadModel, match="'1' normalises by the batch at hand"):
        exported_program.run(task)


def test_a_decomposed_program_is_converted(tmp_path: Path) -> None:
    """With the statistics of its layers."""
    import torch
    import torch_files
    import torch_models

    from folding.conversion.job import Kind
    from folding.conversion.routes import exported_program

    module = torch_models.trained("conv1d")
    program = torch.export.export(module, (torch.randn(4, 8, 8),)).run_decompositions()
    torch.export.save(program, tmp_path / "net.pt2")
    task = torch_files.job(tmp_path, tmp_path / "net.pt2", Kind.EXPORTED_PROGRAM)
    product = exported_program.run(task)
    torch_files.check(task, product)
    assert [(one.name, one.epsilon) for one in product.statistics] == [("1", 1e-5)]


def test_a_trace_in_training_mode_is_refused(tmp_path: Path) -> None:
    """The mode is in the trace for good."""
    import torch_files
    import torch_models

    module = torch_models.train(torch_models.NETWORKS["classic"].build(), (1, 8, 8))
    with pytest.raises(LeftInTraining, match=r"traced in training mode: '1'") as refused:
        torch_files.of_trace(tmp_path, module, torch_files.rows((1, 8, 8)))
    assert [lint.at for lint in refused.value.lints] == ["1", "5", "9"]


def test_a_script_in_training_mode_is_put_in_evaluation_mode(tmp_path: Path) -> None:
    """It still has a mode, and the user is told."""
    import torch_files
    import torch_models

    module = torch_models.train(torch_models.NETWORKS["classic"].build(), (1, 8, 8))
    array = torch_files.rows((1, 8, 8))
    task, product = torch_files.of_scripting(tmp_path, module, array)
    assert "TRAINING_MODE" in [warning.code for warning in product.warnings]
    lints = {lint.at: lint.code for lint in product.lints}
    assert lints == dict.fromkeys(("1", "5", "9"), "BATCH_STATISTICS") | {
        "11": "RANDOM_AT_INFERENCE"
    }
    torch_files.check(task, product)
    found = torch_files.outputs_of(task.folder / "model.onnx", {"input": array})
    torch_files.assert_close(found["output"], torch_models.computed(module.eval(), array))


@pytest.mark.parametrize("route", ["program", "module", "trace", "script"])
def test_statistics_that_are_not_tracked_stay_live(tmp_path: Path, route: str) -> None:
    """The graph computes them of each batch, as PyTorch does, and nothing of them is folded."""
    import torch
    import torch_files

    norm = torch.nn.BatchNorm2d(3, track_running_stats=False)
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), norm).eval()
    array = torch_files.rows((1, 8, 8))
    task, product = torch_files.ROUTES[route](tmp_path, module, array)
    sizes = torch_files.check_references(task, product, task.folder / "model.onnx")
    is_open = route in ("program", "module")
    assert sizes == ([1, 3, 8] if is_open else [8])
    assert [warning.code for warning in product.warnings] == ([] if is_open else ["BATCH_FIXED"])
    (found,) = product.statistics
    with np.load(task.folder / found.arrays) as arrays:
        assert sorted(arrays) == ["beta", "gamma"]
    report = folding.fold(task.folder / "model.onnx", task.folder / "folded.onnx")
    assert not any(decision.is_folded for decision in report.plan.decisions)


@pytest.mark.parametrize("route", ["program", "module"])
def test_instance_norm_by_stored_statistics_is_a_batch_norm(tmp_path: Path, route: str) -> None:
    """So it folds."""
    import torch
    import torch_files
    import torch_models

    norm = torch.nn.InstanceNorm2d(6, affine=True, track_running_stats=True)
    layers = (torch.nn.Conv2d(1, 6, 3), norm, torch.nn.Flatten(), torch.nn.Linear(216, 10))
    module = torch_models.train(torch.nn.Sequential(*layers), (1, 8, 8)).eval()
    task, product = torch_files.ROUTES[route](tmp_path, module, torch_files.rows((1, 8, 8)))
    assert torch_files.folded_norms(torch_files.check(task, product)) == 1
    assert [found.name for found in product.statistics] == ["1"]


@pytest.mark.parametrize("route", ["program", "trace", "module"])
def test_dropout_at_inference_is_left_and_told(tmp_path: Path, route: str) -> None:
    """It was written so: the graph has it, and nothing can be held against it.

    The caller's random numbers are not drawn for that.
    """
    import onnx
    import torch
    import torch_files

    class Noisy(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.dropout(x, 0.5, training=True)

    array = torch_files.rows((8,))
    random = torch.random.get_rng_state()
    task, product = torch_files.ROUTES[route](tmp_path, Noisy().eval(), array)
    assert route != "module" or torch.equal(torch.random.get_rng_state(), random)
    assert not product.references
    assert "differ from run to run" in product.unchecked
    graph = onnx.load_model(task.folder / "model.onnx").graph
    assert "Dropout" in [node.op_type for node in graph.node]


def test_a_functional_normalisation_has_its_statistics(tmp_path: Path) -> None:
    """Whatever its buffers are called."""
    import torch
    import torch_files

    class Plain(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("average", torch.tensor([1.0, 2.0]))
            self.register_buffer("spread", torch.tensor([3.0, 4.0]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.batch_norm(x, self.average, self.spread, eps=0.25)

    task, product = torch_files.of_module(tmp_path, Plain(), torch_files.rows((2,)))
    (found,) = product.statistics
    assert (found.name, found.epsilon) == ("batch_norm_0", 0.25)
    with np.load(task.folder / found.arrays) as arrays:
        assert arrays["mean"].tolist() == [1.0, 2.0]
        assert arrays["variance"].tolist() == [3.0, 4.0]
