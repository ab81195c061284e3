"""One run of a module as ONNX, by the exporter that traces, nothing fused.

Modules that are TorchScript keep their control flow; of all others the one run is all that is
known. Where the batch cannot stay open it is fixed to that of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from folding.conversion.job import MODEL, Job
from folding.conversion.pytorch.calls import Call, as_tensor, named_outputs
from folding.conversion.pytorch.runs import Run, failures
from folding.conversion.pytorch.translating import Untranslated, Written, reason
from folding.renaming import Fresh

_BATCH = "batch"


def trace(
    module: Any, call: Call, run: Run, outputs: Sequence[str], job: Job, *, opened: Sequence[str]
) -> Written:
    """Write the model of a job.

    Args:
        module: what is called.
        call: how.
        run: what it is called with.
        outputs: the wanted ones.
        job: where to, and of which opset.
        opened: the inputs whose first axis is the batch, and stays open.

    Raises:
        Untranslated: it cannot be traced, or the exporter has no translation.
    """
    import torch

    values = {leaf.name: leaf.value.dtype for leaf in call.inputs}
    tensors = tuple(as_tensor(run.inputs[name], dtype) for name, dtype in values.items())
    flat = _flat(module, call, outputs)
    fresh = Fresh(())
    names = Written({n: fresh(n) for n in values}, {name: fresh(name) for name in outputs})
    varying = [names.inputs[name] for name in opened]
    varying += names.outputs.values() if opened else ()
    try:
        traced = torch.jit.trace(flat, tensors, check_trace=False)
        torch.onnx.export(
            traced,
            tensors,
            str(job.folder / MODEL),
            dynamo=False,
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
            opset_version=job.opset,
            input_names=list(names.inputs.values()),
            output_names=list(names.outputs.values()),
            dynamic_axes={name: {0: _BATCH} for name in varying},
        )
    except failures() as error:
        raise Untranslated(reason(error)) from error
    return names


def _flat(module: Any, call: Call, outputs: Sequence[str]) -> Any:
    """A module that takes the inputs and gives the outputs one after the other."""
    import torch

    class Flat(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.source = module
            self.training = False

        def forward(self, *tensors: Any) -> tuple[Any, ...]:
            given = dict(zip((leaf.name for leaf in call.inputs), tensors, strict=True))
            args, kwargs = call.arguments(given)
            found = named_outputs(self.source(*args, **kwargs))
            return tuple(found[name] for name in outputs)

    return Flat()
