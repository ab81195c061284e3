"""Train the small networks beside this script, and export them to ONNX with their batch norms.

Each network learns scikit-learn's handwritten digits on the CPU in a few seconds. Written for each:

    <name>.onnx            the model, byte for byte as the framework's exporter writes it
    <name>.inputs.npz      test images, by the name of the ONNX graph input
    <name>.expected.npz    what the framework itself computes for them, by the name of the ONNX
                           graph output, and the true digits as "labels"

It needs

    pip install keras tensorflow tf2onnx onnx onnxruntime scikit-learn torch==2.13.0

and is run as

    python models/make_models.py [--into FOLDER] [NAME ...]

Seeds are fixed, one thread computes, and the frameworks are asked for deterministic operations, so
that a second run repeats every number of the first. The names of constants may still differ in what
tf2onnx writes, which numbers some of them in no particular order. Another processor or another
version may round differently, and training then ends at other weights.
"""

from __future__ import annotations

import os

# The frameworks read these when they are imported.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

import argparse
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
import torch
from keras import layers
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

Array = NDArray[np.float32]
Digits = NDArray[np.int64]

SEED = 20240229
OPSET = 17
TRAINING = 1440  # of the 1797 images: whole batches, so that no small one skews the statistics.
BATCH = 48
SHIPPED = 100
PACKAGES = ("keras", "tensorflow", "tf2onnx", "torch", "onnx", "onnxruntime", "scikit-learn")

# How far ONNX Runtime may be from the framework, as a part of the largest output.
TOLERANCE = 64 * float(np.finfo(np.float32).eps)

# A normalisation may be this far behind its layer and no further.
LAYERS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
BETWEEN = {"Add", "Cast", "Identity", "Squeeze", "Transpose", "Unsqueeze"}


@dataclass(frozen=True)
class Data:
    """The split digits; the images are (count, 8, 8), from 0 to 1."""

    train_images: Array
    train_digits: Digits
    test_images: Array
    test_digits: Digits


@dataclass(frozen=True)
class Norm:
    """What a batch norm has learned."""

    gamma: Array
    beta: Array
    mean: Array
    variance: Array


@dataclass(frozen=True)
class Trained:
    """A trained network: its ONNX file, and the framework's own inference."""

    onnx_file: bytes
    predict: Callable[[Array], Array]
    image_shape: tuple[int, ...]
    norms: list[Norm]


def load() -> Data:
    """The digits, split the same way each time, with the same part of each class in both."""
    images, digits = load_digits(return_X_y=True)
    pixels = (images / 16).astype(np.float32).reshape(-1, 8, 8)
    parts = train_test_split(
        pixels, digits.astype(np.int64), train_size=TRAINING, stratify=digits, random_state=SEED
    )
    return Data(parts[0], parts[2], parts[1], parts[3])


# Keras


def _near(middle: float) -> keras.initializers.Initializer:
    """Random numbers around ``middle`` to start from.

    Batch norm subtracts the mean, so a bias in front of it is hardly trained, and tf2onnx folds the
    batch norm behind a convolution itself if the bias is zero: biases must start elsewhere. Gamma
    and beta do so because they do not move far from one and zero in so few steps.
    """
    return keras.initializers.RandomUniform(middle - 0.4, middle + 0.4)


def _keras_block(layer: keras.Layer, activation: str) -> list[keras.Layer]:
    """A layer, its batch norm, its activation. Keras' own momentum of 0.99 needs more steps."""
    norm = layers.BatchNormalization(
        momentum=0.9, gamma_initializer=_near(1), beta_initializer=_near(0)
    )
    return [layer, norm, layers.Activation(activation)]


def _keras_norms(model: keras.Model) -> list[Norm]:
    """The batch norms of a Keras model, in order."""
    norms = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    return [Norm(*layer.get_weights()) for layer in norms]


def _keras_cnn() -> keras.Model:
    """Plain, strided, depthwise and separable convolutions, and dense layers; gives logits."""
    convolutions = (
        layers.Conv2D(12, 3, padding="same", bias_initializer=_near(0)),
        layers.DepthwiseConv2D(3, padding="same", bias_initializer=_near(0)),
        layers.Conv2D(24, 3, strides=2, padding="same", bias_initializer=_near(0)),
        layers.SeparableConv2D(32, 3, padding="same", bias_initializer=_near(0)),
    )
    stack = [
        *(part for layer in convolutions for part in _keras_block(layer, "relu")),
        layers.GlobalAveragePooling2D(),
        *_keras_block(layers.Dense(32, bias_initializer=_near(0)), "relu"),
        layers.Dense(10),
    ]
    return keras.Sequential([keras.Input((8, 8, 1), name="image"), *stack], name="keras_cnn")


