"""What lies between an affine and the layers that take it in.

    layer ─ carrier ─ affine ─ carrier ─ affine ─ y        a line
    layer ─ carrier ┐
                    turn ─ carrier ─ affine ─ y            a line that ends at a turn, and those
    layer ──────────┘                                      that begin there

    layer ─ fork ─┬─ carrier ─ turn ─ affine ─ y           lines that end at a fork, and the one
                  └─────────────┘                          that begins there

A long run of affines that stay, or of carriers that earlier folds left behind a layer, is not
walked again by each affine after it. What is known to be open is one piece: a ``Stretch`` goes over
an affine that stays and as far up as that one came, a ``Road`` over the carriers of earlier folds.
Nothing that was open ever closes: the readers of a value only become fewer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from folding.absorbers import Absorbed
from folding.affine import ChannelAffine
from folding.carriers import Moved
from folding.plan import Kept
from folding.traces import Key, Move

if TYPE_CHECKING:
    from folding.branches import Branch


@dataclass(frozen=True, slots=True)
class Stop:
    """A node between a layer and an affine's output; its input and its output on the way.

    It may stand for several carriers that an earlier fold has put in order: ``top`` is then the
    first of them, and ``node`` the last.
    """

    node: int
    slot: int
    is_affine: bool
    top: int | None = None
    place: int = 0

    @property
    def entry(self) -> int:
        """The node that reads what comes before."""
        return self.node if self.top is None else self.top


@dataclass(frozen=True, slots=True)
class Taken:
    """The end of a line: a layer, and how it takes the affine in."""

    node: int
    absorbed: Absorbed


@dataclass(frozen=True, slots=True)
class Turn:
    """The end of a line: a carrier behind several values, or one whose constants change.

    ``others`` are other ways that it offers.
    """

    node: int
    place: int
    moved: Moved
    others: tuple[Moved, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Inside:
    """The lines in a branch of an If; the nodes that they save, and the constants they need."""

    branch: Branch
    found: Reached
    saved: int
    constants: int


@dataclass(frozen=True, slots=True, eq=False)
class Entered:
    """The end of a line: an If, and what was found in its branches, which all take it in."""

    node: int
    place: int
    ways: tuple[Inside, ...]


def takes_in(end: Taken | Turn | Entered) -> bool:
    """Whether nothing of an affine is left beyond: a carrier's constants may take in all of it."""
    return not isinstance(end, Turn) or not end.moved.affines


@dataclass(frozen=True, slots=True)
class Edge:
    """Where a line begins: slots of a node that read one and the same value."""

    node: int
    slots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Fork:
    """The end of some lines: a value that each of them reads; one line begins there for all.

    ``affine`` is what a line asks of it, and ``edge`` where that reads it.
    """

    value: str
    affine: ChannelAffine
    edge: Edge


@dataclass(frozen=True, slots=True, eq=False)
class Road:
    """Carriers behind a layer, the last first: all that is left of the way of a fold.

    Those of earlier folds are a road in it. ``moves`` has how affines pass them all.
    """

    stop: Stop
    pieces: tuple[Stop | Road, ...]
    moves: dict[Key, Move | Kept] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """How far an affine came, ``start`` where it was and ``end`` together with all it met.

    ``last`` is the node where it came to, nearest to the layer. ``moves`` has how affines pass the
    carriers on it.
    """

    start: ChannelAffine
    end: ChannelAffine
    narrows_to: int
    pieces: tuple[Stop | Road | Stretch, ...]
    last: Stop
    moves: dict[Key, Move | Kept] = field(default_factory=dict)

    def is_open_to(self, affine: ChannelAffine, narrows_to: int) -> bool:
        """Whether another affine right behind may come as far."""
        same = affine.axis is None or (
            (affine.axis, affine.channels) == (self.start.axis, self.start.channels)
        )
        return same and narrows_to == self.narrows_to


@dataclass(frozen=True, slots=True)
class Passed:
    """An affine before a piece of the way instead of behind it; ``last`` is the piece's top."""

    affine: ChannelAffine
    piece: Stop | Road | Stretch
    last: Stop


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """From an affine's output, a turn or a fork up to an end: nearest to the start first."""

    start: Edge | Fork | None
    pieces: tuple[Stop | Road | Stretch, ...]
    end: Taken | Turn | Entered | Fork

    def stops(self) -> tuple[Stop, ...]:
        """All stops, nearest to the end first."""
        stops: list[Stop] = []
        pieces = list(self.pieces)
        while pieces:
            piece = pieces.pop()
            if isinstance(piece, Stretch):
                pieces += piece.pieces
            else:
                stops.append(piece.stop if isinstance(piece, Road) else piece)
        return tuple(stops)


@dataclass(frozen=True, slots=True, eq=False)
class Reached:
    """The lines from an affine to all layers that take it in; those before a turn come behind.

    ``rest`` is the shift that stays where the affine was.
    """

    lines: tuple[Line, ...]
    rest: ChannelAffine | None = None

    @property
    def takers(self) -> list[int]:
        """The nodes that take the affine in: layers, and carriers that do it alone."""
        ends = (line.end for line in self.lines if not isinstance(line.end, Fork))
        return [end.node for end in ends if takes_in(end)]

    @property
    def entered(self) -> list[Entered]:
        """The Ifs whose branches take the affine in."""
        return [line.end for line in self.lines if isinstance(line.end, Entered)]

    @property
    def twice(self) -> int | None:
        """An If that two lines come to, if there is one."""
        nodes = [entry.node for entry in self.entered]
        return next((node for node in nodes if nodes.count(node) > 1), None)
