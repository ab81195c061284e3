"""Small ONNX models for the tests, and what became of them when they were folded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
    shape_inference,
)
from oracle import evaluate

import folding
from folding.modelfile import in_memory
from folding.plan import Decision, Folded, Kept, Plan, Reason
from folding.planner import plan_model

Array = npt.NDArray[Any]
Feed = dict[str, Array]

FLOAT, DOUBLE = TensorProto.FLOAT, TensorProto.DOUBLE
HALF, BFLOAT = TensorProto.FLOAT16, TensorProto.BFLOAT16
INT64, BOOL = TensorProto.INT64, TensorProto.BOOL

#: float64 shows that the formula is right, float32 that onnxruntime agrees.
TYPES = (DOUBLE, FLOAT)
TOLERANCES: dict[int, float] = {DOUBLE: 1e-12, FLOAT: 2e-5, HALF: 2e-2, BFLOAT: 1e-1}


@dataclass
class Net:
    """A model in the making: what is stored without a type of its own is of type ``elem_type``."""

    elem_type: int = FLOAT
    opset: int = 17
    ir_version: int = 8
    seed: int = 0
    nodes: list[NodeProto] = field(default_factory=list)
    inputs: list[ValueInfoProto] = field(default_factory=list)
    stored: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def input(self, *shape: int | str | None, name: str = "x", elem_type: int = 0) -> str:
        kind = elem_type or self.elem_type
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def store(self, values: npt.ArrayLike, name: str = "", elem_type: int | None = None) -> str:
        """An initializer of the net's type, or of ``elem_type``, or its own if that is 0."""
        array = np.asarray(values)
        kind = self.elem_type if elem_type is None else elem_type
        if kind:
            array = array.astype(helper.tensor_dtype_to_np_dtype(kind))
        name = name or f"c{len(self.stored)}"
        self.stored[name] = array
        return name

    def integers(self, *values: int, name: str = "") -> str:
        return self.store(np.array(values, np.int64), name, 0)

    def weight(self, *shape: int, name: str = "", elem_type: int | None = None) -> str:
        """Random numbers of both signs, none near zero."""
        sign = self.random.choice([-1.0, 1.0], shape)
        return self.store(sign * self.random.uniform(0.25, 1.75, shape), name, elem_type)

    def positive(self, *shape: int, name: str = "", elem_type: int | None = None) -> str:
        return self.store(self.random.uniform(0.25, 1.75, shape), name, elem_type)

    def node(
        self, operator: str, *inputs: str, out: str = "", name: str = "", **attributes: Any
    ) -> str:
        """A node with the outputs named in ``out``; returns the first."""
        outputs = out.split(",") if out else [f"{operator.lower()}{len(self.nodes)}"]
        self.nodes.append(helper.make_node(operator, inputs, outputs, name, **attributes))
        return outputs[0]

    def batch_norm(self, x: str, channels: int, out: str = "", **attributes: Any) -> str:
        prefix = out.partition(",")[0] or f"bn{len(self.nodes)}"
        parameters = [
            self.weight(channels, name=f"{prefix}.gamma"),
            self.weight(channels, name=f"{prefix}.beta"),
            self.weight(channels, name=f"{prefix}.mean"),
            self.positive(channels, name=f"{prefix}.var"),
        ]
        return self.node("BatchNormalization", x, *parameters, out=out, **attributes)

    def graph(self, *outputs: str, name: str = "net") -> GraphProto:
        """The graph with outputs whose types are not known yet."""
        values = [ValueInfoProto(name=output) for output in outputs]
        tensors = [numpy_helper.from_array(array, key) for key, array in self.stored.items()]
        return helper.make_graph(self.nodes, name, self.inputs, values, tensors)

    def model(self, *outputs: str, functions: Sequence[Any] = ()) -> ModelProto:
        """The model, its outputs typed by ONNX's own inference."""
        graph = self.graph(*outputs)
        if self.ir_version < 4:
            for tensor in graph.initializer:
                graph.input.append(
                    helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
                )
        domains = sorted({node.domain for node in self.nodes} - {"", "ai.onnx"})
        model = helper.make_model(
            graph,
            ir_version=self.ir_version,
            opset_imports=[
                helper.make_opsetid("", self.opset),
                *(helper.make_opsetid(domain, 1) for domain in domains),
            ],
            functions=list(functions),
        )
        inferred = shape_inference.infer_shapes(model, data_prop=True).graph
        known = (*inferred.value_info, *inferred.output, *inferred.input)
        types = {v.name: v.type for v in known if v.type.WhichOneof("value")}
        for tensor in graph.initializer:
            types[tensor.name] = helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
        for value in model.graph.output:
            unknown = helper.make_tensor_type_proto(self.elem_type, None)
            value.type.CopyFrom(types.get(value.name, unknown))
        return model


