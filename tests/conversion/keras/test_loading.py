"""Why a file cannot be loaded, in one sentence, whichever Keras says it and however."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from folding.conversion.keras.file import KerasFile
from folding.conversion.keras.loading import load
from folding.errors import BadCall, BadModel

FILE = KerasFile(Path("m.keras"), "3.15.1", ())


def _library(error: Exception) -> Any:
    def load_model(path: str, **chosen: Any) -> Any:
        raise error

    return SimpleNamespace(saving=SimpleNamespace(load_model=load_model))


@pytest.mark.parametrize(
    "text",
    [
        "Could not locate class 'Odd'. Make sure custom classes are decorated with ...",
        "Could not deserialize class 'Odd' because its parent module mine cannot be imported.",
        "Unknown layer: 'Odd'. Please ensure you are using a `keras.utils.custom_object_scope`",
        "Cannot deserialize object of type `Odd`. If `Odd` is a custom class, please register it",
    ],
)
def test_an_unknown_class_is_named(text: str) -> None:
    """Keras 2 and 3 have four ways to say so."""
    with pytest.raises(BadModel, match="'Odd'") as error:
        load(_library(TypeError(text)), FILE, trust=False)
    assert "folding.convert" in error.value.hint


def test_code_that_keras_finds_needs_trust() -> None:
    """What its safe mode refuses is refused as code."""
    error = ValueError("Requested the deserialization of a function: pass `safe_mode=False`")
    with pytest.raises(BadCall, match="holds code") as raised:
        load(_library(error), FILE, trust=False)
    assert "--trust" in raised.value.hint


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("axis=(4,) is wrong\nconfig={}", "axis=(4,) is wrong"),
        (
            "Sequential failed.\n\nException encountered: only with TensorFlow",
            "only with TensorFlow",
        ),
    ],
)
def test_what_is_behind_an_error_is_said(text: str, reason: str) -> None:
    """The cause, and neither the configuration nor the error that wraps it."""
    with pytest.raises(BadModel) as error:
        load(_library(ValueError(text)), FILE, trust=False)
    assert str(error.value) == f"Keras cannot load 'm.keras', of Keras 3.15.1: {reason}"


def test_it_is_loaded_as_little_as_can_be() -> None:
    """Not compiled, and in safe mode unless it is trusted."""
    chosen: list[dict[str, Any]] = []

    def load_model(path: str, **options: Any) -> str:
        chosen.append(options)
        return path

    library = SimpleNamespace(saving=SimpleNamespace(load_model=load_model))
    for trust in (False, True):
        assert load(library, FILE, trust=trust) == "m.keras"
    assert chosen == [{"compile": False, "safe_mode": safe} for safe in (True, False)]
