"""What of a description reaches further than the file: code, other files, operators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from folding.conversion.keras import reach


def calls(function: Any, kind: str = "TFOpLambda") -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": "called", "function": function}}


@pytest.mark.parametrize(
    "function",
    [
        "math.add",
        "nn.relu",
        "__operators__.getitem",
        "reshape",
        "concat",
        "truediv",
        "linalg.matmul",
        "image.resize",
        "compat.v1.transpose",
        "compat.v1.floor_div",
        "strings.lower",
        "debugging.check_numerics",
        "random.stateless_uniform",
        "compat.v1.nn.conv2d",
    ],
)
@pytest.mark.parametrize("kind", ["TFOpLambda", "SlicingOpLambda"])
def test_functions_that_compute_are_no_code(function: str, kind: str) -> None:
    """As Keras 2 keeps whatever stands between layers."""
    assert not [*reach.code([calls(function, kind)], is_legacy=True)]


@pytest.mark.parametrize(
    "function",
    [
        "io.read_file",
        "io.write_file",
        "io.gfile.copy",
        "raw_ops.ReadFile",
        "load_op_library",
        "numpy_function",
        "compat.v1.py_func",
        "nn.fixed_unigram_candidate_sampler",
        "random.fixed_unigram_candidate_sampler",
        "linalg.LinearOperator",
        "keras.utils.get_file",
        "keras.models.load_model",
        "saved_model.load",
        "xla_custom_call",
        "import_graph_def",
        "print",
        "add.io",
        "io.add",
        "",
        None,
        ["add"],
    ],
)
@pytest.mark.parametrize("kind", ["TFOpLambda", "SlicingOpLambda", "keras>TFOpLambda"])
def test_other_functions_are_code(function: Any, kind: str) -> None:
    """They may do more than compute, or are not known."""
    (found,) = reach.code({"layers": [calls(function, kind)]}, is_legacy=True)
    assert found.endswith("layer 'called'")


@pytest.mark.parametrize("kind", ["ClassMethod", "InstanceMethod", "InstanceProperty"])
def test_what_calls_anything_that_an_object_has_is_code(kind: str) -> None:
    """Only Keras 2 has such layers."""
    layer = {"class_name": kind, "config": {"name": "any"}}
    assert [*reach.code(layer, is_legacy=True)] == [f"the {kind} layer 'any'"]
    assert not [*reach.code(layer, is_legacy=False)]


@pytest.mark.parametrize("name", ["tf_op_layer.TFOpLambda", "core.Lambda", "backend.os.Any"])
def test_a_class_that_is_found_through_another_module_is_code(name: str) -> None:
    """Keras 2 takes the name for a way from module to module."""
    layer = {"class_name": name, "module": "keras.layers", "config": {"name": "any"}}
    assert [*reach.code(layer, is_legacy=True)]


def test_an_operator_of_tensorflow_is_looked_at_if_it_can_be_read() -> None:
    """Its bytes, as they could stand there too, are not."""
    node = {"name": "sum", "op": "AddV2"}
    layer = {"class_name": "TensorFlowOpLayer", "config": {"name": "sum", "node_def": node}}
    assert [*reach.operators({"layers": [layer]})] == [("the TensorFlowOpLayer layer 'sum'", node)]
    assert not [*reach.code(layer, is_legacy=True)]
    unread = {"class_name": "TensorFlowOpLayer", "config": {"name": "sum", "node_def": "\n\x03"}}
    assert [*reach.code(unread, is_legacy=True)]
    assert not [*reach.operators(unread)]


@pytest.mark.parametrize("key", ["vocabulary", "vocabulary_file", "ckpt_to_load_from"])
def test_files_of_words_and_weights_are_found(key: str) -> None:
    """In the columns of Keras 2 too."""
    column = {"class_name": "Column", "config": {"name": "words", key: "elsewhere"}}
    layer = {"class_name": "DenseFeatures", "config": {"name": "d", "feature_columns": [column]}}
    assert [*reach.files(layer)] == [("the Column layer 'words'", "elsewhere")]
    column["config"] = {"name": "words", key: ["a", "b"]}
    assert not [*reach.files(layer)]


@pytest.mark.frameworks
def test_a_type_with_a_name_is_no_part_to_look_into(tmp_path: Path) -> None:
    """Beside it links are found all the same."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["kind"] = np.dtype("f4")
        file["zone/link"] = h5py.ExternalLink("other.h5", "/x")
        assert reach.linked(file) == [("its part 'link'", "other.h5")]


@pytest.mark.parametrize(
    ("module", "name", "is_code"),
    [
        ("builtins", "relu", False),
        (None, "my_activation", False),
        ("keras.activations", "relu", False),
        ("tf_keras.src.activations", "gelu", False),
        ("__main__", "my_activation", False),
        ("nobodys_package.activations", "swish", False),
        ("builtins", "exec", True),
        (None, "eval", True),
        ("keras.utils", "get_file", True),
        ("tf_keras.src.saving.saving_lib", "load_model", True),
        ("keras.activations.keras.utils", "get_file", True),
        ("os", "system", True),
        ("keras.src.backend", "os.system", True),
        ("keras.activations", "backend.os.system", True),
        ("builtins", "os.system", True),
        ("__main__", "__loader__", True),
    ],
)
def test_a_function_that_keras_2_finds_may_be_any(
    module: str | None,
    name: str,
    is_code: bool,  # noqa: FBT001
) -> None:
    """Its name decides, not what it is registered as."""
    function = {"class_name": "function", "module": module, "config": name}
    function["registered_name"] = "Custom>Adam"
    layer = {"class_name": "Activation", "config": {"name": "a", "activation": function}}
    assert bool([*reach.code(layer, is_legacy=True)]) is is_code
