"""A model, its right fold, and what the checks say of that fold with a fault in it.

The checks are the project's own and run in this process, since a process for each fault would take
most of the time. What has been run once is remembered. Of a faulty fold only the site with the
fault is compared: the others are those of the right fold, which is compared as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, cast

from onnx import ModelProto

import folding
from folding.constants import Constants
from folding.doubled import Doubles
from folding.equivalence import runs
from folding.equivalence.activations import First, first_run
from folding.equivalence.feeds import Feed
from folding.equivalence.frame import check_frame
from folding.equivalence.jobs import Job, ModelPlace
from folding.equivalence.kinds import KINDS, Kind
from folding.equivalence.made_up import candidates, made_up
from folding.equivalence.observed import observed
from folding.equivalence.outputs import OutputCheck
from folding.equivalence.parameters import check_parameters
from folding.equivalence.runtime import RuntimeRefused, Session
from folding.equivalence.sessions import Sessions
from folding.equivalence.site_check import SiteCheck
from folding.equivalence.sites import Site, find_sites
from folding.equivalence.variants import with_outputs
from folding.equivalence.verdict import Check, Status
from folding.modelfile import Model, open_model
from folding.trial import confirmed

_FEW_ELEMENTS = 1 << 20


class Remembered(Sessions):
    """Sessions that are all kept, and run each thing once: the same inputs give the same again."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self._found: dict[Hashable, dict[str, Any]] = {}

    @contextmanager
    def of(
        self,
        key: Hashable,
        variant: Callable[[], ModelProto] | None = None,
        *,
        optimised: bool = False,
    ) -> Iterator[Session]:
        def make() -> Session:
            if key not in self._kept:
                proto = None if variant is None else variant()
                session = Session(self.model, proto, optimised=optimised)
                self._kept[key] = self._stack.enter_context(session)
            return self._kept[key]

        yield cast("Session", _Once(key, self._found, make))


@dataclass(slots=True)
class _Once:
    """A session that is made when something is run for the first time."""

    key: Hashable
    found: dict[Hashable, dict[str, Any]]
    make: Callable[[], Session]
    count: int = 0

    def run_named(self, feed: Feed) -> dict[str, Any]:
        self.count += 1  # A model with noise gives something else each time.
        given = tuple((name, hash(array.tobytes())) for name, array in sorted(feed.items()))
        key = (self.key, self.count, given)
        if key not in self.found:
            self.found[key] = self.make().run_named(feed)
        return dict(self.found[key])


@dataclass(frozen=True, slots=True)
class Given:
    """Inputs, what the reference makes of them, and the noise that its sites may have then."""

    kind: str
    seed: int
    feed: Feed
    first: First
    noise: dict[str, Doubles] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """All checks of one candidate; ``alone`` is the outputs without the proof before them."""

    frame: Check
    parameters: Check
    sites: Check
    outputs: Check
    alone: Check

    @property
    def failed(self) -> list[Check]:
        """Those of the project's four checks that found something."""
        checks = (self.frame, self.parameters, self.sites, self.outputs)
        return [check for check in checks if check.status is Status.FAILED]


