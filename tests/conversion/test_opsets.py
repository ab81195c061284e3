"""The same range of operator sets wherever one is refused, and the true one."""

from __future__ import annotations

from pathlib import Path

import pytest
from converting import convert_by, source_in

from folding.conversion.job import Kind
from folding.conversion.opsets import JAX2ONNX, RANGES, TF2ONNX, TORCH, require_by
from folding.conversion.request import Request
from folding.errors import BadCall


@pytest.mark.parametrize("opset", [-1, 0, 6, 1000])
def test_one_that_nothing_writes_is_refused_before_anything_is_read(opset: int) -> None:
    """With what each converter writes."""
    with pytest.raises(BadCall, match=f"^no converter writes operator set {opset}$") as refused:
        Request(opset=opset)
    assert refused.value.hint.startswith("tf2onnx writes 7 to 18, torch.onnx writes 7 to 23, ")


@pytest.mark.parametrize(
    ("kind", "converter"),
    [
        (Kind.SAVED_MODEL, TF2ONNX),
        (Kind.FROZEN_GRAPH, TF2ONNX),
        (Kind.META_GRAPH, TF2ONNX),
        (Kind.TFLITE, TF2ONNX),
        (Kind.EXPORTED_PROGRAM, TORCH),
        (Kind.TORCHSCRIPT, TORCH),
    ],
)
def test_one_that_the_only_converter_does_not_write_is_refused_before_it_starts(
    kind: Kind, converter: str, tmp_path: Path
) -> None:
    """In the words of the converter's own refusal; those that it writes are not."""
    oldest, newest = RANGES[converter]
    for opset in (oldest, newest, None):
        assert Request(opset=opset).job(tmp_path, kind, tmp_path).opset == opset
    with pytest.raises(BadCall) as refused:
        Request(opset=newest + 1).job(tmp_path, kind, tmp_path)
    with pytest.raises(BadCall) as told:
        require_by(converter, newest + 1)
    assert (str(refused.value), refused.value.hint) == (str(told.value), told.value.hint)
    assert str(told.value) == f"{converter} does not write operator set {newest + 1}"
    assert told.value.hint.startswith(f"Give one of {oldest} to {newest}, or leave")


def test_what_keras_is_converted_by_depends_on_its_backend(tmp_path: Path) -> None:
    """So what any of them writes is left to the route."""
    newest = RANGES[JAX2ONNX][1]
    assert Request(opset=newest).job(tmp_path, Kind.KERAS, tmp_path).opset == newest


def test_a_conversion_is_refused_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No process is started for it."""
    with pytest.raises(BadCall, match="tf2onnx does not write operator set 19"):
        convert_by(monkeypatch, "no_such_route", source_in(tmp_path), opset=19)


@pytest.mark.frameworks
def test_the_ranges_are_those_of_the_converters() -> None:
    """As far as runtimes have kernels."""
    from tf2onnx.constants import OPSET_TO_IR_VERSION  # noqa: PLC0415
    from torch.onnx import _constants  # noqa: PLC0415

    assert RANGES[TF2ONNX] == (7, max(OPSET_TO_IR_VERSION))
    assert RANGES[TORCH] == (_constants.ONNX_MIN_OPSET, _constants.ONNX_MAX_OPSET)
