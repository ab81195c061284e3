"""Whatever the graph: it stays the same function, and nothing changes that need not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from graphs import BFLOAT, BOOL, DOUBLE, FLOAT, HALF, Net, distance, feed_for, run
from hypothesis import event, given, reject
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from onnx import GraphProto, ModelProto, checker, numpy_helper
from onnxruntime.capi.onnxruntime_pybind11_state import Fail
from oracle import evaluate

import folding
from folding.plan import Decision
from folding.protos import graphs

#: A fault of a rule is of the size of the output; what a chain of layers makes of roundings is not.
TOLERANCES: dict[int, float] = {DOUBLE: 1e-7, FLOAT: 2e-2, HALF: 0.5, BFLOAT: 2.0}
BATCH = 2


@dataclass
class Grower:
    """A random net in the making: its values and their shapes, the open batch taken as 2."""

    draw: DrawFn
    net: Net
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    counted: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    weights: dict[tuple[int, ...], list[str]] = field(default_factory=dict)

    def flip(self) -> bool:
        return self.draw(st.booleans())

    def pick(self, *choices: int) -> int:
        return self.draw(st.sampled_from(choices))

    def add(self, operator: str, *inputs: str, shape: tuple[int, ...], **given: Any) -> str:
        out = self.net.node(operator, *inputs, **given)
        self.shapes[out] = shape
        return out

    def weight(self, *shape: int) -> str:
        """A new weight, or one that another layer has."""
        known = self.weights.setdefault(shape, [])
        if not known or self.draw(st.integers(0, 3)):
            known.append(self.net.weight(*shape))
        return self.draw(st.sampled_from(known))

    # --- layers ---------------------------------------------------------------------------------

    def layer(self, x: str) -> str:
        shape = self.shapes[x]
        if len(shape) >= 3 and self.flip():
            return self.convolution(x)
        if len(shape) == 2 and self.flip():
            return self.gemm(x)
        return self.matmul(x) if len(shape) > 1 else self.carrier(x)

    def convolution(self, x: str) -> str:
        batch, channels, *sizes = self.shapes[x]
        group = self.pick(*[g for g in (1, 2, 3) if channels % g == 0])
        taps = [self.pick(1, 2) if size > 1 else 1 for size in sizes]
        columns = self.pick(1, 2)
        bias = [self.weight(group * columns)] if self.flip() else []
        if self.flip():
            weight = self.weight(group * columns, channels // group, *taps)
            size = [s - t + 1 for s, t in zip(sizes, taps, strict=True)]
            operator = "Conv"
        else:
            weight = self.weight(channels, columns, *taps)
            size = [s + t - 1 for s, t in zip(sizes, taps, strict=True)]
            operator = "ConvTranspose"
        shape = (batch, group * columns, *size)
        return self.add(operator, x, weight, *bias, shape=shape, group=group)

    def gemm(self, x: str) -> str:
        rows, depth = self.shapes[x]
        width, transposed = self.pick(1, 2, 3), int(self.flip())
        weight = self.weight(*((width, depth) if transposed else (depth, width)))
        shapes_of_c: list[tuple[int, ...]] = [(), (1,), (width,), (1, width)]
        c = [self.weight(*shapes_of_c[self.pick(0, 1, 2, 3)])] if self.flip() else []
        factors = {"alpha": self.pick(1, -2) / 2, "beta": self.pick(0, 1, 2) / 2}
        given = factors if self.flip() else {}
        return self.add("Gemm", x, weight, *c, shape=(rows, width), transB=transposed, **given)

    def matmul(self, x: str) -> str:
        *batch, rows, columns = self.shapes[x]
        width = self.pick(2, 3)
        more = batch if self.flip() else []
        if self.flip():
            weight = self.weight(*more, columns, width)
            return self.add("MatMul", x, weight, shape=(*batch, rows, width))
        weight = self.weight(*more, width, rows)
        return self.add("MatMul", weight, x, shape=(*batch, width, columns))

    # --- affines --------------------------------------------------------------------------------

    def affine(self, x: str) -> str:
        shape = self.shapes[x]
        if len(shape) > 1 and self.draw(st.integers(0, 2)) == 0:
            out = self.net.batch_norm(x, shape[1])
            self.shapes[out] = shape
            self.counted.append(out)
            return out
        if self.draw(st.integers(0, 9)) == 0:
            return self.add("Neg", x, shape=shape)
        return self.arithmetic(x)

    def arithmetic(self, x: str) -> str:
        shape = self.shapes[x]
        operator = self.draw(st.sampled_from(["Mul", "Add", "Sub", "Div"]))
        vector: tuple[int, ...] = ()
        if len(shape) > 0 and self.draw(st.integers(0, 4)):
            likely = [1 - len(shape)] * 2 if len(shape) > 1 else []
            axis = self.pick(*range(-len(shape), 0), *likely)
            vector = (shape[axis] if shape[axis] > 1 else self.pick(1, 2), *[1] * (-1 - axis))
            ones: int = self.draw(st.integers(0, len(shape) - len(vector)))
            vector = (*[1] * ones, *vector)
        pair = [x, self.net.weight(*vector)]
        if self.flip() and operator != "Div":
            pair.reverse()
        grown = np.broadcast_shapes(shape, vector)
        out = self.add(operator, *pair, shape=grown)
        if operator in ("Mul", "Div") and max(vector, default=1) > 1:
            self.counted.append(out)
        return out

    # --- everything else ------------------------------------------------------------------------

    def carrier(self, x: str) -> str:
        shape = self.shapes[x]
        operator = self.draw(
            st.sampled_from(["Identity", "Dropout", "Cast", "Transpose", "Squeeze", "Unsqueeze"])
        )
        if operator in ("Identity", "Dropout"):
            return self.add(operator, x, shape=shape)
        if operator == "Cast":
            return self.add(operator, x, shape=shape, to=self.net.elem_type)
        if operator == "Transpose":
            if self.flip():
                return self.add(operator, x, shape=shape[::-1])
            perm = self.draw(st.permutations(range(len(shape))))
            return self.add(operator, x, shape=tuple(shape[p] for p in perm), perm=perm)
        ones = [axis for axis, size in enumerate(shape) if size == 1]
        if operator == "Squeeze" and ones:
            axis = self.pick(*ones)
            given = axis - len(shape) if self.flip() else axis
            rest = (*shape[:axis], *shape[axis + 1 :])
            return self.add(operator, x, self.net.integers(given), shape=rest)
        axis = self.draw(st.integers(0, len(shape)))
        given = axis - len(shape) - 1 if self.flip() else axis
        longer = (*shape[:axis], 1, *shape[axis:])
        return self.add("Unsqueeze", x, self.net.integers(given), shape=longer)

    def reader(self, x: str) -> str:
        self.outputs.append(self.net.node(self.draw(st.sampled_from(["Shape", "Size"])), x))
        return x

    def wall(self, x: str) -> str:
        return self.add("Relu", x, shape=self.shapes[x])

    def branch(self, x: str) -> str:
        """An If with a square layer and an affine in one body; both keep the shape."""
        shape = self.shapes[x]
        if not shape or len(shape) < 2:
            return self.wall(x)
        place = len(self.net.nodes)
        body = Net(self.net.elem_type, seed=place)
        body.node("MatMul", x, body.weight(shape[-1], shape[-1], name=f"w{place}"), out=f"m{place}")
        body.node("Mul", f"m{place}", body.weight(shape[-1], name=f"s{place}"), out=f"t{place}")
        other = Net(self.net.elem_type)
        other.node("Neg", x, out=f"e{place}")
        if "condition" not in self.shapes:
            self.net.input(name="condition", elem_type=BOOL)
            self.shapes["condition"] = ()
        return self.add(
            "If",
            "condition",
            shape=shape,
            then_branch=body.graph(f"t{place}"),
            else_branch=other.graph(f"e{place}"),
        )


@dataclass(frozen=True)
class Case:
    """A model, its weights' type, and the nodes that must be in exactly one decision."""

    model: ModelProto
    elem_type: int
    counted: tuple[str, ...]


