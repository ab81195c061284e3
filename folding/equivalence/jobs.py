"""What is to be run, as it is told to the process that runs it. Plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from folding.equivalence.feeds import Array, Feed
from folding.equivalence.limits import CPU_PROVIDER
from folding.equivalence.sites import Site


@dataclass(frozen=True, slots=True)
class Engine:
    """What runs a model: an execution provider of onnxruntime, with a library of operators."""

    provider: str = CPU_PROVIDER
    custom_ops: str | None = None


CPU = Engine()


@dataclass(frozen=True, slots=True)
class ModelPlace:
    """Where a model is, and the data that it keeps apart, by the names that it has for it."""

    path: Path
    data_names: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """Two models to run.

    Attributes:
        reference: the source.
        candidate: what should be the same.
        nesting: how many graphs may be in one another.
        sites: the folded places.
        skipped: folded affines that are no sites.
        values: what values of the reference are called in the candidate, where that is known; all
            others have the same names, except for those that are ``gone``.
        gone: values of the reference that the candidate does not have.
        matched: whether it is established which value of the candidate is which of the reference;
            else they are taken for the same if they are called the same, which is no proof.
        measured: whether the noise of the sites is all that explains a difference.
        feeds: the user's inputs, if any.
        shapes: the user's shapes for inputs that are made up.
        tolerance: the user's, if any.
        engine: what runs the candidate.
        frozen: the inputs of the source that are frozen, if the candidate was made from what was
            prepared of it (``preparing``); None if it was made from the source itself.
        is_ours: whether the candidate is a fold of ours, number by number; what is known of it from
            the files can do without runs.
    """

    reference: ModelPlace
    candidate: ModelPlace
    nesting: int
    sites: Sequence[Site] = ()
    skipped: Sequence[str] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()
    matched: bool = True
    measured: bool = True
    feeds: Sequence[Feed] | None = None
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    tolerance: float | None = None
    engine: Engine = CPU
    frozen: Mapping[str, Array] | None = None
    is_ours: bool = True
