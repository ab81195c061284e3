"""What a framework printed before its process failed, if anything of it says why.

TensorFlow tells of each start that it found no graphics card, and how oneDNN rounds. That, notes
and warnings are no reasons, and whoever reads one as such looks in the wrong place.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

#: How much of what was printed is looked at, and how much of a line is told.
_TAIL, _LONGEST_QUOTE = 1 << 14, 200

#: How a line of a log begins: ``I0000 00:00:1795322088.592912    3581 port.cc:153]``, or
#: ``2026-11-22 04:30:00.123456: W external/``, or ``2026-11-22 04:30:00,123 - WARNING - tf2onnx``.
_STAMP = r"(?:{level}\d{{4}} [\d:]+|\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\S*:? (?:- )?{level}\b)"
_DEVICES = r"cu(?:da|dnn|blas|fft|sparse|solver|init)|gpu|nvidia|tensorrt|onednn|xla"
_NOISE = re.compile(
    rf"{_STAMP.format(level='(?:I|W|INFO|WARNING|DEBUG)')}"
    rf"|{_STAMP.format(level='(?:E|ERROR)')}.*(?:{_DEVICES})"
    r"|(?:WARNING|INFO|DEBUG):"
    r"|To enable (?:the following|them in other) "
    r"|\S+:\d+: \w*Warning: "
    r"|\s",
    re.IGNORECASE,
)


def last_words(path: Path) -> str:
    """The last line of a file that may say what went wrong, as far as it can be shown."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        lines = file.read().decode(errors="replace").splitlines()
        telling = [line for line in lines if line and not _NOISE.match(line)] or [""]
        return "".join(c if c.isprintable() else "?" for c in telling[-1][:_LONGEST_QUOTE])
    return ""
