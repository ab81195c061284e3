"""Tensors that stay in the file are compared by what they hold, wherever in a model they stand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from files import make, save
from onnx import (
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

from folding.equivalence.foreign import Matched, NotEstablished
from folding.equivalence.foreign.check import compare
from folding.equivalence.foreign.result import Result
from folding.modelfile import open_model

FLOAT, BOOL = TensorProto.FLOAT, TensorProto.BOOL
WIDTH = 1000
NUMBERS = np.random.default_rng(0).standard_normal(WIDTH).astype(np.float32)
OPSET = helper.make_opsetid("", 17)


def big(factor: float, name: str = "c") -> TensorProto:
    """A tensor that no skeleton has in itself."""
    return numpy_helper.from_array(NUMBERS * np.float32(factor), name)


def value(name: str, *dims: int | str, elem_type: int = FLOAT) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, elem_type, dims)


def body(factor: float, out: str, nodes: list[NodeProto] | None = None) -> GraphProto:
    """A branch that adds what it holds to x of around it, or has other nodes."""
    nodes = nodes or [helper.make_node("Add", ["x", "c"], [out])]
    stored = [big(factor)] if "c" in nodes[-1].input else []
    return helper.make_graph(nodes, "branch", [], [value(out, WIDTH)], stored)


def branching(factor: float, out: str = "y") -> NodeProto:
    bodies = {"then_branch": body(factor, "p"), "else_branch": body(1, "q")}
    return helper.make_node("If", ["k"], [out], **bodies)  # type: ignore[arg-type]


def around(node: NodeProto) -> GraphProto:
    """A graph of one node, to be a body itself."""
    return helper.make_graph([node], "around", [], [value(node.output[0], WIDTH)])


def whole(*nodes: NodeProto, functions: list[FunctionProto] | None = None) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        "whole",
        [value("x", WIDTH), value("k", elem_type=BOOL)],
        [value("y", WIDTH)],
    )
    return make(graph, opset_imports=[OPSET, helper.make_opsetid("own", 1)], functions=functions)


def function(*nodes: NodeProto) -> ModelProto:
    called = helper.make_function("own", "F", ["x", "k"], ["y"], nodes, [OPSET])
    return whole(helper.make_node("F", ["x", "k"], ["y"], domain="own"), functions=[called])


def in_a_function(factor: float) -> ModelProto:
    constant = helper.make_node("Constant", [], ["c"], value=big(factor))
    return function(constant, helper.make_node("Add", ["x", "c"], ["y"]))


def in_a_body_of_a_function(factor: float) -> ModelProto:
    return function(branching(factor))


def in_a_body_in_a_body_of_a_function(factor: float) -> ModelProto:
    bodies = {"then_branch": around(branching(factor, "r")), "else_branch": body(1, "q")}
    return function(helper.make_node("If", ["k"], ["y"], **bodies))  # type: ignore[arg-type]


def in_a_body(factor: float) -> ModelProto:
    return whole(branching(factor))


def in_a_body_in_a_body(factor: float) -> ModelProto:
    bodies = {"then_branch": around(branching(factor, "r")), "else_branch": body(1, "q")}
    return whole(helper.make_node("If", ["k"], ["y"], **bodies))  # type: ignore[arg-type]


def in_a_constant_of_a_body(factor: float) -> ModelProto:
    constant = helper.make_node("Constant", [], ["d"], value=big(factor))
    then = body(1, "p", [constant, helper.make_node("Add", ["x", "d"], ["p"])])
    bodies = {"then_branch": then, "else_branch": body(1, "q")}
    return whole(helper.make_node("If", ["k"], ["y"], **bodies))  # type: ignore[arg-type]


def in_an_attribute(factor: float) -> ModelProto:
    return whole(helper.make_node("Own", ["x"], ["y"], domain="own", table=big(factor)))


def in_an_attribute_of_several(factor: float) -> ModelProto:
    tables = [big(1, "a"), big(factor, "b")]
    return whole(helper.make_node("Own", ["x"], ["y"], domain="own", tables=tables))


def in_a_sparse_attribute(factor: float) -> ModelProto:
    places = numpy_helper.from_array(np.arange(WIDTH), "places")
    sparse = helper.make_sparse_tensor(big(factor, "numbers"), places, [2 * WIDTH])
    return whole(helper.make_node("Own", ["x"], ["y"], domain="own", table=sparse))


def in_an_attribute_of_a_body(factor: float) -> ModelProto:
    own = helper.make_node("Own", ["x"], ["p"], domain="own", table=big(factor))
    bodies = {"then_branch": body(1, "p", [own]), "else_branch": body(1, "q")}
    return whole(helper.make_node("If", ["k"], ["y"], **bodies))  # type: ignore[arg-type]


def in_what_says_how_to_train(factor: float) -> ModelProto:
    model = whole(helper.make_node("Relu", ["x"], ["y"]))
    step = helper.make_graph([helper.make_node("Neg", ["c"], ["n"])], "step", [], [])
    step.initializer.append(big(factor))
    model.training_info.add().algorithm.CopyFrom(step)
    return model


PLACES = [
    *(in_a_function, in_a_body_of_a_function, in_a_body_in_a_body_of_a_function, in_a_body),
    *(in_a_body_in_a_body, in_a_constant_of_a_body, in_an_attribute, in_an_attribute_of_several),
    *(in_a_sparse_attribute, in_an_attribute_of_a_body, in_what_says_how_to_train),
]


def judged(reference: ModelProto, candidate: ModelProto, folder: Path) -> Result:
    """Compared as files, the candidate with a node more, so that nothing stands where it stood."""
    candidate.graph.node.append(helper.make_node("Neg", ["x"], ["nobody reads this"]))
    paths = save(reference, folder / "one.onnx"), save(candidate, folder / "other.onnx")
    with open_model(paths[0]) as one, open_model(paths[1]) as other:
        return compare(one, other)


@pytest.mark.parametrize("place", PLACES)
def test_what_a_tensor_holds_counts(place: Callable[[float], ModelProto], tmp_path: Path) -> None:
    """Other numbers are never passed, wherever they are; the same ones are."""
    same = judged(place(1), place(1), tmp_path)
    assert isinstance(same, Matched), same
    assert not isinstance(judged(place(1), place(-1), tmp_path), Matched)


def test_a_function_that_holds_something_else_is_named(tmp_path: Path) -> None:
    found = judged(in_a_body_of_a_function(1), in_a_body_of_a_function(2), tmp_path)
    assert isinstance(found, NotEstablished)
    assert found.at == "own:F"


def test_a_tool_may_drop_what_says_how_to_train(tmp_path: Path) -> None:
    """That is no part of what the model computes."""
    plain = in_what_says_how_to_train(1)
    plain.ClearField("training_info")
    assert isinstance(judged(in_what_says_how_to_train(1), plain, tmp_path), Matched)
    assert not isinstance(judged(plain, in_what_says_how_to_train(1), tmp_path), Matched)


def test_a_function_with_a_tensor_as_a_default_is_not_followed(tmp_path: Path) -> None:
    """Its numbers may be in another file, where nobody looks for them."""
    models = in_a_function(1), in_a_function(1)
    for model in models:
        default = helper.make_attribute("table", big(1))
        model.functions[0].attribute_proto.append(default)
    found = judged(*models, tmp_path)
    assert isinstance(found, NotEstablished)
    assert "defaults" in found.why
