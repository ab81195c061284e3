"""The classic programs: trained, saved, converted by every route, folded, and still the same."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from conversion.routes.conftest import WAYS, Converted
from keras_programs import ARGUMENTS, ARGUMENTS_2, PROGRAMS, PROGRAMS_2, VIRTUAL

pytestmark = pytest.mark.frameworks

#: How many normalisations a program has, if not two.
_NORMS = {
    "average_pooling": 1,
    "grouped": 1,
    "max_pooling": 1,
    "one_axis_for_another": 1,
    "separable": 3,
}
#: Those that a route has good reason not to take, by a part of its sentence.
_REFUSED = {
    ("torch", "synchronized"): "synchronized=True is only supported with the TensorFlow backend",
    ("jax", "synchronized"): "synchronized=True is only supported with the TensorFlow backend",
}
#: jax2onnx writes a MaxPool whose kernel onnxruntime does not take: no route can see that.
_INVALID = {("jax", "max_pooling")}
#: jax2onnx writes a pooling as a Conv over channels taken for a batch, so the shift stays.
_KEPT = {("jax", "average_pooling")}
#: What TensorFlow Lite leaves of normalisations: those that no layer comes right before.
_LITE = {"average_pooling": 1, "max_pooling": 1, "one_axis_for_another": 1}


def _cases() -> list[object]:
    return [
        pytest.param(
            way,
            f"{name}{suffix}",
            id=f"{way}-{name}{suffix}",
            marks=pytest.mark.skipif(
                way == "jax" and find_spec("jax2onnx") is None,
                reason="jax2onnx is not installed here",
            ),
        )
        for way, asked in WAYS.items()
        for name in (PROGRAMS if asked.library == "keras" else PROGRAMS_2)
        for suffix in asked.suffixes
        if (way, name) not in _INVALID
    ]


@pytest.mark.parametrize(("way", "file"), _cases())
def test_a_program_is_folded_completely(way: str, file: str, converted: Converted) -> None:
    """Every normalisation goes, and what is left computes what the framework computes."""
    answer, name = converted(way, file), file.partition(".")[0]
    if (way, name) in _REFUSED:
        assert answer.said["error"] == "BadModel"
        assert _REFUSED[way, name] in answer.said["message"]
        return
    report = answer.folded()
    counts = report.plan.counts
    expected = _LITE.get(name, 0) if way == "tflite" else _NORMS.get(name, 2)
    assert report.verification.name.value == "equivalent"
    assert counts["kept"] == 0
    assert (counts["partial"], counts["folded"]) == (
        (expected, 0) if (way, name) in _KEPT else (0, expected)
    )


@pytest.mark.parametrize("way", ["tensorflow", "torch", "keras2"])
@pytest.mark.parametrize("name", ["channels_last", *ARGUMENTS])
def test_statistics_are_those_of_the_layers(way: str, name: str, converted: Converted) -> None:
    """Each normalisation comes with its trained arrays, its epsilon and its momentum."""
    answer, own = converted(way, f"{name}.keras"), ARGUMENTS.get(name, {})
    if (way, name) in _REFUSED:
        return
    assert answer.said["declares_normalisation"]
    for each, channels in zip(answer.statistics, (8, 6), strict=True):
        assert each["epsilon"] == own.get("epsilon", 1e-3)
        assert each["momentum"] == own.get("momentum", 0.8)
        assert ("gamma" in each) == own.get("scale", True)
        assert ("beta" in each) == own.get("center", True)
        assert each["mean"].shape == each["variance"].shape == (channels,)
        assert np.abs(each["mean"]).max() > 1e-4
        assert np.abs(each["variance"] - 1).max() > 1e-4


@pytest.mark.parametrize("name", ["channels_last", *ARGUMENTS_2])
def test_a_saved_model_shows_its_statistics(name: str, converted: Converted) -> None:
    """The variables of a SavedModel are recognised by what Keras calls them."""
    first, second = converted("saved_model2", name).statistics
    assert {"mean", "variance", "gamma", "beta"} <= first.keys() & second.keys()
    size = 8 if name != VIRTUAL else (1, 1, 1, 1, 8)
    assert first["mean"].shape == (np.atleast_1d(size).shape and np.empty(size).shape)


@pytest.mark.parametrize(
    ("way", "name"),
    [
        (way, name)
        for way in ("saved_model", "saved_model2")
        for name in ("channels_last", *ARGUMENTS)
    ]
    + [("saved_model2", name) for name in ARGUMENTS_2],
)
def test_an_epsilon_is_found_in_the_graph(way: str, name: str, converted: Converted) -> None:
    """It is no variable, but stands beside one, in one node or in several."""
    said = converted(way, name).statistics
    assert len(said) == 2
    expected = ARGUMENTS.get(name, {}).get("epsilon", 1e-3)
    assert [each["epsilon"] for each in said] == [expected, expected]
