"""What the lints say of a model in memory, for the tests."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
from graphs import Net
from onnx import ModelProto

from folding.lint.finding import Finding
from folding.lint.looking import lint_model
from folding.modelfile import in_memory


def lints(model: ModelProto) -> list[Finding]:
    """All findings that need no run, notes included."""
    return lint_model(in_memory(model)).findings


def codes(model: ModelProto) -> list[str]:
    """Their codes, sorted; one for each finding."""
    return sorted(finding.code.name for finding in lints(model))


def normed(
    net: Net, x: str, channels: int = 4, *, epsilon: float = 1e-5, **changed: npt.ArrayLike
) -> str:
    """A BatchNormalization of positive gammas; ``changed`` has arrays for its parameters."""
    names = []
    for name in ("gamma", "beta", "mean", "var"):
        given = changed.get(name)
        names.append(net.positive(channels) if given is None else net.store(given))
    return net.node("BatchNormalization", x, *names, epsilon=epsilon)


def image(net: Net, channels: int = 3) -> str:
    """An input of a batch of images."""
    return net.input("N", channels, 8, 8)


def conv(net: Net, x: str, channels: int = 4, inner: int = 3, **attributes: Any) -> str:
    """A convolution without a bias, by kernels of 3x3."""
    return net.node("Conv", x, net.weight(channels, inner, 3, 3), **attributes)


def ended(net: Net, y: str) -> list[str]:
    """The lints of a model that ends so that nothing can fold down."""
    return codes(net.model(net.node("Tanh", y)))


def affine(net: Net, x: str, *dims: int) -> str:
    """A normalisation that was taken apart, of parameters of these dimensions."""
    return net.node("Add", net.node("Mul", x, net.positive(*dims)), net.weight(*dims))
