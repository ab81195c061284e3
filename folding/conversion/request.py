"""What a caller asks of a conversion, and the refusal of what nobody can do."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import defs

from folding.conversion.job import Job, Kind
from folding.equivalence.limits import RUN_LIMITS, RunLimits, check_tolerance
from folding.errors import BadCall, StorageFailed
from folding.layout import Layout
from folding.model_limits import LIMITS, Limits

AnyPath = str | os.PathLike[str]
Samples = AnyPath | Mapping[str, npt.ArrayLike]

#: The oldest operator set that runtimes have kernels for.
_OLDEST = 7


@dataclass(frozen=True, slots=True)
class Request:
    """The wishes of a caller of ``folding.convert``, which explains them.

    Raises:
        BadCall: one of them cannot be.
    """

    fold: bool = True
    verify: bool = True
    outputs: Sequence[str] = ()
    freeze: Mapping[str, Any] = field(default_factory=dict)
    opset: int | None = None
    sample_inputs: Samples | None = None
    trust: bool = False
    keep: Sequence[str] = ()
    allow_growth: bool = False
    layout: Layout = Layout.AS_SOURCE
    limits: Limits = LIMITS
    run_limits: RunLimits = RUN_LIMITS
    tolerance: float | None = None
    digests: bool = False

    def __post_init__(self) -> None:
        newest = defs.onnx_opset_version()
        if self.opset is not None and not _OLDEST <= self.opset <= newest:
            text = f"there is no operator set {self.opset} to convert to"
            raise BadCall(text, hint=f"Give one from {_OLDEST} to {newest}.")
        if isinstance(self.outputs, str):
            raise BadCall("the outputs are a text", hint="Give a list of names.")
        check_tolerance(self.tolerance)
        if isinstance(self.sample_inputs, (str, os.PathLike)):
            path = Path(self.sample_inputs)
            if not path.is_file():
                text = f"there is no file {str(path)!r} of sample inputs"
                raise BadCall(text, hint="Name an .npz with an array for each input.")

    def job(self, source: Path, kind: Kind, folder: Path) -> Job:
        """The job for it, in a private folder."""
        return Job(
            source,
            kind,
            folder / "job",
            tuple(self.outputs),
            dict(self.freeze),
            self.opset,
            self.trust,
            self._samples(folder),
        )

    def _samples(self, folder: Path) -> Path | None:
        given = self.sample_inputs
        if given is None or isinstance(given, (str, os.PathLike)):
            return None if given is None else Path(given).absolute()
        path = folder / "samples.npz"
        try:
            np.savez(path, allow_pickle=False, **{n: np.asarray(a) for n, a in given.items()})
        except ValueError as error:
            hint = "Give arrays of numbers, truth values or texts."
            raise BadCall(f"the sample inputs cannot be kept: {error}", hint=hint) from error
        except OSError as error:
            raise StorageFailed(f"cannot keep the sample inputs: {error.strerror}") from error
        return path
