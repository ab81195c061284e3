"""Whether what a server says fits together: its report, its message, the bytes that came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from folding.report import FileFacts
from folding.v1.folding_pb2 import Counts, Report
from folding_server.reports import VERDICTS

#: Sentences, which another version may put otherwise.
_WORDING = frozenset({"rests_on", "text"})


def fits(read: Any, told: Any) -> bool:
    """Whether a report that was read says what it was read from, which may say more."""
    if isinstance(read, dict):
        return isinstance(told, dict) and all(
            key in told and (key in _WORDING or fits(value, told[key]))
            for key, value in read.items()
        )
    if isinstance(read, list):
        return isinstance(told, list) and len(read) == len(told) and all(map(fits, read, told))
    return bool(read == told) and not (isinstance(read, float) and not isfinite(read))


def fits_message(found: Mapping[str, Any], message: Report, *, proves: bool) -> bool:
    """Whether a report has the verdict and the counts that the message before it had."""
    verdict = VERDICTS[found["verification"]["verdict"]] if proves else VERDICTS[None]
    counts = found.get("counts", {}) if message.HasField("counts") else {}
    names = counts.keys() & Counts.DESCRIPTOR.fields_by_name.keys()
    return message.verdict == verdict and all(
        getattr(message.counts, name) == counts[name] for name in names
    )


def fits_files(told: FileFacts | None, received: FileFacts) -> bool:
    """Whether a report speaks of the model that came with it."""
    return told is not None and (told.sha256, told.bytes) == (received.sha256, received.bytes)


def fits_sent(told: Mapping[str, Any], sent: Sequence[FileFacts]) -> bool:
    """Whether a report is about the models that were sent."""
    roles = ("source",) if len(sent) == 1 else ("reference", "candidate")
    digests = [told[role]["sha256"] for role in roles]
    return digests == [model.sha256 for model in sent]
