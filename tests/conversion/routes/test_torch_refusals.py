"""Sources and calls that are refused, each with one sentence and what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import folding
from folding.conversion.job import Job, Kind

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]

X = np.ones((4, 64), np.float32)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, Path]:
    """A .pt2 and a TorchScript file of one network."""
    import torch
    import torch_files
    import torch_models

    folder = tmp_path_factory.mktemp("torch")
    module, example = torch_models.trained("layer_norm"), torch.from_numpy(X)
    torch_files.save_program(folder / "net.pt2", module, example)
    torch.jit.trace(module, (example,)).save(str(folder / "net.pt"))
    return {Kind.EXPORTED_PROGRAM: folder / "net.pt2", Kind.TORCHSCRIPT: folder / "net.pt"}


def run(task: Job) -> None:
    """Convert a file."""
    from folding.conversion.routes import exported_program, torchscript

    routes = {Kind.EXPORTED_PROGRAM: exported_program, Kind.TORCHSCRIPT: torchscript}
    routes[task.kind].run(task)


KINDS = (Kind.EXPORTED_PROGRAM, Kind.TORCHSCRIPT)


@pytest.mark.parametrize("kind", KINDS)
def test_without_trust_nothing_is_read(files: dict[Kind, Path], kind: Kind, tmp_path: Path) -> None:
    """The message says what could happen, and what to give."""
    import torch_files

    with pytest.raises(folding.BadCall, match=r"pickled objects|program of its own") as refused:
        run(torch_files.job(tmp_path, files[kind], kind, {"input": X}, trust=False))
    assert "--trust" in refused.value.hint


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("kind", KINDS)
def test_half_a_file_is_refused(
    files: dict[Kind, Path], kind: Kind, part: float, tmp_path: Path
) -> None:
    """By its name, not by a traceback."""
    import torch_files

    data = files[kind].read_bytes()
    path = tmp_path / "half.bin"
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(folding.BadModel, match=r"PyTorch cannot read 'half\.bin'"):
        run(torch_files.job(tmp_path, path, kind, {"input": X}))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_the_other_kind_is_refused(
    files: dict[Kind, Path], kind: Kind, tmp_path: Path
) -> None:
    """A route reads its own."""
    import torch_files

    (other,) = set(KINDS) - {kind}
    with pytest.raises(folding.BadModel, match="PyTorch cannot read"):
        run(torch_files.job(tmp_path, files[other], kind, {"input": X}))


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_output_is_refused(files: dict[Kind, Path], kind: Kind, tmp_path: Path) -> None:
    """With the ones that there are."""
    import torch_files

    with pytest.raises(folding.BadCall, match="no output 'probabilities'") as refused:
        run(torch_files.job(tmp_path, files[kind], kind, {"input": X}, outputs=["probabilities"]))
    assert refused.value.hint == "Its outputs: output."


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_flag_is_refused(files: dict[Kind, Path], kind: Kind, tmp_path: Path) -> None:
    """With the inputs that there are."""
    import torch_files

    with pytest.raises(folding.BadCall, match="no input 'flag'") as refused:
        run(torch_files.job(tmp_path, files[kind], kind, {"input": X}, freeze={"flag": True}))
    assert refused.value.hint == "Its inputs: input."


def test_an_unknown_flag_of_a_module_is_refused(tmp_path: Path) -> None:
    """With the arguments that there are."""
    import torch_files
    import torch_models

    module = torch_models.trained("layer_norm")
    with pytest.raises(folding.BadCall, match="flag") as refused:
        torch_files.of_module(tmp_path, module, X, freeze={"flag": True})
    assert refused.value.hint == "Its inputs: input."


@pytest.mark.parametrize("value", [[1, 2], "yes", None])
def test_a_value_that_an_input_does_not_take_is_refused(
    files: dict[Kind, Path], tmp_path: Path, value: object
) -> None:
    """By the name of the input."""
    import torch_files

    kind = Kind.EXPORTED_PROGRAM
    with pytest.raises(folding.BadCall, match="the input 'input' takes no"):
        run(torch_files.job(tmp_path, files[kind], kind, freeze={"input": value}))


def test_a_script_needs_samples(files: dict[Kind, Path], tmp_path: Path) -> None:
    """It does not say what shapes it takes; the option that does is named, with its form."""
    import torch_files

    with pytest.raises(folding.BadCall, match="does not say what shapes it takes") as refused:
        run(torch_files.job(tmp_path, files[Kind.TORCHSCRIPT], Kind.TORCHSCRIPT))
    assert "--sample-inputs FILE.npz" in refused.value.hint
    assert "numpy.savez('FILE.npz', input=...)" in refused.value.hint


def test_a_module_needs_samples(tmp_path: Path) -> None:
    """Nor does a module, which is converted by a function."""
    import torch_files
    import torch_models

    from folding.conversion.routes.torch import convert_module

    task = torch_files.job(tmp_path, Path("module"), Kind.EXPORTED_PROGRAM)
    with pytest.raises(folding.BadCall, match="'Sequential' does not say what shapes") as refused:
        convert_module(torch_models.trained("layer_norm"), task)
    assert "sample_inputs={'input': ...}" in refused.value.hint


@pytest.mark.parametrize("route", ["trace", "module"])
def test_samples_that_do_not_fit_are_refused(tmp_path: Path, route: str) -> None:
    """With what PyTorch says of them."""
    import torch
    import torch_files
    import torch_models

    module = torch_models.trained("layer_norm")
    given = torch.jit.trace(module, (torch.from_numpy(X),)) if route == "trace" else module
    of = torch_files.of_script if route == "trace" else torch_files.of_module
    with pytest.raises(folding.BadCall, match=r"cannot be run on its sample inputs: .*shapes"):
        of(tmp_path, given, X[:, :60])


def test_samples_by_another_name_are_refused(tmp_path: Path, files: dict[Kind, Path]) -> None:
    """With the names that there are."""
    import torch_files
    import torch_models

    from folding.conversion.routes.torch import convert_module

    kind = Kind.EXPORTED_PROGRAM
    with pytest.raises(folding.BadCall, match="'pixels'") as refused:
        run(torch_files.job(tmp_path, files[kind], kind, {"pixels": X}))
    task = torch_files.job(tmp_path, Path("module"), kind, {"pixels": X})
    with pytest.raises(folding.BadCall, match="pixels") as refused:
        convert_module(torch_models.trained("layer_norm"), task)
    assert refused.value.hint == "Its inputs: input."
    path = files[Kind.TORCHSCRIPT]
    with pytest.raises(folding.BadCall, match="no input 'pixels'"):
        run(torch_files.job(tmp_path, path, Kind.TORCHSCRIPT, {"pixels": X}))


@pytest.mark.parametrize("route", ["program", "trace"])
def test_an_operator_that_nobody_translates_is_named(tmp_path: Path, route: str) -> None:
    """Not a layer in general."""
    import torch_files
    import torch_models

    from folding.errors import Unconvertible

    module = torch_models.trained("orthogonal")
    with pytest.raises(Unconvertible, match=r"operator 'aten\.(linalg_matrix_exp|matrix_exp|mH)'"):
        torch_files.ROUTES[route](tmp_path, module, torch_files.rows((64,)))


def test_a_module_that_cannot_be_copied_is_refused(tmp_path: Path) -> None:
    """Nothing is done to the original."""
    import threading

    import torch_files
    import torch_models

    module = torch_models.NETWORKS["layer_norm"].build()
    module.lock = threading.Lock()
    with pytest.raises(folding.BadCall, match="the module cannot be copied"):
        torch_files.of_module(tmp_path, module, X)
