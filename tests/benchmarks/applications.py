"""Convert and fold architectures of keras.applications, and print what became of them.

Their weights are random, and their statistics those of random images, so that every normalisation
matters. Run as ``python tests/benchmarks/applications.py [NAME ...]``; it takes minutes, and needs
Keras with TensorFlow, and tf2onnx.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

import folding
from folding.conversion.job import MODEL, Job, Kind, Product
from folding.conversion.routes.keras import convert_model

NAMES = ("MobileNetV2", "ResNet50", "DenseNet121", "EfficientNetB0")
_COLUMNS = (
    ("architecture", 15),
    ("batch norms", 12),
    ("folded", 7),
    ("partial", 8),
    ("kept", 5),
    ("nodes", 12),
    ("MB", 12),
    ("convert s", 10),
    ("fold s", 7),
    ("CPU s", 6),
    ("max MB", 7),
    ("from Keras", 11),
    ("verdict", 0),
)


def calibrated(name: str) -> Any:
    """An architecture whose statistics are those of its random weights on random images."""
    import keras

    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(weights=None, classes=100)
    norms = [n for n in model.layers if isinstance(n, keras.layers.BatchNormalization)]
    rng = np.random.default_rng(0)
    for norm in norms:
        norm.momentum = 0.0
        norm.gamma.assign(rng.uniform(0.6, 1.4, norm.gamma.shape))
        norm.beta.assign(rng.uniform(-0.4, 0.4, norm.beta.shape))
    model(rng.uniform(0, 255, (8, 224, 224, 3)).astype(np.float32), training=True)
    return model


def _difference(product: Product, folder: Path, model: Path) -> float:
    """How far a model is from Keras, as a part of the largest output."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    worst = 0.0
    for name in product.references:
        arrays = np.load(folder / name)
        feed = {port.graph: arrays[f"in_{port.graph}"] for port in product.inputs}
        (expected,) = (arrays[f"out_{port.graph}"] for port in product.outputs)
        (got,) = session.run(None, feed)
        worst = max(worst, float(np.abs(got - expected).max() / np.abs(expected).max()))
    return worst


@contextmanager
def _timed(seconds: list[float]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds.append(time.perf_counter() - start)


def row(name: str, folder: Path) -> tuple[str, ...]:
    """Convert and fold one, and say how that went."""
    job = Job(Path(name), Kind.KERAS, folder, batches=(1, 2))
    seconds: list[float] = []
    model = calibrated(name)
    with _timed(seconds):
        product = convert_model(model, job)
    source, target = folder / MODEL, folder / "folded.onnx"
    with _timed(seconds):
        report = folding.fold(source, target)
    counts = report.plan.counts
    used = resource.getrusage(resource.RUSAGE_SELF)
    return (
        name,
        str(len(product.statistics)),
        str(counts["folded"]),
        str(counts["partial"]),
        str(counts["kept"]),
        f"{counts['nodes_before']} > {counts['nodes_after']}",
        f"{source.stat().st_size / 1e6:.1f} > {target.stat().st_size / 1e6:.1f}",
        f"{seconds[0]:.1f}",
        f"{seconds[1]:.1f}",
        f"{used.ru_utime + used.ru_stime:.0f}",
        f"{used.ru_maxrss / 1e3:.0f}",
        f"{_difference(product, folder, target):.1e}",
        report.verification.name.value,
    )


def main(names: list[str]) -> None:
    """Print a table."""
    os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    print("".join(title.ljust(width) for title, width in _COLUMNS))
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            cells = row(name, Path(folder))
        widths = [width for _, width in _COLUMNS]
        print("".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(NAMES))
