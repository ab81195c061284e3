"""Batch normalisations with ``virtual_batch_size``, which Keras 2 saves and cannot load.

Built, such a layer counts its axes with the one that it adds to divide the batch, and saves them
like that; loaded and built again, it adds another.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def mended(library: Any) -> Iterator[None]:
    """Load the layers of Keras 2 with the axes that they had before they were built."""
    norm = library.layers.BatchNormalization

    def from_config(kind: Any, config: dict[str, Any]) -> Any:
        if config.get("virtual_batch_size"):
            config = {**config, "axis": [axis - 1 for axis in config["axis"]]}
        return super(norm, kind).from_config(config)

    norm.from_config = classmethod(from_config)
    try:
        yield
    finally:
        del norm.from_config
