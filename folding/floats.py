"""The float types a weight can be stored in: their limits, and rounding to them once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from folding.doubled import Doubles

_LEAST = 2.0**-1074


@dataclass(frozen=True, slots=True)
class FloatType:
    """``roundoff`` is u, half the distance from 1 to the next number; ``tiny`` the least normal."""

    name: str
    dtype: np.dtype[Any]
    roundoff: float
    tiny: float
    largest: float

    def round(self, values: Doubles, out: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
        """The nearest stored numbers, ties to even; Inf where they overflow.

        Args:
            values: what to round.
            out: an array of this type and the values' shape to put them in.
        """
        rounded = np.empty(values.shape, self.dtype) if out is None else out
        with np.errstate(all="ignore"):
            exact = _to_odd_float32(values) if self.name == "bfloat16" else values
            np.copyto(rounded, exact, casting="unsafe")
        return rounded

    def half_ulp(self, values: Doubles) -> Doubles:
        """Half the distance between the stored numbers around each value."""
        with np.errstate(all="ignore"):
            power = np.floor(np.log2(np.maximum(np.abs(values), self.tiny)))
            return np.maximum(np.exp2(power) * self.roundoff, _LEAST)


def _to_odd_float32(values: Doubles) -> npt.NDArray[np.float32]:
    """float32 by rounding to odd, so that a second rounding to fewer bits is still the right one.

    (S. Boldo and G. Melquiond, "Emulation of FMA and correctly rounded sums", 2008.)
    """
    nearest = values.astype(np.float32)
    away = np.abs(nearest.astype(np.float64)) > np.abs(values)
    cut = np.where(away, np.nextafter(nearest, np.float32(0)), nearest).astype(np.float32)
    inexact = np.isfinite(nearest) & (cut.astype(np.float64) != values)
    odd: npt.NDArray[np.float32] = (cut.view(np.uint32) | inexact.astype(np.uint32)).view(
        np.float32
    )
    return odd


def _float_type(name: str, dtype: npt.DTypeLike, mantissa: int) -> FloatType:
    info = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]  # its stub lacks a constructor
    return FloatType(
        name, np.dtype(dtype), 2.0**-mantissa, float(info.smallest_normal), float(info.max)
    )


#: By ONNX element type (TensorProto.DataType).
FLOATS: dict[int, FloatType] = {
    TensorProto.FLOAT: _float_type("float32", np.float32, 24),
    TensorProto.DOUBLE: _float_type("float64", np.float64, 53),
    TensorProto.FLOAT16: _float_type("float16", np.float16, 11),
    TensorProto.BFLOAT16: _float_type("bfloat16", ml_dtypes.bfloat16, 8),
}
