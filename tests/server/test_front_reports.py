"""Long reports: whoever asks for one takes little of the server's memory, and of its time."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc
from onnx import ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper
from serving import Server, needs_root, serving
from wire import ask, declared

from folding.v1 import folding_pb2 as pb
from folding.v1.folding_pb2_grpc import FoldingServiceStub

MIB = 1 << 20
#: A connection that no other channel shares.
OWN = [("grpc.use_local_subchannel_pool", 1)]


def long_names() -> ModelProto:
    """A thousand normalisations whose names have a kilobyte each."""
    one = numpy_helper.from_array(np.ones(1, np.float32), "one")
    nodes, last = [], "x"
    for number in range(1000):
        name = f"{number}{'n' * 1000}"
        nodes.append(helper.make_node("BatchNormalization", [last, *["one"] * 4], [name]))
        nodes.append(helper.make_node("Sigmoid", [name], [last := f"s{number}"]))
    graph = helper.make_graph(nodes, "net", [image("x")], [image(last)], [one])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def image(name: str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 2, 2])


def health(server: Server) -> int:
    with grpc.insecure_channel(server.target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return int(stub.Check(health_pb2.HealthCheckRequest(), timeout=10).status)


@needs_root
def test_many_who_ask_for_a_long_report_take_little(tmp_path: Path) -> None:
    """Of a kept answer whose report has a megabyte: two hundred do not take it, then one does."""
    data = long_names().SerializeToString()
    header = pb.ExplainHeader(model=pb.Model(file=declared("net.onnx", data)))
    with serving(tmp_path) as server, ExitStack() as stack:
        channels = [stack.enter_context(grpc.insecure_channel(server.target, OWN)) for _ in "1234"]
        stubs = list(map(FoldingServiceStub, channels))
        first = ask(stubs[0].Explain, pb.ExplainRequest, header, [data])
        assert first.report.ByteSize() > MIB
        requests = [pb.ExplainRequest(header=header)]
        calls = [stubs[number % 4].Explain(iter(requests)) for number in range(200)]
        for _ in range(20):
            time.sleep(0.2)
            assert server.process.memory_info().rss < 200 * MIB
            assert health(server) == 1
        again = ask(stubs[0].Explain, pb.ExplainRequest, header)
        given = [reply.report for call in calls for reply in call if reply.HasField("report")]

    assert again.report.cached
    assert again.files == first.files
    assert len(given) == len(calls)
    assert any(report.cut for report in given)  # Those that were there beside many others.
