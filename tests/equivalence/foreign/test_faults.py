"""Faults: what another tool did wrong is never passed, and blamed only where it is certain."""

# ruff: noqa: FBT001 - parameters of tests
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from files import initializer
from graphs import BFLOAT, DOUBLE, FLOAT, HALF, INT64, Net
from inprocess import folded
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from pairs import judged

import folding
from folding.equivalence.foreign import Different, Matched, NotEstablished, check_foreign
from folding.equivalence.foreign.result import Result
from folding.equivalence.verdict import Status
from folding.floats import FLOATS
from folding.modelfile import in_memory

Array = npt.NDArray[Any]


def two_layers(elem_type: int = FLOAT) -> ModelProto:
    """x, Conv, BatchNormalization, Relu, Conv, Add, y."""
    net = Net(elem_type)
    net.input(1, 3, 9, 9)
    net.node("Conv", "x", net.weight(4, 3, 3, 3, name="w"), net.weight(4, name="b"), out="c")
    net.node("Relu", net.batch_norm("c", 4, out="n"), out="r")
    net.node("Conv", "r", net.weight(5, 4, 3, 3, name="v"), out="d", name="second")
    net.node("Add", "d", net.weight(5, 1, 1, name="shift"), out="y")
    return net.model("y")


def change(model: ModelProto, name: str, how: Callable[[Array], Array]) -> None:
    tensor = initializer(model, name)
    array = numpy_helper.to_array(tensor)
    with np.errstate(all="ignore"):
        values = how(array.astype(np.float64)).astype(array.dtype)
    tensor.CopyFrom(numpy_helper.from_array(values, name))


def one_channel(factor: float) -> Callable[[Array], Array]:
    def how(array: Array) -> Array:
        array[1] *= factor
        return array

    return how


# --- numbers -------------------------------------------------------------------------------------
@pytest.mark.parametrize("elem_type", [FLOAT, DOUBLE, HALF, BFLOAT])
def test_a_right_fold_matches(elem_type: int) -> None:
    """A fold that rounds its numbers once is well within what other tools may do."""
    model = two_layers(elem_type)
    found = judged(model, folded(model))
    assert isinstance(found, Matched), found
    assert found.worst < 0.2


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("w", one_channel(1.001)),
        ("w", one_channel(1.0001)),
        ("w", lambda a: np.roll(a, 1, 0)),
        ("w", lambda a: np.where(np.arange(a.size).reshape(a.shape) == 7, 0, a)),
        ("b", one_channel(1.0001)),
        ("b", lambda a: -a),
        ("b", np.zeros_like),
    ],
    ids=["0.1 %", "0.01 %", "rolled", "one weight", "bias", "sign", "no bias"],
)
def test_a_fault_of_a_folded_tensor_fails_and_is_named(
    name: str, how: Callable[[Array], Array]
) -> None:
    """What a fold got wrong fails the parameters, by the reference's name of the tensor."""
    model = two_layers()
    candidate = folded(model)
    change(candidate, name, how)
    found = check_foreign(in_memory(model), in_memory(candidate))
    assert found.frame.status is Status.PASSED
    assert found.parameters.status is Status.FAILED
    assert found.parameters.at == name
    assert found.parameters.why == f"tensor {name!r} of 'c' is not what the reference requires"
    assert found.parameters.worst is not None
    assert found.parameters.worst > 1


def test_a_tensor_that_no_fold_touches_must_be_the_same_bytes() -> None:
    """One last bit of another tensor is a fault."""
    model = two_layers()
    candidate = folded(model)
    change(candidate, "v", lambda a: np.nextafter(a.astype(np.float32), np.float32(9)))
    assert judged(model, model).__class__ is Matched
    model = without_shift(model)
    candidate = without_shift(candidate)
    found = judged(model, candidate)
    assert isinstance(found, Different)
    assert found.at == "v"


