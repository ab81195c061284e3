"""``folding.convert``: what a framework saved, or a model of one, as a proved ONNX file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from folding.clock import Clock, Progress
from folding.conversion.course import Course
from folding.conversion.report import ConversionReport
from folding.conversion.request import AnyPath, Request, Samples
from folding.equivalence.limits import RUN_LIMITS, RunLimits
from folding.layout import Layout
from folding.model_limits import LIMITS, Limits


def convert(
    source: Any,
    target: AnyPath | None = None,
    *,
    fold: bool = True,
    verify: bool = True,
    outputs: Sequence[str] = (),
    freeze: Mapping[str, Any] | None = None,
    opset: int | None = None,
    sample_inputs: Samples | None = None,
    trust: bool = False,
    keep: Sequence[str] = (),
    allow_growth: bool = False,
    layout: Layout = Layout.AS_SOURCE,
    limits: Limits = LIMITS,
    run_limits: RunLimits = RUN_LIMITS,
    tolerance: float | None = None,
    digests: bool = False,
    report_to: AnyPath | None = None,
    progress: Progress | None = None,
) -> ConversionReport:
    """Convert what a framework saved to ONNX, check it against the framework, and fold it.

    Args:
        source: a file or folder of Keras, TensorFlow or PyTorch, or a live ``keras.Model`` or
            ``torch.nn.Module``. It is never changed. A path is converted in another process.
        target: where the model goes; ``<stem>.folded.onnx`` beside the source by default, without
            a fold ``<stem>.onnx``. ``-`` is standard output.
        fold: whether to fold it.
        verify: whether to compare it with the framework, and to prove the fold. Without, no more
            is checked than that it is a valid model.
        outputs: the outputs that are wanted, by the source's names, none for its own.
        freeze: values for training flags and other inputs, by the source's names.
        opset: the operator set to convert to; the converter's choice by default.
        sample_inputs: what to run both on: arrays by the source's input names, or an .npz of them.
            Their first axis is the batch.
        trust: whether code that the source holds may run.
        keep: affines that are to stay, as for ``fold``.
        allow_growth: whether copies may grow the model, as for ``fold``.
        layout: where the target keeps its big tensors.
        limits: how deep graphs may be nested, and how far functions expand.
        run_limits: how long the conversion may take, and the runs after it, and how much memory.
        tolerance: how far outputs may be from the framework's, relative to their size, instead of
            what rounding explains.
        digests: whether the report has the SHA-256 of the target.
        report_to: a file for the report as JSON, which is written if the model is or not.
        progress: is told the name of each stage when it begins.

    Returns:
        How it was converted, the evidence, and what became of every affine.

    Raises:
        NotEquivalent: the framework computes something else. Nothing was written.
        Unproven: nothing could be compared, or the fold not proved. Nothing was written.
        Unconvertible: no sound file can be made of it. Nothing was written.
        FoldError: the source, the target or the call is bad. Nothing was written.
    """
    request = Request(
        fold=fold,
        verify=verify,
        outputs=outputs,
        freeze={} if freeze is None else freeze,
        opset=opset,
        sample_inputs=sample_inputs,
        trust=trust,
        keep=keep,
        allow_growth=allow_growth,
        layout=layout,
        limits=limits,
        run_limits=run_limits,
        tolerance=tolerance,
        digests=digests,
    )
    note = None if report_to is None else Path(report_to)
    return Course(source, target, request, note, Clock(progress)).done()
