"""Everything this package raises on purpose.

FoldError                    catch this one
├── BadModel                 the source is no model that can be read or trusted
│   ├── Malformed            its bytes are not a well-formed ONNX file
│   ├── ExternalDataPath     it keeps data where a model may not, or where there is none
│   ├── TensorSizeMismatch   a tensor has more or fewer bytes than its dimensions say
│   ├── ModelTooLarge        it cannot be written as one file, and has to be
│   ├── NestingTooDeep       its graphs, functions or types contain each other too often
│   ├── RecursiveFunction    a function of it calls itself
│   ├── ExpansionTooLarge    the calls of its functions stand for too many nodes
│   └── Unconvertible        no converter can make a sound ONNX file of it
│       └── LeftInTraining   it computes what it does in training
├── BadCall                  the call is wrong: paths, options, inputs
├── StorageFailed            the operating system refused to read or write a file
├── NotEquivalent            the model computes something else than it should; nothing was written
└── Unproven                 equivalence could not be established; nothing was written

An affine that cannot be folded is *not* an error: it is a ``Kept`` inside the plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from folding.conversion.report import ConversionReport
    from folding.plan import Warned
    from folding.report import Report


class FoldError(Exception):
    """Base class. The message is one sentence naming the place; ``hint`` says what to do."""

    hint = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint


class BadModel(FoldError):
    """The source is not a model that can be folded safely."""

    hint = "Export the model again, or look at it with onnx.checker."


class Malformed(BadModel):
    """The bytes of the file are not a well-formed ONNX model."""

    hint = "Check that it is a complete .onnx file, or export it again."


class ExternalDataPath(BadModel):
    """A tensor is kept outside of the model's folder, or in a file that is not there."""

    hint = "Save the model with its data beside it."


class TensorSizeMismatch(BadModel):
    """A tensor has more or fewer bytes than its type and dimensions say."""


class ModelTooLarge(BadModel):
    """One file cannot hold the model."""

    hint = "Save the source with external data first."


class NestingTooDeep(BadModel):
    """Bodies, calls of functions or types are nested beyond the limit."""

    hint = "Raise --max-nesting if you trust the model; files hold 32 graphs within each other."


class RecursiveFunction(BadModel):
    """A function calls itself, which ONNX forbids and no library survives."""

    hint = "Export the model without recursion."


class ExpansionTooLarge(BadModel):
    """With every call replaced by its function, the model would have too many nodes."""

    hint = "Raise --max-expanded-nodes if you trust the model, or export it without functions."


class Unconvertible(BadModel):
    """No converter can make a sound ONNX file of the source."""

    hint = "Save the model in another of the formats that fold-model convert reads."


class LeftInTraining(Unconvertible):
    """The source normalises by each batch, or draws at random; ``lints`` say where."""

    hint = "Save the model in inference mode."

    def __init__(
        self, message: str, lints: Sequence[Warned] = (), *, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.lints = lints


class BadCall(FoldError):
    """A path, an option or an input of the call is wrong."""

    hint = "See fold-model --help."


class StorageFailed(FoldError):
    """The operating system refused to read or write a file."""

    hint = "Check the path and its permissions."


class VerificationFailed(FoldError):
    """Base of the two verdicts that stop a fold or a conversion; ``report`` holds the evidence."""

    def __init__(
        self, message: str, report: Report | ConversionReport, *, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.report = report


class NotEquivalent(VerificationFailed):
    """The folded model is not the same function. Nothing was written."""

    hint = "Please report this with the model, or a cut-down copy of it; the source is untouched."


class Unproven(VerificationFailed):
    """Whether the folded model is the same function could not be established."""

    hint = "Fold with --no-verify if you can check the result yourself; the source is untouched."
