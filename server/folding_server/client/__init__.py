"""The client: folds and verifies on a server as ``folding`` does here, without onnx.

    with Client("127.0.0.1:50051") as client:
        report = client.fold("model.onnx", "model.folded.onnx")

    async with AsyncClient("127.0.0.1:50051") as client:
        verification = await client.verify("model.onnx", "somebody_elses.onnx")

Both raise what the same call of ``folding`` raises, and a ``ServiceError`` for what only a server
can refuse. Whatever they come to, no file of theirs is left half-written.

    sync, aio    the two clients
    connection   carries out steps over gRPC
    operations   the steps of a fold, a verification, an explanation: shared, and without gRPC
    exchange     some materials, and the results that come back
    transfer     the steps of one call: header, chunks, answers; and when to try again
    headers      what the server is told
    sources      what it is sent
    results      what comes back
    answers      what it means
    access       to which server, and how
"""

from folding_server.client.aio import AsyncClient
from folding_server.client.sync import Client
from folding_server.client.transfer import Progress
from folding_server.errors import ServiceError

__all__ = ["AsyncClient", "Client", "Progress", "ServiceError"]
