"""Which operator sets each converter writes, said the same way wherever one is refused.

Below 7 runtimes have no kernels. tf2onnx and PyTorch's exporters end where they say; jax2onnx
writes any number, but a Reshape as it is since 14.
"""

from __future__ import annotations

from onnx import defs

from folding.conversion.job import Kind
from folding.errors import BadCall

TF2ONNX, TORCH, JAX2ONNX = "tf2onnx", "torch.onnx", "jax2onnx"
#: The oldest and the newest of each.
RANGES = {TF2ONNX: (7, 18), TORCH: (7, 23), JAX2ONNX: (14, defs.onnx_opset_version())}
#: What converts a kind; Keras has one for each backend.
_CONVERTERS = {
    Kind.SAVED_MODEL: TF2ONNX,
    Kind.FROZEN_GRAPH: TF2ONNX,
    Kind.META_GRAPH: TF2ONNX,
    Kind.TFLITE: TF2ONNX,
    Kind.EXPORTED_PROGRAM: TORCH,
    Kind.TORCHSCRIPT: TORCH,
}


def require_any(opset: int | None) -> None:
    """Refuse an operator set that nothing writes.

    Raises:
        BadCall: it is one.
    """
    if opset is not None and not any(_is_in(opset, of) for of in RANGES):
        hint = ", ".join(f"{of} writes {_range(of)}" for of in RANGES)
        raise BadCall(f"no converter writes operator set {opset}", hint=f"{hint}.")


def require_by(converter: str, opset: int | None) -> None:
    """Refuse an operator set that a converter does not write.

    Raises:
        BadCall: it does not.
    """
    if opset is not None and not _is_in(opset, converter):
        raise BadCall(
            f"{converter} does not write operator set {opset}",
            hint=f"Give one of {_range(converter)}, or leave the choice to {converter}.",
        )


def require_for(kind: Kind, opset: int | None) -> None:
    """Refuse one that the only converter of a kind does not write.

    Raises:
        BadCall: it does not.
    """
    if kind in _CONVERTERS:
        require_by(_CONVERTERS[kind], opset)


def _is_in(opset: int, converter: str) -> bool:
    oldest, newest = RANGES[converter]
    return oldest <= opset <= newest


def _range(converter: str) -> str:
    oldest, newest = RANGES[converter]
    return f"{oldest} to {newest}"
