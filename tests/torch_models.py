"""Networks of PyTorch, each trained for moments on scikit-learn's digits."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from files import Array
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.utils import parametrizations

IMAGE, FLAT, SEQUENCE, VOLUME = (1, 8, 8), (64,), (8, 8), (1, 4, 4, 4)
_STEPS, _BATCH = 12, 64


class Shared(nn.Module):  # type: ignore[misc]
    """One convolution twice, each time with a normalisation of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.widen = nn.Conv2d(1, 4, 3, padding=1)
        self.twice = nn.Conv2d(4, 4, 3, padding=1)
        self.first, self.second = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.head = nn.Linear(4 * 64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(self.twice(self.widen(x))).relu()
        return self.head(self.second(self.twice(x)).relu().flatten(1))


class Turned(nn.Module):  # type: ignore[misc]
    """A product of matrices, a transposition, and only then the normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 6) / 3)
        self.norm = nn.BatchNorm1d(6)
        self.head = nn.Linear(48, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm((x @ self.weight).transpose(1, 2)).relu().flatten(1))


def _net(*layers: nn.Module, features: int) -> nn.Module:
    return nn.Sequential(*layers, nn.ReLU(), nn.Flatten(), nn.Linear(features, 10))


def _classic(*, bias: bool = True, **norm: Any) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1, bias=bias),
        nn.BatchNorm2d(6, **norm),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, groups=2, bias=bias),
        nn.BatchNorm2d(8, **norm),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32, 16, bias=bias),
        nn.BatchNorm1d(16, **norm),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(16, 10),
    )


def _behind_relu() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3),
        nn.ReLU(),
        nn.BatchNorm2d(6),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 8, 3),
        nn.Flatten(),
        nn.Linear(8, 10),
    )


def _normed(norm: nn.Module) -> nn.Module:
    """Another normalisation, and a batch normalisation behind it."""
    convolution = nn.Conv2d(6, 4, 3)
    layers = (nn.Conv2d(1, 6, 3), norm, nn.ReLU(), convolution, nn.BatchNorm2d(4))
    return _net(*layers, features=64)


def _computed(wrap: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """A weight that is computed from other parameters."""
    return _net(wrap(nn.Conv2d(1, 6, 3)), nn.BatchNorm2d(6), features=216)


def _layer_norm() -> nn.Module:
    layers = (nn.Linear(64, 16), nn.LayerNorm(16), nn.Linear(16, 12), nn.BatchNorm1d(12))
    return _net(*layers, features=12)


class Network(NamedTuple):
    """How a network is built, what it takes, how many batch normalisations a graph has of it."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    norms: int = 1


def _parametrised(wrap: Callable[[nn.Module], nn.Module]) -> Network:
    return Network(functools.partial(_computed, wrap), IMAGE)


def _orthogonal() -> nn.Module:
    hidden = parametrizations.orthogonal(nn.Linear(64, 64))
    return _net(hidden, nn.BatchNorm1d(64), features=64)


NETWORKS: dict[str, Network] = {
    "classic": Network(_classic, IMAGE, 3),
    "no_bias": Network(functools.partial(_classic, bias=False), IMAGE, 3),
    "no_affine": Network(functools.partial(_classic, bias=False, affine=False), IMAGE, 3),
    "epsilon_and_momentum": Network(functools.partial(_classic, eps=1e-2, momentum=0.3), IMAGE, 3),
    "cumulative": Network(functools.partial(_classic, momentum=None), IMAGE, 3),
    "conv1d": Network(
        lambda: _net(nn.Conv1d(8, 6, 3), nn.BatchNorm1d(6), nn.AvgPool1d(2), features=18),
        SEQUENCE,
    ),
    "conv3d": Network(lambda: _net(nn.Conv3d(1, 6, 3), nn.BatchNorm3d(6), features=48), VOLUME),
    "transposed": Network(
        lambda: _net(
            nn.Conv2d(1, 4, 3),
            nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2, bias=False),
            nn.BatchNorm2d(6),
            features=6 * 169,
        ),
        IMAGE,
    ),
    "behind_relu": Network(_behind_relu, IMAGE),
    "turned": Network(Turned, SEQUENCE),
    "shared": Network(Shared, IMAGE, 2),
    "weight_norm": _parametrised(parametrizations.weight_norm),
    "old_weight_norm": _parametrised(nn.utils.weight_norm),
    "spectral_norm": _parametrised(parametrizations.spectral_norm),
    "old_spectral_norm": _parametrised(nn.utils.spectral_norm),
    "orthogonal": Network(_orthogonal, FLAT),
    "instance_norm": Network(lambda: _normed(nn.InstanceNorm2d(6, affine=True)), IMAGE),
    "group_norm": Network(lambda: _normed(nn.GroupNorm(2, 6)), IMAGE),
    "layer_norm": Network(_layer_norm, FLAT),
}


def digits(shape: tuple[int, ...]) -> tuple[Any, Any]:
    """The digits, each as an array of a shape."""
    found = load_digits()
    images = torch.from_numpy((found.data / 16).astype(np.float32))
    return images.reshape(-1, *shape), torch.from_numpy(found.target)


def train(module: nn.Module, shape: tuple[int, ...], steps: int = _STEPS) -> nn.Module:
    """The module after some steps, in training mode."""
    images, labels = digits(shape)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    module.train()
    for step in range(steps):
        start = step * _BATCH % len(images)
        rows = slice(start, start + _BATCH)
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(images[rows]), labels[rows]).backward()
        optimizer.step()
    return module


@functools.cache
def trained(name: str) -> nn.Module:
    """A network in evaluation mode."""
    torch.manual_seed(0)
    network = NETWORKS[name]
    return train(network.build(), network.shape).eval()


def computed(module: nn.Module, array: Array) -> Array:
    """What a module gives for one input."""
    with torch.no_grad():
        return np.asarray(module(torch.from_numpy(array)).numpy())