def _dense_elu() -> keras.Model:
    """Dense, batch norm, ELU, twice; gives probabilities."""
    hidden = [
        layer
        for _ in range(2)
        for layer in _keras_block(
            layers.Dense(100, kernel_initializer="he_normal", bias_initializer=_near(0)),
            "elu",
        )
    ]
    stack = [layers.Flatten(), *hidden, layers.Dense(10, activation="softmax")]
    return keras.Sequential([keras.Input((8, 8), name="image"), *stack], name="dense_elu")


def _train_keras(build: Callable[[], keras.Model], data: Data, epochs: int) -> Trained:
    """Train a Keras model and export it."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(SEED)
    model = build()
    shape: tuple[int, ...] = model.input_shape[1:]
    logits = model.layers[-1].activation is keras.activations.linear
    model.compile(
        optimizer=keras.optimizers.Adam(0.005),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=logits),
    )
    images = data.train_images.reshape(-1, *shape)
    model.fit(images, data.train_digits, batch_size=BATCH, epochs=epochs, verbose=0)

    def predict(batch: Array) -> Array:
        return np.asarray(model(batch, training=False))

    return Trained(_export_keras(model), predict, shape, _keras_norms(model))


def _export_keras(model: keras.Model) -> bytes:
    """The model as Keras' own exporter writes it."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras asks numpy for np.object.
        path = Path(folder, "model.onnx")
        model.export(path, format="onnx", verbose=False, opset_version=OPSET)
        return path.read_bytes()


# PyTorch

_STATE = ("weight", "bias", "running_mean", "running_var")


def _torch_block(layer: nn.Module, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> list[nn.Module]:
    """A layer, its batch norm starting from random gamma and beta as in Keras, and ReLU."""
    nn.init.uniform_(norm.weight, 0.6, 1.4)
    nn.init.uniform_(norm.bias, -0.4, 0.4)
    return [layer, norm, nn.ReLU()]


def _torch_norms(model: nn.Sequential) -> list[Norm]:
    """The batch norms of a PyTorch model, in order."""
    norms = [layer for layer in model if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)]
    return [Norm(*(layer.state_dict()[name].numpy() for name in _STATE)) for layer in norms]


def _torch_cnn() -> nn.Sequential:
    """Convolutions with and without groups, a transposed one, and linear layers; gives logits."""
    return nn.Sequential(
        *_torch_block(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)),
        *_torch_block(nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=4), nn.BatchNorm2d(16)),
        *_torch_block(
            nn.ConvTranspose2d(16, 12, 4, stride=2, padding=1, groups=2), nn.BatchNorm2d(12)
        ),
        *_torch_block(nn.Conv2d(12, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16)),
        nn.MaxPool2d(2),
        nn.Flatten(),
        *_torch_block(nn.Linear(64, 32), nn.BatchNorm1d(32)),
        nn.Linear(32, 10),
    )


def _train_torch(build: Callable[[], nn.Sequential], data: Data, epochs: int) -> Trained:
    """Train a PyTorch model and export it."""
    torch.manual_seed(SEED)
    model, shape = build(), (1, 8, 8)
    images = torch.from_numpy(data.train_images.reshape(-1, *shape))
    digits = torch.from_numpy(data.train_digits)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    for _ in range(epochs):
        for batch in torch.split(torch.randperm(len(images)), BATCH):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(images[batch]), digits[batch])
            torch.autograd.backward(loss)
            optimizer.step()
    model.eval()

    def predict(batch: Array) -> Array:
        with torch.inference_mode():
            return np.asarray(model(torch.from_numpy(batch)).numpy())

    return Trained(_export_torch(model, shape), predict, shape, _torch_norms(model))


def _export_torch(model: nn.Module, shape: tuple[int, ...]) -> bytes:
    """The model as the exporter writes it that, asked to, keeps every batch norm."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # It is the older exporter.
        path = Path(folder, "model.onnx")
        torch.onnx.export(
            model,
            (torch.zeros(2, *shape),),
            path,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
            opset_version=OPSET,
            dynamo=False,
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
        )
        return path.read_bytes()


# Checks


def normalised(model: onnx.ModelProto) -> list[str]:
    """The kind of layer in front of each BatchNormalization, or each Mul that is left of one.

    Raises:
        ValueError: a node in between is none of those a fold can pass.
    """
    made_by = {name: node for node in model.graph.node for name in node.output}
    found = []
    for node in model.graph.node:
        if node.op_type not in {"BatchNormalization", "Mul"}:
            continue
        behind = _behind(node, made_by)
        while behind.op_type in BETWEEN:
            behind = _behind(behind, made_by)
        if behind.op_type not in LAYERS:
            raise ValueError(f"{node.name} comes behind {behind.op_type}")
        found.append(behind.op_type)
    return found


def _behind(node: onnx.NodeProto, made_by: dict[str, onnx.NodeProto]) -> onnx.NodeProto:
    """The one node that makes an input of this one; the other inputs are constants."""
    (name,) = (name for name in node.input if name in made_by)
    return made_by[name]


def _session(onnx_file: bytes) -> onnxruntime.InferenceSession:
    """ONNX Runtime computing the graph just as it is written."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(onnx_file, options, providers=["CPUExecutionProvider"])


