"""The files that a model keeps data in, found without reading it as a model."""

from __future__ import annotations

from pathlib import Path

import pytest
from files import conv_net, initializer, make, put_apart, refer, relu_net, save, save_apart
from onnx import ModelProto, SparseTensorProto, TensorProto, helper

from folding.errors import Malformed, StorageFailed
from folding.framing import Buffer, delimited
from folding.locations import external_tensors, locations
from folding.modelfile import open_model


def found(model: ModelProto) -> list[tuple[str, str]]:
    return list(external_tensors(Buffer(model.SerializeToString())))


def apart(name: str, location: str) -> TensorProto:
    """A tensor that is in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1])
    refer(tensor, location=location, offset="0", length="4")
    return tensor


def test_every_external_tensor_is_found_with_its_name() -> None:
    """In the order of the file."""
    model = conv_net()
    for tensor in model.graph.initializer[:3]:
        refer(tensor, location=f"{tensor.name}.bin")

    assert found(model) == [(f"{t.name}.bin", t.name) for t in model.graph.initializer[:3]]


def test_tensors_in_nodes_bodies_functions_and_training_are_found() -> None:
    """Wherever a model can keep one."""
    model = relu_net()
    body = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=apart("inner", "body.bin"))],
        "body",
        [],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, [1])],
    )
    model.graph.node.append(
        helper.make_node("If", ["b"], ["z"], then_branch=body, else_branch=body)
    )
    model.graph.node[0].attribute.append(
        helper.make_attribute("some", [apart("one", "list.bin"), apart("two", "list.bin")])
    )
    model.graph.sparse_initializer.append(
        SparseTensorProto(values=apart("values", "v.bin"), indices=apart("indices", "i.bin"))
    )
    function = model.functions.add(name="f", domain="d")
    function.node.append(helper.make_node("Constant", [], ["k"], value=apart("k", "function.bin")))
    training = model.training_info.add()
    training.initialization.initializer.append(apart("t", "training.bin"))

    places = {location for location, _ in found(model)}

    assert places == {
        *("body.bin", "list.bin", "v.bin", "i.bin", "function.bin", "training.bin"),
    }


def test_a_tensor_that_has_its_data_itself_is_none() -> None:
    """Whatever it says besides."""
    model = conv_net()
    initializer(model, "w").external_data.add(key="location", value="nowhere.bin")

    assert found(model) == []


def test_what_comes_last_counts() -> None:
    """As protobuf has it."""
    model = conv_net()
    tensor = initializer(model, "w")
    refer(tensor, location="first.bin")
    tensor.external_data.add(key="location", value="last.bin")

    assert found(model) == [("last.bin", "w")]


def test_a_model_deeper_than_any_stack_is_walked() -> None:
    """Nothing is nested in the walker's own calls."""
    graph = delimited(1, b"")
    for _ in range(5000):
        graph = delimited(1, delimited(5, delimited(6, graph)))

    assert list(external_tensors(Buffer(delimited(7, graph)))) == []


def test_the_locations_of_a_file_are_those_that_are_opened(tmp_path: Path) -> None:
    """As paths from its folder."""
    source = save_apart(conv_net(), tmp_path / "m.onnx", "data/w.bin")

    with open_model(source) as model:
        assert locations(source) == set(model.data) == {"data/w.bin"}


def test_dots_in_a_location_are_left_out(tmp_path: Path) -> None:
    """It is the same file."""
    model = conv_net()
    put_apart(initializer(model, "w"), tmp_path, "./w.bin")

    assert locations(save(model, tmp_path / "m.onnx")) == {"w.bin"}


@pytest.mark.parametrize("size", [1, 40, 300])
def test_a_model_that_is_cut_off_is_malformed(size: int, tmp_path: Path) -> None:
    """And so is what has no graph."""
    data = conv_net().SerializeToString()
    (tmp_path / "cut.onnx").write_bytes(data[:size])
    (tmp_path / "none.onnx").write_bytes(make(conv_net().graph).SerializeToString()[:4])

    for name in ("cut.onnx", "none.onnx"):
        with pytest.raises(Malformed):
            locations(tmp_path / name)


def test_a_location_that_is_no_text_is_malformed(tmp_path: Path) -> None:
    """It names the tensor."""
    model = conv_net()
    refer(initializer(model, "w"), location="xyzxyz.bin")
    data = model.SerializeToString().replace(b"xyzxyz", b"\xff\xfe\xff\xfe\xff\xfe")

    with pytest.raises(Malformed, match=r"tensor 'w' is kept in .* which is not UTF-8"):
        list(external_tensors(Buffer(data)))


def test_a_file_that_is_not_there_cannot_be_read(tmp_path: Path) -> None:
    """It is named."""
    with pytest.raises(StorageFailed, match="nowhere"):
        locations(tmp_path / "nowhere.onnx")