class Bed(AbstractContextManager["Bed"]):
    """A model at ``path``, with its right fold in ``folder``."""

    def __init__(self, path: Path, folder: Path) -> None:
        self._stack = ExitStack()
        self.right = folder / "right.onnx"
        folding.fold(path, self.right, verify=False)
        self.reference = self._stack.enter_context(open_model(path))
        done = confirmed(self.reference)
        self.refused, self.drafts = done.refused, done.planned.drafts
        self.ours = self._stack.enter_context(Remembered(self.reference))
        self.constants: Constants = self.drafts[0].constants
        with open_model(self.right) as right:
            self.sites, self.missing = find_sites(self.drafts[0], right.proto.graph)
        self.givens: list[Given] = []

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def inputs(self, seed: int) -> Iterator[Given]:
        """Inputs that the reference accepts: of every kind if it is small."""
        proto = self.reference.proto
        checks = SiteCheck(self.ours, self.ours, self.sites, self.constants)
        first = partial(self._first, names=checks.values)
        for made in candidates(proto, (Kind.NORMAL,), seed):
            if isinstance(made, str) or (found := first(made.arrays)) is None:
                continue
            yield Given(made.kind, seed, made.arrays, found)
            is_small = sum(map(prod, found.shapes.values())) <= _FEW_ELEMENTS
            shapes = {name: array.shape for name, array in made.arrays.items()}
            for kind in KINDS if is_small else ():
                other = made_up(proto, (kind,), seed, shapes=shapes)
                if kind is Kind.NORMAL or isinstance(other, str):
                    continue
                if (again := first(other.arrays)) is not None:
                    yield Given(other.kind, seed, other.arrays, again)
            return

    def all_inputs(self, seed: int, feeds: Sequence[Feed]) -> Iterator[list[Given]]:
        """Made-up ones, and given ones."""
        givens = list(self.inputs(seed))
        yield givens
        own = [
            Given("own", seed, feed, found)
            for feed in feeds
            if (found := self._first(feed, list(givens[0].first.shapes))) is not None
        ]
        if own:
            yield own

    def _first(self, feed: Feed, names: list[str]) -> First | None:
        try:
            return first_run(self.ours, feed, self._watched_names(), names)
        except RuntimeRefused:
            return None

    def _watched_names(self) -> list[str]:
        return [name for values in self._observed().values() for name in values]

    def _observed(self) -> dict[str, tuple[str, ...]]:
        return observed(self.reference.proto.graph, self.constants.scope.type)

    def compare(self, theirs: Remembered, sites: Sequence[Site], givens: Sequence[Given]) -> Found:
        """All checks of a candidate, of its sites only some."""
        frame = check_frame(self.reference, theirs.model, self.drafts)
        is_proved = frame.status is Status.PASSED
        parameters = Check("parameters", Status.NOT_RUN, "the frame differs")
        if is_proved:
            parameters = check_parameters(theirs.model, self.drafts)
        check = SiteCheck(self.ours, theirs, sites, self.constants)
        outputs, alone = (self._outputs(theirs, measured=m) for m in (is_proved, False))
        for given in givens:
            check.run(given.feed, given.first.shapes, given.seed)
            noise = given.noise or check.found.noise
            for one in (outputs, alone) if not check.found.overflows else ():
                one.run(given.feed, given.first, noise)
            if check.found.guilty:
                break
        return Found(frame, parameters, check.check(self.missing), outputs.check(), alone.check())

    def results(self, feed: Feed, theirs: Sessions | None = None) -> dict[str, Any]:
        """The outputs of the reference, or of a candidate."""
        sessions = self.ours if theirs is None else theirs
        variant = partial(with_outputs, sessions.model.proto, (), shapes=())
        with sessions.of("outputs", variant) as session:
            found = session.run_named(feed)
        return {value.name: found[value.name] for value in self.reference.proto.graph.output}

    @contextmanager
    def candidate(self, path: Path) -> Iterator[Remembered]:
        """A candidate, to be compared."""
        with open_model(path) as model:
            theirs = Remembered(model)
            with theirs:
                yield theirs

    def _outputs(self, theirs: Sessions, *, measured: bool) -> OutputCheck:
        main = self.drafts[0]
        gone = frozenset(main.vanished | main.renamed.keys()) if measured else frozenset()
        place = ModelPlace(self.right)
        is_measured = measured and not self.missing
        job = Job(place, place, 0, self.sites, gone=gone, measured=is_measured, is_ours=measured)
        return runs._output_check(job, self.ours, theirs, self.constants)

    def prepare(self, seeds: Sequence[int]) -> list[Found]:
        """Compare the right fold as a whole at each seed; the first one's inputs are kept."""
        found = []
        for seed in seeds:
            with self.candidate(self.right) as right:
                givens = list(self.inputs(seed))
                found.append(self.compare(right, self.sites, givens))
                if seed == seeds[0]:
                    self.givens = [self._with_noise(right, given) for given in givens]
        return found

    def _with_noise(self, right: Remembered, given: Given) -> Given:
        check = SiteCheck(self.ours, right, self.sites, self.constants)
        check.run(given.feed, given.first.shapes, given.seed)
        return replace(given, noise=check.found.noise)
