"""What is sent: models with the files that they keep data in, and inputs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path, PurePosixPath

from folding.data_places import Places, find_data, place_of
from folding.equivalence.input_paths import check_kind, input_folders, numbered
from folding.errors import BadCall, Malformed, StorageFailed
from folding.locations import external_tensors
from folding.source import SourceFile
from folding.spool import STANDARD, standard_input
from folding.v1.folding_pb2 import File, Model
from folding_server.paths import LONGEST_NAME

_BLOCK = 1 << 20
#: A process may have some hundreds of files open; exporters make one for each tensor.
_MOST_OPEN = 64
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A file to send, and what the server is told of it."""

    source: SourceFile
    file: File


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model of the caller, open; ``name`` is what the caller calls it."""

    name: str
    outgoing: Sequence[Outgoing]

    @property
    def files(self) -> list[SourceFile]:
        """All that it consists of."""
        return [each.source for each in self.outgoing]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def message(self) -> Model:
        """What the server is told of it."""
        file, *data = (each.file for each in self.outgoing)
        return Model(file=file, external_data=data)


@dataclass(frozen=True, slots=True)
class LocalInputs:
    """Inputs, open: ``name`` is what the caller calls them, ``told`` what the server does.

    What it was told has a digest in it, so that nothing else looks like it.
    """

    name: str = ""
    told: str = ""
    outgoing: Sequence[Outgoing] = ()

    @property
    def paths(self) -> list[Path]:
        """Where they are."""
        return [each.source.path for each in self.outgoing]


def open_model(given: str, role: str, stack: ExitStack, *, follow_links: bool) -> LocalModel:
    """A model's file and those it keeps data in, open until the stack is closed.

    Args:
        given: its path, or - for standard input.
        role: what it is in the call, to tell it from another one with the same bytes.
        stack: closes what is opened.
        follow_links: whether external data may be a link that leaves the model's folder.

    Raises:
        FoldError: a file is not there, may not be there, or cannot be read.
    """
    path = stack.enter_context(standard_input()) if given == STANDARD else Path(given)
    resolved, folders = place_of(path)
    file = _opened(resolved, stack)
    if not file.size:
        raise Malformed(f"{given!r} is empty")
    found = _data(file, Places(folders, {}, follow_links))
    base = _sendable(path.name) or _free_name(found)
    outgoing = [_outgoing(file, f"{role}-{{}}/{base}")]
    for name, place in found.items():
        if name != base:  # A model may keep data in its own file.
            data = _opened(place, stack, stays_open=len(outgoing) < _MOST_OPEN)
            outgoing.append(_outgoing(data, name))
    return LocalModel(given, outgoing)


def open_inputs(given: str | os.PathLike[str] | None, stack: ExitStack) -> LocalInputs:
    """The files of the user's inputs.

    Raises:
        BadCall: there are none.
        StorageFailed: the operating system refuses.
    """
    if given is None:
        return LocalInputs()
    if not isinstance(given, (str, os.PathLike)):
        text = f"a server takes inputs as files, not as a {type(given).__name__}"
        raise BadCall(text, hint="Save them with numpy.savez, and give the path.")
    path = Path(given)
    try:
        check_kind(path)
        files = dict(_input_files(path))
    except OSError as error:
        raise StorageFailed(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    found = [
        _outgoing(_opened(file, stack, stays_open=number < _MOST_OPEN), name)
        for number, (name, file) in enumerate(files.items())
    ]
    if not path.is_dir():
        return LocalInputs(str(path), found[0].file.path, found)
    digests = "".join(each.file.sha256 for each in found)
    told = f"inputs-{hashlib.sha256(digests.encode()).hexdigest()[:_DIGITS]}"
    for each in found:
        each.file.path = f"{told}/{each.file.path}"
    return LocalInputs(str(path), told, found)


def _input_files(path: Path) -> Iterator[tuple[str, Path]]:
    if not path.is_dir():
        yield "inputs-{}/inputs.npz", path
        return
    for folder in input_folders(path):
        prefix = "" if folder == path else f"{folder.name}/"
        for file in numbered(folder).values():
            yield f"{prefix}{file.name}", file


def _data(file: SourceFile, places: Places) -> dict[str, Path]:
    """Where the files are that a model keeps data in, by the names that it has for them.

    Those from the first on that is not there are left out: whether that is what is wrong with the
    model, or something else, is for the server to say, and it need not have the others for that.
    """
    try:
        found = dict(_first(external_tensors(file)))
    except Malformed:
        return {}  # What is wrong with it is for the server to say, too.
    paths = dict[str, Path]()
    for location, tensor in found.items():
        path = find_data(places, location, tensor)
        if path is None:
            break
        paths[str(PurePosixPath(location))] = path
    return paths


def _first(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The first tensor of each location."""
    seen: set[str] = set()
    for location, tensor in pairs:
        if location not in seen:
            seen.add(location)
            yield location, tensor


def _opened(path: Path, stack: ExitStack, *, stays_open: bool = True) -> SourceFile:
    file = SourceFile(path, stays_open=stays_open)
    stack.callback(file.close)
    return file


def _outgoing(source: SourceFile, name: str) -> Outgoing:
    """``name`` may have a place for a piece of the digest."""
    digest = hashlib.sha256()
    for start in range(0, source.size, _BLOCK):
        digest.update(source.read(start, min(start + _BLOCK, source.size)))
    source.check_unchanged()
    sha256 = digest.hexdigest()
    path = name.replace("{}", sha256[:_DIGITS])
    return Outgoing(source, File(path=path, size=source.size, sha256=sha256))


def _sendable(name: str) -> str:
    """A name of a file, if a server can have a file that is called so."""
    try:
        is_short = len(name.encode()) <= LONGEST_NAME
    except UnicodeEncodeError:
        return ""
    return name if is_short and name not in ("", "..") else ""


def _free_name(taken: Iterable[str]) -> str:
    """What a model can be called on a server beside the files that it keeps data in."""
    tops = {PurePosixPath(name).parts[0] for name in taken}
    names = chain(("model.onnx",), (f"model-{number}.onnx" for number in count(1)))
    return next(name for name in names if name not in tops)


def sendable_target(name: str) -> str:
    """What the server is to call the folded model."""
    return "folded.onnx" if name == "report.json" else _sendable(name) or "folded.onnx"
