"""Operators by the text of the ONNX specification, to test rules against; one family a file."""

from __future__ import annotations

from definitions import (
    branching,
    grids,
    joining,
    moving,
    normalising,
    pooling,
    quantising,
    recurring,
    resizing,
    selecting,
)

DEFINITIONS = (
    branching.DEFINITIONS
    | grids.DEFINITIONS
    | joining.DEFINITIONS
    | moving.DEFINITIONS
    | normalising.DEFINITIONS
    | pooling.DEFINITIONS
    | quantising.DEFINITIONS
    | recurring.DEFINITIONS
    | resizing.DEFINITIONS
    | selecting.DEFINITIONS
)
