"""What converters leave behind as a success: each is refused, with what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fake_routes import batched
from files import conv_net, save
from onnx import ModelProto, helper

from folding.conversion.valid import check_valid
from folding.errors import Unconvertible
from folding.modelfile import open_model


def look(folder: Path, model: ModelProto, inputs: str = "x", outputs: str = "y") -> None:
    path = save(model, folder / "model.onnx")
    with open_model(path) as found:
        check_valid(found, path, "tf2onnx 1.17", [inputs], [outputs])


def changed(change: Callable[[ModelProto], object]) -> ModelProto:
    model = batched()
    change(model)
    return model


def test_a_valid_model_passes(tmp_path: Path) -> None:
    look(tmp_path, conv_net())


def test_operators_of_other_domains_and_local_functions_pass(tmp_path: Path) -> None:
    model = batched()
    node = helper.make_node("Relu", ["a"], ["b"])
    opsets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("mine", "F", ["a"], ["b"], [node], opsets))
    model.opset_import.add(domain="mine", version=1)
    model.graph.node[-1].op_type, model.graph.node[-1].domain = "F", "mine"

    look(tmp_path, model)


def rename(*operators: str) -> Callable[[ModelProto], object]:
    """Let some nodes be of operators that there are not."""

    def change(model: ModelProto) -> None:
        for node, operator in zip(model.graph.node, operators, strict=False):
            node.op_type = operator

    return change


def test_what_a_converter_left_is_named(tmp_path: Path) -> None:
    model = changed(rename("StatefulPartitionedCall"))

    says = "^tf2onnx 1.17 left StatefulPartitionedCall 'conv' unconverted; ONNX has no such"
    with pytest.raises(Unconvertible, match=says):
        look(tmp_path, model)


def test_what_it_left_in_a_body_is_named_too(tmp_path: Path) -> None:
    model = batched()
    body = helper.make_graph([helper.make_node("Left", [], ["b"], name="inner")], "body", [], [])
    model.graph.node.append(
        helper.make_node("If", ["x"], ["z"], then_branch=body, else_branch=body, name="if")
    )

    with pytest.raises(Unconvertible, match="left Left 'inner' unconverted"):
        look(tmp_path, model)


def test_of_many_three_are_named(tmp_path: Path) -> None:
    model = batched()
    for number in range(5):
        model.graph.node.append(helper.make_node("Left", ["x"], [f"left{number}"]))

    with pytest.raises(Unconvertible, match="'left0', Left 'left1', Left 'left2' and 2 more"):
        look(tmp_path, model)


def test_an_operator_of_an_unknown_domain_was_left_too(tmp_path: Path) -> None:
    def change(model: ModelProto) -> None:
        model.graph.node[-1].domain = "org.tensorflow"
        model.opset_import.add(domain="org.tensorflow", version=1)

    with pytest.raises(Unconvertible, match="left Relu 'relu' unconverted"):
        look(tmp_path, changed(change))


def test_a_value_that_nobody_makes_is_told(tmp_path: Path) -> None:
    def change(model: ModelProto) -> None:
        model.graph.node[-1].input[0] = "nobody"

    with pytest.raises(Unconvertible, match=r"^what tf2onnx 1.17 made is invalid: .*nobody"):
        look(tmp_path, changed(change))


def test_shapes_that_do_not_fit_are_told(tmp_path: Path) -> None:
    """Only inference finds that; the checker alone passes it."""

    def change(model: ModelProto) -> None:
        model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 77

    with pytest.raises(Unconvertible, match=r"is invalid: .*[Ii]nference"):
        look(tmp_path, changed(change))


@pytest.mark.parametrize(
    ("inputs", "outputs", "says"),
    [
        ("pixels", "y", "made does not have the input 'pixels'"),
        ("x", "scores", "made does not have the output 'scores'"),
    ],
)
def test_names_that_were_announced_must_be_there(
    tmp_path: Path, inputs: str, outputs: str, says: str
) -> None:
    with pytest.raises(Unconvertible, match=says):
        look(tmp_path, batched(), inputs, outputs)


def test_an_output_that_nobody_announced_is_told(tmp_path: Path) -> None:
    def change(model: ModelProto) -> None:
        model.graph.output.append(helper.make_tensor_value_info("c", 1, None))

    with pytest.raises(Unconvertible, match="made has, unannounced, the output 'c'"):
        look(tmp_path, changed(change))
