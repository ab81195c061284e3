"""Keras on JAX: through jax2onnx."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from folding.conversion.function import Function
from folding.conversion.job import MODEL, Job
from folding.conversion.opsets import JAX2ONNX, require_by
from folding.conversion.samples import Array, Feed, Spec
from folding.errors import Unconvertible


class OnJax:
    """The converter of one model, and the model itself as JAX runs it."""

    def __init__(self, function: Function) -> None:
        self.function = function

    @property
    def versions(self) -> tuple[str, str]:
        """Of what runs the model, and of what converts it."""
        return f"JAX {version('jax')}", f"jax2onnx {version('jax2onnx')}"

    def convert(self, job: Job) -> Mapping[str, Spec]:
        """Write the ONNX model, whose inputs and outputs are called as in Keras.

        Returns:
            What the ONNX model takes.

        Raises:
            BadCall: jax2onnx does not write the operator set.
            Unconvertible: jax2onnx leaves an operation.
        """
        import jax2onnx

        require_by(JAX2ONNX, job.opset)
        chosen = {} if job.opset is None else {"opset": job.opset}
        try:
            jax2onnx.to_onnx(
                self._call,
                inputs=[_symbols(name, spec) for name, spec in self.function.inputs.items()],
                input_names=list(self.function.inputs),
                output_names=list(self.function.outputs),
                return_mode="file",
                output_path=str(job.folder / MODEL),
                **chosen,
            )
        # What jax2onnx raises for what it cannot do: it has no error of its own.
        except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise Unconvertible(f"jax2onnx cannot convert the model: {reason}") from error
        return self.function.inputs

    def _call(self, *tensors: Any) -> Any:
        found = self.function(*tensors)
        return found[0] if len(found) == 1 else tuple(found)

    def run(self, feed: Feed) -> list[Array]:
        """What Keras computes."""
        import jax.numpy as jnp

        found = self.function(*(jnp.asarray(array) for array in feed.values()))
        return [np.asarray(tensor) for tensor in found]

    def tried(self, _: Feed) -> list[Array] | None:
        """Nothing: JAX refuses no index, and makes up something for one out of range."""
        return None


def _symbols(name: str, spec: Spec) -> Any:
    import jax

    sizes = tuple(
        (f"{name}_{axis}" if axis else "batch") if size is None else size
        for axis, size in enumerate(spec.sizes)
    )
    return jax.ShapeDtypeStruct(sizes, np.dtype(spec.dtype))
