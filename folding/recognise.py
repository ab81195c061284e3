"""Which nodes are affine maps ``y = s * x + t`` along one known axis.

BatchNormalization in inference form    s = gamma / sqrt(var + eps), t = beta - mean * s
Mul, Div by a constant, Neg             s
Add, Sub of a constant, constant - x    t
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from onnx import NodeProto, TensorProto

from folding.affine import ChannelAffine, identity
from folding.aligning import axis_of
from folding.constants import Constants
from folding.doubled import Doubled
from folding.floats import FLOATS
from folding.formulas import arithmetic, batch_norm, kind_of
from folding.graph import Scope
from folding.plan import Kept, Reason
from folding.protos import integer, title
from folding.unevaluated import is_unevaluated, unevaluated

_BROADCASTS_SINCE = 7
_ARITHMETIC = frozenset({"Mul", "Div", "Add", "Sub"})
_AFFINES = _ARITHMETIC | {"BatchNormalization", "Neg"}


@dataclass(frozen=True, slots=True)
class Step:
    """One node that is an affine map of its input ``data``, in input ``slot``.

    ``axis`` and ``channels`` are known without its numbers, which ``affine`` computes.
    """

    node: int
    slot: int
    data: str
    axis: int | None
    channels: int | None
    is_shift: bool
    scales_channels: bool
    is_batch_norm: bool
    affine: Callable[[], ChannelAffine | Kept]


class Recogniser:
    """Answers for one scope which nodes are steps; the answers do not change while folding.

    ``refusals`` says of nodes that would be one why they are not.
    """

    def __init__(self, scope: Scope, constants: Constants) -> None:
        self.scope, self.constants = scope, constants
        self.steps: dict[int, Step | Kept] = {}
        self.refusals: dict[int, Kept] = {}
        #: Arithmetic on weights is no affine of the model, whether it is evaluated or not.
        self._unevaluated = unevaluated(constants)
        for index, operator in enumerate(scope.operators):
            found = self._step(index) if operator in _AFFINES else None
            if found is not None:
                self.steps[index] = found

    def _step(self, index: int) -> Step | Kept | None:
        scope, operator, makes = self.scope, self.scope.operators[index], self.scope.makes[index]
        known = (name in self.constants for name in makes if name)
        if index in scope.foreign or all(known) or not scope.may_be_float(makes[0]):
            return None
        if operator == "BatchNormalization":
            return self._batch_norm(index, scope.nodes[index])
        if makes[0] in self._unevaluated:
            return None
        if operator in _ARITHMETIC:
            return self._arithmetic(index)
        if scope.type(makes[0]) not in FLOATS:
            return None
        minus = ChannelAffine(Doubled.exact(-1.0), Doubled.exact(0.0), None)
        return Step(index, 0, scope.reads[index][0], None, None, False, False, False, lambda: minus)

    def _arithmetic(self, index: int) -> Step | Kept | None:
        """A Mul, Div, Add or Sub with one constant; Kept if it is a scale that cannot be used."""
        operator, reads = self.scope.operators[index], self.scope.reads[index]
        slot = self._parameter_slot(operator, reads)
        if slot is None:
            return None
        name, data = reads[slot], reads[1 - slot]
        dims = self.constants.dims(name)
        if dims is None or 0 in dims or self._stored_type(name) not in FLOATS:
            return None
        wide = len(dims) - dims.count(1)
        if wide > 1:
            return None
        scales_channels = operator in ("Mul", "Div") and wide == 1
        axis = axis_of(dims, data, self.constants)
        refusal = self._refusal(index, name, data, axis)
        if refusal is not None or isinstance(axis, Reason):
            if refusal is not None:
                self.refusals[index] = refusal
            return refusal if scales_channels else None
        kind = kind_of(operator, 1 - slot)
        is_shift = kind in ("Add", "Sub")
        channels = None if axis is None else dims[axis]
        affine = partial(self._arithmetic_affine, kind, name, axis)
        return Step(index, 1 - slot, data, axis, channels, is_shift, scales_channels, False, affine)

    def _parameter_slot(self, operator: str, reads: tuple[str, ...]) -> int | None:
        """Which input is the constant; None if there is none, or it is divided by the data."""
        if self._is_parameter(reads[1]):
            return 1
        return 0 if self._is_parameter(reads[0]) and operator != "Div" else None

    def _refusal(self, index: int, name: str, data: str, axis: int | Reason | None) -> Kept | None:
        if name not in self.constants:
            return Kept(Reason.OVERRIDABLE, name)
        node = self.scope.nodes[index]
        if self.scope.opset < _BROADCASTS_SINCE:
            return Kept(Reason.OLD_OPSET, title(node), node.op_type)
        if axis is Reason.OPERAND_GROWS:
            return Kept(axis, title(node), node.op_type)
        return Kept(axis, data) if isinstance(axis, Reason) else None

    def _is_parameter(self, name: str) -> bool:
        return name in self.constants or name in self.scope.overridable

    def _stored_type(self, name: str) -> int:
        if known := self.scope.type(name):
            return known
        stored = self.constants.stored(name)
        return stored.tensor.data_type if stored else TensorProto.FLOAT

    def _arithmetic_affine(self, kind: str, name: str, axis: int | None) -> ChannelAffine | Kept:
        value = self.constants.doubled(name)
        if value is None:
            return Kept(Reason.TOO_COMPLEX, name)
        return arithmetic(kind, value, axis) or Kept(Reason.NOT_FINITE, name)

    def _batch_norm(self, index: int, node: NodeProto) -> Step | Kept:
        refusal = self._no_inference_form(node)
        if refusal is not None:
            return refusal
        shape = self.scope.shape(node.input[0])
        if shape is None or len(shape) < 2:  # noqa: PLR2004
            return Kept(Reason.AXIS_UNCERTAIN, node.input[0])
        lengths = {self.constants.dims(name) for name in node.input[1:5]}
        dims = lengths.pop()
        if lengths or dims is None or len(dims) != 1 or shape[1] not in (None, *dims):
            return Kept(Reason.BAD_PARAMETERS, title(node))
        channels = dims[0]  # By definition of the operator those of the data.
        known = channels if channels != 1 else None
        axis = 1 - len(shape) if known is not None else None
        affine = partial(self._batch_norm_affine, node)
        return Step(index, 0, node.input[0], axis, known, False, True, True, affine)

    def _no_inference_form(self, node: NodeProto) -> Kept | None:
        opset = self.scope.opset
        if opset < _BROADCASTS_SINCE:
            training = not integer(node, "is_test", 0)
        else:
            training = bool(integer(node, "training_mode", 0)) or self._batch_outputs(node)
        if training:
            return Kept(Reason.TRAINING_MODE, title(node))
        unknown = [self._unknown(node, slot) for slot in range(1, 5)]
        refused = [kept for kept in unknown if kept is not None]
        if refused:
            live = (kept for kept in refused if kept.reason is Reason.LIVE_STATISTICS)
            return next(live, refused[0])
        if not integer(node, "spatial", 1):
            return Kept(Reason.PER_POSITION, title(node))
        if any(self._is_used(name) for name in node.output[1:]):
            return Kept(Reason.OUTPUT_USED, title(node))
        return None

    def _unknown(self, node: NodeProto, slot: int) -> Kept | None:
        """Why a parameter is not one of the constants, if it is not."""
        name = node.input[slot]
        if name in self.constants:
            return None
        if name in self.scope.overridable:
            return Kept(Reason.OVERRIDABLE, name)
        if is_unevaluated(self.constants, name):
            return Kept(Reason.TOO_COMPLEX, name)
        return Kept(Reason.LIVE_STATISTICS if slot in (3, 4) else Reason.RUNTIME_PARAMETER, name)

    def _is_used(self, name: str) -> bool:
        scope = self.scope
        return name in scope.readers or name in scope.measurers or name in scope.outputs

    @staticmethod
    def _batch_outputs(node: NodeProto) -> bool:
        """Opsets 7 to 13 have no mode: asking for the batch's mean is what makes it training."""
        return len([name for name in node.output if name]) > 1

    def _batch_norm_affine(self, node: NodeProto) -> ChannelAffine | Kept:
        values = []
        for name in node.input[1:5]:
            value = self.constants.doubled(name)
            if value is None:
                return Kept(Reason.TOO_COMPLEX, name)
            if not value.is_finite():
                return Kept(Reason.NOT_FINITE, name)
            values.append(value)
        rank = len(self.scope.shape(node.input[0]) or ())
        found = batch_norm(node, values, rank)
        return found or Kept(Reason.BAD_VARIANCE, node.input[4])

    def axis(self, nodes: tuple[int, ...]) -> int | None:
        """The axis that a run of steps acts along; None if all are scalars."""
        steps = (self.steps[index] for index in nodes)
        return next((s.axis for s in steps if isinstance(s, Step) and s.axis is not None), None)

    def compose(self, nodes: tuple[int, ...]) -> ChannelAffine | Kept:
        """The affine map of a run of steps; Kept if a number of it is unusable."""
        whole: ChannelAffine | None = None
        for index in nodes:
            step = self.steps[index]
            part = step if isinstance(step, Kept) else step.affine()
            if isinstance(part, Kept):
                return part
            whole = part if whole is None else part.after(whole)
        return whole or identity()
