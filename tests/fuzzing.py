"""Hostile model files: small valid ones, damaged, and a judge of what becomes of them.

``python tests/fuzzing.py --inputs 1000000`` judges so many, each made from its number alone. They
run in child processes, since a fault may be a crash or a hang of a library; ``ulimit -v`` before it
shows whether one takes too much memory.
"""

# ruff: noqa: T201 - it is a command
from __future__ import annotations

import argparse
import multiprocessing
import re
import signal
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from damage import Parts, damaged, taken_apart
from google.protobuf.message import DecodeError, Message
from onnx import ModelProto, TensorProto
from specimens import DATA, specimens

from folding import graph, guards, skeleton, soundness
from folding.errors import BadModel, FoldError
from folding.model_limits import LIMITS
from folding.modelfile import Model, open_model
from folding.skeleton import TOKEN, Hole, external, put_in, take_out

#: So small that nearly every tensor is taken out.
LEAST = 8
#: Of processor time, for one file.
SECONDS = 10
#: Why the walker refuses a file that protobuf would read.
STRICT = re.compile(
    "a group|a field of unknown kind|an over-long number|an impossible number|is repeated"
    "|says twice where its data is|is nested deeper than"
)


class Watched:
    """Bytes of which each may be read once."""

    def __init__(self, data: bytes) -> None:
        self.data, self.size = data, len(data)
        self.ranges: list[tuple[int, int]] = []

    def read(self, start: int, end: int) -> bytes:
        assert 0 <= start < end <= self.size
        self.ranges.append((start, end))
        return self.data[start:end]

    def assert_read_once(self) -> None:
        assert all(end <= start for (_, end), (start, _) in pairwise(sorted(self.ranges)))


@cache
def _sound() -> tuple[Parts, ...]:
    kind = ModelProto.DESCRIPTOR
    return tuple(taken_apart(model.SerializeToString(), kind) for model in specimens())


def hostile(number: int) -> bytes:
    """The file of that number."""
    luck = Random(number)  # noqa: S311 - the same file each time
    return damaged(luck, luck.choice(_sound()), luck.choice(_sound()))


def parsed(data: bytes) -> ModelProto | None:
    """What protobuf reads."""
    try:
        return ModelProto.FromString(data)
    except DecodeError:
        return None


def bytes_of(model: ModelProto | None) -> bytes | None:
    """All that protobuf knows of a model, with the fields that ONNX does not know."""
    return None if model is None else model.SerializeToString(deterministic=True)


def tensors(message: Message) -> Iterator[TensorProto]:
    """Every tensor in a message."""
    if isinstance(message, TensorProto):
        yield message
    for found, value in message.ListFields():
        if found.message_type is not None:
            for inner in value if found.is_repeated else [value]:
                yield from tensors(inner)


def judge(data: bytes, folder: Path) -> str:
    """What becomes of a file; an AssertionError or anything else that is raised is a fault."""
    expected = parsed(data)
    source = Watched(data)
    try:
        found, spans = take_out(source)
    except BadModel as error:
        return refused(expected, str(error))
    source.assert_read_once()
    assert len(found) <= len(data) + 200 * len(spans)
    proto = parsed(found)
    assert bytes_of(restored(proto, data, spans)) == bytes_of(expected)
    if proto is None:
        return "protobuf refuses it"
    pieces = put_in(found, lambda index: spans[index][1] - spans[index][0])
    whole = b"".join(data[slice(*spans[p.index])] if isinstance(p, Hole) else p for p in pieces)
    assert bytes_of(parsed(whole)) == bytes_of(expected)
    return opened(data, folder)


def refused(expected: ModelProto | None, why: str) -> str:
    """What to say of a file that the walker refuses: if protobuf reads it, only for a reason."""
    assert expected is None or STRICT.search(why), why
    return "neither reads it" if expected is None else "the walker refuses it"


def restored(proto: ModelProto | None, data: bytes, spans: list[tuple[int, int]]) -> Any:
    """A skeleton's model with all its data in it."""
    if proto is None:
        return None
    copy = ModelProto()
    copy.CopyFrom(proto)
    left = set(range(len(spans)))
    for tensor in tensors(copy):
        said = {entry.key: entry.value for entry in tensor.external_data}
        if said.get("location") == TOKEN:
            assert tensor.data_location == TensorProto.EXTERNAL
            tensor.raw_data = data[slice(*spans[int(said["offset"])])]
            left.remove(int(said["offset"]))
            del tensor.external_data[:]
            tensor.ClearField("data_location")
            if "data_location" in said:
                tensor.data_location = TensorProto.DEFAULT
    assert not left
    return copy


def opened(data: bytes, folder: Path) -> str:
    """What becomes of a file that the walker and protobuf read alike."""
    path = folder / "model.onnx"
    path.write_bytes(data)
    try:
        with open_model(path) as model:
            assert TOKEN.encode() not in written(model)
            guards.check(model.proto, path.name, LIMITS)
            soundness.check(model, path.name)
            graph.index(model)
    except FoldError as error:
        return type(error).__name__
    return "it is a model"


def written(model: Model) -> bytes:
    """A model as it is written, but for the bytes of its tensors."""

    def place(index: int) -> bytes | int:
        apart = model.contents[index].apart
        return external({"location": "new"}) if apart else model.contents[index].size

    pieces = put_in(model.proto.SerializeToString(deterministic=True), place)
    return b"".join(piece for piece in pieces if isinstance(piece, bytes))


# --- a million of them ---------------------------------------------------------------------------


def judge_all(numbers: range, at: Any, outcomes: Any) -> None:
    """Judge some files and print what is wrong; a child process does this."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(skeleton, "LEAST", LEAST):
        Path(folder, DATA).write_bytes(bytes(4096))
        for number in numbers:
            at.value = number
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            try:
                counts[judge(hostile(number), Path(folder))] += 1
            except Exception:  # noqa: BLE001 - whatever it is, it is a fault
                counts["A FAULT"] += 1
                print(f"input {number}:\n{traceback.format_exc(limit=-4)}", flush=True)
    outcomes.put(counts)


def main() -> None:
    """Judge as many files as wanted."""
    options = argparse.ArgumentParser()
    options.add_argument("--inputs", type=int, default=1_000_000)
    options.add_argument("--first", type=int, default=0)
    options.add_argument("--batch", type=int, default=20_000)
    wanted = options.parse_args()
    totals: Counter[str] = Counter()
    start, end = wanted.first, wanted.first + wanted.inputs
    while start < end:
        at = multiprocessing.Value("q", start)
        outcomes: Any = multiprocessing.SimpleQueue()
        stop = min(start + wanted.batch, end)
        numbers = range(start, stop)
        child = multiprocessing.Process(target=judge_all, args=(numbers, at, outcomes), daemon=True)
        child.start()
        child.join()
        if child.exitcode:
            print(f"input {at.value}: killed by signal {-child.exitcode}", flush=True)
            totals["A FAULT"] += 1
            stop = at.value + 1
        else:
            totals += outcomes.get()
        start = stop
        print(start, dict(totals.most_common()), flush=True)


if __name__ == "__main__":
    main()
