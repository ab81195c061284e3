"""Routes that need no framework: each writes what a test wants to be handed over, or fails.

``convert`` runs them in the child by their names; what they print or break happens there.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from files import conv_net
from onnx import ModelProto, helper, numpy_helper

from folding.conversion.job import MODEL, Job, Port, Product, Statistics
from folding.conversion.left_on import draws, normalises_by_batch
from folding.conversion.samples import Spec, sample_inputs, write_reference, write_statistics
from folding.errors import BadCall, LeftInTraining
from folding.plan import Warned

INPUT, OUTPUT = "image", "scores"
SPECS = {INPUT: Spec((None, 3, 5, 5), "float32")}


def product(**more: Any) -> Product:
    """What a route answers, but for what a test wants otherwise."""
    fields: dict[str, Any] = {
        "framework": "fake 1.0",
        "converter": "fake2onnx 2.0",
        "inputs": (Port(INPUT, "x"),),
        "outputs": (Port(OUTPUT, "y"),),
    }
    return Product(**fields | more)


def batched(channels: int = 4) -> ModelProto:
    """A convolution and its normalisation, of any batch."""
    model = conv_net(channels)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    return model


def write(job: Job, model: ModelProto, truth: ModelProto | None = None, **more: Any) -> Product:
    """Write a model, and as references what another one computes, or the same one."""
    (job.folder / MODEL).write_bytes(model.SerializeToString())
    session = onnxruntime.InferenceSession(
        (truth or model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    references = []
    for number, feed in enumerate(sample_inputs(job, SPECS)):
        given = {"x": feed[INPUT]}
        (computed,) = session.run(None, given)
        references.append(write_reference(job, number, given, {"y": computed}))
    return product(references=references, **more)


# --- what goes well ---------------------------------------------------------------------------


def good(job: Job) -> Product:
    """A sound conversion, with all that a route may say."""
    arrays = write_statistics(job, 0, {"mean": np.zeros(4), "variance": np.ones(4)})
    return write(
        job,
        batched(),
        statistics=[Statistics("norm", arrays, 1e-3, 0.99, steps=7)],
        warnings=[Warned("FAKE", "norm", "the fake says something")],
    )


def flagged(job: Job) -> Product:
    """A sound conversion of what has a training flag."""
    return write(job, batched(), lints=[Warned("TRAINING_FLAG", "training", "it decides")])


def training(job: Job) -> Product:
    """What was saved in training mode."""
    text = f"{job.source.name!r} was saved in training mode"
    raise LeftInTraining(text, [normalises_by_batch("bn"), draws("drop")], hint="Save it again.")


def untrained(job: Job) -> Product:
    """One whose statistics are those of the beginning, as source and graph say alike."""
    model = batched()
    for tensor in model.graph.initializer:
        if tensor.name in {"mean", "var"}:
            array = np.full(4, float(tensor.name == "var"), np.float32)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    arrays = write_statistics(job, 0, {"mean": np.zeros(4), "variance": np.ones(4)})
    return write(job, model, statistics=[Statistics("norm", arrays, 1e-3, 0.99)])


def wide(job: Job) -> Product:
    """One whose weights can be kept apart."""
    return write(job, batched(64))


def kept(job: Job) -> Product:
    """One with a normalisation of the input, which nothing can take in."""
    model = batched()
    conv, norm, relu = model.graph.node
    norm.input[0], conv.input[0], relu.input[0] = "x", "n", "c"
    model.graph.node.insert(0, norm)
    del model.graph.node[2]
    conv = model.graph.node[1]
    conv.attribute.append(helper.make_attribute("pads", [1, 1, 1, 1]))
    for tensor in model.graph.initializer:
        if tensor.name in {"gamma", "beta", "mean", "var"}:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor)[:3], tensor.name))
    for axis in (2, 3):
        model.graph.output[0].type.tensor_type.shape.dim[axis].dim_value = 5
    return write(job, model)


def chatty(job: Job) -> Product:
    """One that prints more than any pipe holds, in each way there is."""
    for _ in range(2000):
        print("x" * 10_000)
        sys.stderr.write("y" * 10_000)
        os.write(1, b"z" * 1000)
        os.write(2, b"z" * 1000)
    subprocess.run(["/bin/sh", "-c", "echo to nobody"], check=True)
    time.sleep(1)
    if (size := os.fstat(1).st_size) > 20_000_000:
        raise BadCall(f"what was printed fills {size} bytes")
    return good(job)


def where(job: Job) -> Product:
    """One that tells in its refusal where it is."""
    names = ("KERAS_HOME", "CUDA_VISIBLE_DEVICES", "TF_CPP_MIN_LOG_LEVEL")
    told = [
        str(Path.cwd()),
        *(os.environ[name] for name in names),
        str(os.getpgid(0) == os.getpid()),
    ]
    raise BadCall("|".join(told))


# --- what is not what it seems ------------------------------------------------------------------


def other_function(job: Job) -> Product:
    """Another epsilon than the framework's, which is the least that a converter gets wrong."""
    model = batched()
    for node in model.graph.node:
        if node.op_type == "BatchNormalization":
            node.attribute.append(helper.make_attribute("epsilon", 1e-3))
    return write(job, model, batched())


