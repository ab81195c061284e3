"""What operators compute by the text of the ONNX specification, in float64: branching."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy.typing as npt

Definition = Callable[[dict[str, Any], Sequence[Any], int], Sequence[npt.NDArray[Any]]]

#: From the attributes, the inputs (None for an absent one) and the opset to all outputs.
DEFINITIONS: dict[str, Definition] = {}
