"""Constants that the candidate leaves to be computed: only as good as the runtime's roundings."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from graphs import BFLOAT, BOOL, DOUBLE, FLOAT, HALF, Net
from onnx import ModelProto, helper
from pairs import judged

from folding.equivalence.foreign import Different, Matched, NotEstablished
from folding.floats import FLOATS

#: Operators, each with the constant on its right.
Steps = Iterable[tuple[str, float]]

POWER = 2.0**100
#: What is rounded when it is multiplied by 3.
TENTHS = float(np.float32(0.7))


def computed(net: Net, name: str, steps: Steps) -> str:
    for operator, number in steps:
        name = net.node(operator, name, net.store(number))
    return name


def product(steps: Steps = (), elem_type: int = FLOAT, width: int = 4) -> ModelProto:
    """A product with a matrix that is stored, or is computed from it."""
    net = Net(elem_type)
    net.input(2, width)
    net.node("MatMul", "x", computed(net, net.weight(width, width, name="w"), steps), out="y")
    return net.model("y")


def test_a_constant_that_is_rounded_in_a_coarser_type_is_not_the_exact_one() -> None:
    """What the reference computes in float16 is off by more than a float32 may be."""
    computing, storing = Net(), Net()
    factors = np.full(4, 0.7, np.float16), np.full(4, 0.3, np.float16)
    half = [computing.store(factor, elem_type=HALF) for factor in factors]
    computing.node("Cast", computing.node("Mul", *half), out="k", to=FLOAT)
    storing.store(np.multiply(*(factor.astype(np.float64) for factor in factors)), "k")
    for net in (computing, storing):
        net.node("Mul", net.input(2, 4), "k", out="y")

    found = judged(computing.model("y"), storing.model("y"))

    assert isinstance(found, NotEstablished), found
    assert "rounded" in found.why


def there_and_back(number: float) -> Steps:
    return [("Add", number), ("Sub", number)]


@pytest.mark.parametrize(
    ("steps", "elem_type"),
    [
        (there_and_back(1e9), FLOAT),
        (there_and_back(1e4), FLOAT),
        (there_and_back(64), HALF),
        (there_and_back(64), BFLOAT),
        (there_and_back(1e12), DOUBLE),
        ([("Mul", 2.0**-140), ("Div", 2.0**-140)], FLOAT),
        ([("Mul", POWER), ("Mul", POWER), ("Div", POWER), ("Div", POWER)], FLOAT),
        ([("Mul", 2.0**-12), ("Mul", 2.0**-8), ("Div", 2.0**-20)], HALF),
        ([("Mul", 3.0), ("Div", 3.0)] * 5, FLOAT),
    ],
    ids=["cancels", "cancels a little", "half", "bfloat", "double", "underflows", "overflows",
         "underflows in half", "many roundings"],
)  # fmt: skip
def test_what_rounding_may_change_is_never_passed(steps: Steps, elem_type: int) -> None:
    """In exact arithmetic it is the stored matrix; the runtime's may be another one."""
    found = judged(product(elem_type=elem_type), product(steps, elem_type))
    assert isinstance(found, NotEstablished), found
    assert found.check == "parameters"
    assert "rounded" in found.why


@pytest.mark.parametrize("elem_type", [FLOAT, HALF, BFLOAT, DOUBLE])
@pytest.mark.parametrize(
    "steps",
    [[("Mul", 3.0), ("Div", 3.0)], there_and_back(0.25), [("Mul", 2.0**-3), ("Mul", 2.0**3)]],
    ids=["two roundings", "cancels hardly", "exact"],
)
def test_a_few_roundings_are_within_the_bound(steps: Steps, elem_type: int) -> None:
    """A tool may leave something to be computed, if that is as good as a stored number."""
    assert isinstance(judged(product(elem_type=elem_type), product(steps, elem_type)), Matched)


