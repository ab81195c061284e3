"""Running: what a caller wants of the runs, and the process that does them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files import conv_net

from folding.equivalence import running as module
from folding.equivalence.limits import RunLimits
from folding.equivalence.running import Wish, running
from folding.equivalence.worker import WorkerFailed
from folding.errors import BadCall


class Spied:
    """A worker that only remembers what happens to it."""

    def __init__(self, limits: Any) -> None:
        self.limits, self.events = limits, ["started"]

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.events.append("closed")

    def call(self, function: str, *_: object) -> None:
        self.events.append(function.partition(":")[2])


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> list[Spied]:
    made: list[Spied] = []

    def start(limits: Any) -> Spied:
        made.append(Spied(limits))
        return made[-1]

    monkeypatch.setattr(module, "Worker", start)
    return made


def test_the_process_lives_as_long_as_the_block(workers: list[Spied]) -> None:
    limits = RunLimits(seconds=3)

    with running(Wish(run_limits=limits), conv_net(), 7) as run:
        assert workers[0].events == ["started"]
        assert run.worker is workers[0]  # type: ignore[comparison-overlap]  # a stand-in
        assert run.nesting == 7

    assert workers[0].events == ["started", "closed"]
    assert workers[0].limits is limits


def test_the_process_ends_with_an_error_as_well(workers: list[Spied]) -> None:
    with pytest.raises(KeyboardInterrupt), running(Wish(), conv_net(), 1):
        raise KeyboardInterrupt

    assert workers[0].events == ["started", "closed"]


def test_without_inputs_some_are_made_up_elsewhere(workers: list[Spied]) -> None:
    with running(Wish(shapes={"x": (1, 3, 5, 5)}, tolerance=0.5), conv_net(), 1) as run:
        assert run.feeds is None
        assert (run.shapes, run.tolerance) == ({"x": (1, 3, 5, 5)}, 0.5)
    assert workers


def test_the_caller_s_inputs_are_read_before_anything_is_run(workers: list[Spied]) -> None:
    feed = {"x": np.ones((1, 3, 5, 5), np.float32)}
    with running(Wish(inputs=feed), conv_net(), 1) as run:
        assert run.feeds is not None
        np.testing.assert_array_equal(run.feeds[0]["x"], feed["x"])
    workers.clear()

    with pytest.raises(BadCall, match="'x'"), running(Wish(inputs={}), conv_net(), 1):
        pass

    assert not workers


@pytest.mark.parametrize("tolerance", [-1e-9, float("nan"), float("inf")])
def test_a_tolerance_that_is_none_is_refused(tolerance: float) -> None:
    with pytest.raises(BadCall, match="the tolerance is"):
        Wish(tolerance=tolerance)


def test_a_tolerance_of_nothing_is_one() -> None:
    assert Wish(tolerance=0).tolerance == 0


def test_a_library_that_is_not_there_is_refused_before_a_process_starts(
    tmp_path: Path, workers: list[Spied]
) -> None:
    with (
        pytest.raises(BadCall, match=r"there is no library '.*ops\.so'"),
        running(Wish(custom_ops=tmp_path / "ops.so"), conv_net(), 1),
    ):
        pass

    assert not workers


def test_a_library_and_a_provider_go_to_the_engine(tmp_path: Path, workers: list[Spied]) -> None:
    library = tmp_path / "ops.so"
    library.touch()

    with running(Wish(provider="Own", custom_ops=library), conv_net(), 1) as run:
        assert (run.engine.provider, run.engine.custom_ops) == ("Own", str(library))
    assert workers[0].events == ["started", "check_engine", "closed"]


def test_a_process_that_fails_over_the_provider_is_left_to_the_verification(
    monkeypatch: pytest.MonkeyPatch, workers: list[Spied]
) -> None:
    def fail(*_: object) -> None:
        raise WorkerFailed("start", "it cannot be started")

    monkeypatch.setattr(Spied, "call", fail)

    with running(Wish(provider="Own"), conv_net(), 1) as run:
        assert run.engine.provider == "Own"
    assert workers
