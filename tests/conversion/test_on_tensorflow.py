"""What TensorFlow cannot do with a function is said in one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from folding.conversion.job import Job, Kind
from folding.conversion.on_tensorflow import OnTensorFlow
from folding.conversion.samples import Spec
from folding.errors import Unconvertible

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]


@dataclass
class Numbers:
    """The numbers that texts, or numbers, are."""

    inputs: Mapping[str, Spec]
    outputs: Sequence[str] = ("number",)
    holder: Any = None

    def __call__(self, *tensors: Any) -> list[Any]:
        import tensorflow as tf  # noqa: PLC0415

        texts = tensors[0] if tensors[0].dtype == tf.string else tf.strings.as_string(tensors[0])
        return [tf.strings.to_number(texts)]


class Odd(Numbers):
    """What tf2onnx has no conversion for."""

    def __call__(self, *tensors: Any) -> list[Any]:
        import tensorflow as tf  # noqa: PLC0415

        return [tf.math.digamma(super().__call__(*tensors)[0])]


def test_what_the_model_does_not_take_is_said() -> None:
    """Without where that was in the graph, and not what a compiler says of it."""
    at = OnTensorFlow(Numbers({"text": Spec((None,), object)}))
    np.testing.assert_array_equal(at.run({"text": np.array(["7"], object)})[0], [7])
    with pytest.raises(Unconvertible) as raised:
        at.run({"text": np.array(["a"], object)})
    assert str(raised.value) == (
        "TensorFlow cannot run the model: StringToNumberOp could not correctly convert string: a"
    )
    assert "--sample-inputs" in raised.value.hint


@pytest.mark.parametrize(("dtype", "is_named"), [(object, False), ("float32", True)])
def test_another_framework_is_named_where_it_may_help(
    *, dtype: Any, is_named: bool, tmp_path: Path
) -> None:
    """Others have no texts."""
    at = OnTensorFlow(Odd({"x": Spec((None,), dtype)}), otherwise="Elsewhere.")
    with pytest.raises(Unconvertible) as raised:
        at.convert(Job(Path("m"), Kind.KERAS, tmp_path))
    assert (raised.value.hint == "Elsewhere.") is is_named