@pytest.mark.parametrize(
    ("steps", "elem_type"),
    [
        (there_and_back(1e9), FLOAT),
        (there_and_back(64), HALF),
        ([("Mul", 3e38), ("Mul", 10.0), ("Div", 10.0)], FLOAT),
        ([("Mul", 3.0), ("Div", 3.0)] * 5, FLOAT),
    ],
)
def test_what_the_reference_computes_in_the_same_way_is_the_same(
    steps: Steps, elem_type: int
) -> None:
    """A runtime rounds both alike, right or wrong; so it does with all that is computed from it."""
    models = []
    for is_moved in (False, True):
        net = Net(elem_type)
        net.input(4, 4)
        made = number = computed(net, net.weight(4, 4, name="w"), steps)
        if is_moved:
            made = net.node("Transpose", net.node("Transpose", number))
            flat = net.node("Reshape", number, net.integers(-1))
            number = net.node("Reshape", flat, net.integers(4, 4))
        net.node("Mul", net.node("Relu", net.node("MatMul", "x", made)), number, out="y")
        models.append(net.model("y"))
    assert isinstance(judged(models[0], models[0]), Matched)
    assert isinstance(judged(*models), Matched)


def test_a_number_that_the_reference_computes_elsewhere_is_another_one() -> None:
    """What cancels is not the stored number, though the reference computes it for something."""
    models = []
    for is_mixed_up in (False, True):
        net = Net()
        net.input(2, 4)
        made = computed(net, net.weight(4, 4, name="w"), there_and_back(1e9))
        first = net.node("MatMul", "x", made if is_mixed_up else "w")
        net.node("MatMul", net.node("Relu", first), made, out="y")
        models.append(net.model("y"))
    assert isinstance(judged(models[0], models[0]), Matched)
    assert isinstance(judged(*models), NotEstablished)


def test_a_coarser_type_on_the_way_counts() -> None:
    """A number that was rounded to fewer digits is not the stored one."""
    models = []
    for elem_type in (None, FLOAT, HALF):
        net = Net()
        net.input(2, 4)
        number = net.store(np.arange(1.0, 5), "c")
        if elem_type is not None:
            third = net.node("Div", net.node("Cast", number, to=elem_type),
                             net.store(3.0, elem_type=elem_type))  # fmt: skip
            whole = net.node("Mul", third, net.store(3.0, elem_type=elem_type))
            number = net.node("Cast", whole, to=FLOAT)
        net.node("Mul", "x", number, out="y")
        models.append(net.model("y"))
    assert isinstance(judged(models[0], models[1]), Matched)
    assert isinstance(judged(models[0], models[2]), NotEstablished)


def test_a_conversion_of_numbers_that_are_off_counts() -> None:
    """What is small beside the terms that it is left of is no better after a conversion."""
    net = Net()
    net.input(2, 4)
    rest = computed(net, net.store(np.arange(1.0, 5), "c"), there_and_back(1e6))
    double = net.node("Cast", rest, to=DOUBLE)
    net.node("Mul", "x", net.node("Cast", double, to=FLOAT), out="y")
    other = Net()
    other.input(2, 4)
    other.node("Mul", "x", other.store(np.arange(1.0, 5), "c"), out="y")
    assert isinstance(judged(other.model("y"), net.model("y")), NotEstablished)


def scaled(steps: Steps | None) -> ModelProto:
    """A convolution with a scale behind it that is computed in some steps, or with it in it."""
    net = Net()
    net.input(1, 3, 5, 5)
    net.weight(4, 3, 3, 3, name="w")
    scale = np.arange(1.0, 5).reshape(4, 1, 1)
    if steps is None:
        weight = net.store(net.stored["w"] * scale[..., None])
        net.node("Conv", "x", weight, out="y")
    else:
        behind = computed(net, net.store(scale), steps)
        net.node("Mul", net.node("Conv", "x", "w"), behind, out="y")
    return net.model("y")


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], Matched),
        ([("Mul", 3.0), ("Div", 3.0)], Matched),
        (there_and_back(1e6), NotEstablished),
        ([("Mul", 2.0**-127), ("Mul", 2.0**-20), ("Mul", POWER), ("Mul", 2.0**47)], NotEstablished),
    ],
    ids=["stored", "two roundings", "cancels", "underflows"],
)
def test_a_scale_that_is_computed_counts_with_its_layer(steps: Steps, expected: type) -> None:
    """What is folded is looked at for what leads to it."""
    found = judged(scaled(None), scaled(steps))
    assert isinstance(found, expected), found
    assert isinstance(judged(scaled(steps), scaled(steps)), Matched)


