"""A program of ``torch.export`` as ONNX, operator by operator, nothing fused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from folding.conversion.job import MODEL, Job
from folding.conversion.pytorch.calls import Call, as_array, output_names
from folding.conversion.pytorch.runs import failures, first_line
from folding.renaming import Fresh

_OPERATOR = re.compile(r"op='([\w.:]+)'|operator '([\w.:]+)'|(aten[.:]+\w+)")
_BATCH = "batch"


class Untranslated(Exception):
    """It cannot be done this way; the message is a clause that says why."""


class Written(NamedTuple):
    """The names that the graph has for inputs and outputs, by the source's."""

    inputs: dict[str, str]
    outputs: dict[str, str]


def names_of_outputs(program: Any) -> list[str]:
    """The name of each output, those that are no tensors included."""
    from torch.utils import _pytree

    spec = program.call_spec.out_spec
    tree = _pytree.tree_unflatten(range(spec.num_leaves), spec)
    return output_names([path for path, _ in _pytree.tree_flatten_with_path(tree)[0]])


def translate(program: Any, call: Call, outputs: Sequence[str], job: Job) -> Written:
    """Write the model of a job.

    Args:
        program: it has only the outputs that are wanted from then on.
        call: what are inputs, and what are settled ones.
        outputs: the wanted ones.
        job: where to, and of which opset.

    Raises:
        Untranslated: the exporter has no translation, or not for that opset.
    """
    import torch

    keep_outputs(program, outputs)
    try:
        result = torch.onnx.export(
            program, dynamo=True, optimize=False, verbose=False, opset_version=job.opset
        )
        model = result.model
        written = _name(model, call, outputs)
        if job.opset not in (None, model.opset_imports[""]):
            raise Untranslated(f"the exporter wrote opset {model.opset_imports['']} instead")
        result.save(job.folder / MODEL)
    except failures() as error:
        raise Untranslated(reason(error)) from error
    return written


def reason(error: BaseException | None) -> str:
    """What an exporter failed at: the operator, if it is known."""
    told, link = first_line(error), error
    while link is not None:
        found = _OPERATOR.search(str(link))
        if found:
            name = next(filter(None, found.groups())).replace("::", ".")
            return f"the exporter has no translation of the operator {name!r}"
        told, link = first_line(link), link.__cause__
    return told


def keep_outputs(program: Any, outputs: Sequence[str]) -> None:
    """Leave only some outputs to a program, each a value of its own."""
    from torch.utils import _pytree

    specs, end = program.graph_signature.output_specs, program.graph.output_node()
    pairs = list(zip(specs, end.args[0], strict=True))
    user = [pair for pair in pairs if pair[0].kind.name == "USER_OUTPUT"]
    kept = [pair for pair in pairs if pair[0].kind.name != "USER_OUTPUT"]
    names = names_of_outputs(program)
    for name in outputs:
        spec, value = user[names.index(name)]
        kept.append((spec, _own(program.graph, value, [other for _, other in kept])))
    for spec, value in kept:
        spec.arg = type(spec.arg)(name=value.name)
    specs[:] = [spec for spec, _ in kept]
    end.args = (tuple(value for _, value in kept),)
    tree = _pytree.tree_structure(tuple(range(len(outputs))))
    program.module_call_graph[0].signature.out_spec = tree
    codegen = vars(program.graph)["_codegen"]
    if hasattr(codegen, "pytree_info"):
        codegen.pytree_info = codegen.pytree_info._replace(out_spec=tree)
    program.graph.eliminate_dead_code()
    program.graph_module.recompile()


def _own(graph: Any, value: Any, others: Sequence[Any]) -> Any:
    """A value that is neither put in nor given twice."""
    import torch

    if value.op != "placeholder" and value not in others:
        return value
    with graph.inserting_before(graph.output_node()):
        copy = graph.call_function(torch.ops.aten.clone.default, (value,))
    copy.meta.update(value.meta)
    return copy


def _name(model: Any, call: Call, outputs: Sequence[str]) -> Written:
    """Give inputs and outputs the source's names where they are free, and settle frozen inputs."""
    import torch

    tensors = [leaf for leaf in call.leaves if isinstance(leaf.value, torch.Tensor)]
    ends = [*model.graph.inputs, *model.graph.outputs]
    if len(ends) != len(tensors) + len(outputs):
        raise Untranslated("the exporter wrote other inputs and outputs than there are")
    fresh = Fresh(_names(model) - {value.name for value in ends})
    for value, wish in zip(ends, [*(leaf.name for leaf in tensors), *outputs], strict=True):
        value.name = fresh(wish)
    _name_batch(model)
    given = dict(zip([leaf.name for leaf in tensors], model.graph.inputs, strict=True))
    names = {leaf.name: given[leaf.name].name for leaf in call.inputs}
    for leaf in tensors:
        if not leaf.is_input:
            _settle(model.graph, given[leaf.name], leaf.value)
    return Written(
        names, {name: v.name for name, v in zip(outputs, model.graph.outputs, strict=True)}
    )


def _names(model: Any) -> set[str]:
    """The names that values have."""
    nodes = model.graph.all_nodes()
    return {value.name for node in nodes for value in node.outputs}.union(
        model.graph.initializers, (value.name for value in model.graph.inputs)
    )


def _settle(graph: Any, value: Any, tensor: Any) -> None:
    """Make an input an initializer."""
    import onnx_ir

    graph.inputs.remove(value)
    value.const_value = onnx_ir.tensor(as_array(tensor), name=value.name)
    graph.register_initializer(value)


def _name_batch(model: Any) -> None:
    """Call the first open size of the first input what it is, wherever it is named."""
    import onnx_ir

    sizes = [value.shape[0] for value in model.graph.inputs if value.shape]
    symbol = next((size.value for size in sizes if isinstance(size, onnx_ir.SymbolicDim)), None)
    if not symbol:
        return
    word = re.compile(rf"\b{re.escape(symbol)}\b")
    values = [value for node in model.graph.all_nodes() for value in node.outputs]
    for value in (*model.graph.inputs, *values):
        for axis, size in enumerate(value.shape or ()):
            if isinstance(size, onnx_ir.SymbolicDim) and size.value:
                value.shape[axis] = word.sub(_BATCH, size.value)
