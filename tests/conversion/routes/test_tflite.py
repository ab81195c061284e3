"""TensorFlow Lite files: by the names of their signatures, whole or not."""

from __future__ import annotations

from pathlib import Path

import pytest
from conversion.routes.conftest import Ask, Converted, Saved

from folding.conversion.job import Job, Kind
from folding.errors import Unconvertible

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]


def test_the_signature_names_inputs_and_outputs(converted: Converted) -> None:
    """What the file calls its tensors inside is of no interest to anyone."""
    answer = converted("tflite", "channels_last.tflite")
    assert answer.names("inputs") == [("image", "image")]
    assert answer.names("outputs") == [("output_0", "output_0")]


def test_what_is_not_there_is_refused(saved: Saved, ask: Ask) -> None:
    """An output that it lacks is refused with those that it has, and it has no flags."""
    source = saved("keras") / "dense_elu.tflite"
    output, flag = ask(
        "tflite",
        [{"source": source, "outputs": ["y"]}, {"source": source, "freeze": {"training": False}}],
    )
    assert (output.said["error"], flag.said["error"]) == ("BadCall", "BadCall")
    assert "'output_0'" in output.said["hint"]


def test_half_a_file_is_refused(saved: Saved, ask: Ask, tmp_path: Path) -> None:
    """A file that ends early is damaged."""
    whole = (saved("keras") / "channels_last.tflite").read_bytes()
    half = tmp_path / "half.tflite"
    half.write_bytes(whole[: len(whole) // 2])
    (answer,) = ask("tflite", [{"source": half}])
    assert answer.said["error"] == "BadModel"
    assert "half.tflite" in answer.said["message"]


def test_operators_of_tensorflow_itself_are_refused(tmp_path: Path) -> None:
    """A file may have some that its interpreter only runs with an extension."""
    import tensorflow as tf  # noqa: PLC0415

    from folding.conversion.routes import tflite  # noqa: PLC0415

    spec = tf.TensorSpec((3, 3), tf.float32, name="x")
    made = tf.function(tf.linalg.inv, input_signature=[spec]).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([made])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.SELECT_TF_OPS]
    source = tmp_path / "inverse.tflite"
    source.write_bytes(converter.convert())
    with pytest.raises(Unconvertible, match="SELECT_TF_OPS") as raised:
        tflite.run(Job(source, Kind.TFLITE, tmp_path))
    assert raised.value.hint == "Convert the model that the file was made of."
