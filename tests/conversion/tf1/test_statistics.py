"""What is told of the normalisations of a graph is what the program trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conversion.tf1.conftest import Convert, Converted
from conversion.tf1.programs import CONSTANT, DEFAULT, FIXED, PLAIN, PROGRAMS
from conversion.tf1.saving import dense, input_x, saved_meta

from folding.conversion.job import Kind, Statistics

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]

Made = Callable[[str, Kind], Converted]

LAYERS = [name for name in PROGRAMS if name.startswith(("layer", "maxpool", "avgpool", "two"))]
CONDS = [name for name in PROGRAMS if name.startswith("cond")]
EMA = "ExponentialMovingAverage"
#: The constants that layers do not have.
ABSENT = {
    "layer_nocenter": {"beta"},
    "layer_noscale": {"gamma"},
    "layer_neither": {"gamma", "beta"},
}
ROLES = {"gamma", "beta", "mean", "variance"}


def of(name: str, program: Made, kind: Kind = Kind.META_GRAPH) -> Statistics:
    return program(name, kind).product.statistics[0]


def stored(programs: Path, name: str) -> Any:
    import tensorflow as tf  # noqa: PLC0415

    return tf.train.load_checkpoint(str(programs / name / "model.ckpt"))


@pytest.mark.parametrize("name", LAYERS)
def test_arrays_of_a_layer_are_those_of_the_checkpoint(
    name: str, program: Made, programs: Path
) -> None:
    """Gamma, beta, mean and variance, by role, of each layer; what a layer lacks is absent."""
    checkpoint, converted = stored(programs, name), program(name, Kind.META_GRAPH)
    scopes = ["block0/batch_normalization", "block1/batch_normalization"]
    expected = scopes if name.startswith("two") else ["batch_normalization"]
    assert [told.name for told in converted.product.statistics] == expected
    variables = {"mean": "moving_mean", "variance": "moving_variance", "gamma": "gamma"}
    for number, scope in enumerate(expected):
        arrays = converted.arrays(number)
        for role, array in arrays.items():
            kept = checkpoint.get_tensor(f"{scope}/{variables.get(role, role)}")
            np.testing.assert_array_equal(array, kept.reshape(-1))
        assert arrays.keys() == ROLES - ABSENT.get(name, set())


@pytest.mark.parametrize("name", CONDS)
def test_averages_of_tensors_are_known_to_begin_at_zero(
    name: str, program: Made, programs: Path
) -> None:
    """ExponentialMovingAverage of moments begins at 0; layers begin with a variance of 1."""
    told, checkpoint = of(name, program), stored(programs, name)
    assert (told.averages_from_zero, told.steps, told.momentum) == (True, 40, 0.9)
    arrays = program(name, Kind.META_GRAPH).arrays()
    for role, tensor in (("mean", "moments/Squeeze"), ("variance", "moments/Squeeze_1")):
        np.testing.assert_array_equal(arrays[role], checkpoint.get_tensor(f"{tensor}/{EMA}"))
    assert not of("layer", program).averages_from_zero
    assert not of("dnn", program).averages_from_zero


@pytest.mark.parametrize("kind", [Kind.META_GRAPH, Kind.FROZEN_GRAPH])
@pytest.mark.parametrize(
    ("name", "epsilon", "formula"),
    [
        ("dnn", 1e-3, ""),
        ("cond", 1e-5, ""),
        ("layer_epsilon", 0.1, ""),
        ("layer_virtual", 1e-3, ""),
        ("nn_batch_normalization", 1e-3, ""),
        ("nn_unscaled", 1e-4, ""),
        ("nn_fused", 1e-2, ""),
        ("nn_global", 1e-3, ""),
        ("hand", 1e-5, ""),
        ("hand_squared", 1e-5, "variance_squared"),
        ("hand_outside", 1e-3, "epsilon_outside_root"),
    ],
)
def test_epsilon_and_formula_are_told(
    name: str, epsilon: float, formula: str, kind: Kind, program: Made
) -> None:
    """As short as they were written, from a checkpoint as from a frozen graph."""
    told = of(name, program, kind)
    assert (told.epsilon, told.formula) == (epsilon, formula)


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name.startswith(("nn_", "hand"))])
def test_arrays_of_a_formula_have_their_roles(name: str, program: Made, programs: Path) -> None:
    """What is gamma, beta, mean and variance is told from where it stands in the formula."""
    checkpoint, arrays = stored(programs, name), program(name, Kind.META_GRAPH).arrays()
    assert arrays.keys() == ROLES - ({"gamma"} if name == "nn_unscaled" else set())
    for role, array in arrays.items():
        np.testing.assert_array_equal(array, checkpoint.get_tensor(f"norm/{role}"))


@pytest.mark.parametrize(
    ("name", "momentum"),
    [("dnn", 0.99), ("dnn_v2", 0.99), ("dnn_momentum", 0.9), ("dnn_fixed", None), ("layer", 0.99)],
)
def test_momentum_is_that_of_training(name: str, momentum: float | None, program: Made) -> None:
    """The weight of the old statistics where they are updated; a graph without updates has none."""
    assert of(name, program).momentum == momentum


def test_a_graph_without_normalisation_declares_none(program: Made) -> None:
    """Nothing is told of a network that has none, or of statistics that are live."""
    literal = program("dnn_literal", Kind.META_GRAPH).product
    assert (literal.statistics, literal.declares_normalisation) == ([], False)
    left_on = program("dnn_left_on", Kind.META_GRAPH).product
    assert (left_on.statistics, left_on.declares_normalisation) == ([], True)
    flags = {DEFAULT, PLAIN, FIXED, CONSTANT}
    for name, made in PROGRAMS.items():
        if made.flag in flags and name != "dnn_literal":
            assert program(name, Kind.FROZEN_GRAPH).product.declares_normalisation


def test_untrained_statistics_are_told_as_they_are(program: Made) -> None:
    """Without update_ops the mean is 0 and the variance 1 still."""
    arrays = program("dnn_noupdate", Kind.META_GRAPH).arrays()
    assert not arrays["mean"].any()
    assert (arrays["variance"] == 1).all()
    assert program("dnn", Kind.META_GRAPH).arrays()["mean"].any()


def test_other_roots_are_no_normalisation(tmp_path: Path, convert: Convert) -> None:
    """The norm of rows, a root of data and a scale without a mean are not told."""

    def build(tf: Any) -> None:
        hidden = dense(tf, input_x(tf))
        scale = tf.compat.v1.get_variable("scale", initializer=np.ones(3, np.float32))
        rows = hidden / tf.sqrt(tf.reduce_sum(hidden**2, 1, keepdims=True) + 1e-3)
        tf.identity(rows / tf.sqrt(scale + 1e-3), name="out")

    product = convert(saved_meta(tmp_path, build)).product
    assert (product.statistics, product.declares_normalisation) == ([], False)