@pytest.mark.parametrize("operator", ["Mul", "Add", "PRelu"])
def test_of_constants_with_other_axes_nothing_is_said_if_shapes_are_open(operator: str) -> None:
    """Both may be broadcast to the same numbers, or one may make the result longer."""
    made = []
    for shape in [(3, 1, 1), (3, 1, 1), (1,)]:
        net = Net()
        x = net.node("Sigmoid", net.input(2, "c", 4, 4))
        net.node(operator, x, net.store(np.full(shape, 2.0), "c"), out="y")
        made.append(net.model("y"))
    assert isinstance(judged(made[0], made[1]), Matched)
    found = judged(made[0], made[2])
    assert isinstance(found, NotEstablished)
    assert found.why == "tensor 'c' of 'y' has another shape in the candidate"
    assert isinstance(judged(made[2], made[0]), NotEstablished)


def test_a_table_that_another_tool_has_folded_into_matches() -> None:
    """Whoever reads it takes a number as it is."""
    one, other = Net(), Net()
    ids = one.input(3, elem_type=INT64, name="ids")
    rows = one.node("Gather", one.weight(7, 4, name="t"), ids)
    factor = one.weight(4)
    one.node("Sigmoid", one.node("Mul", rows, factor), out="y")
    other.input(3, elem_type=INT64, name="ids")
    table = one.stored["t"] * one.stored[factor] * np.float32(1 + 2**-22)
    other.node("Sigmoid", other.node("Gather", other.store(table, "t"), ids), out="y")
    assert isinstance(judged(one.model("y"), other.model("y")), Matched)


def without_shift(model: ModelProto) -> ModelProto:
    """The Conv at the end without the Add behind it, so that its numbers are as they are stored."""
    copy = ModelProto()
    copy.CopyFrom(model)
    del copy.graph.node[-1]
    copy.graph.node[-1].output[0] = "y"
    return copy


@pytest.mark.parametrize("elem_type", [FLOAT, DOUBLE, HALF, BFLOAT])
@pytest.mark.parametrize(("roundings", "passes"), [(7, True), (9, False)])
def test_the_bound_is_eight_roundings(elem_type: int, roundings: int, passes: bool) -> None:
    """A number may be off by 8 u A, whatever its type, and A is |T| where nothing cancels."""
    net = Net(elem_type)
    net.input(1, 1, 4, 4)
    weight, half = net.store(np.ones((1, 1, 1, 1)), "w"), net.store(np.full((1,), 0.5))
    shift = net.store(np.full((1, 1, 1), 0.5), "b")
    net.node("Add", net.node("Conv", "x", weight, half), shift, out="y")
    other = Net(elem_type)
    other.input(1, 1, 4, 4)
    bias = other.store(np.array([1 - roundings * FLOATS[elem_type].roundoff]), "b")
    other.node("Conv", "x", other.store(np.ones((1, 1, 1, 1)), "w"), bias, out="y")
    found = judged(net.model("y"), other.model("y"))
    assert isinstance(found, Matched if passes else Different), found
    assert found.worst == roundings / 8


def reading(operator: str, number: float, elem_type: int = FLOAT) -> ModelProto:
    """A constant that an operator reads, one of whose numbers is given."""
    net = Net(elem_type)
    net.input(2, 4)
    values = np.ones((4, 4))
    values[1, 2] = number
    net.node(operator, "x", net.store(values[1] if operator == "Div" else values, "c"), out="y")
    return net.model("y")


@pytest.mark.parametrize(
    ("operator", "elem_type", "one", "other", "expected"),
    [
        ("MatMul", FLOAT, -0.0, -0.0, Matched),
        ("MatMul", FLOAT, 1e-42, 1e-42, Matched),
        ("MatMul", FLOAT, 0.0, -0.0, NotEstablished),
        ("MatMul", HALF, -0.0, 0.0, NotEstablished),
        ("MatMul", FLOAT, 1e-42, 0.0, NotEstablished),
        ("MatMul", FLOAT, 1e-39, 1e-41, NotEstablished),
        ("MatMul", BFLOAT, -0.0, 1e-39, NotEstablished),
        ("MatMul", DOUBLE, 1e-310, -1e-310, NotEstablished),
        ("MatMul", FLOAT, 2e-38, 0.0, Different),
        ("MatMul", DOUBLE, 1e-42, 0.0, Different),
        ("MatMul", HALF, 1e-6, 0.0, Different),
        ("Div", FLOAT, 0.0, -0.0, Different),
        ("Div", FLOAT, 1e-42, 0.0, Different),
    ],
)
def test_the_sign_of_a_zero_and_what_may_be_flushed_to_zero_prove_nothing(
    operator: str, elem_type: int, one: float, other: float, expected: type
) -> None:
    """They are no fault where a number is multiplied or added, but may show far behind that."""
    found = judged(reading(operator, one, elem_type), reading(operator, other, elem_type))
    assert isinstance(found, expected), found