@dataclass(frozen=True)
class Result:
    """A folded model and its plan."""

    source: ModelProto
    model: ModelProto
    plan: Plan

    @property
    def operators(self) -> list[str]:
        return [node.op_type for node in self.model.graph.node]

    @property
    def tensors(self) -> dict[str, Array]:
        return tensors(self.model.graph)

    @property
    def names(self) -> list[str]:
        return [decision.name for decision in self.plan.decisions]

    def decision(self, name: str) -> Decision:
        return next(d for d in self.plan.decisions if d.name == name)

    def kept(self, name: str) -> tuple[Reason, str]:
        """The reason and the culprit of an affine that stays."""
        outcome = self.decision(name).outcome
        assert isinstance(outcome, Kept), outcome
        return outcome.reason, outcome.at

    def into(self, name: str) -> tuple[str, ...]:
        outcome = self.decision(name).outcome
        assert isinstance(outcome, Folded), outcome
        return outcome.into


def tensors(graph: GraphProto) -> dict[str, Array]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def fold(model: ModelProto) -> Result:
    """Fold a model, verification included."""
    folded, report = folding.fold_model(model)
    return Result(model, folded, report.plan)


def fold_unverified(model: ModelProto) -> Result:
    """Fold a model that cannot be run or proved, or whose rule is to be tested alone."""
    folded, report = folding.fold_model(model, verify=False)
    return Result(model, folded, report.plan)


def refusal(model: ModelProto) -> tuple[Reason, str]:
    """Why the only affine of a model stays; the model must be returned byte for byte."""
    result = fold(model)
    assert result.model.SerializeToString() == model.SerializeToString()
    assert len(result.plan.decisions) == 1, result.plan
    return result.kept(result.names[0])


def plan(model: ModelProto) -> list[Decision]:
    """The decisions alone."""
    return plan_model(in_memory(model), {}).decisions


def feed_for(model: ModelProto, seed: int = 1, size: int = 2) -> Feed:
    """Random inputs; an open dimension gets ``size``."""
    random = np.random.default_rng(seed)
    stored = {tensor.name for tensor in model.graph.initializer}
    feed = {}
    for value in model.graph.input:
        if value.name in stored:
            continue
        kind = value.type.tensor_type
        shape = [dim.dim_value or size for dim in kind.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
        if kind.elem_type == BOOL:
            feed[value.name] = np.ones(shape, bool)
        else:
            feed[value.name] = random.standard_normal(shape).astype(dtype)
    return feed


def run(model: ModelProto, feed: Feed) -> list[Array]:
    """Run a model in onnxruntime as it is written."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [np.asarray(value) for value in session.run(None, feed)]


def distance(one: Array, other: Array) -> float:
    """The largest difference relative to the root mean square of the first."""
    assert one.shape == other.shape
    if one.dtype.kind in "biu":
        return 0.0 if (one == other).all() else np.inf
    a, b = one.astype(np.float64), other.astype(np.float64)
    rms = float(np.sqrt(np.mean(a**2))) if a.size else 0.0
    worst = float(np.abs(a - b).max(initial=0.0))
    return worst / rms if rms else worst


def assert_same_function(one: ModelProto, other: ModelProto, seed: int = 1) -> None:
    """By the ONNX definition in float64 and, where it has the kernels, in onnxruntime."""
    feed = feed_for(one, seed)
    coarsest = _coarsest(one)
    for a, b in zip(evaluate(one, feed), evaluate(other, feed), strict=True):
        assert distance(a, b) <= TOLERANCES[coarsest]
    if coarsest in (FLOAT, HALF):
        for a, b in zip(run(one, feed), run(other, feed), strict=True):
            assert distance(a, b) <= TOLERANCES[coarsest]


def _coarsest(model: ModelProto) -> int:
    kinds = {tensor.data_type for tensor in model.graph.initializer}
    kinds |= {value.type.tensor_type.elem_type for value in model.graph.input}
    return max((k for k in kinds if k in TOLERANCES), key=lambda kind: TOLERANCES[kind])


def assert_folds_to(model: ModelProto, *operators: str) -> None:
    """The folded model has these operators, and is the same function."""
    result = fold(model)
    assert result.operators == [*operators]
    assert_same_function(model, result.model)
