"""Verifications made by hand, to test what is said of them."""

from __future__ import annotations

from folding.equivalence.verdict import Check, Status, Verdict
from folding.plan import Warned
from folding.report import FileFacts
from folding.verification import Verification

#: A name that would break lines, terminals and XML, and how it may be shown.
HOSTILE = "a\n\x1b[2J\x00<&\"'>\ud800\ufffe]]>"

FRAME = Check("frame", Status.PASSED)
PARAMETERS = Check("parameters", Status.PASSED, worst=0.5, bound=1.0, at="w")
WRONG = Check("parameters", Status.FAILED, "a number is wrong", 7.25, 1.0, "w")
UNKNOWN = Check("frame", Status.NOT_RUN, "it was rewritten", at="conv")
IDLE = Check("outputs", Status.NOT_RUN, "Bernoulli is random", excused=True)
OUTPUTS = Check("outputs", Status.PASSED, worst=1e-7, bound=4.0, at="y")
EVIL = Check("parameters", Status.FAILED, HOSTILE, at=HOSTILE)

VERDICTS: dict[str, tuple[Check, ...]] = {
    "equivalent": (FRAME, PARAMETERS, OUTPUTS),
    "not run": (FRAME, PARAMETERS, IDLE),
    "different": (FRAME, WRONG, IDLE),
    "unproven": (UNKNOWN, PARAMETERS, IDLE),
    "hostile": (FRAME, EVIL),
}


def verification(name: str) -> Verification:
    """One of ``VERDICTS``, with what belongs to it."""
    text = HOSTILE if name == "hostile" else "normal, seed 0"
    verdict = Verdict(VERDICTS[name], text, (Warned("A_WARNING", "y", f"mind this: {text}"),))
    path = HOSTILE if name == "hostile" else "a.onnx"
    files = FileFacts(path, 10), FileFacts("b.onnx", 12)
    return Verification(*files, verdict, {"read": 0.25, "verify": 0.5})