def test_what_is_divided_by_a_zero_as_well_must_keep_its_sign() -> None:
    """A constant is held to what each of its readers needs, whichever is looked at first."""
    for readers in (["Mul", "Div"], ["Div", "Mul"]):
        models = []
        for zero in (0.0, -0.0):
            net = Net()
            net.input(2, 4)
            net.store([1.0, zero, 1.0, 1.0], "c")
            made = [net.node(operator, "x", "c") for operator in readers]
            net.node("Concat", *made, axis=0, out="y")
            models.append(net.model("y"))
        assert not isinstance(judged(*models), Matched)


def test_a_folded_number_that_is_flushed_to_zero_proves_nothing() -> None:
    """What a fold makes smaller than any normal number may be stored as 0, and is no fault."""
    models = []
    for is_folded in (False, True):
        net = Net()
        net.input(1, 2, 4, 4)
        weights = np.array([1e-20, 1.0, 1.0, 1.0]).reshape(2, 2, 1, 1)
        scale = np.full((2, 1, 1), 1e-20)
        if is_folded:
            folded_weights = weights * 1e-20
            folded_weights[0, 0] = 0
            net.node("Conv", "x", net.store(folded_weights, "w"), out="y")
        else:
            net.node(
                "Mul", net.node("Conv", "x", net.store(weights, "w")), net.store(scale), out="y"
            )
        models.append(net.model("y"))
    assert isinstance(judged(*models), NotEstablished)


def test_where_terms_cancel_the_bound_is_that_of_the_terms() -> None:
    """A bias that is the small rest of large terms may be as wrong as those are rounded."""
    net, other = Net(), Net()
    for one in (net, other):
        one.input(1, 1, 4, 4)
        one.store(np.ones((1, 1, 1, 1)), "w")
    net.node("Conv", "x", "w", net.store([1000.0]), out="c")
    net.node("Add", "c", net.store(np.full((1, 1, 1), -999.0)), out="y")
    other.node("Conv", "x", "w", other.store([1.0001]), out="y")
    found = judged(net.model("y"), other.model("y"))
    assert isinstance(found, Matched), found
    assert found.worst == pytest.approx(0.0001 / (8 * 2.0**-24 * 1999), rel=1e-3)


def test_an_overflow_fails() -> None:
    """A weight that overflows where it was folded is a fault, whatever the reference stores."""
    net = Net(HALF)
    net.input(1, 1, 4, 4)
    net.node("Conv", "x", net.store(np.full((2, 1, 1, 1), 3e3), "w"), out="c")
    net.node("Mul", "c", net.store(np.full((2, 1, 1), 1e3)), out="y")
    other = Net(HALF)
    other.input(1, 1, 4, 4)
    other.node("Conv", "x", other.store(np.full((2, 1, 1, 1), np.inf), "w"), out="y")
    found = judged(net.model("y"), other.model("y"))
    assert isinstance(found, Different)
    assert found.worst == np.inf


def test_nothing_is_said_of_a_reference_that_is_not_finite() -> None:
    """Where the reference itself has NaN, another number is neither right nor wrong."""
    model = two_layers()
    change(model, "w", one_channel(np.nan))
    candidate = folded(two_layers())
    found = judged(model, candidate)
    assert isinstance(found, NotEstablished)
    assert "not finite" in found.why


def test_faults_in_several_layers_may_make_up_for_each_other() -> None:
    """Layers that exchange a factor are the same function: they are not blamed."""
    model = two_layers()
    candidate = folded(model)
    for name, factor in (("w", 2), ("b", 2), ("v", 0.5)):
        change(candidate, name, lambda a, f=factor: a * f)  # type: ignore[misc]
    found = judged(model, candidate)
    assert isinstance(found, NotEstablished)
    assert found.why.endswith("make up for each other: 'c', 'second'")


