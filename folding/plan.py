"""What will be folded, what will not, and why: decided before a single weight is touched.

Plain data without tensors or protobuf, shared by the command, the reports and the service.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What an affine is. ``--strict`` regards the first two."""

    BATCH_NORM = "batch_norm"
    SCALE_SHIFT = "scale_shift"
    LIVE_NORM = "live_norm"
    SCALAR = "scalar"


class Reason(StrEnum):
    """Why an affine stays. The value is the sentence shown to the user."""

    # The affine itself.
    TRAINING_MODE = "it is in training mode, so its statistics change with every batch"
    LIVE_STATISTICS = "its statistics are computed at run time"
    PER_POSITION = "its parameters differ by position, not only by channel"
    OVERRIDABLE = "a caller may override this value, because it is also a graph input"
    RUNTIME_PARAMETER = "this parameter is computed at run time"
    TOO_COMPLEX = "this constant expression is too large or uses an operator that is not evaluated"
    AXIS_UNCERTAIN = "the axis it acts along is not certain: the data's shape is not known there"
    BAD_PARAMETERS = "its parameters do not fit the data's channels"
    BAD_VARIANCE = "variance plus epsilon is not positive"
    NOT_FINITE = "a parameter is not finite"
    OLD_OPSET = "operators below opset 7 broadcast by other rules"
    OUTPUT_USED = "another output of this node is used"
    OLD_IR = "below IR version 4 its shift would need a node more than are saved"
    MORE_NODES = "folding it would leave more nodes than there are"
    IN_FUNCTION = "it stands inside a model-local function"
    ASKED_TO_KEEP = "it was asked to be kept"
    # The way to a layer.
    GRAPH_INPUT = "nothing stands before it but this graph input"
    OUTER_VALUE = "what it acts on comes from outside of this body"
    UNREAD = "nothing reads its result"
    GRAPH_OUTPUT = "this value on the way is also a graph output"
    CAPTURED = "this value on the way is also read inside a body of a control-flow node"
    FORKED = "this value on the way is also used elsewhere"
    CUSTOM_OPERATOR = "this operator is not one of ONNX's own"
    NO_RULE = "no rule lets an affine pass this operator"
    BEHIND_KEPT = "another affine on the way stays"
    OTHER_AXIS = "another affine on the way acts along another axis"
    CAST_ROUNDS = "this conversion changes the type"
    DROPOUT_ACTIVE = "this dropout may be active"
    MISSING_AXES = "the axes of this operator are not known"
    HIDDEN_NAME = "a name in this body hides one outside of it"
    NEGATIVE_SCALE = "this operator is passed only by scales that are not negative"
    SHIFT_BLOCKED = "no shift passes this operator"
    PADS = "what this operator pads with would have to change by channel"
    EMPTY_WINDOW = "a window of this operator may lie in the padding alone"
    MIXES_CHANNELS = "this operator mixes channels that are scaled or shifted differently"
    SIZES_UNKNOWN = "the sizes that this operator works with are not known"
    UNUSUAL_FORM = "this operator has a form that nothing passes"
    OPERAND_GROWS = "an operand of this operator lacks the channels, so it would have to grow"
    OTHER_BRANCH = "another input of this operator has no such affine before it"
    BRANCHES_DIFFER = "the branches that meet here would need different numbers"
    TOO_MANY_WAYS = "more ways part here, or meet again, than are followed"
    # The layer.
    RUNTIME_WEIGHT = "the weight of this layer is computed at run time"
    RUNTIME_OPERANDS = "no input of this operator is a constant that could take it in"
    RUNTIME_BIAS = "the bias of this layer is computed at run time"
    WEIGHT_TYPE = "the weight of this layer is not stored in a float type"
    NOT_OUTPUT_CHANNELS = "it acts along another axis than the channels of this layer"
    NOT_INPUT_CHANNELS = "it acts along another axis than the one this layer sums over"
    PADS_ZEROS = "this layer pads with zeros, which would have to be shifted too"
    HAS_NO_BIAS = "this layer has no bias to take a shift in"
    BAD_LAYER = "the weight and attributes of this layer do not fit together"
    POSITIVE_ONLY = "quantised weights take only positive scales"
    OTHER_SCALES = "the scales of this quantised weight differ along another axis"
    ONE_SCALE = "below opset 13 a quantised weight has one scale for all channels"
    ROUNDS_INPUT = "with a scale of its own, onnxruntime would round the layer's input to 8 bits"
    SHARED_WEIGHT = "others read this weight too"
    QUANTISED_BIAS = "the bias of this layer is quantised"
    QUANTISED_SUM = "a shift would have to be summed over this quantised weight"
    COPIES = "folding it would store this tensor twice, and copies would grow the file by over 1 %"
    COMPUTED_COPIES = "folding it would store what is computed here, and grow the file by over 1 %"
    # The numbers.
    OVERFLOW = "a folded number would overflow the type that this tensor is stored in"
    FAILED_ITS_RUN = "the folded layer gave other numbers than rounding explains when it was run"
    UNDERFLOW = "folded numbers would vanish in the type that this tensor is stored in"


