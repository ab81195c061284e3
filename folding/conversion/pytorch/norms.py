"""The normalisations of a source, as it has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from folding.conversion.job import Job, Statistics
from folding.conversion.pytorch.calls import as_array
from folding.conversion.samples import Array, write_statistics

_MEAN, _VARIANCE = "running_mean", "running_var"
_STEPS = "num_batches_tracked"
_KEYS = {"gamma": "weight", "beta": "bias", "mean": _MEAN, "variance": _VARIANCE}


@dataclass(frozen=True, slots=True)
class Norm:
    """One normalisation. PyTorch's momentum is the weight of the new statistics."""

    name: str
    arrays: Mapping[str, Array]
    epsilon: float | None = None
    momentum: float | None = None
    steps: int | None = None


def norms_of_module(module: Any) -> Iterator[Norm]:
    """Those of a module that keep statistics, and every batch normalisation."""
    from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

    for name, layer in module.named_modules():
        if isinstance(layer, _NormBase):
            arrays = arrays_of({key: getattr(layer, slot) for key, slot in _KEYS.items()})
            if isinstance(layer, _BatchNorm) or "mean" in arrays:
                steps = steps_in({_STEPS: layer.num_batches_tracked}, "")
                yield Norm(name, arrays, layer.eps, layer.momentum, steps)


def arrays_of(tensors: Mapping[str, Any]) -> dict[str, Array]:
    """The arrays of those that there are."""
    return {key: as_array(tensor) for key, tensor in tensors.items() if tensor is not None}


def steps_in(buffers: Mapping[str, Any], name: str) -> int | None:
    """How often a normalisation has updated its statistics, which is among some buffers.

    It is 0 as well where the statistics are from a file that did not have it.
    """
    steps = buffers.get(f"{name}.{_STEPS}" if name else _STEPS)
    return None if steps is None else int(steps) or None


def is_declared(names: Iterable[str]) -> bool:
    """Whether the names of a state have statistics among them."""
    return any(name.rpartition(".")[2] == _MEAN for name in names)


def name_of(buffer: str, number: int) -> str:
    """What a normalisation is called whose mean is a buffer."""
    layer, _, slot = buffer.rpartition(".")
    return layer if layer and slot == _MEAN else f"batch_norm_{number}"


def written(job: Job, norms: Iterable[Norm]) -> tuple[Statistics, ...]:
    """Keep the arrays, and say what they are."""
    return tuple(
        Statistics(
            name=norm.name,
            arrays=write_statistics(job, number, norm.arrays),
            epsilon=norm.epsilon,
            momentum=None if norm.momentum is None else 1 - norm.momentum,
            steps=norm.steps,
        )
        for number, norm in enumerate(norms)
    )