def two_branches(*biases: str, operator: str = "Add", factor: float = 1) -> ModelProto:
    """Two convolutions of x, each with the bias of that name if there is one, and both joined."""
    net = Net()
    x = net.input(1, 3, 9, 9)
    weights = [net.weight(4, 3, 3, 3, name=name) for name in ("w", "v")]
    if "b" in biases:
        net.store(factor * np.linspace(1, 2, 4), "b")
    inputs = zip(weights, biases, strict=True)
    made = [net.node("Conv", x, *filter(None, pair)) for pair in inputs]
    net.node(operator, *made, out="y")
    return net.model("y")


@pytest.mark.parametrize(
    ("operator", "biases", "factor"),
    [("Add", ("b", ""), 2), ("Sub", ("b", "b"), 3)],
    ids=["moved into one", "taken away again"],
)
def test_faults_of_one_tensor_in_several_layers_may_make_up_for_each_other(
    operator: str, biases: tuple[str, str], factor: float
) -> None:
    """What counts is which layers read numbers that differ, not under how many names."""
    model = two_branches("b", "b", operator=operator)
    found = judged(model, two_branches(*biases, operator=operator, factor=factor))
    assert isinstance(found, NotEstablished)
    assert "make up for each other" in found.why


def test_the_frame_of_two_layers_with_other_numbers_has_passed() -> None:
    """Where all wires match, only the parameters are open, and the layers are named."""
    candidate = folded(two_layers())
    change(candidate, "w", lambda a: a * 1.01)
    change(candidate, "v", lambda a: a * 1.02)
    found = check_foreign(in_memory(two_layers()), in_memory(candidate))
    assert found.frame.status is Status.PASSED
    assert found.parameters.status is Status.NOT_RUN
    assert found.parameters.why.endswith("make up for each other: 'c', 'second'")
    assert found.values["r"] == "r"


# --- what is rounded on the way ------------------------------------------------------------------
def third(elem_type: int, factor: float | None = None, where: str = "") -> ModelProto:
    """A product with 1/3 as it is computed in a type, or with that times a factor, stored."""
    net = Net()
    net.input(1, 3, 4, 4)
    ends = [net.store(np.full(1, number), elem_type=elem_type) for number in (1.0, 3.0)]
    exactly = net.stored[ends[0]] / net.stored[ends[1]]
    if factor is None:
        number = net.node("Cast", net.node("Div", *ends, out="t"), to=FLOAT, out="s")
    else:
        number = net.store(exactly.astype(np.float64) * factor, "s")
    x = net.node("Conv", "x", net.weight(4, 3, 1, 1, name="w")) if where == "layer" else "x"
    net.node("Mul", x, number, out="y")
    return net.model("y")


@pytest.mark.parametrize("factor", [1.0, 1.003, 1.01])
def test_nothing_is_said_of_a_number_that_was_computed_in_a_coarser_type(factor: float) -> None:
    """What a float16 rounds on the way is left out of T; the wires are as they were."""
    found = judged(third(HALF), third(HALF, factor))
    assert isinstance(found, NotEstablished), found
    assert found.check == "parameters"


def converted(factor: float = 0.0) -> ModelProto:
    """Numbers that are only converted to float16 and back, or stored with one of them off."""
    net = Net()
    values = np.array([0.7, -1.3, 0.9, 1.1])
    if factor:
        values = values.astype(np.float16).astype(np.float64)
        values[1] *= factor
        number = net.store(values.reshape(4, 1, 1), "s")
    else:
        halves = [net.store(half) for half in np.split(values.reshape(4, 1, 1), 2)]
        whole = net.node("Concat", *halves, axis=0)
        number = net.node("Cast", net.node("Cast", whole, to=HALF), to=FLOAT, out="s")
    net.node("Mul", net.node("Relu", net.input(1, 4, 3, 3)), number, out="y")
    return net.model("y")


@pytest.mark.parametrize(
    ("factor", "expected"), [(1.0, Matched), (1.0001, Different), (1.0004, Different)]
)
def test_a_number_that_is_only_converted_has_no_more_room_than_another(
    factor: float, expected: type
) -> None:
    """The conversion is in T."""
    assert isinstance(judged(converted(), converted(factor)), expected)


