"""``python -m folding_server.probe TARGET``: whether the server there is ready, as an exit code.

For health checks of containers and supervisors, which ask from the same machine.
"""

from __future__ import annotations

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from folding_server.readiness import SERVICE

_SECONDS = 3.0
_READY, _NOT_READY, _BAD_CALL = 0, 1, 2


def probe(target: str) -> int:
    """0 if the server at ``target`` (HOST:PORT or unix:PATH, plain text) takes jobs, else 1."""
    with grpc.insecure_channel(target) as channel:
        request = health_pb2.HealthCheckRequest(service=SERVICE)
        try:
            found = health_pb2_grpc.HealthStub(channel).Check(request, timeout=_SECONDS)
        except grpc.RpcError:
            return _NOT_READY
    return _READY if found.status == health_pb2.HealthCheckResponse.SERVING else _NOT_READY


def main() -> int:
    """Ask where the only argument says."""
    if len(sys.argv) != 2:  # noqa: PLR2004 - the program and where to ask
        print("usage: python -m folding_server.probe HOST:PORT|unix:PATH", file=sys.stderr)  # noqa: T201
        return _BAD_CALL
    return probe(sys.argv[1])


if __name__ == "__main__":
    sys.exit(main())
