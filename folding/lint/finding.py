"""What a lint finds: a code, the place, what is so there, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, unique

from folding.plan import Warned


@unique
class Code(Enum):
    """What may look wrong. The value is the remedy."""

    # How it was exported.
    BATCH_STATISTICS = (
        "export it again with training off; what keeps no statistics, as by"
        " track_running_stats=False, has to be trained again with some"
    )
    BATCH_DEPENDENT = (
        "look for what normalises by each batch; export it again with training off, or train it"
        " with statistics of its own"
    )
    TRAINING_FLAG = "freeze the flag to what it is at inference, or export without it"
    RANDOM_AT_INFERENCE = "export it with dropout and noise off, unless it is to draw at random"
    UNCONVERTED_OPERATOR = "convert it by another route, or write this part with other operators"
    # How its statistics came about.
    STATISTICS_AT_INITIAL = (
        "run the updates of the moving averages with each training step (in TensorFlow 1, those"
        " in UPDATE_OPS), and train again"
    )
    AVERAGE_FROM_ZERO = "correct the averages for their start, as zero_debias does, or train longer"
    AVERAGE_BARELY_WARM = "train longer, or let the statistics follow the batches faster"
    NORM_ABSENT = "see whether the layers really go through the normalisation"
    # What it computes.
    UNUSUAL_EPSILON = "see whether it was meant: frameworks begin at 0.001 or 0.00001"
    EPSILON_DOMINATES = "these channels hardly vary: they can be pruned, or the model trained anew"
    VARIANCE_SQUARED = "divide by sqrt(variance + epsilon), and train again"
    EPSILON_OUTSIDE_ROOT = "add epsilon to the variance, below the root, and train again"
    NONPOSITIVE_SCALE = "prune the channels with gamma 0"
    # Where it stands.
    ACTIVATION_BEFORE_NORM = "put the normalisation between the layer and its activation"
    POOLING_BEFORE_NORM = "put the normalisation between the layer and the pooling"
    WRONG_AXIS = "normalise the axis of the channels: -1 for channels_last, 1 for channels_first"
    NORM_BEFORE_PADDING = "normalise before the model, or pad with the mean of the data"
    REDUNDANT_BIAS = "build the layer without a bias; as it is, it does no harm"

    @property
    def is_note(self) -> bool:
        """Whether it is harmless, so that only ``lint`` speaks of it."""
        return self is Code.REDUNDANT_BIAS


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that looks wrong, at a node, value or input; ``cause`` is a clause about it.

    ``advice`` is a remedy for this place alone.
    """

    code: Code
    at: str
    cause: str
    advice: str = ""

    @property
    def remedy(self) -> str:
        """What to do."""
        return self.advice or self.code.value

    @property
    def warned(self) -> Warned:
        """The same as a warning of a report."""
        place = f"{self.at!r}: " if self.at else ""
        return Warned(self.code.name, self.at, f"{place}{self.cause}; {self.remedy}")

    def to_dict(self) -> dict[str, str]:
        return {
            "code": self.code.name,
            "at": self.at,
            "cause": self.cause,
            "remedy": self.remedy,
        }


def warnings_of(findings: Iterable[Finding]) -> list[Warned]:
    """The findings as warnings: one for each code, which says at how many more places it is so."""
    by_code: dict[Code, list[Finding]] = {}
    for finding in findings:
        if not finding.code.is_note:
            by_code.setdefault(finding.code, []).append(finding)
    return [_joined(several) for several in by_code.values()]


def _joined(findings: list[Finding]) -> Warned:
    first, count = findings[0].warned, len(findings) - 1
    if not count:
        return first
    more = f" ({count} more place{'s' if count > 1 else ''} like this: see fold-model lint)"
    return Warned(first.code, first.at, first.text + more)
