"""A client that knows nothing but where the server is: all else it learns from its reflection."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from files import conv_net, save
from serving import serving

import folding

#: In a process of its own, in which nobody has told protobuf what the messages are.
_CLIENT = """
import hashlib, pathlib, queue, sys
import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

target, source, out = sys.argv[1:]
data = pathlib.Path(source).read_bytes()
with grpc.insecure_channel(target) as channel:
    database = ProtoReflectionDescriptorDatabase(channel)
    name = next(name for name in database.get_services() if not name.startswith("grpc."))
    service = DescriptorPool(database).FindServiceByName(name)
    fold = service.methods_by_name["Fold"]
    assert fold.client_streaming and fold.server_streaming
    Request, Response = GetMessageClass(fold.input_type), GetMessageClass(fold.output_type)
    call = channel.stream_stream(
        f"/{service.full_name}/{fold.name}", Request.SerializeToString, Response.FromString
    )
    requests, files = queue.SimpleQueue(), []
    header = Request()
    file = header.header.model.file
    file.path, file.size = pathlib.Path(source).name, len(data)
    file.sha256 = hashlib.sha256(data).hexdigest()
    requests.put(header)
    for response in call(iter(requests.get, None), timeout=60):
        kind = response.WhichOneof("message")
        if kind == "accepted":
            size = response.accepted.chunk_bytes
            for number in response.accepted.wanted:
                for start in range(0, len(data), size):
                    request = Request()
                    request.chunk.file, request.chunk.data = number, data[start : start + size]
                    requests.put(request)
            requests.put(None)
        elif kind == "report":
            verdict = response.report.DESCRIPTOR.fields_by_name["verdict"].enum_type
            print(verdict.values_by_number[response.report.verdict].name)
            files = [b""] * len(response.report.files)
        elif kind == "chunk":
            files[response.chunk.file] += response.chunk.data
    pathlib.Path(out).write_bytes(files[1])
assert not any(name.startswith("folding") for name in sys.modules)
"""


@pytest.mark.parametrize("channels", [4, 10_000])
def test_a_client_made_from_reflection_alone_folds(tmp_path: Path, channels: int) -> None:
    """It gets the bytes of a local fold, also those of a model of several chunks."""
    source = save(conv_net(channels), tmp_path / "net.onnx")
    folding.fold(source)
    with serving(tmp_path, "--reflection") as server:
        words = [sys.executable, "-c", _CLIENT, server.target, str(source), str(tmp_path / "out")]
        found = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout == "VERDICT_EQUIVALENT\n"
    assert (tmp_path / "out").read_bytes() == (tmp_path / "net.folded.onnx").read_bytes()