@pytest.mark.parametrize(("factor", "expected"), [(1.0, Matched), (1.0001, Different)])
def test_without_a_coarser_type_the_bound_is_that_of_the_stored_one(
    factor: float, expected: type
) -> None:
    """A number that was computed in float32 alone has no more room than before."""
    assert isinstance(judged(third(FLOAT), third(FLOAT, factor)), expected)


def test_nothing_is_said_of_a_layer_that_something_coarser_was_folded_into() -> None:
    """Which roundings are in a folded weight is not known: it is not blamed, nor passed."""
    found = judged(third(HALF, where="layer"), third(HALF, 1.0, where="layer"))
    assert isinstance(found, NotEstablished)
    assert "rounded" in found.why
    assert isinstance(judged(third(FLOAT), third(FLOAT, 1.01)), Different)


def product(*numbers: float, stored: float | None = None) -> ModelProto:
    net = Net()
    net.input(2, 3)
    made = net.store(numbers[0] if stored is None else stored, "k")
    for number in numbers[1:] if stored is None else ():
        made = net.node("Mul", made, net.store(number))
    net.node("Add", "x", made, out="y")
    return net.model("y")


@pytest.mark.parametrize(
    ("numbers", "given"),
    [((3e38, 10.0), np.inf), ((1e-30, 1e-30, 1e30), 0.0), ((3e38, 10.0, 1e-3), np.inf)],
    ids=["overflow", "underflow on the way", "overflow on the way"],
)
def test_nothing_is_said_where_a_step_may_leave_the_range(
    numbers: tuple[float, ...], given: float
) -> None:
    """What an overflow or underflow on the way gives is no fault, nor is it passed."""
    found = judged(product(*numbers), product(stored=given))
    assert isinstance(found, NotEstablished)
    assert isinstance(judged(product(3.0, 10.0, 0.1), product(stored=3.5)), Different)


def test_nothing_is_said_of_a_small_rest_that_was_converted() -> None:
    """A conversion behind terms that cancel hides how far off their rest may be."""
    models = []
    for rest in (None, 0.125):
        net = Net()
        net.input(2, 3)
        if rest is None:
            tenth = net.node("Mul", net.store(1000.0), net.store(0.1, elem_type=FLOAT))
            small = net.node("Sub", tenth, net.store(100.0))
            number = net.node("Cast", small, to=DOUBLE, out="k")
        else:
            number = net.store(rest, "k", DOUBLE)
        net.node("Add", net.node("Cast", "x", to=DOUBLE), number, out="y")
        models.append(net.model("y"))
    assert isinstance(judged(*models), NotEstablished)


def test_a_constant_that_need_not_matter_is_not_blamed() -> None:
    """Another number where it may be without effect is no certain fault."""
    net, other = Net(), Net()
    for one, bound in ((net, 6.0), (other, 7.0)):
        one.input(2, 3)
        one.node("Clip", one.node("Sigmoid", "x"), "", one.store(bound), out="y")
    assert isinstance(judged(net.model("y"), other.model("y")), NotEstablished)
    for one, slope in ((net, 6.0), (other, 7.0)):
        one.nodes.clear()
        one.node("ThresholdedRelu", one.node("Where", one.store(np.array(1, bool), elem_type=0),
                 "x", one.store(slope)), out="y")  # fmt: skip
    assert isinstance(judged(net.model("y"), other.model("y")), NotEstablished)


def before_its_mean_goes(normalisation: str, carrier: str = "", bias: float = 0.7) -> ModelProto:
    """A convolution with a bias, perhaps a carrier, and what takes the channels' means away."""
    net = Net(opset=18)
    net.input(1, 3, 5, 5)
    weight = net.weight(4, 3, 3, 3, name="w")
    value = net.node("Conv", "x", weight, net.store(np.full(4, bias), name="b"), out="c")
    if carrier == "Transpose":
        value = net.node("Transpose", value, perm=[0, 1, 3, 2])
    elif carrier:
        value = net.node(carrier, value)
    if normalisation == "Sub":
        net.node("Sub", value, net.node("ReduceMean", value, net.integers(2, 3)), out="y")
    else:
        ones = [net.store(np.ones(4)), net.store(np.zeros(4))]
        net.node(normalisation, value, *ones, out="y")
    return net.model("y")


