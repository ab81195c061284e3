"""Routes that print what TensorFlow prints whenever it is imported, and fail."""

from __future__ import annotations

import os
import signal
import sys
import time

from folding.conversion.job import Job

NOISE = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795322088.592912    3581 port.cc:153] oneDNN custom operations are on.
2026-11-22 04:30:00.123456: I tensorflow/core/platform/cpu_feature_guard.cc:210] This is optimized.
To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow.
2026-11-22 04:30:00,123 - WARNING - tf2onnx: IndexedSlices are made dense
/lib/keras/layer.py:12: UserWarning: `build()` was called
  warnings.warn(
E0000 00:00:1795322088.594303    3581 cuda_dnn.cc:8310] Unable to register cuDNN factory
I0000 00:00:1795322088.594303    3581 cudart_stub.cc:31] Could not find cuda drivers on your machine
"""


def dies(job: Job) -> None:
    sys.stderr.write(NOISE)
    os.kill(os.getpid(), signal.SIGSEGV)


def aborts(job: Job) -> None:
    os.write(2, f"F0000 00:00:1 7 t.cc:3] Check failed\n{NOISE}".encode())
    os.abort()


def hangs(job: Job) -> None:
    sys.stdout.write("still at it\n")
    time.sleep(60)


def swells(job: Job) -> None:
    sys.stdout.write("still at it\n")
    raise MemoryError
