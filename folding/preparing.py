"""Between opening and planning: the model as the user wants it looked at.

    source ── inline functions that hide an affine ── freeze inputs ── what is planned on

A model in which there is nothing to do is returned as it is, the very same object: planning,
writing and proving it are what they would be without this stage.
"""

# ruff: noqa: PLC0415 - what is not asked for is not loaded
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from folding.clock import Clock
from folding.modelfile import Model
from folding.plan import Warned
from folding.planner import Refused
from folding.preparation import NOTHING, Branch, Preparation

if TYPE_CHECKING:
    from folding.frozen_inputs import Array


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model ready to be planned on, what it was made from, and what was done to it.

    ``frozen`` has the values of the inputs of the source that are frozen, as they are fed to it;
    ``refused`` the affines that the user wants to keep. ``is_undone``: it was of no use.
    """

    source: Model
    model: Model
    frozen: Mapping[str, Array] = field(default_factory=dict)
    done: Preparation = NOTHING
    refused: Refused = field(default_factory=dict)
    warnings: Sequence[Warned] = ()
    is_undone: bool = False

    @property
    def is_source(self) -> bool:
        """Whether nothing was done."""
        return self.model is self.source

    def needed(self) -> Prepared:
        """What of it is of use although nothing is folded: functions need not be inlined then."""
        if self.frozen or self.is_source:
            return self
        done = replace(self.done, inlined=())
        return replace(self, model=self.source, done=done, is_undone=True)

    def again(self, source: Model) -> Prepared:
        """The same of another copy of the source."""
        model = source if self.is_source else prepare(source, self.frozen).model
        return replace(self, source=source, model=model)


def prepare_if_asked(
    clock: Clock, source: Model, freeze: Mapping[str, Any] | None, keep: Sequence[str]
) -> Prepared:
    """Like ``prepare``, as a stage of its own if there is anything to do."""
    if not (freeze or keep or len(source.proto.functions)):
        return Prepared(source, source)
    with clock.stage("prepare"):
        return prepare(source, freeze, keep)


def prepare(
    source: Model, freeze: Mapping[str, Any] | None = None, keep: Sequence[str] = ()
) -> Prepared:
    """Inline and freeze what is to be. The source is not changed.

    Args:
        source: the model.
        freeze: values for inputs, by name.
        keep: affines that are to stay, by the names of their outputs or nodes.

    Raises:
        BadCall: there is no such input or affine, or an input takes no such value.
    """
    from folding import freezing, frozen_inputs, inlining, keeping

    values = frozen_inputs.frozen_inputs(source.proto, freeze or {})
    model, functions, warnings = inlining.inline(source)
    branches: Sequence[Branch] = ()
    if values:
        model, branches = freezing.freeze(model, values)
    plain = {name: array.tolist() for name, array in values.items()}
    done = Preparation(plain, branches, functions, tuple(keep))
    refused = keeping.asked_to_keep(model, keep)
    return Prepared(source, model, values, done, refused, warnings)