@dataclass(frozen=True, slots=True)
class Kept:
    """One affine left alone, for what ``at`` names; ``below`` is why it cannot go down either."""

    reason: Reason
    at: str
    operator: str = ""
    below: Kept | None = None

    def __str__(self) -> str:
        behind = f"; behind it, {self.below.sentence}" if self.below else ""
        return f"kept: {self.sentence}{behind}"

    @property
    def sentence(self) -> str:
        """The reason and the culprit."""
        return f"{self.reason} ({f'{self.operator} {self.at!r}'.strip()})"

    @property
    def culprit(self) -> dict[str, str]:
        """The parts of the sentence, for programs."""
        return {"reason": self.reason.name, "at": self.at, "at_operator": self.operator}


@dataclass(frozen=True, slots=True)
class Folded:
    """One affine that disappears into the layers named, or ``stays`` in nodes of its own.

    If something kept it from layers, or its shift alone, which stays as an Add, ``rest`` says what.
    """

    into: tuple[str, ...]
    operator: str = ""
    rest: Kept | None = None
    stays: bool = False

    def __str__(self) -> str:
        where = f"{self.operator} {', '.join(map(repr, self.into))}"
        if self.rest is None:
            return f"folded into {where}"
        how, what = ("", "that") if self.stays else ("its scale ", "its shift")
        return f"{how}folded into {where}; {what} stays: {self.rest.sentence}"


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one affine.

    ``name`` is the output of its last node: names of nodes may be empty or repeated. ``nodes`` are
    the names of its nodes (their first outputs where they have none), in graph order.
    """

    name: str
    kind: Kind
    nodes: tuple[str, ...]
    outcome: Folded | Kept

    @property
    def is_folded(self) -> bool:
        return isinstance(self.outcome, Folded)

    @property
    def is_partial(self) -> bool:
        """Whether its shift stays, or fewer of its nodes do."""
        return isinstance(self.outcome, Folded) and self.outcome.rest is not None

    @property
    def counts_for_strict(self) -> bool:
        """Whether ``--strict`` minds that it stays."""
        outcome, asked = self.outcome, Reason.ASKED_TO_KEEP
        stays = outcome.stays if isinstance(outcome, Folded) else outcome.reason is not asked
        return stays and self.kind in (Kind.BATCH_NORM, Kind.SCALE_SHIFT)

    def to_dict(self) -> dict[str, Any]:
        layer, kept = (o, o.rest) if isinstance(o := self.outcome, Folded) else (None, o)
        return {
            "name": self.name,
            "kind": str(self.kind),
            "nodes": list(self.nodes),
            "outcome": "partial" if self.is_partial else "folded" if layer else "kept",
            "into": list(layer.into) if layer else [],
            "into_operator": layer.operator if layer else None,
            **(kept.culprit if kept else dict.fromkeys(("reason", "at", "at_operator"))),
            "below": kept.below.culprit if kept and kept.below else None,
            "text": str(self.outcome),
        }


@dataclass(frozen=True, slots=True)
class Warned:
    """Something the user should know: a stable code, the place, and a sentence."""

    code: str
    at: str
    text: str

    def to_dict(self) -> dict[str, str]:
        return {"code": self.code, "at": self.at, "text": self.text}


@dataclass(frozen=True, slots=True)
class Tally:
    """The nodes of one operator, and the bytes of the constants that they are the first to read."""

    nodes: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """Exactly one decision for every affine in the model, in graph order.

    ``changed_values`` maps the values that go on existing with other content to their new names.
    ``operators`` has each operator's nodes and bytes before and after, in all graphs.
    """

    decisions: Sequence[Decision]
    changed_values: dict[str, str] = field(default_factory=dict)
    operators: dict[str, tuple[Tally, Tally]] = field(default_factory=dict)
    warnings: Sequence[Warned] = ()

    @property
    def counts(self) -> dict[str, int]:
        folded = sum(decision.is_folded for decision in self.decisions)
        partial = sum(decision.is_partial for decision in self.decisions)
        return {
            "affines": len(self.decisions),
            "folded": folded - partial,
            "partial": partial,
            "kept": len(self.decisions) - folded,
            "nodes_before": sum(before.nodes for before, _ in self.operators.values()),
            "nodes_after": sum(after.nodes for _, after in self.operators.values()),
        }

    @property
    def changes_anything(self) -> bool:
        return any(decision.is_folded for decision in self.decisions)

    @property
    def kept_for_strict(self) -> int:
        return sum(decision.counts_for_strict for decision in self.decisions)

    def __str__(self) -> str:
        return "\n".join(f"{d.name}: {d.kind}: {d.outcome}" for d in self.decisions)

    def to_dict(self) -> dict[str, Any]:
        """The parts of the JSON report that are known without doing it."""
        return {
            "counts": self.counts,
            "decisions": [decision.to_dict() for decision in self.decisions],
            "changed_values": [{"name": n, "new_name": m} for n, m in self.changed_values.items()],
            "operators": [
                {"operator": name, "before": asdict(before), "after": asdict(after)}
                for name, (before, after) in self.operators.items()
            ],
            "warnings": [warning.to_dict() for warning in self.warnings],
        }