@pytest.mark.parametrize("shift", [10.0, 1e6])
def test_terms_of_a_layer_that_cancel_at_run_time_are_not_passed(shift: float) -> None:
    """A large bias that is taken away again takes the digits of the result with it."""
    models = []
    for is_shifted in (False, True):
        net = Net()
        net.input(1, 3, 5, 5)
        net.weight(4, 3, 3, 3, name="w")
        bias = np.arange(1.0, 5)
        conv = net.node("Conv", "x", "w", net.store(bias + is_shifted * shift))
        shifted = net.store(np.full((1, 1, 1), -shift * is_shifted))
        net.node("Add", conv, shifted, out="y")
        models.append(net.model("y"))
    found = judged(*models)
    assert isinstance(found, Matched if shift == 10 else NotEstablished), found


def scaled_often(times: int, *, is_folded: bool) -> ModelProto:
    """A convolution and some affines behind it, each with a scale that takes two roundings."""
    net = Net()
    value = net.input(1, 3, 5, 5)
    weight = net.weight(4, 3, 3, 3, name="w")
    if is_folded:
        net.node("Conv", value, net.store(net.stored["w"] * TENTHS**times), out="y")
        return net.model("y")
    value = net.node("Conv", value, weight)
    for _ in range(times):
        scale = computed(net, net.store(np.full((4, 1, 1), TENTHS)), [("Mul", 3.0), ("Div", 3.0)])
        value = net.node("Mul", value, scale)
    net.node("Neg", net.node("Neg", value), out="y")
    return net.model("y")


@pytest.mark.parametrize(("times", "expected"), [(3, Matched), (5, NotEstablished)])
def test_the_roundings_of_all_that_is_multiplied_add_up(times: int, expected: type) -> None:
    """Each of several scales may be off by itself."""
    found = judged(scaled_often(times, is_folded=True), scaled_often(times, is_folded=False))
    assert isinstance(found, expected), found
    same = scaled_often(times, is_folded=False)
    assert isinstance(judged(same, same), Matched)


@pytest.mark.parametrize(("operator", "expected"), [("Mul", NotEstablished), ("Add", Matched)])
def test_the_roundings_of_both_operands_of_a_product_count(operator: str, expected: type) -> None:
    """Of a sum, those of each operand are only in its own terms."""
    models = []
    for is_computed in (False, True):
        net = Net()
        net.input(4, 4)
        number, steps = net.weight(4, 4, name="w"), [("Mul", 3.0), ("Div", 3.0)] * 3
        second = net.store(np.full((4, 4), TENTHS))
        if is_computed:
            number, second = computed(net, number, steps), computed(net, second, steps)
        number = net.node(operator, number, second)
        net.node("MatMul", "x", number, out="y")
        models.append(net.model("y"))
    assert isinstance(judged(*models), expected)


@pytest.mark.parametrize(("power", "expected"), [(2.0, NotEstablished), (0.5, Matched)])
def test_a_square_doubles_what_its_base_is_off(power: float, expected: type) -> None:
    """So its steps count twice; two for each power itself."""
    models = []
    for is_computed in (False, True):
        net = Net()
        net.input(4, 4)
        number = net.store(np.arange(1.0, 17).reshape(4, 4) + TENTHS, "w")
        if is_computed:
            number = computed(net, number, [("Mul", 3.0), ("Div", 3.0)] * (3 if power == 2 else 1))
        net.node("MatMul", "x", net.node("Pow", number, net.store(power)), out="y")
        models.append(net.model("y"))
    assert isinstance(judged(*models), expected)


