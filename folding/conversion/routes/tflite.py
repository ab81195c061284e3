"""TensorFlow Lite files, whose normalisations its own converter has folded already."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from folding.conversion import tf2onnx_
from folding.conversion.function import Source, product
from folding.conversion.job import MODEL, Job, Product
from folding.conversion.samples import Array, Feed, Spec
from folding.errors import BadCall, BadModel, Unconvertible

#: How its interpreter says that a file needs another one.
_SELECTED = "Select TensorFlow op"


def run(job: Job) -> Product:
    """Convert a .tflite file.

    Raises:
        BadCall: it has no such output, or no such input to freeze.
        BadModel: it is damaged, or cannot be converted.
    """
    if job.freeze:
        raise BadCall("a TensorFlow Lite file has no training flags to freeze")
    lite = _Lite(job)
    return product(Source(lite), lambda _: lite, job)


class _Lite:
    """A TensorFlow Lite model: as a function, as what runs it, and as what converts it."""

    holder = None

    def __init__(self, job: Job) -> None:
        import tensorflow as tf

        self._name = str(job.source)
        _require_whole(job.source)
        try:
            self._interpreter = tf.lite.Interpreter(model_path=str(job.source))
        except (ValueError, RuntimeError) as error:
            first = str(error).strip().partition("\n")[0]
            text = f"{str(job.source)!r} is damaged: {first}"
            raise BadModel(text, hint="Copy or save it again.") from error
        self._given, known = _named(self._interpreter)
        for name in job.outputs:
            if name not in known:
                has = ", ".join(map(repr, known))
                raise BadCall(f"the source has no output {name!r}", hint=f"It has {has}.")
        self._found = {name: known[name] for name in job.outputs or known}

    @property
    def versions(self) -> tuple[str, str]:
        """Of what runs the file, and of what converts it."""
        return f"TensorFlow Lite {version('tensorflow')}", f"tf2onnx {version('tf2onnx')}"

    @property
    def inputs(self) -> Mapping[str, Spec]:
        """What it takes."""
        found = self._given.items()
        return {name: Spec(tuple(each["shape_signature"]), each["dtype"]) for name, each in found}

    @property
    def outputs(self) -> Sequence[str]:
        """What it gives."""
        return list(self._found)

    def __call__(self, *tensors: Any) -> list[Any]:
        """What it computes at inference."""
        given = list(zip(self._given.values(), tensors, strict=True))
        try:
            for each, tensor in given:
                self._interpreter.resize_tensor_input(each["index"], tensor.shape)
            self._interpreter.allocate_tensors()
            for each, tensor in given:
                self._interpreter.set_tensor(each["index"], tensor)
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise _not_run(self._name, str(error)) from error
        return [self._interpreter.get_tensor(each["index"]) for each in self._found.values()]

    def convert(self, job: Job) -> Mapping[str, Spec]:
        """Write the ONNX model."""
        groups = (self._given, self._found)
        tensors = [[each["name"] for each in group.values()] for group in groups]
        renamed = dict(zip([*tensors[0], *tensors[1]], [*self._given, *self._found], strict=True))
        model = tf2onnx_.convert_lite(job.source, *tensors, opset=job.opset, renamed=renamed)
        (job.folder / MODEL).write_bytes(model.SerializeToString())
        return self.inputs

    def run(self, feed: Feed) -> list[Array]:
        """What the interpreter computes."""
        return self(*feed.values())

    def tried(self, feed: Feed) -> list[Array] | None:
        """What the interpreter computes, unless it refuses that."""
        try:
            return self.run(feed)
        except Unconvertible:
            return None


def _not_run(name: str, said: str) -> Unconvertible:
    """Why a file is not run: it may need what is not of TensorFlow Lite itself."""
    if _SELECTED in said:
        text = f"{name!r} has operators of TensorFlow that TensorFlow Lite has not (SELECT_TF_OPS)"
        return Unconvertible(text, hint="Convert the model that the file was made of.")
    first = said.strip().partition("\n")[0]
    return Unconvertible(f"TensorFlow Lite cannot run {name!r}: {first}")


def _require_whole(path: Path) -> None:
    """Follow every offset of the file: the interpreter does so without looking, and dies."""
    from tensorflow.lite.python import schema_py_generated

    try:
        schema_py_generated.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    except (IndexError, TypeError, ValueError, struct.error) as error:
        text = f"{str(path)!r} is damaged: it ends before what it refers to"
        raise BadModel(text, hint="Copy or save it again.") from error


def _named(interpreter: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tensors that go in and come out: as the signature calls them, if there is one."""
    signatures = list(interpreter.get_signature_list())
    if signatures:
        runner = interpreter.get_signature_runner(signatures[0])
        return dict(runner.get_input_details()), dict(runner.get_output_details())
    groups = (interpreter.get_input_details(), interpreter.get_output_details())
    given, found = ({each["name"]: each for each in group} for group in groups)
    return given, found
