"""All checks of a fold, and their verdict."""

from __future__ import annotations

from folding.equivalence.frame import check_frame
from folding.equivalence.inputs import Inputs
from folding.equivalence.outputs import check_outputs
from folding.equivalence.parameters import cancellation, check_parameters
from folding.equivalence.verdict import Check, Status, Verdict
from folding.modelfile import Model
from folding.planner import Refused, plan_model


def verify_fold(
    reference: Model, candidate: Model, refused: Refused, inputs: Inputs | None
) -> Verdict:
    """Compare a folded model, as it was written, with its source.

    The reference is planned anew, which says where the candidate may differ and what each folded
    tensor must hold, computed again from the numbers that are stored in the source.

    Raises:
        BadCall: the inputs given do not fit the model.
    """
    drafts = plan_model(reference, refused).drafts
    if not any(draft.nodes for draft in drafts):
        why = "nothing was folded"
        frame = check_frame(reference, candidate, drafts)
        idle = (Check("parameters", Status.PASSED, why), Check("outputs", Status.NOT_RUN, why))
        return Verdict((frame, *idle))
    frame = check_frame(reference, candidate, drafts)
    if frame.status is not Status.PASSED:
        parameters = Check("parameters", Status.NOT_RUN, why="the frame differs")
    else:
        parameters = check_parameters(candidate, drafts)
    outputs, ran_on, warnings = check_outputs(reference, candidate, inputs, cancellation(drafts))
    return Verdict((frame, parameters, outputs), ran_on, tuple(warnings))
