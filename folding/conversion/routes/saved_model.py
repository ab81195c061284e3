"""SavedModel folders, by what they serve, whether Keras or TensorFlow wrote them.

Those of TensorFlow 1 are a graph beside a checkpoint, and converted as such.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from folding.conversion.function import Source, product
from folding.conversion.job import Job, Product, Statistics
from folding.conversion.on_tensorflow import OnTensorFlow
from folding.conversion.routes import graph_def
from folding.conversion.samples import Spec, write_statistics
from folding.conversion.tf1.loading import is_of_first
from folding.errors import BadCall, BadModel

#: The signature that everyone writes who writes one.
_SERVED = "serving_default"
#: What the variables of a batch normalisation are called, by our names.
_ARRAYS = {
    "mean": "moving_mean",
    "variance": "moving_variance",
    "gamma": "gamma",
    "beta": "beta",
}


def run(job: Job) -> Product:
    """Convert what a SavedModel serves.

    Raises:
        BadCall: it has no such output, or no such flag.
        BadModel: it is damaged, serves nothing, or cannot be converted.
    """
    if is_of_first(job.source):
        return graph_def.run(job)
    loaded = _loaded(job)
    function = _function(job, loaded)
    signature = _Signature(function, loaded, _inputs(function), _outputs(function, job.outputs))
    variables = list(function.graph.variables)
    found = Source(signature, statistics=_statistics(variables, job), variables=variables)
    return product(found, OnTensorFlow, job)


@dataclass(frozen=True, slots=True)
class _Signature:
    """A function of a SavedModel; the loaded object keeps its variables alive."""

    function: Any
    holder: Any
    inputs: Mapping[str, Spec]
    outputs: Sequence[str]

    def __call__(self, *tensors: Any) -> list[Any]:
        found = self.function(**dict(zip(self.inputs, map(_tensor, tensors), strict=True)))
        return [found[name] for name in self.outputs]


def _tensor(value: Any) -> Any:
    import tensorflow as tf

    return tf.convert_to_tensor(value)


def _loaded(job: Job) -> Any:
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        return tf.saved_model.load(str(job.source))
    except (OSError, ValueError, LookupError, DecodeError, tf.errors.OpError) as error:
        first = str(error).strip().partition("\n")[0]
        raise BadModel(
            f"the SavedModel {str(job.source)!r} cannot be loaded: {first}",
            hint="Copy or save the whole folder again.",
        ) from error


def _function(job: Job, loaded: Any) -> Any:
    """The signature to convert: the usual one, or the only one."""
    named = dict(loaded.signatures)
    if _SERVED in named or len(named) == 1:
        return named.get(_SERVED) or next(iter(named.values()))
    if not named:
        raise BadModel(
            f"the SavedModel {str(job.source)!r} has no signature",
            hint="Save it with signatures=, a tf.function with an input_signature.",
        )
    known = ", ".join(map(repr, sorted(named)))
    raise BadModel(
        f"the SavedModel {str(job.source)!r} has the signatures {known}, none is {_SERVED!r}",
        hint=f"Save it with the one that is to be converted as {_SERVED!r}.",
    )


def _inputs(function: Any) -> Mapping[str, Spec]:
    specs = function.structured_input_signature[1]
    return {
        name: Spec(
            tuple(specs[name].shape.as_list()),
            object if specs[name].dtype.name == "string" else specs[name].dtype.as_numpy_dtype,
        )
        for name in sorted(specs)
    }


def _outputs(function: Any, wanted: Sequence[str]) -> Sequence[str]:
    known = sorted(function.structured_outputs)
    for name in wanted:
        if name not in known:
            has = ", ".join(map(repr, known))
            raise BadCall(f"the SavedModel has no output {name!r}", hint=f"It has {has}.")
    return wanted or known


def _statistics(variables: Sequence[Any], job: Job) -> list[Statistics]:
    """Those of the variables that are called like a batch normalisation's."""
    by_name = {variable.name.partition(":")[0]: variable for variable in variables}
    ending = f"/{_ARRAYS['mean']}"
    layers = [name.removesuffix(ending) for name in by_name if name.endswith(ending)]
    return [_of(layer, by_name, job, number) for number, layer in enumerate(layers)]


def _of(layer: str, by_name: Mapping[str, Any], job: Job, number: int) -> Statistics:
    found = {ours: by_name.get(f"{layer}/{theirs}") for ours, theirs in _ARRAYS.items()}
    arrays = {name: variable.numpy() for name, variable in found.items() if variable is not None}
    return Statistics(layer, write_statistics(job, number, arrays))
