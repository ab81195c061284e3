"""Small valid models that, between them, have everything a model file can hold."""

from __future__ import annotations

import numpy as np
from files import conv_net, refer
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

#: The file beside them that some of their tensors are in, of at least 4096 bytes.
DATA = "weights.bin"
FLOAT, BOOL = TensorProto.FLOAT, TensorProto.BOOL
#: Fields of every wire type that no version of ONNX has.
UNKNOWN = b"\xa2\x38\x05later\xa8\x38\x07\xb5\x38abcd\xb9\x38abcdefgh"


def _value(name: str, elem_type: int = FLOAT, *shape: int | str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, elem_type, shape)


def _tensor(name: str, *values: float) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.float32), name)


def old() -> ModelProto:
    """IR version 3, where tensors are inputs too; raw and typed data, text, and what is unknown."""
    model = conv_net(2)
    model.ir_version = 3
    typed = [
        helper.make_tensor("floats", FLOAT, [3], [1.5, 2.5, 3.5]),
        helper.make_tensor("halves", TensorProto.FLOAT16, [2], [1.0, 2.0]),
        helper.make_tensor("integers", TensorProto.INT64, [2], [7, -1]),
        TensorProto(
            name="texts", data_type=TensorProto.STRING, dims=[2], string_data=[b"one", b"\xff\0"]
        ),
        helper.make_tensor("doubles", TensorProto.DOUBLE, [1], [0.5]),
        helper.make_tensor("unsigned", TensorProto.UINT64, [], [9]),
        numpy_helper.from_array(np.array([1 + 2j], np.complex64), "complex"),
    ]
    model.graph.initializer.extend(typed)
    for tensor in model.graph.initializer:
        model.graph.input.append(_value(tensor.name, tensor.data_type, *tensor.dims))
    model.graph.doc_string = model.doc_string = "β"
    return ModelProto.FromString(model.SerializeToString() + UNKNOWN)


def _body(name: str, *nodes: NodeProto, stored: list[TensorProto] | None = None) -> GraphProto:
    return helper.make_graph([*nodes], name, [], [_value(f"{name}_out", FLOAT, 2)], stored)


def bodies() -> ModelProto:
    """If in If, Loop, and Constants of several kinds."""
    constant = helper.make_node("Constant", [], ["deep_out"], value=_tensor("", 1.5, 2.5))
    shifted = helper.make_node("Add", ["x", "shift"], ["else_out"])
    inner = helper.make_node(
        "If",
        ["choice"],
        ["then_out"],
        then_branch=_body("deep", constant),
        else_branch=_body("flat", helper.make_node("Identity", ["x"], ["flat_out"])),
    )
    outer = helper.make_node(
        "If",
        ["choice"],
        ["h"],
        "if",
        then_branch=_body("then", inner),
        else_branch=_body("else", shifted, stored=[_tensor("shift", 3.0, 4.0)]),
    )
    step = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["s", "s"], ["t"])],
        "step",
        [_value("i", TensorProto.INT64), _value("go", BOOL), _value("s", FLOAT, 2)],
        [_value("on", BOOL), _value("t", FLOAT, 2)],
    )
    turns = helper.make_node("Constant", [], ["turns"], value_int=3)
    loop = helper.make_node("Loop", ["turns", "choice", "h"], ["y"], body=step)
    graph = helper.make_graph(
        [outer, turns, loop], "g", [_value("x", FLOAT, 2), _value("choice", BOOL)], [_value("y")]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def rich() -> ModelProto:
    """The newest IR: functions, training, sparse and narrow tensors, annotations, metadata."""
    narrow = TensorProto(name="narrow", data_type=TensorProto.INT4, dims=[17], raw_data=bytes(9))
    here = _tensor("here", 1.0, 2.0, 3.0)
    here.data_location = TensorProto.DEFAULT
    sparse = helper.make_sparse_tensor(
        _tensor("sparse", 1.0, 2.0), numpy_helper.from_array(np.array([1, 3]), "places"), [5]
    )
    nodes = [
        helper.make_node("Scaled", ["x"], ["h"], domain="own", factor=2.0),
        helper.make_node("Add", ["h", "here"], ["y"], "add", doc_string="a sum"),
    ]
    x, y = _value("x", FLOAT, "n", 3), _value("y", FLOAT, "n", 3)
    graph = helper.make_graph(nodes, "g", [x], [y], [narrow, here], sparse_initializer=[sparse])
    graph.value_info.append(_value("h", FLOAT, "n", 3))
    note = graph.quantization_annotation.add(tensor_name="h")
    note.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="here")
    held = helper.make_node("Constant", [], ["c"], value=_tensor("", 2.0, 3.0, 4.0))
    scaled = helper.make_node("Mul", ["x", "c"], ["y"])
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
    function = helper.make_function(
        "own", "Scaled", ["x"], ["y"], [held, scaled], imports, ["factor"]
    )
    model = helper.make_model(graph, opset_imports=imports, functions=[function])
    training = model.training_info.add()
    training.initialization.CopyFrom(_body("first", stored=[_tensor("first_out", 5.0, 6.0)]))
    training.update_binding.add(key="here", value="first_out")
    helper.set_model_props(model, {"author": "β", "": ""})
    return model


def apart() -> ModelProto:
    """Tensors in another file beside one that is not."""
    model = rich()
    for place, tensor in enumerate(
        (model.graph.initializer[0], model.functions[0].node[0].attribute[0].t)
    ):
        refer(tensor, location=DATA, offset=str(64 * place), length=str(len(tensor.raw_data)))
    return model


def sparse_apart() -> ModelProto:
    """The numbers of a sparse tensor in another file."""
    model = rich()
    refer(model.graph.sparse_initializer[0].values, location=DATA, offset="8", length="8")
    return model


def specimens() -> list[ModelProto]:
    """All of them."""
    return [old(), bodies(), rich(), apart(), sparse_apart()]
