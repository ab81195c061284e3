"""A function becomes a product: frozen as asked, refused if it is not what it is at inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from folding.conversion.frozen import frozen
from folding.conversion.function import Source, product
from folding.conversion.job import Job, Kind, Product, Statistics
from folding.conversion.samples import Array, Feed, Spec
from folding.errors import BadCall, LeftInTraining, Unconvertible

BATCH = Spec((None, 3), "float32")
FLAG = Spec((), "bool")


@dataclass
class Variable:
    """A variable as all frameworks have them."""

    value: Array
    name: str = "moving_mean"

    def numpy(self) -> Array:
        return self.value

    def assign(self, value: Array) -> None:
        self.value = value


@dataclass
class Doubling:
    """Twice what it is given, or thrice if a flag is set."""

    inputs: Mapping[str, Spec] = field(default_factory=lambda: {"x": BATCH})
    outputs: Sequence[str] = ("y",)
    holder: Any = None

    def __call__(self, *tensors: Any) -> list[Any]:
        return [tensors[0] * (3 if len(tensors) > 1 and tensors[1] else 2)]


class Numpy:
    """A framework and converter of which the one is numpy and the other does nothing."""

    versions = ("numpy", "nothing")

    def __init__(self, function: Any, taken: Mapping[str, Spec] | None = None) -> None:
        self.function = function
        self.taken = taken

    def convert(self, _: Job) -> Mapping[str, Spec]:
        """Say what the function takes, or what it was told to say."""
        taken: Mapping[str, Spec] = self.function.inputs if self.taken is None else self.taken
        return taken

    def run(self, feed: Feed) -> list[Array]:
        """Call the function."""
        found: list[Array] = self.function(*feed.values())
        return found

    def tried(self, feed: Feed) -> list[Array] | None:
        """Call the function, unless it does not like the numbers."""
        try:
            return self.run(feed)
        except ValueError:
            return None


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(Path("model"), Kind.KERAS, tmp_path)


def _product(function: Any, job: Job, **more: Any) -> Product:
    return product(Source(function, **more), Numpy, job)


def test_references_are_what_the_function_computes(job: Job) -> None:
    """One file for each batch size, by the names of the source."""
    found = _product(Doubling(), job, library="Keras")
    assert (found.framework, found.converter) == ("Keras on numpy", "nothing")
    for name, batch in zip(found.references, job.batches, strict=True):
        arrays = np.load(job.folder / name)
        assert arrays["in_x"].shape == (batch, 3)
        np.testing.assert_array_equal(arrays["out_y"], 2 * arrays["in_x"])


@pytest.mark.parametrize("value", [True, 1, "true", "True"])
def test_a_flag_is_frozen(job: Job, value: Any) -> None:
    """What is frozen is no input any more, and has its value whenever the function runs."""
    flagged = Doubling({"x": BATCH, "training": FLAG})
    found = _product(flagged, replace(job, freeze={"training": value}))
    assert [port.source for port in found.inputs] == ["x"]
    arrays = np.load(job.folder / found.references[0])
    np.testing.assert_array_equal(arrays["out_y"], 3 * arrays["in_x"])


def test_false_is_frozen_as_false() -> None:
    """The word is no text that counts as true because it is not empty."""
    flagged = Doubling({"x": BATCH, "training": FLAG})
    assert frozen(flagged, {"training": "false"})(np.float32(5)) == [10]


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [("mode", False, "no flag or input 'mode'"), ("x", 0, "open"), ("rate", "much", "'much'")],
)
def test_what_cannot_be_frozen_is_refused(name: str, value: Any, part: str) -> None:
    """No such input, an open size, no value of the type: each in one sentence."""
    function = Doubling({"x": BATCH, "rate": Spec((2,), "float32")})
    with pytest.raises(BadCall, match=part):
        frozen(function, {name: value})


class Random(Doubling):
    """What no two runs agree on."""

    def __call__(self, *tensors: Any) -> list[Any]:
        return [tensors[0] + np.random.default_rng().normal()]


def test_random_numbers_are_refused(job: Job) -> None:
    """A dropout left on has no outputs to be compared with, and is named."""
    with pytest.raises(Unconvertible, match="random numbers at inference: see drop") as error:
        _product(Random(), job, random=["drop"])
    assert "training=False" in error.value.hint


def test_not_a_number_is_the_same_twice(job: Job) -> None:
    """A model that gives NaN is not one that draws random numbers."""

    class Nan(Doubling):
        def __call__(self, *tensors: Any) -> list[Any]:
            return [tensors[0] * np.nan]

    assert _product(Nan(), job).references


def test_a_seed_that_changes_is_no_state(job: Job) -> None:
    """A generator of random numbers keeps one: what draws them is said to draw them."""
    seed = Variable(np.zeros(2), "dropout/seed_generator/seed_generator_state")
    with pytest.raises(Unconvertible, match="random numbers"):
        _product(Counting(seed), job, variables=[seed])


class Counting(Doubling):
    """What gives how often it was run, which it keeps in a variable."""

    def __init__(self, variable: Variable) -> None:
        super().__init__()
        self.variable = variable

    def __call__(self, *tensors: Any) -> list[Any]:
        self.variable.assign(self.variable.value + 1)
        return [tensors[0] + self.variable.value[0]]


def test_what_learns_is_refused_and_put_back(job: Job) -> None:
    """A variable that a run changes is named, and has its value again."""
    variable = Variable(np.zeros(3))

    class Learning(Doubling):
        def __call__(self, *tensors: Any) -> list[Any]:
            variable.assign(variable.value + 1)
            return super().__call__(*tensors)

    with pytest.raises(Unconvertible, match="'moving_mean' at inference") as refused:
        _product(Learning(), job, variables=[variable])
    assert refused.type is Unconvertible
    with pytest.raises(Unconvertible, match="'moving_mean' at inference") as stateful:
        _product(Counting(variable), job, variables=[variable], random=["drop"])
    assert stateful.type is Unconvertible
    np.testing.assert_array_equal(variable.value, np.zeros(3))


def test_a_refusal_names_the_layers_that_were_left_on(job: Job) -> None:
    """The normalisations whose variables change, and what draws; the model if no layer is known."""
    variable = Variable(np.zeros(3), "block/bn_1/moving_mean")

    class Both(Counting):
        def __call__(self, *tensors: Any) -> list[Any]:
            return Random()(*super().__call__(*tensors))

    norms = [Statistics(name, "statistics-0.npz") for name in ("bn", "bn_1")]
    with pytest.raises(LeftInTraining) as both:
        _product(Both(variable), job, variables=[variable], random=["drop"], statistics=norms)
    assert [(lint.code, lint.at) for lint in both.value.lints] == [
        ("BATCH_STATISTICS", "bn_1"),
        ("RANDOM_AT_INFERENCE", "drop"),
    ]
    with pytest.raises(LeftInTraining) as unknown:
        _product(Random(), job)
    assert [(lint.code, lint.at) for lint in unknown.value.lints] == [("RANDOM_AT_INFERENCE", "")]


def test_sizes_that_a_converter_fixed_are_said(job: Job) -> None:
    """A graph that takes one batch size is compared at that one, with a warning."""
    fixed = Spec((4, 3), "float32")
    found = product(Source(Doubling()), lambda f: Numpy(f, {"x": fixed}), job)
    assert [np.load(job.folder / name)["in_x"].shape for name in found.references] == [(4, 3)]
    (warned,) = found.warnings
    assert (warned.code, warned.at) == ("FIXED_SIZES", "x")
    assert "4x3" in warned.text


@dataclass
class Whole(Doubling):
    """A function of whole numbers."""

    inputs: Mapping[str, Spec] = field(default_factory=lambda: {"x": Spec((None, 3), "int32")})
    limit: float = np.inf
    count: int = 0

    def __call__(self, *tensors: Any) -> list[Any]:
        (x,) = tensors
        if np.abs(x).max() > self.limit:
            raise ValueError("no such index")
        return [self.computed(x)]

    def computed(self, x: Array) -> Array:
        return np.sqrt(x.astype(np.float32) ** 2)


class Rooted(Whole):
    """One that gives no numbers for some."""

    def computed(self, x: Array) -> Array:
        with np.errstate(invalid="ignore"):
            return np.sqrt(x.astype(np.float32))


class Changing(Whole):
    """One that draws random numbers for some."""

    def computed(self, x: Array) -> Array:
        self.count += 1
        return x + (self.count if x.min() < 0 else 0)


def test_numbers_of_all_kinds_are_compared_where_the_function_takes_them(job: Job) -> None:
    """Not where it refuses them, gives no numbers, or gives others each time."""
    usual = len(job.batches)
    found = _product(Whole(), job).references
    assert len(found) == usual + 1
    arrays = np.load(job.folder / found[-1])
    assert arrays["in_x"].min() < -9
    np.testing.assert_array_equal(arrays["out_y"], np.abs(arrays["in_x"]))
    for function in (Whole(limit=9), Rooted(), Changing()):
        assert len(_product(function, job).references) == usual
