"""Sources of no framework, converted by routes of no framework."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from folding.conversion import extras, routing
from folding.conversion.converting import convert
from folding.conversion.job import Kind
from folding.conversion.report import ConversionReport

#: What the fake routes are for: a kind whose files tell what they are in eight bytes.
KIND = Kind.TFLITE
CONTENT = b"\x1c\0\0\0TFL3 and more"

#: An interrupt arrives whether the tests' own caller had ignored them or not.
_PROGRAM = """\
import signal, sys
sys.path.insert(0, sys.argv.pop(1))
signal.signal(signal.SIGINT, signal.default_int_handler)
from folding.conversion import extras, routing
from folding.conversion.job import Kind
extras.find_spec = str
routing.ROUTES[Kind.TFLITE] = sys.argv.pop(1)
from folding.__main__ import main
main()
"""


def source_in(folder: Path, name: str = "net.tflite") -> Path:
    """A file that is taken for one to convert."""
    path = folder / name
    path.write_bytes(CONTENT)
    return path


def use(monkeypatch: pytest.MonkeyPatch, route: str) -> None:
    """Let a fake route do it, which needs no package."""
    monkeypatch.setattr(extras, "find_spec", str)
    monkeypatch.setitem(routing.ROUTES, KIND, f"fake_routes:{route}")


def convert_by(
    monkeypatch: pytest.MonkeyPatch, route: str, source: Path, *rest: Any, **more: Any
) -> ConversionReport:
    """Convert by a fake route."""
    use(monkeypatch, route)
    return convert(source, *rest, **more)


def command_by(route: str, *words: str | Path) -> list[str]:
    """The words that run the command with a fake route."""
    program = [sys.executable, "-c", _PROGRAM, str(Path(__file__).parent)]
    return [*program, f"fake_routes:{route}", "convert", *map(str, words)]


def archive(path: Path, *names: str, content: str = "{}") -> Path:
    """A zip archive with some members."""
    with zipfile.ZipFile(path, "w") as out:
        for name in names:
            out.writestr(name, content)
    return path
