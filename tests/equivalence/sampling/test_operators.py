"""The table of operators."""

from __future__ import annotations

from folding.absorbers import ABSORBERS
from folding.carriers import CARRIERS
from folding.equivalence.sampling.operators import OPERATORS
from folding.recognise import _AFFINES

#: What rounding does in the loop of a recurrent layer has no bound that says anything: these are
#: judged by their numbers and by what the model gives.
RECURRENT = {"GRU", "LSTM", "RNN"}


def test_all_that_a_fold_may_leave_in_a_region_can_be_evaluated() -> None:
    """Every affine, and whatever one passes or goes into: a new rule asks for a line there."""
    rules = CARRIERS.keys() | ABSORBERS.keys() | _AFFINES

    assert rules - RECURRENT <= OPERATORS.keys()