def test_a_norm_written_out_is_computed_well_enough() -> None:
    """What a BatchNormalization makes of its constants takes fewer than eight roundings."""
    net, other = Net(), Net()
    for one in (net, other):
        one.input(1, 3, 6, 6)
        one.node("Conv", "x", one.weight(4, 3, 3, 3, name="w"), out="c")
    net.batch_norm("c", 4, out="y")
    node = net.nodes[-1]
    gamma, beta, mean, variance = (
        other.store(net.stored[name].reshape(4, 1, 1)) for name in node.input[1:]
    )
    root = other.node("Sqrt", other.node("Add", variance, other.store(1e-5)))
    scale = other.node("Div", gamma, root)
    shift = other.node("Sub", beta, other.node("Mul", mean, scale))
    other.node("Add", other.node("Mul", "c", scale), shift, out="y")
    assert isinstance(judged(net.model("y"), other.model("y")), Matched)


@pytest.mark.parametrize(("power", "expected"), [(50, Matched), (100, NotEstablished)])
def test_a_big_weight_that_leaves_the_range_on_the_way_is_not_passed(
    power: int, expected: type
) -> None:
    """What is too big to be evaluated as a whole is looked at piece by piece."""
    steps = [("Mul", 2.0**power)] * 2 + [("Mul", 2.0**-power)] * 2
    assert isinstance(judged(product(width=64), product(steps, width=64)), expected)


def test_a_bound_that_is_computed_is_no_exact_one() -> None:
    """A Clip at a number that cancels is not the Clip at that number."""
    models = []
    for steps in ([], there_and_back(1e9)):
        net = Net()
        net.input(2, 3)
        net.node("Clip", "x", "", computed(net, net.store(6.0, "six"), steps), out="y")
        models.append(net.model("y"))
    assert isinstance(judged(models[0], models[0]), Matched)
    assert isinstance(judged(models[1], models[1]), Matched)
    assert isinstance(judged(*models), NotEstablished)


def test_a_number_that_is_computed_in_a_body_counts() -> None:
    """Constants of the graph around it, computed in a branch."""
    models = []
    for steps in ([], there_and_back(1e9)):
        net, inner = Net(), Net()
        net.input(4, 4)
        net.input(name="k", elem_type=BOOL)
        net.weight(4, 4, name="w")
        inner.node("MatMul", "x", computed(inner, "w", steps), out="z")
        branch = inner.graph("z")
        branch.output[0].type.CopyFrom(helper.make_tensor_type_proto(FLOAT, (4, 4)))
        net.node("If", "k", then_branch=branch, else_branch=branch, out="y")
        models.append(net.model("y"))
    assert isinstance(judged(models[1], models[1]), Matched)
    assert isinstance(judged(*models), NotEstablished)


def test_a_fault_beside_what_is_computed_is_still_one() -> None:
    """Where roundings cannot explain it, it is certain."""
    wrong = product([("Mul", 3.0), ("Div", 3.003)])
    assert isinstance(judged(product(), wrong), Different)
    unknown = product([*there_and_back(1e9), ("Mul", 1.001)])
    assert isinstance(judged(product(), unknown), NotEstablished)


def test_padding_with_a_zero_that_is_computed_is_no_padding_of_a_layer() -> None:
    """What should cancel may leave something."""
    models = []
    for rest in (0.0, TENTHS):
        net = Net()
        net.input(1, 3, 6, 6)
        zero = net.store(rest, "zero")
        if rest:
            zero = computed(net, zero, [("Mul", 3.0), ("Div", 3.0), ("Sub", rest)])
        padded = net.node("Pad", "x", net.integers(0, 0, 1, 1, 0, 0, 1, 1), zero)
        net.node("Conv", padded, net.weight(4, 3, 3, 3, name="w"), out="y")
        models.append(net.model("y"))
    assert isinstance(judged(models[1], models[1]), Matched)
    assert isinstance(judged(*models), NotEstablished)


