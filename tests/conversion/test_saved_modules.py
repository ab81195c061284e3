"""Odd SavedModels: of whole numbers, of any number of axes, at odd paths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conversion.test_effects import converted
from conversion.tf1.saving import saved_graph

from folding.conversion import rewriting, tf2onnx_
from folding.conversion.agreement import Agreed
from folding.conversion.job import Kind
from folding.conversion.sanity import checked
from folding.errors import BadCall, BadModel

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]


def saved(folder: Path, kind: str, *shape: int | None, function: Callable[[Any], Any]) -> Path:
    """A SavedModel of a function; of any number of axes where no shape is given."""
    import tensorflow as tf  # noqa: PLC0415

    spec = tf.TensorSpec(shape or None, kind, "x")
    called = tf.function(lambda x: {"out": function(x)}, input_signature=[spec])
    tf.saved_model.save(tf.Module(), str(folder), signatures=called)
    return folder


def whole_graph(tf: Any) -> None:
    """The same as a graph of TensorFlow 1."""
    tf.math.floordiv(tf.compat.v1.placeholder(tf.int32, (None, 4), "x"), 3, name="out")


@pytest.mark.parametrize("kind", [Kind.SAVED_MODEL, Kind.FROZEN_GRAPH])
@pytest.mark.parametrize(
    ("rewritings", "verdict"),
    [(rewriting.REWRITINGS, Agreed.SAME), ((), Agreed.DIFFERENT)],
)
def test_what_is_wrong_below_zero_alone_is_seen(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: Kind,
    rewritings: Any,
    verdict: Agreed,
) -> None:
    """As it is what tf2onnx makes of a division by itself."""
    monkeypatch.setattr(tf2onnx_, "REWRITINGS", rewritings)
    if kind is Kind.SAVED_MODEL:
        source = saved(tmp_path / "saved", "int32", None, 4, function=lambda x: x // 3)
    else:
        source = saved_graph(tmp_path, whole_graph)
    product = converted(source, kind, tmp_path / "made")

    found = checked(product, tmp_path / "made", "net")

    assert (found.verdict, found.batches) == (verdict, (1, 3, 8))


def test_indices_that_are_refused_are_not_compared(tmp_path: Path) -> None:
    """The runtime counts those below zero from the end, and refuses the others."""
    import tensorflow as tf  # noqa: PLC0415

    def looked_up(x: Any) -> Any:
        return tf.gather(tf.constant([1.0, 2.0, 3.0]), x)

    source = saved(tmp_path / "saved", "int32", None, 4, function=looked_up)
    product = converted(source, Kind.SAVED_MODEL, tmp_path / "made")

    assert len(product.references) == 3
    assert checked(product, tmp_path / "made", "net").verdict is Agreed.SAME


def test_any_number_of_axes_is_refused(tmp_path: Path) -> None:
    source = saved(tmp_path / "saved", "float32", function=lambda x: x * 2.0)

    with pytest.raises(BadCall, match="'x' does not say how many axes it has"):
        converted(source, Kind.SAVED_MODEL, tmp_path / "made")


def test_a_path_that_tensorflow_takes_for_a_pattern_is_named_as_the_cause(tmp_path: Path) -> None:
    import tensorflow as tf  # noqa: PLC0415

    weight = tf.Variable(2.0)
    module = tf.Module()
    module.weight = weight
    spec = tf.TensorSpec((None, 4), tf.float32, "x")
    called = tf.function(lambda x: {"out": x * weight}, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=called)
    source = (tmp_path / "saved").rename(tmp_path / "sa[v]ed *")

    with pytest.raises(BadModel, match="cannot be loaded") as raised:
        converted(source, Kind.SAVED_MODEL, tmp_path / "made")
    assert "takes for a pattern" in raised.value.hint
