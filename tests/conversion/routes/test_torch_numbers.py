"""Programs of whole numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from folding.conversion.job import Kind

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]


def test_whole_numbers_below_zero_are_compared_where_they_are_taken(tmp_path: Path) -> None:
    """Indices are not, and nobody is told."""
    import torch
    import torch_files

    from folding.conversion.routes import exported_program

    class Divided(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x // 3

    embedding = torch.nn.Embedding(5, 2).eval()
    for number, (module, count) in enumerate(((Divided().eval(), 4), (embedding, 3))):
        path = tmp_path / f"net{number}.pt2"
        torch_files.save_program(path, module, torch.ones((4, 6), dtype=torch.int64))
        task = torch_files.job(tmp_path, path, Kind.EXPORTED_PROGRAM)
        product = exported_program.run(task)
        assert len(product.references) == count
        torch_files.check_references(task, product, task.folder / "model.onnx")
        assert not product.warnings
