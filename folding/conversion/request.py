"""What a caller asks of a conversion, and the refusal of what nobody can do."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from folding.conversion.job import Job, Kind
from folding.conversion.opsets import require_any, require_for
from folding.equivalence.limits import RUN_LIMITS, RunLimits, check_tolerance
from folding.errors import BadCall, StorageFailed
from folding.layout import Layout
from folding.model_limits import LIMITS, Limits

AnyPath = str | os.PathLike[str]
Samples = AnyPath | Mapping[str, npt.ArrayLike]


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
    correct_averages: bool = False
    keep: Sequence[str] = ()
    allow_growth: bool = False
    layout: Layout = Layout.AS_SOURCE
    limits: Limits = LIMITS
    run_limits: RunLimits = RUN_LIMITS
    tolerance: float | None = None
    digests: bool = False

    def __post_init__(self) -> None:
        require_any(self.opset)
        if isinstance(self.outputs, str):
            raise BadCall("the outputs are a text", hint="Give a list of names.")
        check_tolerance(self.tolerance)
        if isinstance(self.sample_inputs, (str, os.PathLike)):
            path = Path(self.sample_inputs)
            if not path.is_file():
                text = f"there is no file {str(path)!r} of sample inputs"
                raise BadCall(text, hint="Name an .npz with an array for each input.")

    def job(self, source: Path, kind: Kind, folder: Path) -> Job:
        """The job for it, in a private folder.

        Raises:
            BadCall: what converts it does not write the operator set, or corrects no averages.
        """
        require_for(kind, self.opset)
        if self.correct_averages and kind not in (Kind.META_GRAPH, Kind.SAVED_MODEL):
            raise no_averages_of(f"a {kind.value}")
        return Job(
            source,
            kind,
            folder / "job",
            tuple(self.outputs),
            dict(self.freeze),
            self.opset,
            self.trust,
            self._samples(folder),
            correct_averages=self.correct_averages,
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


def no_averages_of(source: str) -> BadCall:
    """The refusal to correct averages whose beginning no source but a checkpoint tells."""
    text = f"the averages of {source} cannot be corrected, but those of a TensorFlow 1 checkpoint"
    return BadCall(text, hint="Leave out --correct-averages, or train longer.")
