"""A constant that is one stored number, so many times: the zero point of each channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import numpy_helper


@dataclass(frozen=True, slots=True)
class Repeated:
    """Numbers of any type that are not computed, but stored as they were."""

    array: npt.NDArray[Any]

    @property
    def dims(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def data(self) -> memoryview:
        """The stored bytes; types of fewer bits have several numbers in one."""
        return memoryview(numpy_helper.from_array(np.ascontiguousarray(self.array)).raw_data)