@st.composite
def cases(draw: DrawFn, types: tuple[int, ...] = (FLOAT, DOUBLE, HALF, BFLOAT)) -> Case:
    elem_type = draw(st.sampled_from(types))
    net = Net(elem_type, opset=22 if elem_type == BFLOAT else 15, seed=draw(st.integers(0, 2**16)))
    grower = Grower(draw, net)
    shape = (BATCH, *draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    x = net.input("n" if draw(st.booleans()) else BATCH, *shape[1:])
    grower.shapes[x] = shape
    x = grower.layer(x)
    steps = (
        [grower.layer] * 2
        + [grower.affine] * 6
        + [grower.carrier] * 4
        + [grower.reader, grower.wall, grower.branch]
    )
    for step in draw(st.lists(st.sampled_from(steps), min_size=1, max_size=9)):
        values = [name for name in grower.shapes if name != "condition"]
        x = draw(st.sampled_from(values)) if draw(st.integers(0, 7)) == 0 else x
        x = step(x) if len(grower.shapes[x]) < 5 else x
    outputs = [x] + [o for o in grower.outputs if o != x]
    extra = draw(st.sampled_from([name for name in grower.shapes if name != "condition"]))
    if draw(st.integers(0, 3)) == 0 and extra not in (*outputs, "x"):
        outputs.append(extra)
    if x == "x":
        outputs[0] = grower.wall(x)
    return Case(net.model(*outputs), elem_type, tuple(grower.counted))


def fold(model: ModelProto) -> tuple[ModelProto, list[Decision]]:
    folded, report = folding.fold_model(model, verify=False)
    return folded, list(report.plan.decisions)


def count(model: ModelProto) -> int:
    return sum(len(graph.node) for graph in graphs(model))


def made(graph: GraphProto) -> dict[str, bytes]:
    """Every node by its first output."""
    return {node.output[0]: node.SerializeToString() for node in graph.node}


@given(cases((DOUBLE, FLOAT, HALF, BFLOAT)))
def test_a_folded_model_is_the_same_function_by_definition(case: Case) -> None:
    folded, decisions = fold(case.model)
    for decision in decisions:
        event(f"{decision.kind}: {decision.to_dict()['reason'] or 'FOLDED'}")

    for taken in (True, False):
        feed = feed_for(case.model, size=BATCH)
        feed |= {"condition": np.array(taken)} if "condition" in feed else {}
        before, after = evaluate(case.model, feed), evaluate(folded, feed)
        for one, other in zip(before, after, strict=True):
            assert distance(one, other) <= TOLERANCES[case.elem_type]


@given(cases((FLOAT,)))
def test_a_folded_model_is_the_same_function_in_onnxruntime(case: Case) -> None:
    folded, _ = fold(case.model)

    feed = feed_for(case.model, size=BATCH)
    try:
        before = run(case.model, feed)
    except Fail:  # onnxruntime 1.31 cannot run some bodies that capture the output of a Cast.
        reject()
    for one, other in zip(before, run(folded, feed), strict=True):
        assert distance(one, other) <= TOLERANCES[case.elem_type]


@given(cases())
def test_a_folded_model_passes_its_own_verification(case: Case) -> None:
    _, report = folding.fold_model(case.model)

    assert report.verification.name == "equivalent"


@given(cases())
def test_every_affine_has_exactly_one_decision(case: Case) -> None:
    _, decisions = fold(case.model)

    nodes = [node for decision in decisions for node in decision.nodes]
    assert len(nodes) == len(set(nodes))
    assert set(case.counted) <= set(nodes)
    assert len({decision.name for decision in decisions}) == len(decisions)
    assert all(decision.name == decision.nodes[-1] for decision in decisions)


@given(cases())
def test_nodes_and_tensors_that_no_fold_touches_are_as_they_were(case: Case) -> None:
    folded, _ = fold(case.model)

    for before, after in zip(graphs(case.model), graphs(folded), strict=True):
        nodes, tensors = made(before), {t.name: t for t in before.initializer}
        same = {name for name, node in made(after).items() if nodes.get(name) == node}
        for node in after.node:
            if node.output[0] not in same:
                continue
            for name in set(node.input) & set(tensors):
                twin = next(t for t in after.initializer if t.name == name)
                assert twin.SerializeToString() == tensors[name].SerializeToString()


@given(cases())
def test_the_signature_and_everything_around_the_graph_stay(case: Case) -> None:
    folded, _ = fold(case.model)

    bare = []
    for model in (case.model, folded):
        copy = ModelProto()
        copy.CopyFrom(model)
        for graph in graphs(copy):
            for name in ("node", "initializer", "value_info"):
                graph.ClearField(name)
        bare.append(copy.SerializeToString(deterministic=True))
    assert bare[0] == bare[1]


@given(cases())
def test_there_are_never_more_nodes_nor_other_operators(case: Case) -> None:
    folded, decisions = fold(case.model)

    kinds = [{n.op_type for graph in graphs(m) for n in graph.node} for m in (case.model, folded)]
    assert kinds[1] <= kinds[0] | {"Add"}
    assert count(folded) <= count(case.model)
    assert any(d.is_folded for d in decisions) or folded == case.model


@given(cases())
def test_folding_twice_changes_nothing(case: Case) -> None:
    folded, _ = fold(case.model)

    again, decisions = fold(folded)

    assert not any(decision.is_folded for decision in decisions)
    assert again.SerializeToString() == folded.SerializeToString()


@given(cases())
def test_the_same_model_gives_the_same_bytes(case: Case) -> None:
    before = case.model.SerializeToString(deterministic=True)

    one, other = fold(case.model)[0], fold(case.model)[0]

    assert one.SerializeToString() == other.SerializeToString()
    assert case.model.SerializeToString(deterministic=True) == before


@given(cases())
def test_the_onnx_checker_accepts_the_folded_model(case: Case) -> None:
    folded, _ = fold(case.model)

    checker.check_model(folded, full_check=True)


@given(cases((FLOAT, HALF)))
def test_no_folded_number_is_infinite_or_not_a_number(case: Case) -> None:
    folded, _ = fold(case.model)

    for graph in graphs(folded):
        for tensor in graph.initializer:
            assert np.isfinite(numpy_helper.to_array(tensor).astype(np.float64)).all()