def unchecked(job: Job) -> Product:
    """A source that the framework cannot run."""
    (job.folder / MODEL).write_bytes(batched().SerializeToString())
    return product(unchecked="TensorFlow has no such convolution on this machine")


def unconverted(job: Job) -> Product:
    """A file with an operator of the framework, as converters leave them."""
    model = batched()
    model.graph.node[-1].op_type = "StatefulPartitionedCall"
    return _unrun(job, model)


def invalid(job: Job) -> Product:
    """A file that no checker takes: nobody makes what its last node reads."""
    model = batched()
    model.graph.node[-1].input[0] = "nobody"
    return _unrun(job, model)


def unloadable(job: Job) -> Product:
    """A valid file with an operator that has no kernel for its type."""
    model = batched()
    model.opset_import.add(domain="com.microsoft", version=1)
    model.graph.node[-1].op_type, model.graph.node[-1].domain = "NoSuchKernel", "com.microsoft"
    return _unrun(job, model)


def _unrun(job: Job, model: ModelProto) -> Product:
    found = write(job, batched())
    (job.folder / MODEL).write_bytes(model.SerializeToString())
    return found


def fixed_batch(job: Job) -> Product:
    """A graph that takes one example only, though the source takes any number."""
    return _unrun(job, conv_net())


def no_protobuf(job: Job) -> Product:
    found = write(job, batched())
    (job.folder / MODEL).write_bytes(b"no model at all")
    return found


def no_file(job: Job) -> Product:
    return product(unchecked="nothing was written")


def link(job: Job) -> Product:
    """A link to a file that is none of its own."""
    (job.folder / MODEL).symlink_to("/etc/hostname")
    return product(unchecked="a link was made")


def unannounced(job: Job) -> Product:
    """Another input than was announced."""
    return write(job, batched(), inputs=(Port(INPUT, "pixels"),))


def lacking_reference(job: Job) -> Product:
    """References without an output."""
    found = write(job, batched())
    for name in found.references:
        np.savez(job.folder / name, in_x=np.zeros((1, 3, 5, 5), np.float32))
    return found


def pickled_reference(job: Job) -> Product:
    """References that run code in whoever loads them."""
    found = write(job, batched())
    for name in found.references:
        np.savez(job.folder / name, in_x=np.array([print], object))
    return found


def no_evidence(job: Job) -> Product:
    (job.folder / MODEL).write_bytes(batched().SerializeToString())
    return product()


def stranger(job: Job) -> Product:
    """The name of a file that is none of the job's."""
    return write(job, batched(), statistics=[Statistics("norm", "../../etc/passwd.npz")])


def junk(job: Job) -> Any:
    return _Junk()


class _Junk:
    """Something that is no product, and no plain data."""


# --- what fails ---------------------------------------------------------------------------------


def refuses(job: Job) -> Product:
    raise BadCall("there is no output 'z'", hint="Its outputs: scores.")


def fails(job: Job) -> Product:
    raise KeyError("a bug\nof two lines")


def crashes(job: Job) -> Product:
    """What a failed check in C++ does."""
    os.write(2, b"F tensorflow/core: Check failed: never\n")
    os.abort()


def exits(job: Job) -> Product:
    print("good bye")
    sys.exit(3)


def vanishes(job: Job) -> Product:
    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError


def hangs(job: Job) -> Product:
    """Forever, with a process of its own, whose number it leaves beside the source."""
    inner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    job.source.with_suffix(".pid").write_text(str(inner.pid))
    time.sleep(600)
    raise AssertionError


def greedy(job: Job) -> Product:
    return product(framework=str(len(bytearray(1 << 40))))


def full_disk(job: Job) -> Product:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def damaged(job: Job) -> Product:
    raise zipfile.BadZipFile("Bad CRC-32 for file 'model.weights.h5'")


def meddles(job: Job) -> Product:
    """One that writes to its source."""
    with job.source.open("ab") as file:
        file.write(b"more")
    return good(job)


def lingers(job: Job) -> Product:
    """Leaves a thread that never ends."""
    threading.Thread(target=time.sleep, args=(600,)).start()
    return good(job)
