"""How many examples are drawn, and one process for all runs of models.

A run draws the same examples as the one before it, so that a red test is red for what has changed;
``pytest --hypothesis-profile nightly`` draws others, and a hundredfold.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from hypothesis import HealthCheck, settings

from folding import interrupts
from folding.equivalence import running
from folding.equivalence.limits import RUN_LIMITS, RunLimits
from folding.equivalence.worker import Worker

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile(
    "quick", max_examples=200, deadline=None, derandomize=True, suppress_health_check=SLOW
)
settings.register_profile("nightly", max_examples=20_000, deadline=None, suppress_health_check=SLOW)
settings.load_profile("quick")

#: All tests together may take so many seconds of it.
_LONG = RunLimits(seconds=1e6)


@pytest.fixture(autouse=True, scope="session")
def one_process() -> Iterator[None]:
    """Let folds share the process that runs models, which takes longer to start than to run.

    Whoever wants limits has one of their own, and so has whoever comes after a failure.
    """
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        kept: list[Worker] = []

        @contextmanager
        def lent(limits: RunLimits = RUN_LIMITS) -> Iterator[Worker]:
            if limits != RUN_LIMITS:
                with Worker(limits) as own:
                    yield own
                return
            worker = kept.pop() if kept else stack.enter_context(Worker(_LONG))
            yield worker
            if worker._failure is None:
                kept.append(worker)

        patch.setattr(running, "Worker", lent)
        yield


@pytest.fixture(autouse=True)
def no_interrupt() -> None:
    """A command of this process is not ended by an interrupt that another test has sent."""
    interrupts._ARRIVED.clear()
    interrupts._TAKEN.clear()
