"""Which packages a kind of source needs, and how they are installed."""

from __future__ import annotations

from importlib.util import find_spec

from folding.conversion.job import Kind
from folding.errors import BadCall

_TENSORFLOW = ("tensorflow", "tf2onnx")
_TORCH = ("torch", "onnxscript")
_JAX = ("jax", "jax2onnx")
#: The modules that a kind needs: the extra that brings them, and the choices of what must be there.
_NEEDS: dict[Kind, tuple[str, tuple[tuple[str, ...], ...]]] = {
    Kind.KERAS: ("keras", (("keras", *_TENSORFLOW), ("keras", *_TORCH), ("keras", *_JAX))),
    Kind.KERAS_H5: (
        "keras",
        (("h5py", *_TENSORFLOW), ("h5py", "keras", *_TORCH), ("h5py", "keras", *_JAX)),
    ),
    Kind.SAVED_MODEL: ("tensorflow", (_TENSORFLOW,)),
    Kind.FROZEN_GRAPH: ("tensorflow", (_TENSORFLOW,)),
    Kind.META_GRAPH: ("tensorflow", (_TENSORFLOW,)),
    Kind.TFLITE: ("tensorflow", (_TENSORFLOW,)),
    Kind.EXPORTED_PROGRAM: ("torch", (_TORCH,)),
    Kind.TORCHSCRIPT: ("torch", (_TORCH,)),
}


def require(kind: Kind) -> None:
    """Refuse a source whose framework is not installed.

    Raises:
        BadCall: with the command that installs it.
    """
    extra, choices = _NEEDS[kind]
    missing = min(([m for m in choice if find_spec(m) is None] for choice in choices), key=len)
    if missing:
        text = f"a {kind.value} needs {' and '.join(missing)}, which this Python does not have"
        raise BadCall(text, hint=f"Install it: {command(extra)}")


def command(extra: str) -> str:
    """What installs an extra."""
    return f"python -m pip install 'fold-model[{extra}]'"
