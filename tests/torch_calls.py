"""Modules of PyTorch that take and give more than one tensor."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Two(nn.Module):  # type: ignore[misc]
    """Two inputs, a flag, and outputs: one twice, one put in, some that are no tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm = nn.Linear(8, 6), nn.BatchNorm1d(6)

    def forward(self, x: torch.Tensor, ids: torch.Tensor, negated: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002
        hidden = self.norm(self.layer(x)) + ids.to(x.dtype)
        hidden = -hidden if negated else hidden
        return {"logits": hidden, "more": (hidden.relu(), None, 3), "again": hidden, "x": x}


class Nested(nn.Module):  # type: ignore[misc]
    """Inputs in a mapping and a list."""

    def forward(self, x: torch.Tensor, extra: dict[str, Any]) -> torch.Tensor:
        return x * extra["scale"] + extra["shifts"][0] - extra["shifts"][1]


class Branching(nn.Module):  # type: ignore[misc]
    """What it computes is decided by what it is given."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2 if x.sum() > 1e6 else x + 1


class Looping(nn.Module):  # type: ignore[misc]
    """A flag, and as many rounds as there are examples."""

    def forward(self, x: torch.Tensor, doubled: bool) -> dict[str, torch.Tensor]:  # noqa: FBT001
        total = x
        for _ in range(x.shape[0]):
            total = total + 1.0
        if doubled:
            total = total * 2.0
        return {"total": total, "other": x - 1.0}


class Gated(nn.Module):  # type: ignore[misc]
    """A flag that is a tensor."""

    def forward(self, x: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        return torch.where(gate, x * 2, x)


class Words(nn.Module):  # type: ignore[misc]
    """Looks up rows of a table."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.norm = nn.Embedding(7, 5), nn.BatchNorm1d(5)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.norm(self.table(ids).mean(1))
