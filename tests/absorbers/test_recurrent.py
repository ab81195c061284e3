"""LSTM, GRU and RNN with an affine before X: W is scaled, the first half of B gets the shift."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from absorbing import assert_refused, assert_taken
from graphs import DOUBLE, FLOAT, Net, assert_folds_to, fold, refusal, run
from onnx import TensorProto
from oracle import evaluate
from passing import affine_of, feed_of, random_affine

from folding.edits import apply
from folding.equivalence.sites import find_sites
from folding.modelfile import in_memory
from folding.plan import Reason
from folding.planner import plan_model

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
STEPS, BATCH, SIZE, HIDDEN = 4, 3, 5, 2


def net(
    operator: str,
    *,
    elem_type: int = DOUBLE,
    bias: bool = True,
    lengths: tuple[int, ...] = (),
    size: int = SIZE,
    x: str = "",
    **attributes: Any,
) -> Net:
    """The layer, which reads ``x`` or a new input."""
    made = Net(elem_type)
    directions = 1 + (attributes.get("direction") == "bidirectional")
    rows = GATES[operator] * HIDDEN
    stored = made.weight(directions, rows, size, name="w")
    recurrent = made.weight(directions, rows, HIDDEN)
    b = made.weight(directions, 2 * rows, name="b") if bias else ""
    steps = made.store(np.array(lengths, np.int32), elem_type=0) if lengths else ""
    data = x or made.input(STEPS, BATCH, size)
    inputs = [data, stored, recurrent, b, steps]
    made.node(operator, *inputs, out="y", hidden_size=HIDDEN, **attributes)
    return made


def behind_batch_norm(operator: str, **attributes: Any) -> Net:
    """The layer behind a BatchNormalization, whose channels are brought to the end."""
    made = net(operator, elem_type=FLOAT, x="v", **attributes)
    (layer,) = made.nodes
    made.nodes.clear()
    shape = (BATCH, SIZE, STEPS) if attributes.get("layout") else (STEPS, SIZE, BATCH)
    made.batch_norm(made.input(*shape), SIZE, "n")
    made.node("Transpose", "n", out="v", perm=[0, 2, 1])
    made.nodes.append(layer)
    return made


@pytest.mark.parametrize("operator", GATES)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("bias", [True, False])
def test_scales_go_into_w_and_shifts_into_b(operator: str, direction: str, *, bias: bool) -> None:
    made = net(operator, bias=bias, direction=direction, linear_before_reset=1)
    if operator != "GRU":
        made.nodes[0].attribute.pop()

    answer = assert_taken(made, random_affine(SIZE, -1))

    assert set(answer.factors) == {1}
    assert set(answer.constants) == {3}
    assert answer.shift is None


@pytest.mark.parametrize("operator", GATES)
def test_the_second_half_of_b_stays(operator: str) -> None:
    made = net(operator)

    answer = assert_taken(made, random_affine(SIZE, -1))

    rows = GATES[operator] * HIDDEN
    np.testing.assert_array_equal(answer.constants[3].high[:, rows:], made.stored["b"][:, rows:])


@pytest.mark.parametrize("operator", GATES)
def test_steps_beyond_a_length_are_not_shifted(operator: str) -> None:
    assert_taken(net(operator, lengths=(1, 4, 3)), random_affine(SIZE, -1))


@pytest.mark.parametrize("operator", GATES)
def test_the_batch_may_come_first(operator: str) -> None:
    assert_taken(net(operator, layout=1), random_affine(SIZE, -1))


@pytest.mark.parametrize("operator", GATES)
def test_a_scale_alone_creates_no_b(operator: str) -> None:
    answer = assert_taken(net(operator, bias=False), random_affine(SIZE, -1, shift=False))

    assert not answer.constants


@pytest.mark.parametrize("operator", GATES)
def test_one_number_for_all_goes_in(operator: str) -> None:
    assert_taken(net(operator), affine_of(-0.75, 1.5, None))


@pytest.mark.parametrize("operator", GATES)
@pytest.mark.parametrize("axis", [-2, -3])
def test_an_affine_along_the_steps_or_the_batch_stays(operator: str, axis: int) -> None:
    """With as many of each as there are channels."""
    made = net(operator, x="x")
    made.input(SIZE, SIZE, SIZE)
    affine = random_affine(SIZE, axis, shift=False)

    assert_refused(made, affine, Reason.NOT_INPUT_CHANNELS)


@pytest.mark.parametrize("slot", [1, 2, 3, 5])
def test_before_any_other_input_nothing_goes_in(slot: int) -> None:
    made = net("LSTM")
    made.nodes[0].input.append("")

    assert_refused(made, affine_of(2.0, 0.0, None), Reason.NO_RULE, slot)


def test_a_w_computed_at_run_time_is_refused() -> None:
    made = behind_batch_norm("LSTM")
    del made.stored["w"]
    made.input(1, GATES["LSTM"] * HIDDEN, SIZE, name="w")

    assert refusal(made.model("y"))[0] is Reason.GRAPH_INPUT


def test_a_b_computed_at_run_time_is_refused() -> None:
    made = net("LSTM")
    del made.stored["b"]
    made.input(1, 2 * GATES["LSTM"] * HIDDEN, name="b")

    assert_refused(made, random_affine(SIZE, -1), Reason.RUNTIME_BIAS)


@pytest.mark.parametrize(("name", "shape"), [("w", (8, SIZE)), ("b", (1, 3)), ("b", (16,))])
def test_constants_of_other_shapes_are_refused(name: str, shape: tuple[int, ...]) -> None:
    made = net("LSTM")
    made.weight(*shape, name=name)

    assert_refused(made, random_affine(SIZE, -1), Reason.BAD_LAYER)


@pytest.mark.parametrize("operator", GATES)
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_a_batch_norm_before_a_recurrent_layer_disappears(operator: str, direction: str) -> None:

    assert_folds_to(
        behind_batch_norm(operator, direction=direction).model("y"), "Transpose", operator
    )


@pytest.mark.parametrize("operator", GATES)
def test_the_definition_is_that_of_onnxruntime(operator: str) -> None:
    """In every direction, with lengths: else the tests above would prove nothing."""
    for direction in ("forward", "reverse", "bidirectional"):
        made = net(operator, elem_type=FLOAT, lengths=(1, 4, 3), direction=direction)
        model = made.model("y")
        feed = feed_of(model)
        feed = {name: value.astype(np.float32) for name, value in feed.items()}

        (found,), (wanted,) = run(model, feed), evaluate(model, feed)

        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
        assert model.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT


@pytest.mark.parametrize("operator", GATES)
@pytest.mark.parametrize("outputs", [",h", "all,h", "all,,c", ",h,c"])
def test_the_last_states_are_places_of_the_fold_too(operator: str, outputs: str) -> None:
    """Where only they are read, their noise is that of the outputs."""
    if "c" in outputs and operator != "LSTM":
        outputs = outputs.replace(",c", "")
    made = behind_batch_norm(operator)
    made.nodes[-1].output[:] = outputs.split(",")
    read = [name for name in outputs.split(",") if name in ("h", "c")] or ["all"]
    model = made.model(*(made.node("Mul", name, made.store(1.5)) for name in read))
    reference = in_memory(model)
    drafts = plan_model(reference, {}).drafts

    sites, missing = find_sites(drafts[0], apply(reference, drafts)[0].proto.graph)

    assert ({site.name for site in sites}, missing) == ({*filter(None, outputs.split(","))}, [])
    assert operator in fold(model).operators
