"""Where normalisations stand.

Conv ── Relu or MaxPool ── norm      behind an activation or a pooling
Conv ── norm along the height        along another axis than the channels
x ── norm ── Conv with pads          before zeros that are padded
Conv with a bias ── norm             behind a bias that it takes away again
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

from folding.chains import Chain
from folding.lint.finding import Code, Finding
from folding.lint.graphs import Graph
from folding.lint.residual import begins_residual
from folding.lint.way_up import Place, Way, way_up
from folding.plan import Kind, Reason

_LAYERS_WITH_BIAS = frozenset({"Conv", "ConvTranspose", "Gemm"})
_PADDING = frozenset({Reason.PADS, Reason.PADS_ZEROS})
_SUB_MUL_ADD = 3
_DEEPEST = 8


def placement(graph: Graph) -> Iterator[Finding]:
    """What is so at each normalisation of a graph."""
    for chain in graph.norms():
        way = way_up(graph, graph.steps(chain)[0].data, graph.seen.steps.axis(chain.nodes))
        yield from _before(graph, chain, way)
        yield from _wrong_axis(graph, chain, way)
        yield from _before_padding(graph, chain, way)
        yield from _bias(graph, chain, way)
    for chain in graph.norms_of_one_channel():
        way = way_up(graph, graph.steps(chain)[0].data, None)
        yield from _before_padding(graph, chain, way)


def _before(graph: Graph, chain: Chain, way: Way) -> Iterator[Finding]:
    """An activation or a pooling between a layer and the normalisation.

    A pooling that others read as well ends a block of a network that normalises at the beginning of
    each (He et al., Identity Mappings in Deep Residual Networks, 2016; DenseNet): that is meant.
    So it is where the first block's shortcut begins behind the normalisation.
    """
    name = graph.name(chain)
    if way.activation is not None and way.layer is not None:
        cause = f"the activation {_called(way.activation)} stands before the normalisation"
        yield Finding(Code.ACTIVATION_BEFORE_NORM, name, cause)
    if way.pooling is None or way.layer is None or not _is_read_once(way.pooling):
        return
    if not begins_residual(graph, name):
        cause = f"the pooling {_called(way.pooling)} stands before the normalisation"
        yield Finding(Code.POOLING_BEFORE_NORM, name, cause)


def _wrong_axis(graph: Graph, chain: Chain, way: Way) -> Iterator[Finding]:
    if way.layer is None or not way.is_across:
        return
    layer = _called(way.layer)
    if way.axis is not None:
        cause = (
            f"it acts along axis {way.axis} of what {layer} makes,"
            f" whose channels are on axis {way.channel_axis}"
        )
    else:
        cause = (
            f"it acts along axis {way.begun} of its input,"
            f" where the channels of {layer} are on axis {way.channels_below}"
        )
    yield Finding(Code.WRONG_AXIS, graph.name(chain), cause)


def _before_padding(graph: Graph, chain: Chain, way: Way) -> Iterator[Finding]:
    """A normalisation of the model's input before a layer that pads it."""
    if not (way.input and way.is_direct and _is_trained(graph, chain)):
        return
    stop = graph.obstacle(chain, _PADDING)
    if stop is not None:
        cause = (
            f"it normalises the input {way.input!r}, and {stop.operator} {stop.at!r} pads that"
            " with zeros, which the normalisation does not shift"
        )
        yield Finding(Code.NORM_BEFORE_PADDING, graph.name(chain), cause)


def _is_trained(graph: Graph, chain: Chain) -> bool:
    """Whether a normalisation was trained, and is not how the data are prepared.

    That is told by the operator, by the names that converters leave, by a root in its formula, or
    by its three constants: preparing data takes a mean and a deviation, but no more.
    """
    if chain.kind is Kind.BATCH_NORM:
        return True
    titles = "".join(graph.title(node).lower() for node in chain.nodes).replace("_", "")
    if "batchnorm" in titles:
        return True
    steps = [step for step in graph.steps(chain) if step.axis is not None]
    if len(steps) >= _SUB_MUL_ADD:
        return True
    reads = [name for node in chain.nodes for name in graph.scope.reads[node]]
    return any(_has_root(graph, name, _DEEPEST) for name in reads)


def _has_root(graph: Graph, name: str, depth: int) -> bool:
    """Whether a constant is computed with a root."""
    node = graph.constants.node(name) if name in graph.constants else None
    if node is None or not depth:
        return False
    return node.op_type == "Sqrt" or any(_has_root(graph, n, depth - 1) for n in node.input)


def _bias(graph: Graph, chain: Chain, way: Way) -> Iterator[Finding]:
    """A bias between the layer and the normalisation, which the mean takes away again.

    It does so only for the normalisation: what is read elsewhere, too, needs the bias.
    """
    if way.layer is None or not way.is_direct:
        return
    private = list(takewhile(lambda one: _is_read_once(one.place), way.passed))
    places = [(Place(graph, chain.nodes[0]), way.begun), *((p.place, p.axis) for p in private)]
    found = next((place for place, axis in places if _is_bias(place, axis, way)), None)
    if len(private) == len(way.passed) and _is_read_once(way.layer) and not way.is_across:
        found = found or (way.layer if _has_bias(way.layer, way) else None)
    if found is not None:
        cause = f"{_called(found)} adds a bias, which the normalisation takes away again"
        yield Finding(Code.REDUNDANT_BIAS, graph.name(chain), cause)


def _is_read_once(place: Place) -> bool:
    scope, name = place.graph.scope, place.graph.scope.makes[place.node][0]
    seen = name in scope.outputs or name in scope.captured
    return len(scope.readers.get(name, ())) == 1 and not seen


def _is_bias(place: Place, axis: int | None, way: Way) -> bool:
    """Whether a node adds a number along an axis, that of the normalisation."""
    graph = place.graph
    if not graph.scope.is_own(place.node, "Add"):
        return False
    name = next((n for n in graph.scope.reads[place.node] if n in graph.constants), None)
    if name is None or not _is_vector(graph, name):
        return False
    along = _along(graph, name)
    return not way.is_across if axis is None or along is None else along == axis


def _has_bias(layer: Place, way: Way) -> bool:
    graph, reads = layer.graph, layer.graph.scope.reads[layer.node]
    has_slot = layer.operator in _LAYERS_WITH_BIAS and len(reads) > 2  # noqa: PLR2004 - x, W, B
    if not has_slot or not _is_vector(graph, reads[2]):
        return False
    return layer.operator != "Gemm" or _along(graph, reads[2]) == way.channel_axis


def _along(graph: Graph, name: str) -> int | None:
    """The first axis of a constant that is longer than 1, from the right."""
    dims = graph.constants.dims(name) or ()
    return next((at - len(dims) for at, size in enumerate(dims) if size > 1), None)


def _is_vector(graph: Graph, name: str) -> bool:
    """Whether a constant has one number for each of several channels, not all of them 0."""
    value = graph.numbers(name)
    if value is None or value.size == 1 or value.size != max(value.shape):
        return False
    return not value.equals(0)


def _called(place: Place) -> str:
    return f"{place.operator} {place.title!r}"
