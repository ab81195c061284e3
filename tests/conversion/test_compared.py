"""The file that a converter made, beside what the framework computed: found in the same process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from fake_routes import batched
from graphs import DOUBLE, FLOAT, HALF, Net
from onnx import ModelProto, TensorProto, helper

from folding.conversion.compared import Task, examined
from folding.conversion.job import Job, Kind
from folding.conversion.samples import write_reference
from folding.errors import Unconvertible

Array = np.ndarray[Any, Any]
Change = Callable[[Array], Array]


def look(
    folder: Path,
    model: ModelProto,
    feeds: list[dict[str, Any]],
    change: Change = np.asarray,
    **more: Any,
) -> dict[str, Any]:
    """What is said where the framework computed what the graph does, but for a change."""
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [value.name for value in model.graph.output]
    job, references = Job(path, Kind.KERAS, folder), []
    for number, feed in enumerate(feeds):
        outputs = dict(zip(names, map(change, session.run(None, feed)), strict=True))
        references.append(folder / write_reference(job, number, feed, outputs))
    inputs = tuple(value.name for value in model.graph.input)
    task = Task("fake2onnx", path, tuple(references), inputs, tuple(names), 32, **more)
    return examined(task)


def images(*batches: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [{"x": rng.normal(size=(n, 3, 5, 5)).astype(np.float32)} for n in batches]


def scaled(by: float) -> Change:
    return lambda array: (array * (1 + by)).astype(array.dtype)


def test_the_same_is_the_same_in_every_batch(tmp_path: Path) -> None:
    found = look(tmp_path, batched(), images(1, 3, 8))

    (facts,) = found["outputs"]
    assert (found["why"], found["batches"]) == ("", [1, 3, 8])
    assert (facts["name"], facts["why"], facts["by_noise"]) == ("y", "", False)
    assert facts["worst"] <= facts["bound"] == 2.0**-16


@pytest.mark.parametrize("by", [1e-6, 1e-5])
def test_what_rounding_may_do_passes(tmp_path: Path, by: float) -> None:
    (facts,) = look(tmp_path, batched(), images(1, 3), scaled(by))["outputs"]

    assert facts["why"] == ""
    assert facts["worst"] == pytest.approx(by, rel=0.1)


@pytest.mark.parametrize("by", [1e-4, 0.2])
def test_more_than_that_is_a_difference_with_its_place(tmp_path: Path, by: float) -> None:
    (facts,) = look(tmp_path, batched(), images(1, 3), scaled(by))["outputs"]

    assert facts["why"].startswith("it is off by ")
    assert facts["worst"] == pytest.approx(by / (1 + by), rel=0.1)


def test_one_wrong_channel_does_not_vanish_among_others(tmp_path: Path) -> None:
    def change(array: Array) -> Array:
        array[:, 2] *= 1 + 1e-4
        return array

    (facts,) = look(tmp_path, batched(), images(2), change)["outputs"]

    assert facts["why"]


def test_a_channel_of_few_elements_is_judged_with_the_others(tmp_path: Path) -> None:
    """One of eight numbers that cancels to nearly nothing is not 1e-4 off by any fault."""
    net = Net(FLOAT)
    model = net.model(net.node("Relu", net.input("N", 8)))
    feed = {"x": np.array([[3e-2, 1, 1, 1, 1, 1, 1, 1]], np.float32)}

    def change(array: Array) -> Array:
        array[:, 0] += 3e-6
        return array

    (facts,) = look(tmp_path, model, [feed], change)["outputs"]

    assert (facts["why"], facts["by_noise"]) == ("", False)


def test_one_wrong_batch_is_enough_and_is_named(tmp_path: Path) -> None:
    def change(array: Array) -> Array:
        return array * np.float32(1.01 if len(array) == 3 else 1)

    (facts,) = look(tmp_path, batched(), images(1, 3, 8), change)["outputs"]

    assert (facts["batch"], bool(facts["why"])) == (3, True)


def test_another_shape_or_nan_elsewhere_is_a_difference(tmp_path: Path) -> None:
    def nan(array: Array) -> Array:
        array[0, 0, 0, 0] = np.nan
        return array

    shape = look(tmp_path, batched(), images(2), lambda array: array[..., None])
    special = look(tmp_path, batched(), images(2), nan)

    assert "became" in shape["outputs"][0]["why"]
    assert special["outputs"][0]["why"] == "NaN or Inf elsewhere"


def dense(elem_type: int) -> ModelProto:
    """A few layers whose sums round."""
    net = Net(elem_type)
    value = net.input(2, 64)
    for _ in range(3):
        weight = net.weight(64, 64)
        net.stored[weight] = net.stored[weight] / np.asarray(8, net.stored[weight].dtype)
        value = net.node("MatMul", value, weight)
        value = net.node("Tanh", value)
    return net.model(value)


@pytest.mark.parametrize(
    ("elem_type", "passes", "fails"),
    [(DOUBLE, 1e-14, 1e-11), (FLOAT, 1e-5, 1e-3), (HALF, 5e-3, 0.1)],
)
def test_each_type_has_a_bound_of_its_own(
    tmp_path: Path, elem_type: int, passes: float, fails: float
) -> None:
    dtype = helper.tensor_dtype_to_np_dtype(elem_type)
    feed = {"x": np.random.default_rng(1).normal(size=(2, 64)).astype(dtype)}

    (good,), (bad,) = (
        look(tmp_path, dense(elem_type), [feed], scaled(by))["outputs"] for by in (passes, fails)
    )

    assert (good["why"], good["by_noise"]) == ("", False)
    assert bad["why"]


def cancelling() -> ModelProto:
    """The difference of two sums that are nearly the same, so most of it is rounding."""
    net = Net(FLOAT)
    data = net.input(4, 64)
    weight = net.weight(64, 8, name="w")
    near = net.store(net.stored["w"] * (1 + 3e-5), "near")
    one, other = (net.node("MatMul", data, name) for name in (weight, near))
    return net.model(net.node("Sub", one, other))


def test_where_rounding_is_all_there_is_it_excuses_what_it_explains(tmp_path: Path) -> None:
    feed = {"x": np.random.default_rng(2).normal(size=(4, 64)).astype(np.float32)}

    (near,), (far,) = (
        look(tmp_path, cancelling(), [feed], scaled(by))["outputs"] for by in (1e-3, 1.0)
    )

    assert (near["why"], near["by_noise"], near["bound"]) == ("", True, 4.0)
    assert far["why"] == "it is off by 0.5 of its size"


def test_the_users_tolerance_counts_instead(tmp_path: Path) -> None:
    (loose,), (tight,) = (
        look(tmp_path, batched(), images(2), scaled(1e-3), tolerance=tolerance)["outputs"]
        for tolerance in (1e-2, 1e-4)
    )

    assert (loose["why"], loose["bound"]) == ("", 1e-2)
    assert tight["why"]


def chosen() -> ModelProto:
    """The index of the largest of eight."""
    net = Net(FLOAT)
    scores = net.node("MatMul", net.input(50, 16), net.weight(16, 8))
    return net.model(net.node("ArgMax", scores, axis=1))


def test_an_index_is_the_same_but_for_what_rounding_flips(tmp_path: Path) -> None:
    """And it is no number to be measured."""
    feed = {"x": np.random.default_rng(3).normal(size=(50, 16)).astype(np.float32)}

    (same,) = look(tmp_path, chosen(), [feed])["outputs"]
    (other,) = look(tmp_path, chosen(), [feed], lambda index: (index + 1) % 8)["outputs"]

    assert (same["why"], same["bound"]) == ("", None)
    assert "elements differ, which noise does not change" in other["why"]


def test_without_any_rounding_every_element_counts(tmp_path: Path) -> None:
    net = Net(TensorProto.INT64)
    model = net.model(net.node("Neg", net.input(4)))
    feed = {"x": np.arange(4)}

    (facts,) = look(tmp_path, model, [feed], lambda found: found + (found == -2))["outputs"]

    assert facts["why"] == "1 of 4 elements differ"


@pytest.mark.parametrize(("by", "why"), [(3e-8, ""), (1e-6, "it is off")])
def test_an_attribute_is_no_finer_than_float32(tmp_path: Path, by: float, why: str) -> None:
    """An epsilon of a network in float64 cannot be the framework's own, to its last digit."""
    net = Net(DOUBLE)
    model = net.model(net.node("LeakyRelu", net.input("N", 8), alpha=0.3))
    feed = {"x": np.random.default_rng(1).normal(size=(2, 8))}

    (facts,) = look(tmp_path, model, [feed], scaled(by))["outputs"]

    assert facts["why"][:9] == why