def choosing(operator: str, steps: Steps, number: float) -> ModelProto:
    """An operator that may turn the last bit of a number into another result."""
    net = Net()
    net.input(1, 1, 4, "n")
    if operator == "Resize":
        scale = net.store([1, 1, 1, number])
        net.node("Resize", "x", "", computed(net, scale, steps), mode="nearest", out="y")
    elif operator == "Floor":
        net.node("Floor", net.node("Mul", "x", computed(net, net.store(number), steps)), out="y")
    else:
        net.node(operator, "x", computed(net, net.store(number), steps), out="y")
    return net.model("y")


@pytest.mark.parametrize("operator", ["Resize", "Greater", "Equal", "Floor", "Max", "Pow"])
def test_a_number_that_nothing_rounds_is_the_same_one_or_another(operator: str) -> None:
    """A step that gives what it is given is no rounding that could explain another number."""
    number = float(np.float32(4 / 3))
    near = float(np.nextafter(np.float32(4 / 3), np.float32(0)))
    source = choosing(operator, [], number)
    for steps in ([("Mul", 1.0)], [("Mul", 2.0), ("Add", 0.0), ("Div", 2.0)]):
        assert isinstance(judged(source, choosing(operator, steps, number)), Matched)
        found = judged(source, choosing(operator, steps, near))
        assert isinstance(found, NotEstablished), found
        assert found.check == "parameters"


def test_the_sign_of_a_zero_that_is_calculated_is_not_told() -> None:
    """A division behind it shows it."""
    for number in (0.0, -0.0):
        source, steps = choosing("Mul", [], 0.0), [("Mul", 1.0)]
        assert isinstance(judged(source, choosing("Mul", steps, number)), NotEstablished)
        calculated = choosing("Mul", steps, number)
        assert isinstance(judged(calculated, calculated), Matched)


@pytest.mark.parametrize("elem_type", [FLOAT, HALF, BFLOAT, DOUBLE])
def test_what_one_rounding_makes_of_a_number_is_told(elem_type: int) -> None:
    """The nearest number may be stored in its place, and none beside it."""
    kind = FLOATS[elem_type]
    quotient = kind.round(np.arange(1.0, 9).reshape(1, 8) / 7).astype(np.float64)
    models = []
    for number in (None, quotient, quotient * (1 + 2 * kind.roundoff)):
        net = Net(elem_type)
        net.input("n", 8)
        stored = net.store(np.arange(1.0, 9).reshape(1, 8) if number is None else number)
        divided = net.node("Div", stored, net.store(7.0)) if number is None else stored
        net.node("Greater", "x", divided, out="y")
        models.append(net.model("y"))
    assert isinstance(judged(models[0], models[1]), Matched)
    assert isinstance(judged(models[1], models[0]), Matched)
    assert isinstance(judged(models[0], models[2]), NotEstablished)


def test_what_several_roundings_make_is_told_only_by_the_same_steps() -> None:
    """A comparison may show by which bit a stored number differs from what a runtime computes."""
    steps = [("Mul", 3.0), ("Div", 7.0), ("Add", 0.1)]
    source = choosing("Greater", steps, TENTHS)
    number = float(np.float32(TENTHS * 3.0 / 7.0 + 0.1))
    assert isinstance(judged(source, source), Matched)
    assert isinstance(judged(source, choosing("Greater", [], number)), NotEstablished)
    assert isinstance(judged(choosing("Greater", [], number), source), NotEstablished)
    product = [choosing("Mul", these, first) for these, first in ((steps, TENTHS), ([], number))]
    assert isinstance(judged(*product), Matched)
