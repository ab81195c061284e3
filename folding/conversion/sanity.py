"""The caller's side of the check: a fresh process looks at what the converter made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from folding.conversion.agreement import Agreed, Agreement, OutputFacts
from folding.conversion.compared import Task
from folding.conversion.job import MODEL, Product
from folding.conversion.samples import IN
from folding.equivalence.input_files import archive
from folding.equivalence.limits import RUN_LIMITS, RunLimits
from folding.equivalence.worker import Worker, WorkerFailed
from folding.errors import BadModel, Unconvertible
from folding.model_limits import LIMITS

_EXAMINED = "folding.conversion.compared:examined"
_NAN = "the sample inputs hold NaN, so that no output tells anything"
_LOST = "rounding alone changes all outputs by a tenth or more on these inputs"


def checked(
    product: Product,
    folder: Path,
    name: str,
    *,
    compare: bool = True,
    nesting: int = LIMITS.nesting,
    tolerance: float | None = None,
    limits: RunLimits = RUN_LIMITS,
) -> Agreement:
    """Whether what is in ``folder`` is a sound model, and the same function as the framework's.

    Args:
        product: what the route says of it.
        folder: where it is.
        name: what the user calls the source.
        compare: whether to compare at all; what is no valid model is refused in any case.
        nesting: how many graphs may be in one another.
        tolerance: the user's, relative to the size of an output.
        limits: what it may cost.

    Raises:
        Unconvertible: it is no valid model, or the runtime refuses it or crashes on it.
        FoldError: it cannot be read.
    """
    references = tuple(folder / each for each in product.references) if compare else ()
    task = Task(
        product.converter,
        folder / MODEL,
        references,
        tuple(port.graph for port in product.inputs),
        tuple(port.graph for port in product.outputs),
        nesting,
        tolerance,
    )
    with Worker(limits, warm=("folding.conversion.compared",), deed="checked the model") as worker:
        try:
            found = worker.call(_EXAMINED, task)
        except WorkerFailed as failure:
            if failure.kind == "crash":
                text = f"what {product.converter} made is not sound: {failure.reason}"
                raise Unconvertible(f"{name!r} cannot be converted: {text}") from failure
            return Agreement(Agreed.NOT_COMPARED, failure.reason)
        except BadModel as error:
            is_told = isinstance(error, Unconvertible)
            what = "" if is_told else f"what {product.converter} made is no model: "
            raise Unconvertible(f"{name!r} cannot be converted: {what}{error}") from error
    if not compare:
        return Agreement(Agreed.SKIPPED)
    outputs = tuple(OutputFacts(**facts) for facts in found["outputs"])
    why = found["why"] or _silence(product, references, outputs)
    return _agreement(why, tuple(found["batches"]), outputs)


def _silence(product: Product, references: Sequence[Path], outputs: Sequence[OutputFacts]) -> str:
    """Why nothing that was compared tells anything, or nothing."""
    if not references:
        return product.unchecked
    if not outputs or not all(output.lost for output in outputs):
        return ""
    return _NAN if any(map(_is_fed_nan, references)) else _LOST


def _is_fed_nan(reference: Path) -> bool:
    arrays = archive(reference)
    given = (array for name, array in arrays.items() if name.startswith(IN))
    return any(array.dtype.kind in "fc" and bool(np.isnan(array).any()) for array in given)


def _agreement(why: str, batches: tuple[int, ...], outputs: tuple[OutputFacts, ...]) -> Agreement:
    wrong = next((output for output in outputs if output.why), None)
    if wrong is not None:
        batch = "" if wrong.batch is None else f" at a batch of {wrong.batch}"
        why = f"output {wrong.name!r}{batch}: {wrong.why}"
        return Agreement(Agreed.DIFFERENT, why, batches, outputs)
    verdict = Agreed.NOT_COMPARED if why else Agreed.SAME
    return Agreement(verdict, why, batches, outputs)
