"""SavedModel folders, by what they serve, whether Keras or TensorFlow wrote them.

Those of TensorFlow 1 are a graph beside a checkpoint, and converted as such.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from folding.conversion.effects import require_contained
from folding.conversion.function import Source, product
from folding.conversion.job import Job, Product
from folding.conversion.keras.served import statistics
from folding.conversion.on_tensorflow import OnTensorFlow
from folding.conversion.request import no_averages_of
from folding.conversion.routes import graph_def
from folding.conversion.samples import Spec
from folding.conversion.tf1.loading import graphs_of, is_of_first
from folding.errors import BadCall, BadModel

#: The signature that everyone writes who writes one.
_SERVED = "serving_default"
#: What TensorFlow takes for a pattern in a path.
_PATTERN = frozenset("*?[\\")
_OF_PATTERN = "Move it to a path without any of * ? [ and \\, which TensorFlow takes for a pattern."
_AGAIN = "Copy or save the whole folder again."


def run(job: Job) -> Product:
    """Convert what a SavedModel serves.

    Raises:
        BadCall: it has no such output, or no such flag, or uses files and is not trusted.
        BadModel: it is damaged, serves nothing, or cannot be converted.
    """
    if is_of_first(job.source):
        return graph_def.run(job)
    if job.correct_averages:
        raise no_averages_of("a SavedModel of TensorFlow 2")
    _require_contained(job)
    loaded = _loaded(job)
    function = _function(job, loaded)
    signature = _Signature(function, loaded, _inputs(function), _outputs(function, job.outputs))
    variables = list(function.graph.variables)
    found = Source(signature, statistics=statistics(function, job), variables=variables)
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


def _require_contained(job: Job) -> None:
    """Refuse what reaches beyond the graph: it would as it is loaded, or as it is run."""
    for graph in graphs_of(job.source):
        signed = [info.name for s in graph.signature_def.values() for info in s.outputs.values()]
        starts = [*signed, *_functions(graph.object_graph_def)]
        name, graph_def = str(job.source), graph.graph_def
        require_contained(name, graph_def, starts, trust=job.trust, loads_all=True)


def _functions(objects: Any) -> Iterator[str]:
    """The functions of the objects that are made as a SavedModel is loaded, which may run them."""
    yield from objects.concrete_functions
    for node in objects.nodes:
        yield from node.function.concrete_functions
        yield node.bare_concrete_function.concrete_function_name


def _loaded(job: Job) -> Any:
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        return tf.saved_model.load(str(job.source))
    except (OSError, ValueError, LookupError, DecodeError, tf.errors.OpError) as error:
        first = str(error).strip().partition("\n")[0]
        raise BadModel(
            f"the SavedModel {str(job.source)!r} cannot be loaded: {first}",
            hint=_OF_PATTERN if _PATTERN & set(str(job.source)) else _AGAIN,
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
    for name in sorted(specs):
        if specs[name].shape.rank is None:
            text = f"the input {name!r} does not say how many axes it has"
            raise BadCall(text, hint="Save it with a shape for it, such as (None, 28, 28, 1).")
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
