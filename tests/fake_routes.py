"""Routes that need no framework: each writes what a test wants to be handed over, or fails."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from files import conv_net
from onnx import ModelProto, helper

from folding.convert.job import MODEL, Job, Port, Product
from folding.convert.samples import Spec, sample_inputs, write_reference
from folding.errors import BadCall, Unconvertible
from folding.plan import Warned

_INPUT, _OUTPUT = "image", "scores"


def product(**more: Any) -> Product:
    """What ``good`` answers, but for what a test wants otherwise."""
    fields = {
        "framework": "fake 1.0",
        "converter": "fake2onnx 2.0",
        "inputs": (Port(_INPUT, "x"),),
        "outputs": (Port(_OUTPUT, "y"),),
    }
    return Product(**fields | more)


def batched() -> ModelProto:
    """A convolution and its normalisation, of any batch."""
    model = conv_net()
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    return model


def write(job: Job, model: ModelProto, off: float = 0.0) -> Product:
    """Write a model, and references that are what it computes but for a part of that."""
    (job.folder / MODEL).write_bytes(model.SerializeToString())
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    references = []
    for number, feed in enumerate(sample_inputs(job, {_INPUT: Spec((None, 3, 5, 5), "float32")})):
        given = {"x": feed[_INPUT]}
        (computed,) = session.run(None, given)
        references.append(
            write_reference(job, number, given, {"y": computed * np.float32(1 + off)})
        )
    return product(references=references)


def good(job: Job) -> Product:
    return write(job, batched())
