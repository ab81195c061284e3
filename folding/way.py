"""What lies between an affine and the layer that takes it in.

    layer ─ carrier ─ affine ─ carrier ─ affine ─ y

A long run of affines that stay, or of carriers that earlier folds left behind a layer, is not
walked again by each affine after it. What is known to be open is one piece: a ``Stretch`` goes over
an affine that stays and as far up as that one came, a ``Road`` over the carriers of earlier folds.
Nothing that was open ever closes: the readers of a value only become fewer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from folding.absorbers import Absorbed
from folding.affine import ChannelAffine
from folding.plan import Kept


@dataclass(frozen=True, slots=True)
class Stop:
    """A node between a layer and an affine's output, and its input on the way.

    It may stand for several carriers that an earlier fold has put in order: ``top`` is then the
    first of them, and ``node`` the last.
    """

    node: int
    slot: int
    is_affine: bool
    top: int | None = None

    @property
    def entry(self) -> int:
        """The node that reads what comes before."""
        return self.node if self.top is None else self.top


@dataclass(frozen=True, slots=True)
class Way:
    """From a layer to an affine's output, nearest to the layer first."""

    layer: int
    absorbed: Absorbed
    path: tuple[Stop, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """How far an affine came, ``start`` where it was and ``end`` together with all it met.

    ``last`` is the node where it came to, nearest to the layer.
    """

    start: ChannelAffine
    end: ChannelAffine
    narrows_to: int
    pieces: tuple[Stop | Stretch, ...]
    last: Stop

    def is_open_to(self, affine: ChannelAffine, narrows_to: int) -> bool:
        """Whether another affine right behind comes as far."""
        same = affine.axis is None or (
            (affine.axis, affine.channels) == (self.start.axis, self.start.channels)
        )
        return same and narrows_to == self.narrows_to

    def passed_by(self, affine: ChannelAffine) -> ChannelAffine:
        """The other affine at the end, together with this one and all that it met."""
        moved = affine if self.end.axis is None else affine.along(self.end.axis)
        return moved.after(self.end)


@dataclass(frozen=True, slots=True)
class Passed:
    """An affine before a piece of the way instead of behind it; ``last`` is the piece's top."""

    affine: ChannelAffine
    piece: Stop | Stretch
    last: Stop


@dataclass(slots=True)
class Road:
    """Carriers behind a layer, all that is left of the way of a fold.

    ``carriers`` are its own, the last first; ``above`` are those of the folds before. ``axes`` has
    where an axis comes out, by the axis and the type that the affine's readers narrow it to.
    """

    stop: Stop
    carriers: tuple[int, ...]
    above: Road | None
    axes: dict[tuple[int | None, int], int | Kept | None] = field(default_factory=dict)

    def leads(self, affine: ChannelAffine, narrows_to: int) -> ChannelAffine | Kept:
        """Where an affine comes out whose axis is known."""
        axis = self.axes[affine.axis, narrows_to]
        if isinstance(axis, Kept) or axis is None:
            return axis or affine
        return affine.along(axis)


@dataclass(frozen=True, slots=True, eq=False)
class Reached:
    """A layer that can take an affine in, and what lies between, nearest to the affine first."""

    layer: int
    absorbed: Absorbed
    pieces: tuple[Stop | Stretch, ...]

    def way(self) -> Way:
        stops: list[Stop] = []
        pieces = list(self.pieces)
        while pieces:
            piece = pieces.pop()
            if isinstance(piece, Stretch):
                pieces += piece.pieces
            else:
                stops.append(piece)
        return Way(self.layer, self.absorbed, tuple(stops))
