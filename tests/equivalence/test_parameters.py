"""Parameters: each of the faults that folders make is found, and a right fold never."""

# ruff: noqa: FBT001 - parameters of tests
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from files import DTYPES, conv_net, initializer
from inprocess import planned_fold
from onnx import ModelProto, TensorProto, numpy_helper

from folding.equivalence.parameters import check_parameters
from folding.equivalence.verdict import Check, Status
from folding.modelfile import in_memory

CHANNELS = 8
FLOAT, DOUBLE = TensorProto.FLOAT, TensorProto.DOUBLE
TYPES = [FLOAT, DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16]

Numbers = dict[str, np.ndarray[Any, np.dtype[np.float64]]]


def numbers(model: ModelProto) -> Numbers:
    stored = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    return {name: array.astype(np.float64) for name, array in stored.items()}


def folder(
    n: Numbers, *, epsilon: float = 1e-5, gamma: float = 1, beta: float = 1, mean: float = 1
) -> tuple[Any, Any]:
    """A folder of weight and bias, as others write it, that makes a fault or none."""
    scale = (n["gamma"] if gamma else np.ones(CHANNELS)) / np.sqrt(n["var"] + epsilon)
    shift = (n["b"] - mean * n["mean"]) * scale + beta * n["beta"]
    return n["w"] * scale.reshape(-1, 1, 1, 1), shift


def set_values(model: ModelProto, **values: Any) -> None:
    """Store other numbers, in the type that is stored."""
    for name, value in values.items():
        tensor = initializer(model, name)
        dtype = numpy_helper.to_array(tensor).dtype
        tensor.raw_data = np.asarray(value).astype(dtype).tobytes()


def check(source: ModelProto, change: Callable[[ModelProto], None] | None = None) -> Check:
    """What is said of a fold, after something was done to the folded model."""
    _, candidate, drafts = planned_fold(source)
    if change is not None:
        change(candidate)
    return check_parameters(in_memory(candidate), drafts)


# --- right folds ---------------------------------------------------------------------------------


