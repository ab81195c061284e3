"""A function of TensorFlow: traced, and converted by tf2onnx."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from folding.conversion import tf2onnx_
from folding.conversion.function import Function
from folding.conversion.job import MODEL, Job
from folding.conversion.samples import Array, Feed, Spec
from folding.conversion.tf1.nodes import first_line
from folding.errors import Unconvertible

#: Where TensorFlow says what went wrong in a call, and Keras what went wrong in a layer.
_BEHIND = re.compile(
    r"Error: (?:Exception encountered[^\n]*\n\s*)?(?:\x1b\[1m)?(?P<said>[^\n\x1b]+)"
)
#: How lines begin that say where an error was.
_PLACES = ("Graph execution error", "Detected at node", "Stack trace for", "Traceback", "File ")


class OnTensorFlow:
    """The converter of one function, and the function itself as TensorFlow runs it.

    ``otherwise`` says what to do where it cannot be converted.
    """

    def __init__(self, function: Function, *, otherwise: str | None = None) -> None:
        import tensorflow as tf

        self.function = function
        # What TensorFlow has no conversion for, other frameworks may have, but no texts.
        takes_texts = any(spec.dtype is object for spec in function.inputs.values())
        self._otherwise = None if takes_texts else otherwise
        self.signature = [
            tf.TensorSpec(spec.sizes, _type(spec.dtype), name=f"input_{place}")
            for place, spec in enumerate(function.inputs.values())
        ]
        self._functions = [self._traced(jit_compile=jit) for jit in (None, True)]
        self._require_traceable()

    def _require_traceable(self) -> None:
        """Find out at once whether TensorFlow makes a graph of the function.

        Raises:
            Unconvertible: it does not.
        """
        try:
            self._functions[0].get_concrete_function()
        except (TypeError, ValueError) as error:
            found = _BEHIND.search(str(error))
            said = found["said"] if found else str(error).partition("\n")[0]
            text = f"TensorFlow makes no graph of the model: {said}"
            raise Unconvertible(text, hint=self._otherwise) from error

    def _traced(self, **more: Any) -> Any:
        import tensorflow as tf

        def call(*tensors: Any) -> list[Any]:
            return self.function(*tensors)

        return tf.function(call, self.signature, **more)

    @property
    def versions(self) -> tuple[str, str]:
        """Of what runs the model, and of what converts it."""
        return f"TensorFlow {version('tensorflow')}", f"tf2onnx {version('tf2onnx')}"

    def convert(self, job: Job) -> Mapping[str, Spec]:
        """Write the ONNX model, whose inputs and outputs are called as in Keras.

        Returns:
            What the ONNX model takes.

        Raises:
            Unconvertible: tf2onnx or TensorFlow's own freezing leaves an operator.
        """
        import tensorflow as tf

        traced = self._traced().get_concrete_function()
        tensors = [*traced.inputs[: len(self.signature)], *traced.outputs]
        names = [*self.function.inputs, *self.function.outputs]
        renamed = {tensor.name: name for tensor, name in zip(tensors, names, strict=True)}
        has_flags = bool(job.freeze)
        try:
            model = tf2onnx_.convert_function(
                traced, opset=job.opset, renamed=renamed, has_flags=has_flags
            )
        except (ValueError, tf.errors.OpError) as error:
            text = f"TensorFlow cannot freeze the model: {first_line(error)}"
            raise Unconvertible(text, hint=self._hint()) from error
        except Unconvertible as error:
            raise Unconvertible(str(error), hint=self._otherwise) from error
        (job.folder / MODEL).write_bytes(model.SerializeToString())
        return self.function.inputs

    def _hint(self) -> str | None:
        """What to do where a variable cannot be frozen: a side that is for training changes it."""
        for name, spec in self.function.inputs.items():
            if np.dtype(spec.dtype).kind == "b" and not spec.shape:
                return f"If {name!r} is a training flag, give --freeze {name}=false."
        return self._otherwise

    def run(self, feed: Feed) -> list[Array]:
        """What Keras computes. TensorFlow's own kernels lack what its compiler can do on a CPU."""
        import tensorflow as tf

        given = [tf.constant(array) for array in feed.values()]
        try:
            found = self._functions[0](*given)
        except (tf.errors.UnimplementedError, tf.errors.InvalidArgumentError) as error:
            found = self._compiled(given, error)
        return [np.asarray(tensor) for tensor in found]

    def tried(self, feed: Feed) -> list[Array] | None:
        """What Keras computes, unless it refuses that: what is compiled takes any index."""
        import tensorflow as tf

        try:
            found = self._functions[0](*(tf.constant(array) for array in feed.values()))
        except (ValueError, tf.errors.OpError):
            return None
        return [np.asarray(tensor) for tensor in found]

    def _compiled(self, given: list[Any], fault: Exception) -> list[Any]:
        """What the compiled function gives. The compiler knows no texts.

        Raises:
            Unconvertible: there is nothing it gives, either; the reason is the first fault's.
        """
        import tensorflow as tf

        try:
            found: list[Any] = self._functions[1](*given)
        except (ValueError, tf.errors.OpError):
            text = f"TensorFlow cannot run the model: {_reason(fault)}"
            hint = "Give inputs that it takes with --sample-inputs."
            raise Unconvertible(text, hint=hint) from fault
        return found


def _reason(error: Exception) -> str:
    """What an error of a graph says, without where in the graph and in what program it was."""
    said = getattr(error, "message", str(error)).strip().splitlines()
    reasons = [line.strip() for line in said if line.strip() and not line.startswith((" ", "\t"))]
    return next((line for line in reasons if not line.startswith(_PLACES)), type(error).__name__)


def _type(dtype: Any) -> Any:
    import tensorflow as tf

    return tf.string if dtype is object else tf.as_dtype(dtype)
