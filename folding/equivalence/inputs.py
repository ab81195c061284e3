"""What the models are run on: the user's own inputs, or seeded ones made up."""

from __future__ import annotations

from onnx import ModelProto

from folding.equivalence import given
from folding.equivalence.feeds import Feed, Inputs, required
from folding.equivalence.kinds import KINDS, Kind
from folding.equivalence.made_up import OPEN_SIZES, Made, candidates, made_up
from folding.errors import BadCall

__all__ = [
    "KINDS",
    "OPEN_SIZES",
    "SEED",
    "Feed",
    "Inputs",
    "Kind",
    "Made",
    "candidates",
    "load",
    "made_up",
    "random_feed",
    "required",
]

SEED = 0


def load(inputs: Inputs, model: ModelProto) -> Feed:
    """The user's inputs where they are one set; as ``given.load``, which takes several."""
    feeds = given.load(inputs, model)
    if len(feeds) > 1:
        raise BadCall(f"{len(feeds)} sets of inputs are given; give one")
    return feeds[0]


def random_feed(model: ModelProto, open_size: int, *, truth: bool = False) -> Feed | None:
    """Seeded normal inputs; None if one is no tensor, or too large."""
    made = made_up(model, (Kind.NORMAL,), int(truth), open_size=open_size)
    return None if isinstance(made, str) else made.arrays