@pytest.mark.parametrize("elem_type", TYPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_a_right_fold_passes_in_every_float_type(elem_type: int, bias: bool, seed: int) -> None:
    found = check(conv_net(CHANNELS, elem_type, seed=seed, bias=bias))

    assert found.status is Status.PASSED
    assert found.worst is not None
    assert found.worst <= 1


@pytest.mark.parametrize("elem_type", [FLOAT, DOUBLE])
def test_a_right_fold_passes_where_nearly_everything_cancels(elem_type: int) -> None:
    model = conv_net(CHANNELS, elem_type)
    close = numpy_helper.to_array(initializer(model, "b")).astype(np.float64)
    set_values(model, mean=close * (1 + 1e-6), beta=np.zeros(CHANNELS))

    assert check(model).status is Status.PASSED


@pytest.mark.parametrize("size", [1e-30, 1e-3, 1e3, 1e30])
def test_a_right_fold_passes_at_any_size(size: float) -> None:
    model = conv_net(CHANNELS)
    set_values(model, beta=numbers(model)["beta"] * size)

    assert check(model).status is Status.PASSED


def test_a_gamma_of_zero_makes_exact_zeros_and_passes() -> None:
    model = conv_net(CHANNELS)
    set_values(model, gamma=[0, -0.0, *[1] * (CHANNELS - 2)])

    assert check(model).status is Status.PASSED


def test_the_formula_in_float64_rounded_once_passes() -> None:
    model = conv_net(CHANNELS)
    w, b = folder(numbers(model), epsilon=float(np.float32(1e-5)))

    assert check(model, lambda m: set_values(m, w=w, b=b)).status is Status.PASSED


# --- faults --------------------------------------------------------------------------------------


FAULTS: dict[str, Callable[[Numbers], tuple[Any, Any]]] = {
    "epsilon tenfold": lambda n: folder(n, epsilon=1e-4),
    "epsilon omitted": lambda n: folder(n, epsilon=0),
    "gamma omitted": lambda n: folder(n, gamma=0),
    "beta omitted": lambda n: folder(n, beta=0),
    "mean omitted": lambda n: folder(n, mean=0),
    "the mean's sign": lambda n: folder(n, mean=-1),
    "the variance not rooted": lambda n: folder(n | {"var": n["var"] ** 2}),
    "the bias not scaled": lambda n: (folder(n)[0], n["b"] + folder(n | {"b": 0 * n["b"]})[1]),
    "the bias omitted": lambda n: folder(n | {"b": 0 * n["b"]}),
    "channels rolled": lambda n: folder(n | {"gamma": np.roll(n["gamma"], 1)}),
    "weights rolled": lambda n: (np.roll(folder(n)[0], 1, 0), folder(n)[1]),
    "scaled along the other axis": lambda n: (
        n["w"] * (folder(n | {"w": np.ones((CHANNELS, 1, 1, 1))})[0][:3].reshape(1, 3, 1, 1)),
        folder(n)[1],
    ),
    "one channel off by 0.01 %": lambda n: folder(n | {"gamma": bumped(n["gamma"], 1e-4)}),
    "scale rounded to half": lambda n: (
        n["w"] * scale(n).astype(np.float16).astype(np.float64),
        folder(n)[1],
    ),
    "nothing done": lambda n: (n["w"], n["b"]),
}


def bumped(values: Any, by: float) -> Any:
    changed = values.copy()
    changed[3] *= 1 + by
    return changed


def scale(n: Numbers) -> Any:
    return folder(n | {"w": np.ones((CHANNELS, 1, 1, 1))})[0]


@pytest.mark.parametrize("elem_type", [FLOAT, DOUBLE])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_formula_is_found(fault: str, elem_type: int) -> None:
    model = conv_net(CHANNELS, elem_type)
    w, b = FAULTS[fault](numbers(model))

    assert check(model, lambda m: set_values(m, w=w, b=b)).status is Status.FAILED


def spoiled(name: str, place: int, how: Callable[[float], float]) -> Callable[[ModelProto], None]:
    """One number of a folded tensor is another."""

    def change(model: ModelProto) -> None:
        tensor = initializer(model, name)
        array = numpy_helper.to_array(tensor).copy()
        array.flat[place] = how(float(array.flat[place]))
        tensor.raw_data = array.tobytes()

    return change


SPOILT: dict[str, Callable[[float], float]] = {
    "off by 0.01 %": lambda v: v * (1 + 1e-4),
    "off by two units in the last place": lambda v: float(
        np.nextafter(np.nextafter(np.float32(v), np.float32(9)), np.float32(9))
    ),
    "zeroed": lambda _: 0.0,
    "negated": lambda v: -v,
    "NaN": lambda _: np.nan,
    "infinite": lambda _: np.inf,
}


@pytest.mark.parametrize("name", ["w", "b"])
@pytest.mark.parametrize("how", SPOILT)
def test_one_number_that_is_wrong_is_found_and_its_tensor_named(how: str, name: str) -> None:
    found = check(conv_net(CHANNELS), spoiled(name, 5, SPOILT[how]))

    assert (found.status, found.at) == (Status.FAILED, name)
    assert repr(name) in found.why


def test_the_second_nearest_number_is_not_near_enough() -> None:
    model = conv_net(CHANNELS)
    exact = folder(numbers(model), epsilon=float(np.float32(1e-5)))[0].flat[5]
    beyond = np.float32(np.inf if exact > np.float32(exact) else -np.inf)

    found = check(model, spoiled("w", 5, lambda v: float(np.nextafter(np.float32(v), beyond))))

    assert found.status is Status.FAILED
    assert found.worst is not None
    assert found.worst <= 2


@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("elem_type", TYPES)
def test_the_first_and_the_last_number_are_looked_at(elem_type: int, place: int) -> None:
    found = check(conv_net(CHANNELS, elem_type), spoiled("w", place, lambda v: v * 1.1 + 0.1))

    assert found.status is Status.FAILED


@pytest.mark.parametrize("elem_type", TYPES)
def test_a_bias_that_is_zero_instead_is_found_in_every_type(elem_type: int) -> None:
    model = conv_net(CHANNELS, elem_type)

    found = check(model, lambda m: set_values(m, b=np.zeros(CHANNELS, DTYPES[elem_type])))

    assert found.status is Status.FAILED


def test_a_number_beside_a_large_one_is_looked_at_too() -> None:
    model = conv_net(CHANNELS)
    w = numbers(model)["w"]
    w[2, 0, 0, 0] = 1e30
    set_values(model, w=w)

    found = check(model, spoiled("w", 3, lambda v: v * (1 + 1e-4)))

    assert found.status is Status.FAILED


@pytest.mark.parametrize("place", [0, (1 << 15) - 1, 1 << 15, 1 << 17, -1])
def test_a_number_is_looked_at_in_whichever_piece_of_a_large_tensor(place: int) -> None:
    model = conv_net(6000)

    assert check(model).status is Status.PASSED
    assert check(model, spoiled("w", place, lambda v: v * 1.0001)).status is Status.FAILED


@pytest.mark.parametrize("name", ["w", "b"])
def test_where_half_an_ulp_is_not_enough_the_float64_of_the_formula_is_allowed_for(
    name: str,
) -> None:
    model = conv_net(6000, DOUBLE)

    near = check(model, spoiled(name, -1, lambda v: float(np.nextafter(v, np.inf))))
    far = check(model, spoiled(name, -1, lambda v: v * (1 + 2**-40)))

    assert near.status is Status.PASSED
    assert far.status is Status.FAILED


def test_a_folded_tensor_that_is_missing_is_found() -> None:
    def remove(model: ModelProto) -> None:
        del model.graph.initializer[0]

    found = check(conv_net(CHANNELS), remove)

    assert (found.status, found.at) == (Status.FAILED, "w")


@pytest.mark.parametrize("dims", [[CHANNELS * 27], [CHANNELS, 27], [3, CHANNELS, 3, 3]])
def test_a_folded_tensor_of_another_shape_is_found(dims: list[int]) -> None:
    def reshape(model: ModelProto) -> None:
        del model.graph.initializer[0].dims[:]
        model.graph.initializer[0].dims.extend(dims)

    found = check(conv_net(CHANNELS), reshape)

    assert (found.status, found.at) == (Status.FAILED, "w")


def test_a_folded_tensor_of_another_type_is_found() -> None:
    def retype(model: ModelProto) -> None:
        tensor = model.graph.initializer[0]
        wide = numpy_helper.to_array(tensor).astype(np.float64)
        tensor.CopyFrom(numpy_helper.from_array(wide, "w"))

    assert check(conv_net(CHANNELS), retype).status is Status.FAILED


def test_the_worst_is_in_units_of_what_is_allowed() -> None:
    right = check(conv_net(CHANNELS))
    wrong = check(conv_net(CHANNELS), spoiled("w", 5, lambda v: v * (1 + 1e-4)))

    assert right.bound == wrong.bound == 1
    assert right.worst is not None
    assert wrong.worst is not None
    assert 0 < right.worst <= 1
    assert wrong.worst > 500
