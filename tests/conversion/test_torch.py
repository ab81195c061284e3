"""Files and modules of PyTorch through ``folding.convert``, in processes and checked there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import folding
from folding.conversion.converting import convert

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]


def test_a_module_becomes_a_folded_model(tmp_path: Path) -> None:
    """Which computes what the module does in evaluation mode."""
    import torch_files
    import torch_models

    module = torch_models.train(torch_models.NETWORKS["classic"].build(), (1, 8, 8))
    array, target = torch_files.rows((1, 8, 8)), tmp_path / "net.onnx"
    report = convert(module, target, sample_inputs={"input": array})
    assert "TRAINING_MODE" in str(report.to_dict())
    assert module.training
    found = torch_files.outputs_of(target, {"input": array})
    torch_files.assert_close(found["output"], torch_models.computed(module.eval(), array))


@pytest.mark.parametrize("kind", ["pt2", "pt"])
def test_a_file_becomes_a_folded_model(tmp_path: Path, kind: str) -> None:
    """In another process, if it is trusted."""
    import torch
    import torch_files
    import torch_models

    module, array = torch_models.trained("classic"), torch_files.rows((1, 8, 8))
    source, target = tmp_path / f"net.{kind}", tmp_path / "net.onnx"
    if kind == "pt2":
        torch_files.save_program(source, module, torch.from_numpy(array))
    else:
        torch.jit.script(module).save(str(source))
    with pytest.raises(folding.BadCall) as refused:
        convert(source, target, sample_inputs={"input": array})
    assert "--trust" in refused.value.hint
    convert(source, target, sample_inputs={"input": array}, trust=True)
    found = torch_files.outputs_of(target, {"input": array})
    torch_files.assert_close(found["output"], torch_models.computed(module, array))


@pytest.mark.parametrize("whole", [True, False])
def test_pickles_are_refused(tmp_path: Path, *, whole: bool) -> None:
    """A pickled module or its state, without being unpickled."""
    import torch
    import torch_models

    module = torch_models.trained("classic")
    source = tmp_path / "net.pt"
    torch.save(module if whole else module.state_dict(), source)
    with pytest.raises(folding.BadCall, match="is a pickle") as refused:
        convert(source, tmp_path / "net.onnx", trust=True)
    assert "torch.export" in refused.value.hint


def test_random_outputs_are_no_proof(tmp_path: Path) -> None:
    """Nothing can be held against them, so nothing is written."""
    import torch

    class Noisy(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.dropout(x, 0.5, training=True)

    target = tmp_path / "net.onnx"
    with pytest.raises(folding.Unproven, match="differ from run to run"):
        convert(Noisy(), target, sample_inputs={"x": np.ones((4, 4), np.float32)})
    assert not target.exists()