@pytest.mark.parametrize("carrier", ["", "Transpose"])
@pytest.mark.parametrize("normalisation", ["InstanceNormalization", "Sub"])
def test_a_shift_whose_mean_is_taken_away_is_not_blamed(normalisation: str, carrier: str) -> None:
    """Without it the model is the same function, and some tool may know."""
    models = [before_its_mean_goes(normalisation, carrier, bias) for bias in (0.7, 0.0)]

    found = judged(*models)

    assert isinstance(found, NotEstablished), found
    assert (found.check, found.at) == ("parameters", "b")


def test_a_shift_that_does_not_reach_a_mean_as_one_is_blamed() -> None:
    """Behind a Relu it is no shift any more; nor is a weight one."""
    models = [before_its_mean_goes("Sub", "Relu", bias) for bias in (0.7, 0.0)]
    assert isinstance(judged(*models), Different)
    other = before_its_mean_goes("Sub")
    change(other, "w", one_channel(1.01))
    assert isinstance(judged(before_its_mean_goes("Sub"), other), Different)


def test_a_shift_from_which_the_mean_of_another_value_is_taken_away_is_blamed() -> None:
    models = []
    for bias in (0.7, 0.0):
        net = Net(opset=18)
        net.input(1, 3, 5, 5)
        weights = net.weight(4, 3, 3, 3), net.store(np.full(4, bias), name="b")
        mean = net.node("ReduceMean", "x", net.integers(1, 2, 3))
        net.node("Sub", net.node("Conv", "x", *weights), mean, out="y")
        models.append(net.model("y"))

    assert isinstance(judged(*models), Different)


# --- wires and attributes ------------------------------------------------------------------------
@pytest.mark.parametrize(
    "fault",
    [
        lambda m: node_making(m, "d").input.__setitem__(0, "n"),
        lambda m: setattr(node_making(m, "r"), "op_type", "Sigmoid"),
        lambda m: setattr(node_making(m, "y"), "op_type", "Pow"),
    ],
    ids=["rewired", "another activation", "power for sum"],
)
def test_another_graph_is_not_established(fault: Callable[[ModelProto], None]) -> None:
    """A graph that no rule makes alike is never passed, nor blamed."""
    model = two_layers()
    candidate = two_layers()
    fault(candidate)
    found = check_foreign(in_memory(model), in_memory(candidate))
    assert found.frame.status is Status.NOT_RUN
    assert found.parameters.status is Status.NOT_RUN
    assert found.frame.at
    assert not found.values


@pytest.mark.parametrize(
    ("fault", "layer"),
    [
        (lambda m: node_making(m, "r").input.__setitem__(0, "c"), "c"),
        (lambda m: setattr(node_making(m, "y"), "op_type", "Mul"), "second"),
    ],
    ids=["norm left out", "scale for shift"],
)
def test_an_affine_that_is_another_one_is_a_fault_of_its_layer(
    fault: Callable[[ModelProto], None], layer: str
) -> None:
    """An affine that was left out, or is done otherwise, makes other numbers of its layer."""
    candidate = two_layers()
    fault(candidate)
    found = judged(two_layers(), candidate)
    assert isinstance(found, Different)
    assert f" of {layer!r} is not what" in found.why


def node_making(model: ModelProto, name: str) -> NodeProto:
    return next(n for n in model.graph.node if name in n.output)


def strided(image: int, kernel: int, **said: list[int]) -> ModelProto:
    """A layer with some attributes, and a mean over what it makes."""
    net = Net()
    net.input(1, 3, image, image)
    net.node("Conv", "x", net.weight(4, 3, kernel, kernel), name="k", out="c", **said)
    net.node("GlobalAveragePool", "c", out="y")
    return net.model("y")


