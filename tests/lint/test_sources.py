"""What the statistics of a source say, before they are computed into a graph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import Net
from linting import conv, image, normed
from onnx import TensorProto

from folding.conversion.job import Port, Product, Statistics
from folding.conversion.linting import of_product
from folding.conversion.request import Request
from folding.lint.sources import arrays_of, corrected, in_source, of_source

SOUND = Statistics("bn", "statistics-0.npz", epsilon=1e-3, momentum=0.99)
ARRAYS = {
    "gamma": np.array([1.0, 2.0]),
    "beta": np.array([0.0, 1.0]),
    "mean": np.array([0.5, -1.0]),
    "variance": np.array([2.0, 0.5]),
}


NEW = ARRAYS | {"variance": np.array([2.0, 0.75])}


def codes(statistics: Statistics = SOUND, **changed: object) -> list[str]:
    """The lints of one normalisation."""
    arrays = {**ARRAYS, **{name: np.asarray(values) for name, values in changed.items()}}
    return [finding.code.name for finding in of_source(statistics, arrays)]


def test_sound_statistics_are_silent() -> None:
    """Also those of which little is known."""
    assert codes() == []
    unknown = Statistics("bn", "statistics-0.npz")
    assert list(of_source(unknown, {})) == []
    assert codes(replace(SOUND, steps=1000)) == []
    assert codes(replace(SOUND, averages_from_zero=True, steps=1000)) == []


def test_statistics_before_the_first_update_are_found() -> None:
    """Whatever gamma is by now, which no converter shows."""
    assert codes(mean=[0, 0], variance=[1, 1]) == ["STATISTICS_AT_INITIAL"]
    assert codes(mean=[0, 0], variance=[0, 0]) == ["AVERAGE_FROM_ZERO"]


def test_an_uncorrected_average_is_found() -> None:
    """Where it is not known after how many steps, it may be anything below the truth."""
    assert codes(replace(SOUND, averages_from_zero=True)) == ["AVERAGE_FROM_ZERO"]


def test_statistics_before_the_first_update_are_not_called_cold_too() -> None:
    """However many steps were counted: what was not updated has nothing of them."""
    started = replace(SOUND, steps=30)
    assert codes(started, mean=[0, 0], variance=[1, 1]) == ["STATISTICS_AT_INITIAL"]
    zero = replace(started, averages_from_zero=True)
    assert codes(zero, mean=[0, 0], variance=[0, 0]) == ["AVERAGE_FROM_ZERO"]


@pytest.mark.parametrize(("steps", "is_cold"), [(30, True), (300, True), (450, True), (500, False)])
def test_a_cold_average_is_found(steps: int, *, is_cold: bool) -> None:
    """After n steps ``momentum ** n`` of the beginning is left: a hundredth is little enough."""
    for from_zero in (True, False):
        statistics = replace(SOUND, averages_from_zero=from_zero, steps=steps)
        assert codes(statistics, variance=[2.0, 0.75]) == ["AVERAGE_BARELY_WARM"] * is_cold


def test_statistics_that_were_trained_before_the_steps_are_silent() -> None:
    """A variance of 0.5 has not 0.74 of the 1 that it would have begun with; of 0 it may have."""
    tuned = replace(SOUND, steps=30)
    assert codes(tuned) == []
    assert codes(replace(tuned, averages_from_zero=True)) == ["AVERAGE_BARELY_WARM"]


def test_only_what_can_be_corrected_is_told_to_be() -> None:
    """Those of a layer of Keras or PyTorch cannot."""
    for correctable in (True, False):
        (found,) = of_source(replace(SOUND, steps=120, correctable=correctable), NEW)
        assert ("--correct-averages" in found.remedy) is correctable


def test_how_warm_it_is_is_said() -> None:
    """120 steps of momentum 0.99 leave 0.30 of the beginning."""
    (found,) = of_source(replace(SOUND, averages_from_zero=True, steps=120), ARRAYS)
    assert "0.70 of the true ones and 0.30 of what they began with" in found.cause


def test_the_epsilon_is_compared_with_the_variance() -> None:
    """And with what is usual."""
    assert codes(variance=[1e-4, 1.0]) == ["EPSILON_DOMINATES"]
    assert codes(replace(SOUND, epsilon=0.1)) == ["UNUSUAL_EPSILON"]
    assert codes(replace(SOUND, epsilon=None), variance=[1e-9, 1.0]) == []


@pytest.mark.parametrize(
    ("formula", "code"),
    [
        ("variance_squared", "VARIANCE_SQUARED"),
        ("epsilon_outside_root", "EPSILON_OUTSIDE_ROOT"),
    ],
)
def test_another_formula_is_found(formula: str, code: str) -> None:
    """As the route names it."""
    assert codes(replace(SOUND, formula=formula)) == [code]


def test_a_gamma_of_zero_is_found() -> None:
    """A negative one is not: whether it matters, only the graph knows."""
    assert codes(gamma=[0, 1]) == ["NONPOSITIVE_SCALE"]
    assert codes(gamma=[-1, 1]) == []


def save(folder: Path, **changed: Any) -> None:
    """Leave the arrays in a folder, as a route does."""
    arrays: dict[str, Any] = {**ARRAYS, **changed}
    np.savez(folder / SOUND.arrays, **arrays)


def product(*statistics: Statistics, declares: bool = True) -> Product:
    return Product("f", "c", [], [], statistics=statistics, declares_normalisation=declares)


def test_a_normalisation_that_is_declared_and_not_used_is_found(tmp_path: Path) -> None:
    """A source without any is silent, and so is one that uses what it declares."""
    save(tmp_path)
    assert [f.code.name for f in in_source(product(), tmp_path)] == ["NORM_ABSENT"]
    assert in_source(product(declares=False), tmp_path) == []
    assert in_source(product(SOUND), tmp_path) == []


def test_what_source_and_graph_say_is_said_once(tmp_path: Path) -> None:
    """Of the source, which has the better names."""
    save(tmp_path, mean=np.zeros(2), variance=np.ones(2))
    net = Net()
    initial = np.zeros(4), np.ones(4)
    names = [net.positive(4), net.weight(4), *map(net.store, initial)]
    y = net.node("Relu", conv(net, image(net)))
    model = tmp_path / "model.onnx"
    model.write_bytes(net.model(net.node("BatchNormalization", y, *names)).SerializeToString())
    found = of_product(product(SOUND), model, Request(), run=False)
    assert [(f.code.name, f.at == "bn") for f in found.findings] == [
        ("STATISTICS_AT_INITIAL", True),
        ("ACTIVATION_BEFORE_NORM", False),
    ]


def test_a_negative_scale_is_said_beside_a_zero_of_another_layer(tmp_path: Path) -> None:
    """The code is the same, the matter is not; the zero that both say of is said once."""
    save(tmp_path, gamma=np.array([0.0, 1.0, 1.0, 1.0]))
    net = Net()
    pooled = net.node("MaxPool", conv(net, image(net)), kernel_shape=[2, 2])
    y = normed(net, pooled, gamma=np.array([-1.0, 1.0, 1.0, 1.0]))
    y = conv(net, net.node("Tanh", y), inner=4)
    y = net.node("Tanh", normed(net, y, gamma=np.array([0.0, 1.0, 1.0, 1.0])))
    model = tmp_path / "model.onnx"
    model.write_bytes(net.model(y).SerializeToString())
    found = of_product(product(SOUND), model, Request(), run=False).findings
    causes = [f.cause for f in found if f.code.name == "NONPOSITIVE_SCALE"]
    assert [cause.split()[-1] for cause in causes] == ["channels", "layer"]


@pytest.mark.parametrize(
    ("operator", "name", "expected"),
    [
        ("Relu", "bn/batchnorm/mul", []),
        ("BatchNormalization", "", []),
        ("Relu", "batchnormal/Relu", ["NORM_ABSENT"]),
    ],
)
def test_a_normalisation_by_computed_statistics_is_not_called_absent(
    operator: str, name: str, expected: list[str], tmp_path: Path
) -> None:
    """The source declares it and has no statistics for it, but what is converted computes it."""
    net = Net()
    parameters = [net.positive(4) for _ in range(4)] if operator != "Relu" else []
    y = net.node(operator, conv(net, image(net)), *parameters, name=name)
    model = tmp_path / "model.onnx"
    model.write_bytes(net.model(y).SerializeToString())
    found = of_product(product(), model, Request(), run=False)
    assert [finding.code.name for finding in found.findings] == expected


def test_runs_are_on_the_samples_of_the_user(tmp_path: Path) -> None:
    """By the names of the graph, where the framework was run on them, too."""
    net = Net()
    x = net.input("N", 4)
    centred = net.node("Sub", x, net.node("ReduceMean", x, axes=[0]))
    is_large = net.node("Greater", x, net.store(np.array(50, np.float32)))
    model = tmp_path / "model.onnx"
    proto = net.model(net.node("Where", is_large, centred, x))
    model.write_bytes(proto.SerializeToString())
    rows = np.random.default_rng(0).uniform(60, 90, (6, 4)).astype(np.float32)
    np.savez(tmp_path / "reference-0.npz", allow_pickle=False, **{f"in_{x}": rows})
    made = Product("f", "c", [Port("image", x)], [], references=["reference-0.npz"])
    for samples, expected in ((None, []), ({"image": rows}, ["BATCH_DEPENDENT"])):
        found = of_product(made, model, Request(sample_inputs=samples), run=True)
        assert [finding.code.name for finding in found.findings] == expected


def test_samples_are_of_the_type_of_the_graph(tmp_path: Path) -> None:
    """An .npz has no bfloat16, and texts of another kind."""
    net = Net()
    x = net.input("N", 4)
    proto = net.model(net.node("Relu", x))
    model = tmp_path / "model.onnx"
    rows = np.ones((3, 4), np.float32)
    np.savez(tmp_path / "reference-0.npz", allow_pickle=False, **{f"in_{x}": rows})
    made = Product("f", "c", [Port("image", x)], [], references=["reference-0.npz"])
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.elem_type = TensorProto.BFLOAT16
    model.write_bytes(proto.SerializeToString())
    found = of_product(made, model, Request(sample_inputs={"image": 0}), run=True)
    assert found.findings == []


@pytest.mark.parametrize("from_zero", [True, False])
def test_corrected_statistics_are_what_was_averaged(*, from_zero: bool) -> None:
    """By simulating the averages of a batch that is always the same."""
    mean, variance = ARRAYS["mean"], ARRAYS["variance"]
    average, spread = np.zeros(2), np.full(2, 0.0 if from_zero else 1.0)
    for _ in range(7):
        average = 0.9 * average + 0.1 * mean
        spread = 0.9 * spread + 0.1 * variance
    cold = {**ARRAYS, "mean": average, "variance": spread}
    statistics = replace(SOUND, momentum=0.9, steps=7, averages_from_zero=from_zero)
    found = corrected(statistics, cold)
    assert found is not None
    assert found.keys() == ARRAYS.keys()
    for name, array in found.items():
        np.testing.assert_allclose(array, ARRAYS[name], rtol=1e-12)


def test_what_cannot_be_corrected_is_not() -> None:
    """Without the number of steps, before the first one, or where they began elsewhere."""
    for steps in (None, 0, 30):
        assert corrected(replace(SOUND, steps=steps), ARRAYS) is None


def test_the_arrays_are_read_from_the_folder_of_the_job(tmp_path: Path) -> None:
    """In float64, whatever they are stored in."""
    np.savez(tmp_path / SOUND.arrays, mean=np.array([1, 2], np.float32))
    found = arrays_of(SOUND, tmp_path)
    assert found["mean"].dtype == np.float64
    assert found["mean"].tolist() == [1, 2]
