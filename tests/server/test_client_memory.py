"""The client's memory does not grow with the model: it passes through, both ways."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from fake_service import Call, about, announced, chunk, described, faked
from files import conv_net, save

import folding
from folding.framing import head
from folding.v1 import folding_pb2 as v1

MIB = 1 << 20
SIZE = 100 * MIB
#: What it may have besides a client that has sent next to nothing: chunks on their way.
MORE = 40 * MIB

FOLD = """
import re, sys
from pathlib import Path
from folding_server.client import Client
with Client(sys.argv[1]) as client:
    client.fold(sys.argv[2], sys.argv[3], verify=False)
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def large(path: Path, size: int) -> Path:
    """A file that is a model as far as its frames go: one tensor of so many bytes."""
    tensor = head(9, size)
    graph = head(5, len(tensor) + size) + tensor
    with path.open("wb") as out:
        out.write(head(7, len(graph) + size) + graph)
        out.seek(size - 1, 1)
        out.write(b"\0")
    return path


def echoing(size: int, report: dict[str, Any]) -> Any:
    """A script that forgets what arrives, and sends as many bytes back."""
    block, digest = bytes(MIB), sha256()
    for _ in range(size // MIB):
        digest.update(block)
    folded = v1.File(path="f.onnx", size=size, sha256=digest.hexdigest())
    report["target"] |= {"bytes": size, "sha256": folded.sha256}

    def script(call: Call) -> Iterator[dict[str, Any]]:
        note = json.dumps(about(call, report)).encode()
        yield call.accepted()
        call.sizes = [len(request.chunk.data) for request in call.requests]
        yield {"report": announced(report, [described("report.json", note), folded])}
        yield chunk(0, note)
        for _ in range(size // MIB):
            yield chunk(1, block)

    return script


def peak(folder: Path, size: int) -> int:
    """The most memory that a client has while it folds a model of that size."""
    small = save(conv_net(), folder / "small.onnx")
    report = folding.fold(small, folder / "small.folded.onnx", verify=False).to_dict()
    source, target = large(folder / f"{size}.onnx", size), folder / f"{size}.folded.onnx"
    with faked(echoing(size, report)) as fake:
        done = subprocess.run(
            [sys.executable, "-c", FOLD, fake.target, source, target],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    assert sum(fake.calls[0].sizes) == source.stat().st_size
    assert target.stat().st_size == size
    return int(done.stdout) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="others have no /proc")
def test_a_model_of_100_mb_takes_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    """But for some chunks."""
    little, much = peak(tmp_path, MIB), peak(tmp_path, SIZE)

    assert much < little + MORE
