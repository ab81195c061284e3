"""The batch normalisations of what a SavedModel serves.

Its variables say what they are by their names: ``<layer>/moving_mean``. An epsilon is no variable.
It stands in the graph, beside a constant that has the values of such a variable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from folding.conversion.job import Job, Statistics
from folding.conversion.samples import Array, write_statistics
from folding.conversion.tf1.nodes import Graph, value_of
from folding.conversion.tf1.statistics import Normalisations

#: What the variables of a batch normalisation are called, by our names.
_ARRAYS = {
    "mean": "moving_mean",
    "variance": "moving_variance",
    "gamma": "gamma",
    "beta": "beta",
}


class _Computed(NamedTuple):
    """How a normalisation of the graph computes with which statistics."""

    mean: Array
    variance: Array
    epsilon: float | None
    formula: str

    def has(self, arrays: Mapping[str, Array]) -> bool:
        """Whether its statistics are those of some variables."""
        return all(
            name in arrays and np.array_equal(np.ravel(arrays[name]), np.ravel(own))
            for name, own in (("mean", self.mean), ("variance", self.variance))
        )


def statistics(function: Any, job: Job) -> list[Statistics]:
    """Those of the variables of a function that are called like a batch normalisation's."""
    by_name = {variable.name.partition(":")[0]: variable for variable in function.graph.variables}
    ending = f"/{_ARRAYS['mean']}"
    layers = [name.removesuffix(ending) for name in by_name if name.endswith(ending)]
    computed = _computed(function) if layers else []
    return [_of(layer, by_name, job, number, computed) for number, layer in enumerate(layers)]


def _of(
    layer: str, by_name: Mapping[str, Any], job: Job, number: int, computed: Sequence[_Computed]
) -> Statistics:
    found = {ours: by_name.get(f"{layer}/{theirs}") for ours, theirs in _ARRAYS.items()}
    arrays = {name: variable.numpy() for name, variable in found.items() if variable is not None}
    # Layers that nobody has trained have the same statistics.
    ways = {(one.epsilon, one.formula) for one in computed if one.has(arrays)}
    epsilon, formula = ways.pop() if len(ways) == 1 else (None, "")
    return Statistics(layer, write_statistics(job, number, arrays), epsilon, formula=formula)


def _computed(function: Any) -> list[_Computed]:
    """The normalisations of the graph; none where TensorFlow cannot freeze it, as it says later."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    try:
        frozen = convert_variables_to_constants_v2(
            function, lower_control_flow=False, aggressive_inlining=True
        )
    except ValueError:
        return []
    graph = Graph.of(frozen.graph.as_graph_def())
    return [
        _Computed(
            value_of(graph.nodes[found.nodes["mean"]]),
            value_of(graph.nodes[found.nodes["variance"]]),
            found.epsilon,
            found.formula,
        )
        for found in Normalisations(graph)
    ]
