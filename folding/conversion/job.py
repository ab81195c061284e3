"""What a route is asked to do, and what it answers: plain data that travels as JSON and .npz.

A route writes into the folder of its job:

    model.onnx                the model as the converter made it, normalisations unfused if possible
    reference-<n>.npz         for each batch size: ``in_<graph name>`` what the framework was given,
                              ``out_<graph name>`` what it computed, as it would at inference
    statistics-<n>.npz        the arrays of each normalisation of the source
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from folding.plan import Warned

#: The file that a route writes.
MODEL = "model.onnx"
#: How many examples the framework and the graph are given at once, each in turn.
BATCHES = (1, 3, 8)


class Kind(Enum):
    """What a source is. The value is what a person calls it."""

    KERAS = "Keras file"
    KERAS_H5 = "Keras HDF5 file"
    SAVED_MODEL = "SavedModel"
    FROZEN_GRAPH = "frozen TensorFlow graph"
    META_GRAPH = "TensorFlow 1 checkpoint"
    EXPORTED_PROGRAM = "PyTorch exported program"
    TORCHSCRIPT = "TorchScript file"
    TFLITE = "TensorFlow Lite file"


@dataclass(frozen=True, slots=True)
class Job:
    """One conversion.

    ``folder`` is private and empty. ``outputs`` are the wanted ones by the source's names, none for
    its own. ``freeze`` has values for training flags and other inputs by name; an ``opset`` of None
    leaves the choice to the converter. With ``trust`` code of the source may run. ``samples`` is a
    .npz of inputs by the source's names, whose first axis is the batch; without, some are made up
    from ``seed``. With ``correct_averages`` statistics lose what their averages began with. A job
    ``for_lints`` tells of a source in training mode what is wrong, and does not only refuse it.
    """

    source: Path
    kind: Kind
    folder: Path
    outputs: Sequence[str] = ()
    freeze: Mapping[str, Any] = field(default_factory=dict)
    opset: int | None = None
    trust: bool = False
    samples: Path | None = None
    batches: Sequence[int] = BATCHES
    seed: int = 0
    correct_averages: bool = False
    for_lints: bool = False


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output: its name in the source and its name in the graph."""

    source: str
    graph: str


@dataclass(frozen=True, slots=True)
class Statistics:
    """A normalisation as the source has it, which the graph may show no more.

    ``arrays`` is a .npz in the job's folder with those of ``mean``, ``variance``, ``gamma`` and
    ``beta`` that there are. ``epsilon`` and ``momentum`` (the weight of the old statistics) are
    None where unknown. ``formula`` names what the source computes otherwise than
    ``gamma * (x - mean) / sqrt(variance + epsilon) + beta``: ``variance_squared``,
    ``epsilon_outside_root`` or nothing. ``averages_from_zero`` says that the statistics are moving
    averages that began at 0 and were not corrected for it, after ``steps`` updates if known. From
    those that are ``correctable`` a job may take the beginning away.
    """

    name: str
    arrays: str
    epsilon: float | None = None
    momentum: float | None = None
    formula: str = ""
    averages_from_zero: bool = False
    steps: int | None = None
    correctable: bool = False


@dataclass(frozen=True, slots=True)
class Product:
    """What came of a job.

    ``framework`` and ``converter`` are names with versions. ``references`` are files of the job's
    folder; where there is none, ``unchecked`` says why. ``declares_normalisation`` says that the
    source's own description has a batch normalisation, whether it is in use or not. ``lints`` are
    what only the source shows: codes of lints, with the cause as their text. With no ``converter``
    it was not converted, for the reason of ``unchecked``.
    """

    framework: str
    converter: str
    inputs: Sequence[Port]
    outputs: Sequence[Port]
    references: Sequence[str] = ()
    unchecked: str = ""
    statistics: Sequence[Statistics] = ()
    declares_normalisation: bool = False
    warnings: Sequence[Warned] = ()
    lints: Sequence[Warned] = ()
