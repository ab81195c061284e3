"""What a kind needs to be installed, and that what is missing comes with its command."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from folding.conversion import extras
from folding.conversion.job import Kind
from folding.errors import BadCall

ROOT = Path(__file__).parent.parent.parent


def install(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """Let these modules be there, and no others."""
    monkeypatch.setattr(extras, "find_spec", lambda name: name if name in modules else None)


@pytest.mark.parametrize(
    ("kind", "extra"),
    [
        (Kind.KERAS, "keras"),
        (Kind.KERAS_H5, "keras"),
        (Kind.SAVED_MODEL, "tensorflow"),
        (Kind.FROZEN_GRAPH, "tensorflow"),
        (Kind.META_GRAPH, "tensorflow"),
        (Kind.TFLITE, "tensorflow"),
        (Kind.EXPORTED_PROGRAM, "torch"),
        (Kind.TORCHSCRIPT, "torch"),
    ],
)
def test_what_is_missing_comes_with_the_command(
    monkeypatch: pytest.MonkeyPatch, kind: Kind, extra: str
) -> None:
    install(monkeypatch)

    with pytest.raises(BadCall, match=f"a {kind.value} needs ") as caught:
        extras.require(kind)

    assert caught.value.hint == f"Install it: python -m pip install 'fold-model[{extra}]'"


def test_every_kind_is_known() -> None:
    assert set(extras._NEEDS) == set(Kind)


def test_every_command_installs_an_extra_of_the_package() -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

    assert {extra for extra, _ in extras._NEEDS.values()} <= set(known)


@pytest.mark.parametrize(
    "modules", [("keras", "tensorflow", "tf2onnx"), ("keras", "torch", "onnxscript")]
)
def test_keras_is_content_with_one_backend(
    monkeypatch: pytest.MonkeyPatch, modules: tuple[str, ...]
) -> None:
    install(monkeypatch, *modules)

    extras.require(Kind.KERAS)


def test_of_several_choices_the_nearest_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "keras", "torch")

    with pytest.raises(BadCall, match="needs onnxscript, which"):
        extras.require(Kind.KERAS)