def test_types_of_one_kind_are_compared_as_numbers(tmp_path: Path) -> None:
    """A .npz has no bfloat16, and frameworks count in other integers than ONNX."""
    wide = look(tmp_path, batched(), images(2), lambda array: array.astype(np.float64))
    mixed = look(tmp_path, batched(), images(2), lambda array: (array > 0).astype(np.int64))

    assert wide["outputs"][0]["why"] == ""
    assert "became" in mixed["outputs"][0]["why"]


def typed(folder: Path, elem_type: int) -> dict[str, Any]:
    """What is said of a graph that is given float32 where it wants another type."""
    net = Net(elem_type)
    model = net.model(net.node("Cast", net.input(4), to=FLOAT))
    path, output = folder / "model.onnx", model.graph.output[0].name
    path.write_bytes(model.SerializeToString())
    given = np.array([1, 2, 3, 4], np.float32)
    name = write_reference(Job(path, Kind.KERAS, folder), 0, {"x": given}, {output: given})
    return examined(Task("fake", path, (folder / name,), ("x",), (output,), 32))


def test_an_input_is_given_in_the_type_of_the_graph(tmp_path: Path) -> None:
    assert typed(tmp_path, HALF)["outputs"][0]["worst"] == 0.0


def test_an_input_that_cannot_be_given_is_a_reason(tmp_path: Path) -> None:
    why = typed(tmp_path, TensorProto.BFLOAT16)["why"]

    assert why == "onnxruntime takes no bfloat16 from numpy for the input 'x'"


def test_outputs_without_a_finite_number_say_nothing(tmp_path: Path) -> None:
    feeds = images(2)
    feeds[0]["x"][:] = np.nan

    (facts,) = look(tmp_path, batched(), feeds)["outputs"]

    assert facts["lost"]


def test_what_is_random_is_not_compared(tmp_path: Path) -> None:
    net = Net(FLOAT)
    model = net.model(net.node("RandomNormalLike", net.input(4)))

    found = look(tmp_path, model, [{"x": np.zeros(4, np.float32)}])

    assert found == {"why": "RandomNormalLike is random", "batches": [], "outputs": []}


def test_a_model_that_does_not_take_the_batch_is_refused(tmp_path: Path) -> None:
    model = batched()
    look(tmp_path, model, images(1, 3))
    dims = model.graph.input[0].type.tensor_type.shape.dim
    dims[0].ClearField("dim_param")
    dims[0].dim_value = 1
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    references = tuple(tmp_path / f"reference-{number}.npz" for number in (0, 1))

    with pytest.raises(Unconvertible, match="refuses what fake made: for a batch of 3, "):
        examined(Task("fake", tmp_path / "model.onnx", references, ("x",), ("y",), 32))
