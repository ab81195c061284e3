"""Soundness: what the checker, the sizes and the versions say, before anything is planned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from files import conv_net, initializer, kept_net, make, node, refer, relu_net, save, save_apart
from graphs import Net, fold
from onnx import ModelProto, SparseTensorProto, TensorProto, defs, helper, numpy_helper

from folding.errors import BadModel
from folding.modelfile import in_memory, open_model
from folding.soundness import check


@pytest.mark.parametrize("build", [conv_net, kept_net, relu_net])
def test_a_sound_model_is_sound(build: Callable[[], ModelProto]) -> None:
    check(in_memory(build()), "m")


def test_a_sound_model_with_big_tensors_is_sound(tmp_path: Path) -> None:
    with open_model(save(conv_net(64), tmp_path / "m.onnx")) as model:
        check(model, "m")


def test_data_apart_is_sound_wherever_we_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    path = save_apart(conv_net(64), tmp_path / "in" / "m.onnx")
    monkeypatch.chdir("/")

    with open_model(path) as model:
        check(model, "m")


def test_checking_changes_nothing(tmp_path: Path) -> None:
    with open_model(save_apart(conv_net(64), tmp_path / "m.onnx")) as model:
        before = model.proto.SerializeToString()
        check(model, "m")
        assert model.proto.SerializeToString() == before


def test_checking_reads_no_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unread(*_: Any) -> bytes:
        raise AssertionError("a weight was read")

    with open_model(save(conv_net(64), tmp_path / "m.onnx")) as model:
        monkeypatch.setattr("os.pread", unread)
        check(model, "m")


def test_inputs_without_a_shape_are_sound() -> None:
    model = relu_net()
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.ClearField("shape")

    check(in_memory(model), "m")


def test_operators_of_another_domain_are_sound() -> None:
    model = relu_net()
    node_ = helper.make_node("Magic", ["y"], ["z"], domain="my.ops", strength=3)
    model.graph.node.append(node_)
    model.opset_import.append(helper.make_opsetid("my.ops", 1))

    check(in_memory(model), "m")


@pytest.mark.parametrize("version", [7, 9, 13, 15, 21, defs.onnx_opset_version()])
def test_every_operator_set_that_onnx_knows_is_sound(version: int) -> None:
    model = relu_net()
    model.opset_import[0].version = version

    check(in_memory(model), "m")


SIZES: dict[str, tuple[int, list[int], int]] = {
    "four-bit numbers": (TensorProto.INT4, [3], 2),
    "two-bit numbers": (TensorProto.UINT2, [5], 2),
    "eight-bit floats": (TensorProto.FLOAT8E5M2, [7], 7),
    "complex numbers": (TensorProto.COMPLEX128, [2], 32),
    "booleans": (TensorProto.BOOL, [2, 2], 4),
    "a scalar": (TensorProto.DOUBLE, [], 8),
    "nothing": (TensorProto.FLOAT, [0, 7], 0),
}


def holding(elem_type: int, dims: list[int], size: int) -> ModelProto:
    model = relu_net()
    tensor = TensorProto(name="t", data_type=elem_type, dims=dims, raw_data=bytes(size))
    model.graph.initializer.append(tensor)
    model.opset_import[0].version = defs.onnx_opset_version()
    model.ir_version = onnx.IR_VERSION
    return model


@pytest.mark.parametrize("what", SIZES)
def test_a_tensor_of_this_type_has_this_many_bytes(what: str) -> None:
    check(in_memory(holding(*SIZES[what])), "m")


@pytest.mark.parametrize("off", [-1, 1])
@pytest.mark.parametrize("what", [what for what in SIZES if what != "nothing"])
def test_with_a_byte_more_or_less_it_is_refused(what: str, off: int) -> None:
    elem_type, dims, size = SIZES[what]

    with pytest.raises(BadModel, match="'t'"):
        check(in_memory(holding(elem_type, dims, size + off)), "m")


@pytest.mark.parametrize("off", [-8, 8, 4000])
def test_a_big_tensor_of_the_wrong_size_is_refused(tmp_path: Path, off: int) -> None:
    model = conv_net(64)
    weight = initializer(model, "w")
    weight.raw_data = bytes(len(weight.raw_data) + off)

    with (
        open_model(save(model, tmp_path / "m.onnx")) as opened,
        pytest.raises(BadModel, match="'w' of 'm' is 64x3x3x3: 6912 bytes"),
    ):
        check(opened, "m")


def test_a_tensor_of_a_constant_is_looked_at() -> None:
    model = relu_net()
    tensor = TensorProto(name="t", data_type=1, dims=[3], raw_data=bytes(8))
    model.graph.node.insert(0, helper.make_node("Constant", [], ["k"], value=tensor))

    with pytest.raises(BadModel, match="'t'"):
        check(in_memory(model), "m")


def test_a_tensor_of_a_body_is_looked_at() -> None:
    model = relu_net()
    tensor = TensorProto(name="t", data_type=1, dims=[3], raw_data=bytes(8))
    out = helper.make_tensor_value_info("t", TensorProto.FLOAT, [3])
    body = helper.make_graph([], "b", [], [out], [tensor])
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "flag"))
    found = helper.make_node("If", ["flag"], ["z"], then_branch=body, else_branch=body)
    model.graph.node.append(found)

    with pytest.raises(BadModel, match="'t'"):
        check(in_memory(model), "m")


def test_a_sparse_tensor_is_looked_at() -> None:
    model = relu_net()
    sparse = SparseTensorProto(dims=[9])
    sparse.values.CopyFrom(TensorProto(name="t", data_type=1, dims=[3], raw_data=bytes(8)))
    sparse.indices.CopyFrom(numpy_helper.from_array(np.arange(3), "i"))
    model.graph.sparse_initializer.append(sparse)

    with pytest.raises(BadModel, match="'t'"):
        check(in_memory(model), "m")


@pytest.mark.parametrize("kind", ["float_data", "double_data", "int64_data", "int32_data"])
@pytest.mark.parametrize("count", [2, 4])
def test_typed_numbers_must_be_as_many_as_the_dims_say(kind: str, count: int) -> None:
    types = {"float_data": 1, "double_data": 11, "int64_data": 7, "int32_data": 6}
    model = relu_net()
    tensor = model.graph.initializer.add(name="t", data_type=types[kind], dims=[3])
    getattr(tensor, kind).extend([1] * count)

    with pytest.raises(BadModel, match="t"):
        check(in_memory(model), "m")


def test_typed_numbers_of_the_right_count_are_sound() -> None:
    model = relu_net()
    model.graph.initializer.add(name="t", data_type=1, dims=[3]).float_data.extend([1, 2, 3])
    model.graph.initializer.add(name="c", data_type=14, dims=[1]).float_data.extend([1, 2])
    model.graph.initializer.add(name="half", data_type=10, dims=[2]).int32_data.extend([1, 2])
    model.graph.initializer.add(name="s", data_type=8, dims=[1]).string_data.append(b"a")

    check(in_memory(model), "m")


def test_the_checker_s_reason_is_one_line() -> None:
    model = relu_net()
    node_ = model.graph.node[1]
    node_.op_type = "Relux"

    with pytest.raises(BadModel) as caught:
        check(in_memory(model), "m")

    assert "\n" not in str(caught.value)
    assert "Relux" in str(caught.value)
    assert "rejected by the ONNX checker" in str(caught.value)


def test_every_refusal_has_a_remedy() -> None:
    model = conv_net()
    node(model, "relu").op_type = "Relux"

    with pytest.raises(BadModel) as caught:
        check(in_memory(model), "m")

    assert caught.value.hint


def test_a_newer_operator_set_asks_for_a_newer_onnx() -> None:
    model = relu_net()
    model.opset_import[0].version = defs.onnx_opset_version() + 1

    with pytest.raises(BadModel, match="knows up to") as caught:
        check(in_memory(model), "m")

    assert "newer onnx" in caught.value.hint


def test_a_newer_ir_asks_for_a_newer_onnx() -> None:
    model = relu_net()
    model.ir_version = onnx.IR_VERSION + 1

    with pytest.raises(BadModel, match="knows up to") as caught:
        check(in_memory(model), "m")

    assert "newer onnx" in caught.value.hint


@pytest.mark.parametrize("location", ["w.bin", ""])
def test_data_elsewhere_is_no_business_of_the_checker(tmp_path: Path, location: str) -> None:
    model = make(relu_net().graph)
    refer(initializer(model, "w"), location=location)

    with pytest.raises(BadModel, match="'w'"):
        open_model(save(model, tmp_path / "m.onnx"))


def test_a_domain_that_is_not_utf_8_is_refused() -> None:
    model = conv_net()
    model.opset_import.add(domain="strange", version=1)
    broken = ModelProto.FromString(model.SerializeToString().replace(b"strange", b"str\xff\xfege"))

    with pytest.raises(BadModel, match="not valid UTF-8"):
        check(in_memory(broken), "m")


def grouped(*, within: str = "") -> ModelProto:
    """A model with an operator that is deprecated in operator set 18, perhaps in a body."""
    net = Net(opset=18)
    x = net.input("n", 4, 3)
    net.store(np.ones(2), "s")
    nodes = [helper.make_node("GroupNormalization", [x, "s", "s"], ["g"], "old", num_groups=2)]
    nodes.append(helper.make_node("Relu", ["g"], ["r"], "relu"))
    if within == "function":
        imports = [helper.make_opsetid("", 18)]
        function = helper.make_function("own", "F", [x, "s"], ["r"], nodes, imports)
        net.nodes.append(helper.make_node("F", [x, "s"], ["y"], domain="own"))
        return net.model("y", functions=[function])
    if within == "body":
        result = [helper.make_tensor_value_info("r", TensorProto.FLOAT, None)]
        body = helper.make_graph(nodes, "body", [], result)
        flag = net.input(name="flag", elem_type=TensorProto.BOOL)
        net.node("If", flag, out="y", then_branch=body, else_branch=body)
        return net.model("y")
    net.nodes.extend(nodes)
    return net.model("r")


@pytest.mark.parametrize("within", ["", "body", "function"])
def test_deprecated_operators_are_sound(within: str) -> None:
    """The ONNX checker refuses them, but there are runtimes that run them."""
    model = grouped(within=within)
    before = model.SerializeToString()

    check(in_memory(model), "m")

    assert model.SerializeToString() == before


@pytest.mark.parametrize("within", ["", "body", "function"])
def test_all_that_stands_beside_a_deprecated_operator_is_checked(within: str) -> None:
    model = grouped(within=within)
    text = model.SerializeToString()
    broken = ModelProto.FromString(text.replace(b"\x04Relu", b"\x04Rely"))
    assert broken != model

    with pytest.raises(BadModel, match="Rely"):
        check(in_memory(broken), "m")


def test_what_a_deprecated_operator_reads_must_be_there() -> None:
    model = grouped()
    node(model, "old").input[1] = "nowhere"

    with pytest.raises(BadModel, match="nowhere"):
        check(in_memory(model), "m")


def test_a_model_with_a_deprecated_operator_is_folded() -> None:
    net = Net(opset=18)
    old = net.node(
        "GroupNormalization", net.input(2, 4, 3), net.positive(2), net.weight(2), num_groups=2
    )
    conv = net.node("Conv", net.node("Relu", old), net.weight(3, 4, 1))
    net.batch_norm(conv, 3, out="y")

    assert fold(net.model("y")).operators == ["GroupNormalization", "Relu", "Conv"]
