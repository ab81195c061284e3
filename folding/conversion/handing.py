"""From the converter's file to the target: folded and proved, or as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from folding.calling import Call
from folding.conversion.request import Request
from folding.errors import FoldError, VerificationFailed
from folding.opening import opened
from folding.pipeline import fold
from folding.report import FileFacts, Report
from folding.writing import copied


def folded(model: Path, call: Call, request: Request) -> Report:
    """Fold what the converter made, prove it and write it.

    Raises:
        NotEquivalent: the fold is wrong; the report in it is that of the fold.
        Unproven: the fold cannot be proved.
        FoldError: it cannot be folded or written.
    """
    with named(model, call.source):
        try:
            report = fold(
                model,
                call.target,
                verify=request.verify,
                layout=request.layout,
                limits=request.limits,
                run_limits=request.run_limits,
                digests=request.digests,
                progress=call.clock.progress,
                keep=request.keep,
                allow_growth=request.allow_growth,
            )
        except VerificationFailed as failure:
            if isinstance(failure.report, Report):
                failure.report = _anonymous(failure.report)
            raise
    return _anonymous(report)


def as_it_is(model: Path, call: Call, request: Request) -> FileFacts:
    """Write what the converter made.

    Raises:
        FoldError: it cannot be written, or is beyond a limit.
    """
    inner = replace(call, source=str(model))
    with (
        named(model, call.source),
        opened(inner, request.limits, follow_links=False) as found,
    ):
        assert call.path is not None
        with copied(found, call.path, call.layout, digest=call.digests) as target:
            target.keep()
            return FileFacts(call.target, target.bytes, target.sha256)


def _anonymous(report: Report) -> Report:
    """The report without the path of a file that is no more."""
    return replace(report, source=replace(report.source, path=None))


@contextmanager
def named(model: Path, name: str) -> Iterator[None]:
    """Call the converter's file in errors what the user calls the source.

    Raises:
        FoldError: what the block raises, in other words.
    """
    try:
        yield
    except FoldError as error:
        error.args = (str(error).replace(str(model), name), *error.args[1:])
        raise