def _compare(session: onnxruntime.InferenceSession, images: Array, expected: Array) -> None:
    """Print how far ONNX Runtime is from the framework.

    Raises:
        ValueError: it is further than rounding explains.
    """
    name = session.get_inputs()[0].name
    (got,) = session.run(None, {name: images})
    (first,) = session.run(None, {name: images[:1]})
    difference = np.abs(got.astype(np.float64) - expected)
    largest, alone = np.abs(expected).max(), np.abs(first - expected[:1]).max()
    print(f"  largest output                 {largest:.6g}")
    print(f"  largest difference             {difference.max():.3g}")
    print(f"  ... as a part of the largest   {difference.max() / largest:.3g}")
    print(f"  ... as a part of its own value {(difference / np.abs(expected)).max():.3g}")
    print(f"  ... of an image run by itself  {alone:.3g}")
    print(f"  same digit                     {_share(got, expected.argmax(1))}")
    if max(difference.max(), alone) > TOLERANCE * largest:
        raise ValueError("ONNX Runtime does not compute what the framework does")


def _share(outputs: Array, digits: Digits) -> str:
    """How many outputs are greatest at their digit."""
    right = int((outputs.argmax(1) == digits).sum())
    return f"{right}/{len(digits)} = {right / len(digits):.4f}"


# Output


def _make(name: str, trained: Trained, data: Data, folder: Path) -> None:
    """Check one trained network and write its three files."""
    model = onnx.load_model_from_string(trained.onnx_file)
    onnx.checker.check_model(model, full_check=True)
    behind = normalised(model)
    if len(behind) != len(trained.norms):
        raise ValueError(f"{name}: {len(behind)} of {len(trained.norms)} batch norms are left")
    images = data.test_images.reshape(-1, *trained.image_shape)
    outputs, shipped = trained.predict(images), images[:SHIPPED]
    expected = trained.predict(shipped)
    print(f"  operators                      {_operators(model)}")
    print(f"  batch norms behind             {', '.join(behind)}")
    for part in ("gamma", "beta", "mean", "variance"):
        numbers = np.concatenate([getattr(norm, part) for norm in trained.norms])
        print(f"  {part:<30} {numbers.min():.3f} to {numbers.max():.3f}")
    print(f"  framework, whole test split    {_share(outputs, data.test_digits)}")
    print(f"  framework, shipped images      {_share(expected, data.test_digits[:SHIPPED])}")
    session = _session(trained.onnx_file)
    _compare(session, images, outputs)
    digits = data.test_digits[:SHIPPED]
    results = {session.get_outputs()[0].name: expected, "labels": digits}
    (folder / f"{name}.onnx").write_bytes(trained.onnx_file)
    _write_arrays(folder / f"{name}.inputs.npz", {session.get_inputs()[0].name: shipped})
    _write_arrays(folder / f"{name}.expected.npz", results)
    print(f"  bytes                          {len(trained.onnx_file)}")


def _write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write a compressed .npz file."""
    np.savez_compressed(path, **arrays)


def _operators(model: onnx.ModelProto) -> str:
    """The operators in order, with repeats counted."""
    runs = [(kind, len(list(run))) for kind, run in groupby(n.op_type for n in model.graph.node)]
    return " ".join(kind if length == 1 else f"{kind}*{length}" for kind, length in runs)


TRAIN: dict[str, Callable[[Data], Trained]] = {
    "keras_cnn": lambda data: _train_keras(_keras_cnn, data, epochs=25),
    "dense_elu": lambda data: _train_keras(_dense_elu, data, epochs=25),
    "torch_cnn": lambda data: _train_torch(_torch_cnn, data, epochs=25),
}


def _settle() -> None:
    """Have both frameworks compute the same way each time."""
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)


def main() -> None:
    """Make the networks asked for; all of them by default."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TRAIN))
    parser.add_argument("--into", type=Path, default=Path(__file__).parent, metavar="FOLDER")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(TRAIN):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    print(", ".join(f"{package} {version(package)}" for package in PACKAGES))
    _settle()
    data = load()
    for name in arguments.names or TRAIN:
        print(name)
        _make(name, TRAIN[name](data), data, arguments.into)


if __name__ == "__main__":
    main()