@pytest.mark.parametrize(
    ("image", "kernel", "said", "verdict"),
    [
        (9, 1, {"dilations": [2, 2]}, "unproven"),
        (1, 1, {"strides": [2, 2]}, "unproven"),
        (3, 3, {"strides": [2, 2]}, "unproven"),
        (9, 3, {"strides": [2, 2]}, "different"),
        (9, 3, {"dilations": [2, 2]}, "different"),
        (9, 3, {"pads": [1, 0, 0, 1]}, "different"),
    ],
)
def test_another_attribute_of_a_layer_is_left_to_the_runs(
    image: int, kernel: int, said: dict[str, list[int]], verdict: str
) -> None:
    """Whether strides, dilations or padding matter depends on what they act on."""
    models = strided(image, kernel), strided(image, kernel, **said)
    found = check_foreign(in_memory(models[0]), in_memory(models[1]))
    assert (found.frame.status, found.frame.at) == (Status.NOT_RUN, "k")
    assert next(iter(said)) in found.frame.why
    assert folding.verify(*models).name == verdict


def test_a_value_multiplied_with_itself_is_no_choice() -> None:
    """Two inputs that are one value leave no doubt which is which."""
    models = []
    for factor in (1.0, 1.5):
        net = Net()
        net.input(1, 3, 6, 6)
        net.weight(4, 3, 3, 3, name="w")
        net.stored["w"] = net.stored["w"] * np.float32(factor)
        net.node("Conv", "x", "w", out="c" if factor == 1 else "d")
        net.node("Mul", net.nodes[0].output[0], net.nodes[0].output[0], out="y")
        models.append(net.model("y"))
    found = judged(*models)
    assert isinstance(found, Different)
    assert found.at == "w"


def test_below_the_least_normal_number_the_bound_is_that_of_its_steps() -> None:
    """Where numbers have few digits left, those that are left are enough."""
    net, other = Net(), Net()
    for one in (net, other):
        one.input(1, 1, 4, 4)
    net.node("Conv", "x", net.store(np.full((1, 1, 1, 1), 1e-44), "w"), out="c")
    net.node("Mul", "c", net.store(np.full((1, 1, 1), 0.3)), out="y")
    other.node("Conv", "x", other.store(np.full((1, 1, 1, 1), 3e-45), "w"), out="y")
    assert isinstance(judged(net.model("y"), other.model("y")), Matched)


def test_another_attribute_elsewhere_is_not_established() -> None:
    """Not every attribute makes a difference."""
    models = []
    for axis in (1, 2):
        net = Net()
        net.input(2, 3, 4)
        net.node("Softmax", "x", axis=axis, out="y")
        models.append(net.model("y"))
    found = judged(*models)
    assert isinstance(found, NotEstablished)
    assert "axis" in found.why


def test_a_constant_on_another_axis_of_a_square_does_not_match() -> None:
    """A constant that differs along the image is no bias, although it has as many numbers."""
    net, other = Net(), Net()
    for one in (net, other):
        one.input(1, 4, 4, 4)
        one.node("Conv", "x", one.weight(4, 4, 1, 1, name="w"), out="c")
    net.node("Mul", "c", net.store(np.arange(1.0, 5), "s"), out="y")
    other.node("Mul", "c", other.store(np.arange(1.0, 5).reshape(4, 1, 1), "s"), out="y")
    assert isinstance(judged(net.model("y"), other.model("y")), NotEstablished)


def test_branches_that_are_alike_are_told_apart_by_name() -> None:
    """Of two convolutions alike that are added, a fault in one is blamed on that one."""
    model, candidate = branches("ab", "ab"), branches("ba", "ab")
    assert isinstance(judged(model, candidate), Matched)
    change(candidate, "w_b", one_channel(1.01))
    found = judged(model, candidate)
    assert isinstance(found, Different)
    assert found.at == "w_b"


def test_nothing_is_said_of_branches_that_cannot_be_told_apart() -> None:
    """Without names, the numbers of two branches may only have been taken for each other's."""
    model, candidate = branches("ab", "ab"), branches("ba", "cd")
    assert isinstance(judged(model, candidate), NotEstablished)
    candidate = branches("ab", "cd")
    assert isinstance(judged(model, candidate), Matched)
    change(candidate, "w_a", one_channel(1.01))
    found = judged(model, candidate)
    assert isinstance(found, NotEstablished)
    assert "alike" in found.why


