"""What layers do that were left in training mode, as lints of a product."""

from __future__ import annotations

from folding.plan import Warned


def normalises_by_batch(name: str) -> Warned:
    """A normalisation by statistics of the batch, though it keeps some."""
    cause = "it is in training mode: it normalises by each batch and updates its statistics"
    return Warned("BATCH_STATISTICS", name, cause)


def draws(name: str) -> Warned:
    """A dropout or a noise; the model as a whole where the layer is not known."""
    cause = "it is in training mode: two runs on the same input give different numbers"
    return Warned("RANDOM_AT_INFERENCE", name, cause)
