"""Inputs and outputs: several, named, chosen, settled; batches that are open or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from files import Array

from folding.conversion.job import Kind

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]

X = np.random.default_rng(2).normal(size=(8, 8)).astype(np.float32)
IDS = np.arange(48).reshape(8, 6)


@pytest.mark.parametrize("route", ["program", "module"])
@pytest.mark.parametrize("chosen", [(), ("more_0",), ("x", "again", "logits"), ("x",)])
def test_outputs_are_named_and_chosen(tmp_path: Path, route: str, chosen: tuple[str, ...]) -> None:
    """By their keys and places; what is given twice or put in is a value of its own."""
    import torch
    import torch_calls
    import torch_files

    from folding.conversion.routes import exported_program
    from folding.conversion.routes.torch import convert_module

    module, wishes = torch_calls.Two().eval(), {"outputs": chosen}
    if route == "program":
        tensors = torch.from_numpy(X), torch.from_numpy(IDS)
        path = torch_files.save_program(tmp_path / "net.pt2", module, *tensors)
        task = torch_files.job(tmp_path, path, Kind.EXPORTED_PROGRAM, **wishes)
        product = exported_program.run(task)
    else:
        given = {"x": X, "ids": IDS}
        task = torch_files.job(tmp_path, Path("m"), Kind.EXPORTED_PROGRAM, given, **wishes)
        product = convert_module(module, task)
    names = list(chosen) or ["logits", "more_0", "again", "x"]
    assert [port.source for port in product.outputs] == names
    assert [port.source for port in product.inputs] == ["x", "ids"]
    torch_files.check(task, product)
    graph = onnx.load_model(task.folder / "model.onnx").graph
    assert len({value.name for value in graph.output}) == len(names)
    assert [value.name for value in graph.input] == ["x", "ids"]
    sizes = {value.type.tensor_type.shape.dim[0].dim_param for value in graph.output}
    assert sizes == {"batch"}


def test_samples_of_a_module_in_bfloat16_are_of_its_type(tmp_path: Path) -> None:
    """No file of arrays can hold any; whole numbers stay what they are."""
    import torch
    import torch_files

    from folding.conversion.routes.torch import convert_module

    layers = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.BatchNorm1d(4), torch.nn.ReLU())
    task = torch_files.job(tmp_path, Path("m"), Kind.EXPORTED_PROGRAM, {"input": X})
    product = convert_module(layers.eval().bfloat16(), task)
    graph = onnx.load_model(task.folder / "model.onnx").graph
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.BFLOAT16
    assert product.references


def test_a_flag_of_a_module_is_frozen(tmp_path: Path) -> None:
    """It is an argument then."""
    import torch_calls
    import torch_files

    from folding.conversion.routes.torch import convert_module

    module = torch_calls.Two().eval()
    results = []
    for negated in (False, True):
        wishes = {"freeze": {"negated": negated}, "outputs": ["logits"]}
        given: dict[str, Array] = {"x": X, "ids": IDS}
        task = torch_files.job(tmp_path, Path("m"), Kind.EXPORTED_PROGRAM, given, **wishes)
        torch_files.check(task, convert_module(module, task))
        results.append(torch_files.outputs_of(task.folder / "model.onnx", given)["logits"])
    torch_files.assert_close(results[0], -results[1])


@pytest.mark.parametrize("value", [True, False])
def test_a_tensor_is_frozen(tmp_path: Path, value: bool) -> None:  # noqa: FBT001
    """It is no input of the graph any more."""
    import torch
    import torch_calls
    import torch_files

    from folding.conversion.routes import exported_program

    tensors = torch.from_numpy(X), torch.tensor([False])
    axes = ({0: torch.export.Dim.DYNAMIC}, None)
    path = torch_files.save_program(tmp_path / "n.pt2", torch_calls.Gated(), *tensors, axes=axes)
    wishes = {"freeze": {"gate": value}}
    task = torch_files.job(tmp_path, path, Kind.EXPORTED_PROGRAM, **wishes)
    product = exported_program.run(task)
    torch_files.check(task, product)
    found = torch_files.outputs_of(task.folder / "model.onnx", {"x": X})
    torch_files.assert_close(found["output"], X * (2 if value else 1))


def test_inputs_in_trees_have_paths_for_names(tmp_path: Path) -> None:
    """So samples can be a flat file."""
    import torch_calls
    import torch_files

    from folding.conversion.routes.torch import convert_module

    given = {"x": X, "extra.scale": X + 1, "extra.shifts.0": X * 3, "extra.shifts.1": X - 1}
    task = torch_files.job(tmp_path, Path("m"), Kind.EXPORTED_PROGRAM, given)
    product = convert_module(torch_calls.Nested(), task)
    assert {port.source for port in product.inputs} == set(given)
    torch_files.check_references(task, product, task.folder / "model.onnx")
    found = torch_files.outputs_of(
        task.folder / "model.onnx", {port.graph: given[port.source] for port in product.inputs}
    )
    torch_files.assert_close(found["output"], X * (X + 1) + X * 3 - X + 1)


def test_a_script_keeps_its_loops_and_flags(tmp_path: Path) -> None:
    """And names its outputs."""
    import torch
    import torch_calls
    import torch_files

    from folding.conversion.routes import torchscript

    path = tmp_path / "net.pt"
    torch.jit.script(torch_calls.Looping()).save(str(path))
    wishes = {"freeze": {"doubled": True}}
    task = torch_files.job(tmp_path, path, Kind.TORCHSCRIPT, {"x": X}, **wishes)
    product = torchscript.run(task)
    assert [port.source for port in product.outputs] == ["total", "other"]
    assert torch_files.check_references(task, product, task.folder / "model.onnx") == [1, 3, 8]
    found = torch_files.outputs_of(task.folder / "model.onnx", {"x": X[:5]})
    torch_files.assert_close(found["total"], (X[:5] + 5) * 2)


def test_what_a_trace_decided_is_told(tmp_path: Path) -> None:
    """Such a module is no program, and a trace knows one of its branches."""
    import torch_calls
    import torch_files

    _, product = torch_files.of_module(tmp_path, torch_calls.Branching().eval(), X)
    assert "tracing" in product.converter
    (warning,) = product.warnings
    assert warning.code == "TRACED"
    assert "Python boolean" in warning.text


def test_integers_are_taken(tmp_path: Path) -> None:
    """By the samples that are there, or small ones that are made up."""
    import torch
    import torch_calls
    import torch_files

    from folding.conversion.routes import exported_program

    module = torch_calls.Words().eval()
    path = torch_files.save_program(tmp_path / "n.pt2", module, torch.zeros(4, 3, dtype=torch.long))
    task = torch_files.job(tmp_path, path, Kind.EXPORTED_PROGRAM)
    product = exported_program.run(task)
    torch_files.check(task, product)


def test_a_batch_that_is_fixed_is_told(tmp_path: Path) -> None:
    """The graph is compared at that size alone."""
    import torch
    import torch_files
    import torch_models

    from folding.conversion.routes import exported_program

    module, path = torch_models.trained("layer_norm"), tmp_path / "net.pt2"
    torch_files.save_program(path, module, torch.randn(4, 64), axes=(None,))
    task = torch_files.job(tmp_path, path, Kind.EXPORTED_PROGRAM)
    product = exported_program.run(task)
    assert torch_files.check_references(task, product, task.folder / "model.onnx") == [4]
    (warning,) = product.warnings
    assert warning.code == "BATCH_FIXED"
    assert "the converted model takes batches of 4 only" in warning.text
    assert "or run to be converted" in warning.text


def test_a_batch_that_a_module_does_not_take_is_told(tmp_path: Path) -> None:
    """The graph is compared at the others."""
    import torch
    import torch_files

    class Fixed(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.reshape(4, 2, 8) * 2

    task, product = torch_files.of_module(tmp_path, Fixed().eval(), X)
    assert torch_files.check_references(task, product, task.folder / "model.onnx") == [8]
    assert [warning.code for warning in product.warnings] == ["BATCH_REFUSED"] * 2
    assert "cannot be run on a batch of 3" in product.warnings[1].text


def test_a_program_for_few_batches_is_run_on_those(tmp_path: Path) -> None:
    """Others are left out."""
    import torch
    import torch_files
    import torch_models

    from folding.conversion.routes import exported_program

    module = torch_models.trained("layer_norm")
    few = ({0: torch.export.Dim("few", min=3, max=5)},)
    path = tmp_path / "net.pt2"
    torch_files.save_program(path, module, torch.randn(4, 64), axes=few)
    task = torch_files.job(tmp_path, path, Kind.EXPORTED_PROGRAM)
    product = exported_program.run(task)
    assert torch_files.check_references(task, product, task.folder / "model.onnx") == [3]
    assert "cannot be run on a batch of 8" in product.warnings[-1].text


@pytest.mark.parametrize("route", ["program", "trace", "module"])
@pytest.mark.parametrize("opset", [15, 17, 20])
def test_the_operator_set_is_the_one_asked_for(tmp_path: Path, route: str, opset: int) -> None:
    """By whichever exporter can write it."""
    import torch_files
    import torch_models

    array = torch_files.rows((1, 8, 8))
    module = torch_models.trained("classic")
    task, product = torch_files.ROUTES[route](tmp_path, module, array, opset=opset)
    torch_files.check(task, product)
    (found,) = onnx.load_model(task.folder / "model.onnx").opset_import
    assert found.version == opset


@pytest.mark.parametrize("opset", [7, 23])
@pytest.mark.parametrize("route", ["program", "trace", "module"])
def test_the_oldest_and_the_newest_operator_set_are_written(
    tmp_path: Path, route: str, opset: int
) -> None:
    """They are the ones that refusals name."""
    import torch_files
    import torch_models

    module, array = torch_models.trained("classic"), torch_files.rows((1, 8, 8))
    task, _ = torch_files.ROUTES[route](tmp_path, module, array, opset=opset)
    (found,) = onnx.load_model(task.folder / "model.onnx").opset_import
    assert found.version == opset