def branches(weights: str, names: str) -> ModelProto:
    net = Net()
    net.input(1, 3, 6, 6)
    for branch in "ab":
        net.weight(4, 3, 3, 3, name=f"w_{branch}")
    made = [net.node("Conv", "x", f"w_{w}", out=f"made_{w if 'a' in names else n}")
            for w, n in zip(weights, names, strict=True)]  # fmt: skip
    net.node("Add", *made, out="y")
    return net.model("y")


# --- what is random or not ONNX's own ------------------------------------------------------------
def noise(draws: int) -> ModelProto:
    net = Net()
    net.input(2, 3)
    noises = [net.node("RandomNormalLike", "x") for _ in range(draws)]
    net.node("Sub", noises[0], noises[-1], out="y")
    return net.model("y")


def test_two_draws_are_not_one() -> None:
    """What is random once only stands for one draw; as often as before, for the same."""
    assert isinstance(judged(noise(2), noise(2)), Matched)
    assert isinstance(judged(noise(1), noise(1)), Matched)
    assert isinstance(judged(noise(2), noise(1)), NotEstablished)
    assert isinstance(judged(noise(1), noise(2)), NotEstablished)


def custom(count: int, scale: float = 1.0) -> ModelProto:
    net = Net()
    net.input(2, 3)
    made = [net.node("Own", "x", out=f"o{i}", scale=scale) for i in range(count)]
    for own in net.nodes:
        own.domain = "com.example"
    net.node("Concat", made[0], made[-1], axis=0, out="y")
    return net.model("y")


def test_operators_of_others_match_one_to_one() -> None:
    """An operator that nobody knows may be random too; its attributes count."""
    assert isinstance(judged(custom(2), custom(2)), Matched)
    assert isinstance(judged(custom(2), custom(1)), NotEstablished)
    assert isinstance(judged(custom(2), custom(2, 2.0)), NotEstablished)


def test_another_meaning_of_an_operator_does_not_match() -> None:
    """Softmax before version 13 and since are two operators."""
    models = []
    for opset in (12, 13):
        net = Net(opset=opset)
        net.input(2, 3, 4)
        net.node("Softmax", "x", axis=1, out="y")
        models.append(net.model("y"))
    found = judged(*models)
    assert isinstance(found, NotEstablished)
    assert "operator set" in found.why


def test_a_split_into_more_parts_is_another_one() -> None:
    """How many outputs a Split has says how long its parts are."""
    models = []
    for parts in (2, 3):
        net = Net()
        net.input(6, 2)
        net.node("Split", "x", out=",".join(f"p{i}" for i in range(parts)))
        net.node("ReduceSum", "p0", keepdims=0, out="y")
        models.append(net.model("y"))
    assert isinstance(judged(*models), NotEstablished)


def test_a_candidate_that_is_no_model_is_not_established() -> None:
    """What the checker refuses is told in its words."""
    candidate = two_layers()
    candidate.graph.node.append(helper.make_node("Relu", ["nowhere"], ["z"]))
    found = judged(two_layers(), candidate)
    assert isinstance(found, NotEstablished)
    assert "the candidate" in found.why


@pytest.mark.parametrize("between", [(), ("Cast",), ("Transpose",)])
def test_a_table_of_which_a_caller_may_ask_for_any_row_counts(between: tuple[str, ...]) -> None:
    """Each number of it is an output for some input."""
    found = read_from_table(*between)
    assert isinstance(found, Different)
    assert found.at == "t"


def test_a_table_of_which_the_model_chooses_the_rows_need_not_be_right() -> None:
    """A row that is never asked for does not matter."""
    found = read_from_table("Abs")
    assert isinstance(found, NotEstablished)
    assert "need not matter" in found.why


def read_from_table(*between: str) -> Result:
    """Rows of a table that a caller asks for, one number of which is another one."""
    models = []
    for factor in (1.0, 1.001):
        net = Net()
        index = net.input(2, 3, elem_type=TensorProto.INT32, name="ids")
        for operator in between:
            said: dict[str, Any] = {"to": INT64} if operator == "Cast" else {}
            index = net.node(operator, index, **said)
        table = net.weight(7, 4, name="t")
        net.stored[table][5, 2] *= factor
        net.node("Sigmoid", net.node("Gather", table, index), out="y")
        models.append(net.model("y"))
    return judged(*models)
